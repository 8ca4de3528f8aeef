package bearertest_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

func issuerAt(address string) *bearertest.Issuer {
	return bearertest.NewIssuer(bearertest.WithURL(address))
}

// trusting is a service that trusts the issuers, which it reaches by one client.
func trusting(t *testing.T, issuers ...*bearertest.Issuer) http.Handler {
	t.Helper()
	opts := []bearer.Option{
		bearer.WithHTTPClient(bearertest.Client(issuers...)), bearer.WithLogger(slog.New(slog.DiscardHandler)),
	}
	for _, issuer := range issuers {
		opts = append(opts, bearer.WithIssuer(issuer.URL(), issuer.Audience()))
	}
	auth, err := bearer.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_, _ = io.WriteString(w, claims.Issuer())
	}))
}

func ask(t *testing.T, service http.Handler, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	service.ServeHTTP(w, r)
	return w
}

// A service that trusts several issuers gets each one's keys from that issuer, whether they have an
// origin each, share one, or are one below the other.
func TestClientReachesEachIssuer(t *testing.T) {
	for name, addresses := range map[string][]string{
		"one":                      {"https://a.test"},
		"an origin each":           {"https://a.test", "https://b.test", "https://b.test:8443", "https://c.test/"},
		"paths of one origin":      {"https://sso.test/realms/a", "https://sso.test/realms/ab", "https://sso.test/realms/b/"},
		"below each other":         {"https://sso.test/a", "https://sso.test", "https://sso.test/a/b"},
		"at the origin of another": {"https://issuer.test", "https://elsewhere.test"}, // of its fault Redirect
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var issuers []*bearertest.Issuer
				for _, address := range addresses {
					issuers = append(issuers, issuerAt(address))
				}
				service := trusting(t, issuers...)
				for _, issuer := range issuers {
					if w := ask(t, service, issuer.Token()); w.Code != http.StatusOK || w.Body.String() != issuer.URL() {
						t.Errorf("the token of %s gets %d %s", issuer.URL(), w.Code, w.Body)
					}
					if issuer.Requests() != 2 || issuer.Fetches() != 1 {
						t.Errorf("%s got %d requests, %d of them for keys", issuer.URL(), issuer.Requests(), issuer.Fetches())
					}
				}
			})
		})
	}
}

// A fault is that of one issuer, and Redirect leads where the issuer's own client goes.
func TestClientMeetsTheFaultsOfOneIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := issuerAt("https://sso.test/a"), issuerAt("https://sso.test/b")
		service := trusting(t, down, up)
		down.SetFault(bearertest.Down)
		if w := ask(t, service, down.Token()); w.Code != http.StatusServiceUnavailable {
			t.Errorf("the token of an issuer that is down gets %d", w.Code)
		}
		if w := ask(t, service, up.Token()); w.Code != http.StatusOK {
			t.Errorf("the token of the other issuer gets %d", w.Code)
		}
		up.SetFault(bearertest.Redirect)
		if status, _, keys := get(t, bearertest.Client(down, up), up.URL()+"/jwks"); status != http.StatusOK || string(keys) != string(up.KeySet()) {
			t.Errorf("after a redirect: %d %s", status, keys)
		}
	})
}

// The paths of RFC 8414 section 3.1 are those of the issuer that they end with. Outside of every
// issuer's path the first at the origin answers, and it has nothing there.
func TestClientFindsTheIssuerOfAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := issuerAt("https://sso.test/realms/a"), issuerAt("https://sso.test/realms/b")
		client := bearertest.Client(a, b)
		for path, want := range map[string]*bearertest.Issuer{
			"/realms/b/jwks": b,
			"/realms/b":      b,
			"/realms/bc":     a,
			"/.well-known/oauth-authorization-server/realms/a": a,
			"/.well-known/oauth-authorization-server/realms/b": b,
			"/.well-known/oauth-authorization-server":          a,
			"/": a,
		} {
			before := want.Requests()
			if _, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodGet, "https://sso.test"+path, nil)); err != nil {
				t.Error(err)
			}
			if want.Requests() != before+1 {
				t.Errorf("%s is not asked for %s", want.URL(), path)
			}
		}
	})
}

func TestClientReachesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := bearertest.Client(issuerAt("https://a.test"), issuerAt("https://b.test/x"))
		for _, address := range []string{"https://c.test/", "http://a.test/", "https://a.test:444/", "https://b.test.example/x"} {
			body := &closing{Reader: strings.NewReader("body")}
			_, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodPost, address, body))
			if err == nil || !strings.Contains(err.Error(), "reaches https://a.test, https://b.test alone, not "+address[:strings.LastIndex(address, ".")]) {
				t.Errorf("%s: error %v, want one that names the origins", address, err)
			}
			if !body.closed {
				t.Error("the request's body was left open, which http.RoundTripper forbids")
			}
		}
	})
}

// Issuers on sockets, with and without TLS, and in the process are reached by one client.
func TestClientMixesSocketsAndPipes(t *testing.T) {
	issuers := []*bearertest.Issuer{bearertest.NewServer(t), bearertest.NewTLSServer(t), bearertest.NewServer(t), bearertest.NewIssuer()}
	service := trusting(t, issuers...)
	for _, issuer := range issuers {
		if w := ask(t, service, issuer.Token()); w.Code != http.StatusOK || w.Body.String() != issuer.URL() {
			t.Errorf("the token of %s gets %d %s", issuer.URL(), w.Code, w.Body)
		}
	}
	issuers[0].SetFault(bearertest.Redirect)
	if status, _, keys := get(t, bearertest.Client(issuers...), issuers[0].URL()+"/jwks"); status != http.StatusOK || string(keys) != string(issuers[0].KeySet()) {
		t.Errorf("after a redirect: %d %s", status, keys)
	}
}

// The attack suite finds nothing in a guard that trusts two issuers. Its own issuers are reached by
// the client of both, so that a guard which trusts any issuer is found.
func TestClientLeadsToTheAttacker(t *testing.T) {
	one, other := issuerAt("https://sso.test/a"), issuerAt("https://sso.test/b")
	bearertest.Attack(t, trusting(t, one, other), one, bearertest.WithPartner(other))

	own := trusting(t, one, other)
	trustsAny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth, err := bearer.New(
			bearer.WithIssuer(issuerOf(r), one.Audience()),
			bearer.WithHTTPClient(bearertest.Client(one, other)),
			bearer.WithLogger(slog.New(slog.DiscardHandler)),
		)
		if err == nil {
			defer func() { _ = auth.Close() }()
			if got := answerOf(auth.Handler(protected), r); got.Code == http.StatusOK {
				writeAnswer(w, got)
				return
			}
		}
		own.ServeHTTP(w, r) // for a refusal that is right
	})
	want := "bearertest: Attack: service.foreign-issuer/the attacker's own issuer: is let through with 200"
	if failures := attacked(t, trustsAny, one); !slices.Contains(failures, want) {
		t.Errorf("it fails with %.3q, want %q", failures, want)
	}
}

func TestClientPanicsOnMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		issuers []*bearertest.Issuer
		want    string
	}{
		"none":          {nil, "want at least one issuer"},
		"nil":           {[]*bearertest.Issuer{bearertest.NewIssuer(), nil}, "issuer 2 is nil"},
		"the default":   {[]*bearertest.Issuer{bearertest.NewIssuer(), bearertest.NewIssuer()}, `two issuers are at "https://issuer.test"`},
		"but a slash":   {[]*bearertest.Issuer{issuerAt("https://a.test/x"), issuerAt("https://a.test/x/")}, `two issuers are at "https://a.test/x/"`},
		"but its case":  {[]*bearertest.Issuer{issuerAt("https://a.test"), issuerAt("https://A.test")}, `two issuers are at "https://A.test"`},
		"one and again": {[]*bearertest.Issuer{issuerAt("https://a.test"), issuerAt("https://b.test"), issuerAt("https://a.test")}, "two issuers"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "bearertest: Client: ") || !strings.Contains(text, c.want) {
					t.Errorf("panics with %q, want %q in it", text, c.want)
				}
			}()
			bearertest.Client(c.issuers...)
		})
	}
}
