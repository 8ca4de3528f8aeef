package bearer_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
)

// claimsSeeds are claims sets. ISS, AUD and FUTURE stand for what is accepted.
var claimsSeeds = []string{
	`{"iss":ISS,"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"aud":["other",AUD],"exp":FUTURE,"sub":"alice","jti":"1","client_id":"c","iat":1,"nbf":1}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE.5,"scope":"a b","scp":["c"],"roles":["admin"],"auth_time":1,"acr":"2"}`,
	`{"iss":ISS,"aud":AUD,"exp":4.102444799e9}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"other":41E2444799}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"SUB":"mallory","sub":"alice"}`,
	" {\n\"iss\" : ISS , \"aud\" : AUD , \"exp\" : FUTURE } ",
	`{"exp":FUTURE,"x":{"iss":"other"},"iss":ISS,"aud":[AUD]}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"scope":{"a":1},"roles":7}`,
	`{"iss":ISS,"aud":AUD}`,
	`{"iss":ISS,"aud":AUD,"exp":"FUTURE"}`,
	`{"iss":ISS,"aud":AUD,"exp":1300819380}`,
	`{"iss":ISS,"aud":AUD,"exp":-1}`,
	`{"iss":ISS,"aud":AUD,"exp":1e400}`,
	`{"iss":ISS,"aud":AUD,"exp":9223372036854775808}`,
	`{"iss":ISS,"aud":AUD,"exp":253402300799.9}`,
	`{"iss":ISS,"aud":AUD,"exp":null}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"nbf":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"iat":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"cnf":{"jkt":"x"}}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"cnf":null}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"at_hash":"x"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"token_use":"id"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"typ":"Refresh"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"events":{}}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"sub":1}`,
	`{"iss":ISS,"aud":[AUD,1],"exp":FUTURE}`,
	`{"iss":ISS,"aud":[[AUD]],"exp":FUTURE}`,
	`{"iss":ISS,"aud":[],"exp":FUTURE}`,
	`{"iss":ISS,"aud":"other","exp":FUTURE}`,
	`{"iss":ISS,"exp":FUTURE}`,
	`{"iss":[ISS],"aud":AUD,"exp":FUTURE}`,
	`{"iss":"other","aud":AUD,"exp":FUTURE}`,
	`{"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"iss":ISS,"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"\u0065xp":1}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"x":[{"y":1,"y":2}]}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"x":"\udc00"}`,
	"{\"iss\":ISS,\"aud\":AUD,\"exp\":FUTURE,\"x\":\"\xc0\x80\"}",
	`{"iss":ISS,"aud":AUD,"exp":FUTURE}{}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,}`,
	`[{"iss":ISS,"aud":AUD,"exp":FUTURE}]`,
	`"Payload"`,
	`null`,
	// for the options that newly accept
	`{"aud":AUD,"exp":FUTURE,"at_hash":"x"}`,
	`{"iss":"","aud":AUD,"exp":FUTURE}`,
	`{"iss":null,"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"at_hash":"x","events":{}}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"token_use":"id","typ":"Logout"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"typ":"ID","c_hash":"x","s_hash":"x"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"sub":"","tid":null}`,
	`{"iss":TENANT,"aud":AUD,"exp":FUTURE,"x":{"tid":"acme"}}`,
	`{"iss":TENANT,"aud":AUD,"exp":FUTURE,"x.tid":"\u0061cme"}`,
	`{"iss":TENANT,"aud":AUD,"exp":FUTURE,"x":{"tid":"other"}}`,
	`{"iss":TENANT,"aud":AUD,"exp":FUTURE,"x":{"tid":["acme"]},"x.tid":7}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"cid":"c","x":{"scope":["a"],"roles":{"admin":{},"b":null}},"roles":"a b"}`,
}

// claimsSeed is a claims set, and whether the header says that it is an access token's.
type claimsSeed struct {
	payload string
	marked  bool
	setting uint8 // of fuzzSettings
}

func (s claimsSeed) header() string {
	if s.marked {
		return `{"alg":"EdDSA","typ":"at+jwt"}`
	}
	return `{"alg":"EdDSA"}`
}

