package bearertest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

// Each handler of this file has package bearer's guard in it, and a hole beside it that no forged
// token shows.

// Each hole is found, inside a bubble and outside, and nothing else is.
// Rules: service.token-end, service.partner-keys, service.subject.
func TestAttackFailsBrokenHandlers(t *testing.T) {
	t.Parallel()
	for _, broken := range brokenHandlers {
		fails := func(t *testing.T) {
			s := newService(t)
			var opts []bearertest.AttackOption
			if broken.options != nil {
				opts = broken.options(s)
			}
			failures := attacked(t, broken.handler(s), s.issuer, opts...)
			want := "bearertest: Attack: " + broken.want
			if !slices.ContainsFunc(failures, func(f string) bool { return strings.HasPrefix(f, want) }) {
				t.Errorf("it fails with %.3q, want %q", failures, want)
			}
			if broken.name == "the handler runs before the verdict" {
				return // which every attack shows
			}
			rule, _, _ := strings.Cut(want, "/")
			for _, f := range failures {
				if !strings.HasPrefix(f, rule+"/") {
					t.Errorf("it also fails with %q", f)
				}
			}
		}
		t.Run(broken.name, fails)
		t.Run(broken.name+", in a bubble", func(t *testing.T) { synctest.Test(t, fails) })
	}
	t.Run("any issuer that is up is trusted, on a socket", func(t *testing.T) {
		s := &service{tb: t, issuer: bearertest.NewServer(t)}
		want := "bearertest: Attack: service.foreign-issuer/the attacker's own issuer: is let through with 200"
		if failures := attacked(t, s.trustsAnyIssuer(), s.issuer); !slices.Contains(failures, want) {
			t.Errorf("it fails with %.3q, want %q", failures, want)
		}
	})
}

// The guard of package bearer withstands what all options add.
func TestAttackPassesTheMiddlewareWithEveryOption(t *testing.T) {
	t.Parallel()
	passes := func(t *testing.T) {
		s := newService(t)
		handler := func() http.Handler { return s.withPartner() }
		bearertest.Attack(t, handler(), s.issuer,
			s.counted(), bearertest.WithPartner(s.partner), bearertest.WithFreshHandler(handler))
		bearertest.Attack(t, s.auth().Handler(http.HandlerFunc(greeting)), s.issuer, bearertest.WithSubject(whole))
	}
	t.Run("outside a bubble", passes)
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, passes) })
}

// A handler that refuses parameters and fields which it does not know takes no subject from them.
func TestAttackPassesAHandlerThatRefusesOtherNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		strict := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" || r.Header.Get("Impersonate-User") != "" {
				http.Error(w, "not expected", http.StatusBadRequest)
				return
			}
			greeting(w, r)
		})
		bearertest.Attack(t, s.auth().Handler(strict), s.issuer, bearertest.WithSubject(whole))
	})
}

// Every way around a guard is shown to succeed: the attacks without a token on a guard for the
// plain request alone, the good tokens of another issuer on those that ask it for its keys.
// Rules: service.foreign-issuer, service.methods, service.headers, service.paths.
func TestEveryWayAroundAGuardSucceedsWhereItIsOpen(t *testing.T) {
	s := newService(t)
	onlyPlain := func(path string) http.Handler {
		return s.unless(func(r *http.Request) bool {
			plain := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			header := r.Header.Clone()
			header.Del("Authorization")
			return r.Method != plain.Method || r.URL.Path != plain.URL.Path || r.URL.RawPath != "" || len(header) > 0 ||
				r.Host != plain.Host || r.RemoteAddr != plain.RemoteAddr
		})
	}
	for _, test := range []struct {
		rule, path string
		handlers   []http.Handler
	}{
		{"service.foreign-issuer", "/", []http.Handler{s.trustsAnyIssuer(), s.followsJKU()}},
		{"service.methods", "/", []http.Handler{onlyPlain("/")}},
		{"service.headers", "/", []http.Handler{onlyPlain("/")}},
		{"service.paths", "/", []http.Handler{onlyPlain("/")}},
		{"service.paths", "/orders/7", []http.Handler{onlyPlain("/orders/7")}},
	} {
		t.Run(test.rule+" of "+test.path, func(t *testing.T) {
			attack := bearertest.NewAttack(t, s.issuer, bearertest.WithRequest(func() *http.Request {
				return httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.path, nil)
			}))
			found := map[string]bool{}
			for _, handler := range test.handlers {
				if problem := attack.Begin(handler); problem != "" {
					t.Fatal("a credential without effect proves nothing: ", problem)
				}
				for _, f := range attack.On(handler, test.rule) {
					found[f.Variant] = true
				}
			}
			const leastVariants = 3
			variants := attack.Variants(test.rule)
			if len(variants) < leastVariants {
				t.Errorf("%d variants, want at least %d", len(variants), leastVariants)
			}
			for _, name := range variants {
				if !found[name] {
					t.Errorf("%q is let through, and was not found", name)
				}
			}
		})
	}
}

