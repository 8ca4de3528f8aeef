package discovery_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/discovery"
)

const (
	issuer    = "https://a.example/b"
	openIDURL = "https://a.example/b/.well-known/openid-configuration"
	oauthURL  = "https://a.example/.well-known/oauth-authorization-server/b"
)

var errGet = errors.New("no answer")

// site answers each URL with a document, or with a status.
type site struct {
	documents map[string]string
	statuses  map[string]int
	asked     []string
}

func (s *site) get(_ context.Context, location string) (document string, status int, err error) {
	s.asked = append(s.asked, location)
	if document, ok := s.documents[location]; ok {
		return document, http.StatusOK, nil
	}
	return "", s.statuses[location], errGet
}

func TestFetchReadsTheDocument(t *testing.T) {
	s := &site{documents: map[string]string{openIDURL: `{"issuer":"https://a.example/b","jwks_uri":"keys",
		"token_endpoint":"token","revocation_endpoint":"revoke","authorization_endpoint":1,
		"mtls_endpoint_aliases":{"token_endpoint":"mtls","revocation_endpoint":[]},
		"authorization_response_iss_parameter_supported":true,"code_challenge_methods_supported":["plain","S256"]}`}}
	d, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer}, s.get)
	if err != nil {
		t.Fatal(err)
	}
	if d.KeysURL != "keys" || d.Endpoints != (discovery.Endpoints{Token: "token", Revocation: "revoke"}) ||
		d.Flags != (discovery.Flags{IssParameter: true, S256: true, S256Said: true}) {
		t.Errorf("%+v", d)
	}
	if mtls, err := d.MTLSEndpoints(); err != nil || mtls != (discovery.Endpoints{Token: "mtls"}) {
		t.Errorf("%+v, %v", mtls, err)
	}
}

func TestMTLSEndpointsThatAreNoObjectAreTheirUsersProblem(t *testing.T) {
	s := &site{documents: map[string]string{openIDURL: `{"issuer":"https://a.example/b","mtls_endpoint_aliases":null}`}}
	d, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer}, s.get)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.MTLSEndpoints(); err == nil || !strings.Contains(err.Error(), "is not an object") {
		t.Errorf("the error is %v", err)
	}
}

func TestFetchAsksAtTheSecondPlaceOnlyIfTheFirstHasNone(t *testing.T) {
	const good = `{"issuer":"https://a.example/b"}`
	for name, tt := range map[string]struct {
		documents map[string]string
		statuses  map[string]int
		asked     []string
		want      string // in the error; "" for none
	}{
		"first":    {map[string]string{openIDURL: good}, nil, []string{openIDURL}, ""},
		"second":   {map[string]string{oauthURL: good}, map[string]int{openIDURL: 404}, []string{openIDURL, oauthURL}, ""},
		"neither":  {nil, map[string]int{openIDURL: 404, oauthURL: 404}, []string{openIDURL, oauthURL}, "no answer"},
		"410":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 410}, []string{openIDURL, oauthURL}, ""},
		"400":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 400}, []string{openIDURL, oauthURL}, ""},
		"499":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 499}, []string{openIDURL, oauthURL}, ""},
		"399":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 399}, []string{openIDURL}, "no answer"},
		"408":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 408}, []string{openIDURL}, "no answer"},
		"425":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 425}, []string{openIDURL}, "no answer"},
		"429":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 429}, []string{openIDURL}, "no answer"},
		"500":      {map[string]string{oauthURL: good}, map[string]int{openIDURL: 500}, []string{openIDURL}, "no answer"},
		"no HTTP":  {map[string]string{oauthURL: good}, nil, []string{openIDURL}, "no answer"},
		"no JSON":  {map[string]string{openIDURL: "<html>", oauthURL: good}, nil, []string{openIDURL}, "the answer of " + openIDURL + " is not usable: "},
		"a foe":    {map[string]string{openIDURL: `{"issuer":"https://evil.example"}`, oauthURL: good}, nil, []string{openIDURL}, "it is not for the issuer"},
		"a slash":  {map[string]string{openIDURL: `{"issuer":"https://a.example/b/"}`}, nil, []string{openIDURL}, "in a slash at the end"},
		"two foes": {map[string]string{oauthURL: `{}`}, map[string]int{openIDURL: 404}, []string{openIDURL, oauthURL}, "the answer of " + oauthURL},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{documents: tt.documents, statuses: tt.statuses}
			_, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer}, s.get)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
			if !slices.Equal(s.asked, tt.asked) {
				t.Errorf("asked at %q, want %q", s.asked, tt.asked)
			}
			if (tt.want == "no answer") != errors.Is(err, errGet) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
