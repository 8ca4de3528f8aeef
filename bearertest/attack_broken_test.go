package bearertest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// service is what a broken handler is made of.
type service struct {
	tb      testing.TB
	issuer  *bearertest.Issuer
	partner *bearertest.Issuer
	reached atomic.Int64 // calls of inner
}

// inner is the protected handler.
func (s *service) inner() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.reached.Add(1)
		protected.ServeHTTP(w, r)
	})
}

// greeting is a protected handler that says whom it takes the request to be from.
func greeting(w http.ResponseWriter, r *http.Request) {
	claims, _ := bearer.FromContext(r.Context())
	_, _ = io.WriteString(w, claims.Subject())
}

func (s *service) auth() *bearer.Middleware { return newMiddleware(s.tb, s.issuer) }

func (s *service) guarded() http.Handler { return s.auth().Handler(s.inner()) }

// counted is the number of calls of the protected handler.
func (s *service) counted() bearertest.AttackOption {
	return bearertest.WithReached(func() int { return int(s.reached.Load()) })
}

// unless is a guard that some requests do not meet.
func (s *service) unless(open func(r *http.Request) bool) http.Handler {
	guarded, inner := s.guarded(), s.inner()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r) {
			inner.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// issuerOf reads iss out of a request's token without any proof.
func issuerOf(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return ""
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Iss string }
	_ = json.Unmarshal(payload, &claims)
	return claims.Iss
}

// trustsAnyIssuer asks the issuer that the token names for its keys.
func (s *service) trustsAnyIssuer() http.Handler {
	guards := map[string]http.Handler{}
	own := s.guarded()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		iss := issuerOf(r)
		if guards[iss] == nil {
			auth, err := bearer.New(
				bearer.WithIssuer(iss, s.issuer.Audience()),
				bearer.WithHTTPClient(s.issuer.Client()),
				bearer.WithLogger(slog.New(slog.DiscardHandler)),
			)
			if err != nil {
				own.ServeHTTP(w, r)
				return
			}
			s.tb.Cleanup(func() { _ = auth.Close() })
			guards[iss] = auth.Handler(s.inner())
		}
		if got := answerOf(guards[iss], r); got.Code == http.StatusOK {
			writeAnswer(w, got)
			return
		}
		own.ServeHTTP(w, r) // for a refusal that is right
	})
}

// answerOf is what a handler answers.
func answerOf(handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	got := httptest.NewRecorder()
	handler.ServeHTTP(got, r)
	return got
}

func writeAnswer(w http.ResponseWriter, got *httptest.ResponseRecorder) {
	for name, values := range got.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(got.Code)
	_, _ = w.Write(got.Body.Bytes())
}

// keysOf reads jku out of the header of a request's token without any proof.
func keysOf(r *http.Request) (address string, ok bool) {
	text, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	data, _ := base64.RawURLEncoding.DecodeString(text)
	var header struct{ JKU string }
	_ = json.Unmarshal(data, &header)
	return header.JKU, strings.HasPrefix(header.JKU, "https://")
}

// followsJKU takes keys from where the token's header says they are.
func (s *service) followsJKU() http.Handler {
	own := s.guarded()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address, ok := keysOf(r); ok {
			auth, err := bearer.New(
				bearer.WithIssuer(issuerOf(r), s.issuer.Audience(), bearer.JWKSURL(address)),
				bearer.WithHTTPClient(s.issuer.Client()),
				bearer.WithLogger(slog.New(slog.DiscardHandler)),
			)
			if err == nil {
				defer func() { _ = auth.Close() }()
				if got := answerOf(auth.Handler(s.inner()), r); got.Code == http.StatusOK {
					writeAnswer(w, got)
					return
				}
			}
		}
		own.ServeHTTP(w, r)
	})
}

// remembersForEver lets through what it let through once.
func (s *service) remembersForEver() http.Handler {
	seen := map[[32]byte]bool{}
	sum := func(r *http.Request) [32]byte { return sha256.Sum256([]byte(r.Header.Get("Authorization"))) }
	auth, inner := s.auth(), s.inner()
	guarded := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[sum(r)] = true
		inner.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) == 1 && seen[sum(r)] {
			inner.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// failsOpen lets everything through that comes with something like a token while it has no keys.
func (s *service) failsOpen() http.Handler {
	guarded, inner := s.guarded(), s.inner()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := answerOf(guarded, r)
		if got.Code == http.StatusServiceUnavailable {
			inner.ServeHTTP(w, r)
			return
		}
		writeAnswer(w, got)
	})
}

// withPartner is a guard for two issuers, each with keys of its own unless the options say
// otherwise.
func (s *service) withPartner(opts ...bearer.IssuerOption) http.Handler {
	auth, err := bearer.New(
		bearer.WithIssuer(s.issuer.URL(), s.issuer.Audience(), opts...),
		bearer.WithIssuer(s.partner.URL(), s.partner.Audience(), opts...),
		bearer.WithHTTPClient(bearertest.Client(s.issuer, s.partner)),
		bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = auth.Close() })
	return auth.Handler(s.inner())
}

// onePot has the keys of both issuers in one set.
func (s *service) onePot() http.Handler {
	keys := bytes.TrimSuffix(s.issuer.KeySet(), []byte("]}"))
	more, _ := bytes.CutPrefix(s.partner.KeySet(), []byte(`{"keys":[`))
	return s.withPartner(bearer.Keys(jwks.Static(slices.Concat(keys, []byte(","), more))))
}

