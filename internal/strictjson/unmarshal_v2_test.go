//go:build go1.27 && goexperiment.jsonv2

package strictjson_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	"net/netip"
	"testing"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// A field can ask for folding. Then two members can set it, of which encoding/json would take the
// last one.
func TestUnmarshalRefusesASecondMemberForOneField(t *testing.T) {
	type folding struct {
		Sub   string `json:"sub,case:ignore"`
		Exact person `json:"exact"`
	}
	var got folding
	if err := strictjson.Unmarshal([]byte(`{"SUB":"alice","exact":`+pair+`}`), &got); err != nil ||
		got.Sub != "alice" || got.Exact.Sub != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
	got = folding{}
	if err := strictjson.Unmarshal([]byte(pair), &got); err == nil || got.Sub == "admin" {
		t.Errorf("two members for one field: %+v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(pair), &got); err != nil || got.Sub != "admin" {
		t.Errorf("encoding/json refuses it, too: %+v, %v", got, err)
	}
}

func TestUnmarshalRefusesASecondMemberForOneKeyOfAMap(t *testing.T) {
	var got map[netip.Addr]int
	if err := strictjson.Unmarshal([]byte(`{"::1":1,"0::1":2}`), &got); err == nil || got[netip.IPv6Loopback()] == 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// streamed reads its value with the decoder of encoding/json/v2.
type streamed struct{ raw string }

func (s *streamed) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	value, err := decoder.ReadValue()
	s.raw = string(value)
	return err
}

func TestUnmarshalGivesOwnStreamDecodersTheRawValue(t *testing.T) {
	var got struct {
		Value streamed `json:"value"`
	}
	const raw = `{ "sub" : "alice", "SUB":[ 1.0 ] }`
	if err := strictjson.Unmarshal([]byte(`{"value":`+raw+`}`), &got); err != nil || got.Value.raw != raw {
		t.Errorf("%+v, %v", got, err)
	}
}