// Accepted claims are correctly signed: one JSON object with one reading, for this service by iss
// and aud, and valid now. The accessors return what the document says.
func FuzzClaims(f *testing.F) {
	targets := newFuzzTargets(f)
	verify := func(t testing.TB, s claimsSeed) *bearer.Claims {
		target := targets[int(s.setting)%len(targets)]
		return target.verify(t, target.sign(s.header(), s.payload))
	}
	replace := strings.NewReplacer("TENANT", fmt.Sprintf("%q", iss+"/acme"), "ISS", fmt.Sprintf("%q", iss), "AUD", fmt.Sprintf("%q", aud), "FUTURE", "4102444799")
	var seeds []claimsSeed
	for _, s := range claimsSeeds {
		for i := range targets {
			seeds = append(seeds, claimsSeed{replace.Replace(s), false, uint8(i)}, claimsSeed{replace.Replace(s), true, uint8(i)})
		}
	}
	for i := range targets {
		own := slices.DeleteFunc(slices.Clone(seeds), func(s claimsSeed) bool { return int(s.setting) != i })
		checkSeeds(f, own, func(s claimsSeed) bool { return verify(f, s) != nil })
	}
	for _, s := range seeds {
		f.Add([]byte(s.payload), s.marked, s.setting)
	}
	f.Fuzz(func(t *testing.T, payload []byte, marked bool, setting uint8) {
		seed := claimsSeed{string(payload), marked, setting}
		before := time.Now()
		claims := verify(t, seed) // which asks the reference
		if claims == nil || int(setting)%len(targets) > 0 {
			return
		}
		members := readIndependently(t, payload)
		checkAccepted(t, claims, members, before, time.Now())
		others := []string{"at_hash", "c_hash", "s_hash", "events"}
		if slices.ContainsFunc(others, func(name string) bool { _, found := members[name]; return found }) && !marked {
			t.Errorf("another kind of token: %s", payload)
		}
	})
}

// checkAccepted compares accepted claims with the document, as encoding/json reads it into a map.
func checkAccepted(t testing.TB, claims *bearer.Claims, members map[string]any, before, after time.Time) {
	t.Helper()
	date := func(name string) (float64, bool) {
		value, found := members[name]
		if !found {
			return 0, false
		}
		number, ok := value.(json.Number)
		if !ok {
			t.Fatalf("%s is no number: %v", name, value)
		}
		seconds, err := number.Float64()
		if err != nil || seconds < 0 {
			t.Fatalf("%s is out of range: %v", name, value)
		}
		return seconds, true
	}
	leeway := (30 * time.Second).Seconds()
	if exp, found := date("exp"); !found || exp+leeway < float64(before.Unix()) {
		t.Errorf("exp is %v", members["exp"])
	}
	for _, name := range []string{"nbf", "iat"} {
		if when, found := date(name); found && when-leeway > float64(after.Unix()+1) {
			t.Errorf("%s is %v", name, members[name])
		}
	}
	if members["iss"] != iss || claims.Issuer() != iss {
		t.Errorf("iss is %v", members["iss"])
	}
	list, ok := members["aud"].([]any)
	if !ok {
		list = []any{members["aud"]}
	}
	if !slices.Contains(list, any(aud)) || fmt.Sprint(list) != fmt.Sprint(claims.Audience()) {
		t.Errorf("aud is %v, Audience is %v", members["aud"], claims.Audience())
	}
	if _, found := members["cnf"]; found {
		t.Error("cnf was ignored")
	}
	for name, got := range map[string]string{"sub": claims.Subject(), "jti": claims.ID()} {
		if want, found := members[name]; found && want != got || !found && got != "" {
			t.Errorf("%s is %v, and %q for the handler", name, want, got)
		}
	}
	var decoded map[string]json.RawMessage // a number may be too large for a float64
	if err := claims.Decode(&decoded); err != nil || len(decoded) != len(members) {
		t.Errorf("Decode finds %d members of %d (%v)", len(decoded), len(members), err)
	}
}