// runsFirst calls the protected handler before the verdict on a token, and throws its answer away
// when that is bad.
func (s *service) runsFirst() http.Handler {
	guarded, inner := s.auth().Handler(protected), s.inner()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			answerOf(inner, r)
		}
		guarded.ServeHTTP(w, r)
	})
}

// isWhoCameFirst keeps the claims beside the request, and those of the first for ever.
func (s *service) isWhoCameFirst() http.Handler {
	var first *bearer.Claims
	return s.auth().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first == nil {
			first, _ = bearer.FromContext(r.Context())
		}
		_, _ = io.WriteString(w, first.Subject())
	}))
}

// isWhoCameLast keeps the claims of the latest request in a variable that all share.
func (s *service) isWhoCameLast() http.Handler {
	var last atomic.Pointer[bearer.Claims]
	return s.auth().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		last.Store(claims)
		runtime.Gosched()
		_, _ = io.WriteString(w, last.Load().Subject())
	}))
}

// believes takes the user's name from a field of the header, if it is there.
func (s *service) believes(name string) http.Handler {
	return s.auth().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := r.Header.Get(name); user != "" {
			_, _ = io.WriteString(w, user)
			return
		}
		greeting(w, r)
	}))
}

func field(name, value string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Header.Get(name) == value }
}

// whole is the subject of an answer that is nothing else.
func whole(answer *http.Response) string {
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}

var brokenHandlers = []struct {
	name    string
	handler func(s *service) http.Handler
	options func(s *service) []bearertest.AttackOption
	want    string // a failure
}{
	{
		name:    "any issuer that is up is trusted",
		handler: (*service).trustsAnyIssuer,
		want:    "service.foreign-issuer/the attacker's own issuer: is let through with 200",
	},
	{
		name:    "what was verified once is good for ever",
		handler: (*service).remembersForEver,
		want:    "service.token-end/a token that was let through before: is let through after its end",
	},
	{
		name:    "it fails open while it has no keys",
		handler: (*service).failsOpen,
		options: func(s *service) []bearertest.AttackOption {
			return []bearertest.AttackOption{bearertest.WithFreshHandler(s.failsOpen)}
		},
		want: "service.no-keys/the issuer is down, a forged token: is let through with 200",
	},
	{
		name:    "the keys of two issuers are in one pot",
		handler: (*service).onePot,
		options: func(s *service) []bearertest.AttackOption {
			return []bearertest.AttackOption{bearertest.WithPartner(s.partner)}
		},
		want: "service.partner-keys/our iss, signed by the partner: is let through with 200",
	},
	{
		name:    "the handler runs before the verdict",
		handler: (*service).runsFirst,
		options: func(s *service) []bearertest.AttackOption { return []bearertest.AttackOption{s.counted()} },
		want:    "jws.signature/none: is answered with 401, and the protected handler ran",
	},
	{
		name:    "all are who came first",
		handler: (*service).isWhoCameFirst,
		options: withSubject,
		want:    `service.subject/two tokens in turn: the answer to mallory is for "alice"`,
	},
	{
		name:    "all are who came last",
		handler: (*service).isWhoCameLast,
		options: withSubject,
		want:    "service.subject/requests at once: the answer to ",
	},
	{
		name:    "X-User goes before the token",
		handler: func(s *service) http.Handler { return s.believes("X-User") },
		options: withSubject,
		want:    `service.subject/X-User: the answer to alice is for "mallory"`,
	},
	{
		name: "a parameter goes before the token",
		handler: func(s *service) http.Handler {
			inner := s.believes("X-Parameter")
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set("X-Parameter", r.URL.Query().Get("user"))
				inner.ServeHTTP(w, r)
			})
		},
		options: withSubject,
		want:    `service.subject/the parameter user: the answer to mallory is for "alice"`,
	},
	{
		name: "OPTIONS is let through",
		handler: func(s *service) http.Handler {
			return s.unless(func(r *http.Request) bool { return r.Method == http.MethodOptions })
		},
		want: "service.methods/OPTIONS without a token: is let through with 200",
	},
	{
		name: "all but GET and POST are let through",
		handler: func(s *service) http.Handler {
			return s.unless(func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodPost })
		},
		want: "service.methods/DELETE with a forged token: is let through with 200",
	},
	{
		name:    "X-HTTP-Method-Override is believed",
		handler: func(s *service) http.Handler { return s.unless(field("X-HTTP-Method-Override", "OPTIONS")) },
		want:    "service.headers/X-HTTP-Method-Override OPTIONS: is let through with 200",
	},
	{
		name:    "X-Forwarded-For is believed",
		handler: func(s *service) http.Handler { return s.unless(field("X-Forwarded-For", "127.0.0.1")) },
		want:    "service.headers/X-Forwarded-For 127.0.0.1: is let through with 200",
	},
	{
		name:    "a WebSocket is let through",
		handler: func(s *service) http.Handler { return s.unless(field("Upgrade", "websocket")) },
		want:    "service.headers/Upgrade websocket: is let through with 200",
	},
	{
		name: "paths that end with /healthz are let through",
		handler: func(s *service) http.Handler {
			return s.unless(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/healthz") })
		},
		want: "service.paths//healthz: is let through with 200",
	},
}

func withSubject(*service) []bearertest.AttackOption {
	return []bearertest.AttackOption{bearertest.WithSubject(whole)}
}

func newService(tb testing.TB) *service {
	return &service{
		tb: tb, issuer: bearertest.NewIssuer(), partner: bearertest.NewIssuer(bearertest.WithURL("https://partner.test")),
	}
}
