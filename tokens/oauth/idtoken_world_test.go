package oauth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	idClient      = "app"
	idNonce       = "the-nonce"
	idAccessToken = "the-access-token"
)

// idWorld is a server that signs ID tokens, and a client of it.
type idWorld struct {
	*oauthtest.Server
	client *oauth.Client
}

func newIDWorld(t testing.TB, opts ...oauth.ClientOption) *idWorld {
	t.Helper()
	w := &idWorld{Server: oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithAlgorithm("ES256")), oauthtest.WithPublicClient(idClient))}
	w.client = w.newClient(t, opts...)
	return w
}

func (w *idWorld) newClient(t testing.TB, opts ...oauth.ClientOption) *oauth.Client {
	t.Helper()
	opts = append([]oauth.ClientOption{oauth.WithHTTPClient(w.Client())}, opts...)
	c, err := oauth.NewClient(w.URL(), idClient, oauth.NoClientAuth(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// claims are those of a good ID token, with others over them; nil removes one.
func (w *idWorld) claims(over bearertest.Claims) map[string]any {
	now := time.Now()
	algorithm, _ := jws.Lookup("ES256")
	claims := map[string]any{
		"iss": w.URL(), "sub": "alice", "aud": idClient, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"nonce": idNonce, "at_hash": algorithm.HalfHash(idAccessToken), "auth_time": now.Unix(), "email": "alice@example.com",
	}
	return idOverlay(claims, over)
}

// header is that of a good ID token.
func (w *idWorld) header(over bearertest.Claims) map[string]any {
	return idOverlay(map[string]any{"alg": "ES256", "typ": "JWT", "kid": w.KeyID()}, over)
}

func idOverlay(claims map[string]any, over bearertest.Claims) map[string]any {
	for name, value := range over {
		if at, ok := value.(time.Time); ok {
			value = at.Unix()
		}
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// idToken signs an ID token.
func (w *idWorld) idToken(t testing.TB, header, claims bearertest.Claims) string {
	t.Helper()
	return w.SignRaw(idJSON(t, w.header(header)), idJSON(t, w.claims(claims)))
}

func idJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verify verifies an ID token as the end of a login does.
func (w *idWorld) verify(t testing.TB, token string, opts ...oauth.IDTokenOption) (*oauth.Identity, error) {
	t.Helper()
	opts = append([]oauth.IDTokenOption{oauth.WithAccessToken(tokens.NewSecret(idAccessToken))}, opts...)
	return w.client.VerifyIDToken(t.Context(), tokens.NewSecret(token), idNonce, opts...)
}

// wantRefused checks that an error is about an ID token, says why, and quotes nothing of it.
func wantRefused(t *testing.T, token string, identity *oauth.Identity, err error, because string) {
	t.Helper()
	e, ok := errors.AsType[*tokens.Error](err)
	switch {
	case identity != nil || !ok || e.Op != "login" || !errors.Is(err, oauth.ErrIDToken):
		t.Fatalf("identity %v, error %v; want it to be refused", identity, err)
	case !strings.Contains(err.Error(), because):
		t.Errorf("error %q, want %q in it", err, because)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
	for _, value := range []string{"mallory", "the-nonce", "alice"} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error quotes a claim: %v", err)
		}
	}
}