// What is no hole is not taken for one: CORS outside the guard, a route for health, another with a
// guard of its own, a router that knows one method.
func TestAttackPassesSafeRoutesBesideAGuard(t *testing.T) {
	t.Parallel()
	s := newService(t)
	mux := http.NewServeMux()
	mux.Handle("GET /orders", s.guarded())
	mux.HandleFunc("GET /orders/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "healthy") })
	mux.HandleFunc("GET /orders/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="metrics"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	cors := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions { // as some do, whether it is a preflight or not
			w.WriteHeader(http.StatusNoContent)
			return
		}
		mux.ServeHTTP(w, r)
	})
	request := bearertest.WithRequest(func() *http.Request {
		return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil)
	})
	bearertest.Attack(t, cors, s.issuer, request)

	mux.Handle("POST /orders", s.guarded())
	// As several frameworks have it, for forms.
	override := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Header.Get("X-HTTP-Method-Override")
		if r.Method == http.MethodPost && method != "" {
			r.Method = method
		}
		cors.ServeHTTP(w, r)
	})
	bearertest.Attack(t, override, s.issuer, s.counted(), bearertest.WithRequest(func() *http.Request {
		return httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", nil)
	}))
}

// The issuer's client reaches the attacker while Attack runs, and neither before nor afterwards.
func TestAttackersIssuerIsReachedDuringTheAttackAlone(t *testing.T) {
	issuer := bearertest.NewIssuer()
	guarded := newMiddleware(t, issuer).Handler(protected)
	var attacker string
	reach := func() error {
		_, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), http.MethodGet, attacker+"/jwks", nil))
		return err
	}
	t.Run("attack", func(t *testing.T) {
		bearertest.Attack(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if iss := issuerOf(r); strings.HasSuffix(iss, ".example") && attacker == "" {
				parsed, err := url.Parse(iss)
				if _, hasKeys := keysOf(r); err == nil && hasKeys {
					attacker = parsed.Scheme + "://" + parsed.Host
					if err := reach(); err != nil {
						t.Errorf("during the attack: %v", err)
					}
				}
			}
			guarded.ServeHTTP(w, r)
		}), issuer)
	})
	if attacker == "" {
		t.Fatal("no token names an issuer of the attacker's")
	}
	if err := reach(); err == nil || !strings.Contains(err.Error(), "reaches https://issuer.test alone") {
		t.Errorf("after the attack: error %v, want one that names the issuer's origin", err)
	}
}

func TestAttackOptionsWithEmptyValuesPanic(t *testing.T) {
	for name, option := range map[string]func(){
		"WithReached":      func() { bearertest.WithReached(nil) },
		"WithFreshHandler": func() { bearertest.WithFreshHandler(nil) },
		"WithPartner":      func() { bearertest.WithPartner(nil) },
		"WithSubject":      func() { bearertest.WithSubject(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "bearertest: "+name+":") {
					t.Errorf("the panic is %q", text)
				}
			}()
			option()
		})
	}
}

