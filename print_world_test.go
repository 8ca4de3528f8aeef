package bearer_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// printed is one way to print a value.
type printed struct {
	how  string
	text func(v any) string
	as   func(needle string) []string // how a needle would look
}

// waysToPrint are all verbs of package fmt and unknown ones, with each of the flags, and the
// encoders of the standard library.
func waysToPrint(flags ...string) (all []printed) {
	for _, flags := range flags {
		for verb := 'A'; verb <= 'z'; verb++ {
			if 'Z' < verb && verb < 'a' || verb == 'T' { // which prints a type
				continue
			}
			format := "%" + flags + string(verb)
			bare := func(v any) string { return strings.Trim(fmt.Sprintf(format, v), "[]{}()\"`' ") }
			all = append(all, printed{
				format, func(v any) string { return fmt.Sprintf(format, v) },
				func(needle string) []string {
					return []string{bare(needle), bare([]byte(needle)), bare([]any{[]byte(needle)})}
				},
			})
		}
	}
	logged := func(handler func(io.Writer) slog.Handler) func(any) string {
		return func(v any) string {
			var log strings.Builder
			slog.New(handler(&log)).Info("printed", "value", v)
			return log.String()
		}
	}
	encoded := func(encode func(io.Writer, any) error) func(any) string {
		return func(v any) string {
			var text bytes.Buffer
			if err := encode(&text, v); err != nil {
				return err.Error()
			}
			return text.String()
		}
	}
	none := func(string) []string { return nil }
	return append(
		all,
		printed{"slog as text", logged(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }), none},
		printed{"slog as JSON", logged(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }), none},
		printed{"JSON", encoded(func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }), none},
		printed{"gob", encoded(func(w io.Writer, v any) error { return gob.NewEncoder(w).Encode(v) }), none},
		printed{"XML", encoded(func(w io.Writer, v any) error { return xml.NewEncoder(w).Encode(v) }), none},
	)
}

// shapes are the places where a value can be. Package fmt calls no methods of a value in an
// unexported field.
func shapes[T any](v T) []any {
	type (
		inner struct{ v T }
		open  struct{ V T }
	)
	all := []any{
		v, &v,
		[]T{v},
		[]*T{&v},
		[1]T{v},
		map[string]T{"key": v},
		[]any{v, &v},
		fmt.Errorf("wrapped: %v", v),
		open{v},
		&open{v},
		inner{v},
		&inner{v},
		[]inner{{v}},
		[]*inner{{v}},
		map[string]inner{"key": {v}},
		struct{ in inner }{inner{v}},
		struct{ p *T }{&v},
		&struct{ P *T }{&v},
		struct{ p **T }{new(&v)},
		struct{ in *inner }{&inner{v}},
		struct{ a any }{v},
		struct{ a []any }{[]any{v, &v}},
		struct{ m map[string]T }{map[string]T{"key": v}},
		struct{ T any }{inner{v}},
		map[any]int{&v: 1},
	}
	if reflect.ValueOf(&v).Elem().Comparable() {
		all = append(all, map[any]int{v: 1}, struct{ m map[any]int }{map[any]int{v: 1}}, map[any]int{inner{v}: 1})
	}
	return all
}

// secrets are the texts that must not be printed, and everything that could print them.
type secrets struct {
	auth    *bearer.Middleware
	token   string
	needles []string
	samples map[string][]any // shapes, by the type
}

