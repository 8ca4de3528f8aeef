package interop_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/oauth"
)

// What the provider's own key has signed is refused as well when a claim is wrong, and for that
// claim: a key that signs for one purpose signs for others, too.
func TestSignedIDTokensWithAWrongClaimAreRefused(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}})
	way := new(forger)
	resigned := func(headers, claims map[string]any) func(idToken, _ string) string {
		return func(idToken, _ string) string {
			return signed(t, issuer, changed(part(t, idToken, header), headers), changed(part(t, idToken, payload), claims))
		}
	}
	way.forge = resigned(nil, nil)
	if _, identity, _, err := way.logIn(t, issuer, webID); err != nil || identity.Subject() != personName {
		t.Fatalf("an ID token that is signed once more: %v", err)
	}

	now := time.Now().Unix()
	const hour = 60 * 60
	for name, c := range map[string]struct {
		headers, claims map[string]any // nil removes one
		rule            string         // that the error names
	}{
		"another issuer":                  {claims: map[string]any{"iss": "https://mallory.example"}, rule: "iss"},
		"the issuer with a slash":         {claims: map[string]any{"iss": issuer + "/"}, rule: "iss"},
		"no subject":                      {claims: map[string]any{"sub": nil}, rule: "sub"},
		"another audience":                {claims: map[string]any{"aud": nativeID}, rule: "aud"},
		"an API as the audience":          {claims: map[string]any{"aud": orders}, rule: "aud"},
		"two audiences, and no azp":       {claims: map[string]any{"aud": []string{webID, nativeID}}, rule: "azp"},
		"another azp":                     {claims: map[string]any{"aud": []string{webID, nativeID}, "azp": nativeID}, rule: "azp"},
		"another azp, and one audience":   {claims: map[string]any{"azp": nativeID}, rule: "azp"},
		"it has ended":                    {claims: map[string]any{"exp": now - hour}, rule: "exp"},
		"no end":                          {claims: map[string]any{"exp": nil}, rule: "exp"},
		"issued in the future":            {claims: map[string]any{"iat": now + hour}, rule: "iat"},
		"no time of issue":                {claims: map[string]any{"iat": nil}, rule: "iat"},
		"not valid yet":                   {claims: map[string]any{"nbf": now + hour}, rule: "nbf"},
		"no nonce":                        {claims: map[string]any{"nonce": nil}, rule: "nonce"},
		"another nonce":                   {claims: map[string]any{"nonce": "mallory"}, rule: "nonce"},
		"of another access token":         {claims: map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, rule: "at_hash"},
		"a proof of long ago":             {claims: map[string]any{"auth_time": now - hour}, rule: "auth_time"},
		"no time of a proof":              {claims: map[string]any{"auth_time": nil}, rule: "auth_time"},
		"a logout token":                  {claims: map[string]any{"events": map[string]any{}}, rule: "events"},
		"the type of an access token":     {headers: map[string]any{"typ": "at+jwt"}, rule: "typ"},
		"the name of another algorithm":   {headers: map[string]any{"alg": "PS256"}},
		"the identifier of another key":   {headers: map[string]any{"kid": "ps"}},
		"an extension that must be known": {headers: map[string]any{"crit": []string{"exp"}}, rule: "crit"},
		"an issuer in a list":             {claims: map[string]any{"iss": []string{issuer}}, rule: "iss"},
		"the client in upper case":        {claims: map[string]any{"aud": strings.ToUpper(webID)}, rule: "aud"},
	} {
		t.Run(name, func(t *testing.T) {
			way.forge = resigned(c.headers, c.claims)
			_, identity, _, err := way.logIn(t, issuer, webID)
			if !errors.Is(err, oauth.ErrIDToken) || identity != nil || !strings.Contains(err.Error(), c.rule) {
				t.Errorf("identity %v, error %v; want one about %q", identity, err, c.rule)
			}
		})
	}
}

// changed returns members with others in their place, or without those that are nil.
func changed(members, others map[string]any) map[string]any {
	maps.Copy(members, others)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return members
}

// signed returns a JWT with the signature of the provider's RSA key.
func signed(t *testing.T, issuer string, header, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"header": header, "claims": claims})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Post(issuer+"/sign", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
