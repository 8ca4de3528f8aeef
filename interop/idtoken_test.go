package interop_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// forger is the way to the provider, on which an attacker puts another ID token into an answer.
type forger struct {
	forge func(idToken, accessToken string) string // nil changes nothing
	last  string                                   // the provider's own
}

func (f *forger) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || !strings.HasSuffix(request.URL.Path, "/token") {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if idToken, ok := answer["id_token"].(string); ok {
		f.last = idToken
		if f.forge != nil {
			answer["id_token"] = f.forge(idToken, answer["access_token"].(string))
		}
	}
	if body, err = json.Marshal(answer); err != nil {
		return nil, err
	}
	response.ContentLength = int64(len(body))
	response.Header.Del("Content-Length")
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// logIn logs alice in to a client, by this way.
func (f *forger) logIn(t *testing.T, issuer, clientID string) (*tokens.Response, *oauth.Identity, *oauth.Client, error) {
	t.Helper()
	client, err := oauth.NewClient(issuer, clientID, people[clientID](), oauth.WithHTTPClient(&http.Client{Transport: f}))
	if err != nil {
		t.Fatal(err)
	}
	login, err := session.NewLogin(t.Context(), client, callback, session.WithScope("openid"), session.WithMaxAge(0))
	if err != nil {
		t.Fatal(err)
	}
	response, identity, err := login.Finish(t.Context(), browse(t, login))
	return response, identity, client, err
}

// A real provider's login says who logged in, and its userinfo endpoint agrees. Twenty forged ID
// tokens are refused, two of which the provider has signed: one of another login, one for another
// client.
func TestForgedIDTokensOfAProviderAreRefused(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient, nativeClient}})
	way := new(forger)
	response, identity, client, err := way.logIn(t, issuer, webID)
	if err != nil {
		t.Fatal(err)
	}
	if identity.Subject() != personName || identity.Issuer() != issuer || identity.AuthTime().IsZero() {
		t.Errorf("subject %q, issuer %q", identity.Subject(), identity.Issuer())
	}
	if info, err := client.UserInfo(t.Context(), response.AccessToken, identity.Subject()); err != nil || info.Subject() != personName {
		t.Errorf("userinfo: %v", err)
	}
	ofAnotherLogin := way.last
	if _, _, _, err := way.logIn(t, issuer, nativeID); err != nil {
		t.Fatal(err)
	}
	forAnotherClient := way.last
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range forgeries(t, key) {
		t.Run(name, func(t *testing.T) {
			way.forge = forge
			_, identity, _, err := way.logIn(t, issuer, webID)
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" || !errors.Is(err, oauth.ErrIDToken) || identity != nil {
				t.Errorf("identity %v, error %v", identity, err)
			}
		})
	}
	for name, idToken := range map[string]string{"of another login": ofAnotherLogin, "for another client": forAnotherClient} {
		t.Run(name, func(t *testing.T) {
			way.forge = func(string, string) string { return idToken }
			if _, identity, _, err := way.logIn(t, issuer, webID); !errors.Is(err, oauth.ErrIDToken) || identity != nil {
				t.Errorf("identity %v, error %v", identity, err)
			}
		})
	}
	way.forge = nil
	if _, _, _, err := way.logIn(t, issuer, webID); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// forgeries make forged ID tokens of a good one, with the attacker's own key.
func forgeries(t *testing.T, key *ecdsa.PrivateKey) map[string]func(idToken, accessToken string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	part := func(token string, i int) string {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	with := func(members string, name string, value any) string {
		var all map[string]any
		if err := json.Unmarshal([]byte(members), &all); err != nil {
			t.Fatal(err)
		}
		all[name] = value
		if value == nil {
			delete(all, name)
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	resign := func(algorithm string, header, payload string, secret any) string {
		named, _ := jws.Lookup(algorithm)
		input := b64([]byte(header)) + "." + b64([]byte(payload))
		signature, err := named.Sign(input, secret)
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64(signature)
	}
	// claim keeps the provider's signature, and changes a claim.
	claim := func(name string, value any) func(string, string) string {
		return func(idToken, _ string) string {
			parts := strings.Split(idToken, ".")
			return parts[0] + "." + b64([]byte(with(part(idToken, 1), name, value))) + "." + parts[2]
		}
	}
	// own is signed with the attacker's key, under a header with one more member.
	own := func(name string, value any) func(string, string) string {
		return func(idToken, _ string) string {
			return resign("ES256", with(with(part(idToken, 0), "alg", "ES256"), name, value), part(idToken, 1), key)
		}
	}
	return map[string]func(idToken, accessToken string) string{
		"no signature": func(idToken, _ string) string { return idToken[:strings.LastIndex(idToken, ".")+1] },
		"alg none": func(idToken, _ string) string {
			return b64([]byte(`{"alg":"none"}`)) + "." + strings.Split(idToken, ".")[1] + "."
		},
		"alg none, with a signature": func(idToken, _ string) string {
			parts := strings.Split(idToken, ".")
			return b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2]
		},
		"HS256 with the client's secret": func(idToken, _ string) string {
			return resign("HS256", with(part(idToken, 0), "alg", "HS256"), part(idToken, 1), []byte(webSecret))
		},
		"the key of another":        own("kid", "rs"),
		"the key of another, ES256": own("kid", "es"),
		"an unknown kid":            own("kid", "mallory"),
		"no kid":                    own("kid", nil),
		"crit":                      own("crit", []string{"exp"}),
		"a jku":                     own("jku", "https://mallory.example/jwks"),
		"another typ":               own("typ", "at+jwt"),
		"another person":            claim("sub", "mallory"),
		"another issuer":            claim("iss", "https://mallory.example"),
		"another audience":          claim("aud", "mallory"),
		"no nonce":                  claim("nonce", nil),
		"another time":              claim("exp", 99999999999),
		"the access token":          func(_, accessToken string) string { return accessToken },
		"a JWE":                     func(idToken, _ string) string { return idToken + ".a.b" },
	}
}