func newSecrets(t *testing.T) *secrets {
	secret := []byte(strings.Repeat("hunter2!", 4))
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"sub": "canary-subject", "email": "canary-email", "scope": "canary-scope", "roles": "canary-role"}))
	func1 := bearer.Func("policy", func(*http.Request, *bearer.Claims) error { return errors.New("no") })
	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	options := map[string]bearer.IssuerOption{"secret": bearer.HMACSecret(secret)}
	answer := bearer.Registration{Audience: "api", Options: []bearer.IssuerOption{options["secret"]}}
	lookup := bearer.WithLookup(func(context.Context, string) (bearer.Registration, bool, error) { return answer, true, nil })
	registry := bearer.NewRegistry(lookup)
	if err := registry.Add("https://canary-password.example", "api", options["secret"]); err != nil {
		t.Fatal(err)
	}
	const password = "https://canary-user:canary-password@issuer.example"
	trust := bearer.WithIssuer("https://h.example", "api", options["secret"])
	auth := newAuth(t, issuer, quiet(), trust, bearer.WithRegistry(registry), bearer.WithIssuer("https://down.example", "api"),
		bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie()), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"}))
	token := issuer.Token()
	request := get("Basic Y2FuYXJ5")
	request.AddCookie(&http.Cookie{Name: "access_token", Value: token})
	request, err := auth.Guard().Authenticate(request)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = nil // it is the client's, and prints
	claims, _ := bearer.FromContext(request.Context())
	own := bearer.NewContext(context.Background(), claims)
	text, _ := bearer.TokenFromContext(request.Context())
	stream := bearer.UntilExpiry(request.Context())

	refusals := []*bearer.Error{new(bearer.Error)}
	for _, refused := range []struct {
		token string
		req   bearer.Requirement
	}{
		{forged(token), bearer.Scopes("a")},
		{token, func1},
		{"x", bearer.HasClaim("a", "b")},
		{token, bearer.ACR("a")},
		{down.Token(c{"iss": "https://down.example"}), bearer.Roles("a")},
	} {
		_, err := auth.Guard(refused.req).Verify(t.Context(), refused.token)
		refusals = append(refusals, err.(*bearer.Error)) //nolint:errorlint // it is documented to be one
	}
	_, configErr := bearer.New(bearer.WithIssuer(password, "api", options["secret"], bearer.JWKSURL(password), bearer.Leeway(-1)), bearer.WithRealm("\n"))
	var mistake *bearer.ConfigError
	if !errors.As(configErr, &mistake) {
		t.Fatal(configErr)
	}
	set, err := jwks.New(jwks.Discover(issuer.URL(), jwks.WithHTTPClient(issuer.Client())))
	if err != nil || set.Ready(t.Context()) != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	keys, _ := set.Keys(t.Context(), "", "ES256")
	_, badKeys := jwks.New(jwks.Static(secret))
	_, badSource := jwks.New(jwks.Remote(password))
	offline, _ := jwks.New(jwks.Remote("https://keys.example", jwks.WithHTTPClient(&http.Client{Transport: unreachable{}})), jwks.WithLogger(slog.New(slog.DiscardHandler)))
	t.Cleanup(func() { _ = offline.Close() })
	_, unavailable := offline.Keys(t.Context(), "a", "ES256")
	var outage *jwks.UnavailableError
	if !errors.As(unavailable, &outage) {
		t.Fatal(unavailable)
	}

	guard := auth.Guard(bearer.Scopes("a"), func1)
	var badKeySet *jwks.ConfigError
	if _, err := jwks.New(jwks.Remote(password)); !errors.As(err, &badKeySet) {
		t.Fatalf("%T is no *ConfigError", err)
	}
	samples := map[string][]any{
		"bearer.Middleware":   append(shapes(auth), shapes(*auth)...),
		"bearer.Claims":       append(shapes(claims), shapes(*claims)...),
		"bearer.Option":       append(shapes(trust), shapes(bearer.WithRealm("canary"))...),
		"bearer.IssuerOption": append(shapes(options["secret"]), shapes(bearer.Keys(jwks.Static(secret)))...),
		"bearer.ConfigError":  append(shapes(mistake), shapes(*mistake)...),
		"bearer.Event":        shapes(bearer.Event{Outcome: bearer.OutcomeAllowed, Issuer: issuer.URL()}),
		"bearer.Outcome":      shapes(bearer.OutcomeAllowed),
		"bearer.Reason":       shapes(bearer.ReasonScope),
		"bearer.KeyStats":     shapes(auth.Stats().Issuers),
		"bearer.Stats":        shapes(auth.Stats()),
		// A report shows what a verified token says, which is what it is for. This one is of another token.
		"bearer.Report":           shapes(guard.Explain(context.Background(), token[:len(token)-8]+"AAAAAAAA")),
		"bearer.Check":            shapes(guard.Explain(context.Background(), token).Checks),
		"bearer.CheckResult":      shapes(bearer.CheckPassed),
		"bearer.TokenFacts":       shapes(bearer.TokenFacts{Subject: "alice"}),
		"bearer.Verdict":          shapes(bearer.VerdictAccepted),
		"bearer.Registry":         append(shapes(registry), shapes(*registry)...),
		"bearer.Registration":     append(shapes(answer), shapes(&answer)...),
		"bearer.RegistryOption":   shapes(lookup),
		"bearer.Guard":            append(shapes(guard), shapes(*guard)...),
		"jwks.ConfigError":        append(shapes(badKeySet), shapes(*badKeySet)...),
		"bearer.TokenLocation":    append(shapes(bearer.FirstOf(bearer.FromHeader("X-Token"), bearer.FromCookie())), shapes(bearer.FromCookie("", ""))...),
		"bearer.Token":            append(shapes(text), shapes(bearer.Token{})...),
		"a stream":                shapes(stream),
		"bearer.ResourceMetadata": shapes(bearer.ResourceMetadata{Resource: "https://api.example", Scopes: []string{"a"}}),
		"jwks.Set":                append(shapes(set), shapes(*set)...),
		"jwks.Key":                shapes(keys[0]),
		"jwks.Option":             shapes(jwks.WithHTTPClient(&http.Client{})),
		"jwks.State":              shapes(jwks.StateFresh),
		"jwks.Stats":              append(shapes(set.Stats()), shapes(offline.Stats())...),
		"jwks.UnavailableError":   append(shapes(outage), shapes(*outage)...),
		"a context":               append(shapes(request.Context()), shapes(own)...),
		"a request":               shapes(request),
		"a handler":               append(shapes(auth.Handler(http.NotFoundHandler())), shapes(auth.Require())...),
		"errors of New":           append(append(shapes(configErr), shapes(badKeys)...), shapes(badSource)...),
	}
	for _, e := range refusals {
		samples["bearer.Error"] = append(append(samples["bearer.Error"], shapes(e)...), shapes(*e)...)
	}
	for _, req := range []bearer.RouteOption{
		bearer.Scopes("a"), bearer.Any(bearer.Scopes("a")), bearer.Roles("a"), bearer.Any(bearer.Roles("a")), bearer.HasClaim("a", 1), bearer.ACR("a"), bearer.AuthMaxAge(time.Hour),
		bearer.All(func1), bearer.Any(func1), func1, bearer.Optional(), bearer.StaleCookieIsAnonymous(), bearer.TokensFrom(bearer.FromQuery()),
	} {
		samples["bearer.RouteOption"] = append(samples["bearer.RouteOption"], shapes(req)...)
		if requirement, ok := req.(bearer.Requirement); ok {
			samples["bearer.Requirement"] = append(samples["bearer.Requirement"], shapes(requirement)...)
		}
	}
	for _, source := range []jwks.Source{
		jwks.Static(secret), jwks.PEM(secret), jwks.PublicKeys(issuer.PublicKey()), jwks.Remote(password), jwks.Discover(password), {},
	} {
		samples["jwks.Source"] = append(samples["jwks.Source"], shapes(source)...)
	}
	signature := token[strings.LastIndexByte(token, '.')+1:]
	return &secrets{auth, token, []string{signature[:40], "hunter2!", "canary-email", "canary-subject", "canary-scope", "canary-role", "canary-password", "Y2FuYXJ5"}, samples}
}