// An option that says the wrong thing of the handler is no way to pass.
func TestAttackStopsWhenAnOptionDoesNotFit(t *testing.T) {
	s := newService(t)
	for name, test := range map[string]struct {
		option bearertest.AttackOption
		want   string
	}{
		"a count that stands still":   {bearertest.WithReached(func() int { return 0 }), "WithReached counts 0 calls"},
		"a partner that is not one":   {bearertest.WithPartner(s.partner), "a good token of the partner \"https://partner.test\" is not let through"},
		"a partner at the same URL":   {bearertest.WithPartner(bearertest.NewIssuer()), "the partner is at the issuer's own URL"},
		"a fresh handler that is nil": {bearertest.WithFreshHandler(func() http.Handler { return nil }), "WithFreshHandler returns nil"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := attacked(t, s.guarded(), s.issuer, test.option); len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("it fails with %q, want %q", got, test.want)
			}
		})
	}
}

// The end of a token is found with handlers whose clocks are coarse, and is missed by none that
// lets it through.
func TestAttackFindsTheEndOfATokenByACoarseClock(t *testing.T) {
	t.Parallel()
	const leeway = 30
	for name, test := range map[string]struct {
		clock func() func() int64 // in seconds
		want  []string
	}{
		"whole seconds":     {func() func() int64 { return func() int64 { return time.Now().Unix() } }, nil},
		"every two seconds": {func() func() int64 { return func() int64 { return time.Now().Unix() / 2 * 2 } }, nil},
		"a clock that stands still": {
			func() func() int64 { start := time.Now().Unix(); return func() int64 { return start } },
			[]string{"bearertest: Attack: service.token-end/a token that ends now: is let through for 5s more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer, clock := bearertest.NewIssuer(), test.clock()
				ended := bearer.Func("ended", func(_ *http.Request, claims *bearer.Claims) error {
					if exp := claims.Expiry(); clock() > exp.Unix()+leeway {
						return errors.New("ended")
					}
					return nil
				})
				handler := newMiddleware(t, issuer, bearer.Leeway(5*time.Minute)).Handler(protected, ended)
				if got := attacked(t, handler, issuer); !slices.Equal(got, test.want) {
					t.Errorf("it fails with %q, want %q", got, test.want)
				}
			})
		})
	}
}

// Tokens without any audience are attacked too: what does not apply to them is left out.
func TestAttackFailsTokensWithoutAnAudienceByThatRuleAlone(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"aud": nil, "client_id": nil}))
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), "", bearer.InsecureAnyAudience()), bearer.WithHTTPClient(issuer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	for _, failure := range attacked(t, auth.Handler(protected), issuer) {
		if !strings.HasPrefix(failure, "bearertest: Attack: claims.aud/") {
			t.Error(failure)
		}
	}
}

// A good token is never refused for an outage, which would have its client throw it away.
// Rules: service.no-keys.
func TestAttackFailsARefusalInAnOutage(t *testing.T) {
	s := newService(t)
	handler := func() http.Handler {
		guarded := s.guarded()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := answerOf(guarded, r)
			if got.Code == http.StatusServiceUnavailable {
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				w.Header().Set("Cache-Control", "no-store")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			writeAnswer(w, got)
		})
	}
	failures := attacked(t, handler(), s.issuer, bearertest.WithFreshHandler(handler))
	want := "bearertest: Attack: service.no-keys/the issuer is down, a good token: is answered with 401, want 503 without an error code"
	if !slices.Contains(failures, want) {
		t.Errorf("it fails with %q, want %q", failures, want)
	}
	if answer, err := issuertest.Exchange(s.issuer.Client(), issuertest.Request(t.Context(), http.MethodGet, s.issuer.URL()+"/jwks", nil)); err != nil || answer.StatusCode != 200 {
		t.Errorf("the issuer answers %d (%v) after the attack, want no fault", answer.StatusCode, err)
	}
}
