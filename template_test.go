package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// tenants is the name of a template, and tenantIssuer that of one of its issuers.
const tenants = "https://login.test/{tenant}/v2.0"

func tenantIssuer(value string) string { return "https://login.test/" + value + "/v2.0" }

// ofTenant makes a token of one of the template's issuers.
func ofTenant(issuer *bearertest.Issuer, value string, claims ...bearertest.Claims) string {
	all := append([]bearertest.Claims{{"iss": tenantIssuer(value), "tid": value}}, claims...)
	return issuer.Token(all...)
}

// acceptAll accepts every value.
func acceptAll(context.Context, string) error { return nil }

// trustTenants trusts the template's issuers, whose keys are those of the issuer.
func trustTenants(issuer *bearertest.Issuer, accept func(context.Context, string) error, opts ...bearer.IssuerOption) bearer.Option {
	opts = append(opts, bearer.IssuerTemplate("tid", accept), bearer.Keys(jwks.Static(issuer.KeySet())))
	return bearer.WithIssuer(tenants, issuer.Audience(), opts...)
}

// causeOf returns the text of a refusal's cause, or "".
func causeOf(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return cause.Error()
	}
	return ""
}

// The placeholder stands for 1 to 64 letters, digits, "-", "." and "_", and not for "." or "..". The
// rest of iss is compared exactly.
// Rules: issuer.template.
func TestTemplateTakesOneSegmentOfThePath(t *testing.T) {
	issuer := bearertest.NewIssuer()
	var last bearer.Event
	auth := mustNew(t, trustTenants(issuer, acceptAll), seen(&last))
	for _, value := range []string{
		"a", "0", "-", "_", "...", ".a", "a.b", "AZaz09-._", strings.Repeat("x", 64), "11111111-2222-4333-8444-555555555555",
	} {
		wantReason(t, auth, ofTenant(issuer, value), "")
		if last.Issuer != tenants {
			t.Errorf("Event.Issuer is %q, want the template", last.Issuer)
		}
		claims, err := auth.Guard().Verify(t.Context(), ofTenant(issuer, value))
		if err != nil || claims.Issuer() != tenantIssuer(value) {
			t.Errorf("Claims.Issuer is %q, %v", claims.Issuer(), err)
		}
	}
	for _, value := range []string{
		"", ".", "..", strings.Repeat("x", 65), "a/b", "a%2Fb", "%2e", "a b", "a?b", "a#b", "a:b", "a@b", "ä", "a\x00", "a\n", "{tenant}", "{", "}", "*", "\\",
	} {
		wantReason(t, auth, ofTenant(issuer, value), bearer.ReasonUnknownIssuer)
		if last.Issuer != "" {
			t.Errorf("%q: Event.Issuer is %q", value, last.Issuer)
		}
	}
	for _, iss := range []string{
		tenants, "https://login.test/a/v2.0/", "https://login.test/a/v2", "https://login.test/a", "https://login.test/v2.0", "https://login.test//v2.0",
		"http://login.test/a/v2.0", "https://LOGIN.test/a/v2.0", "https://login.test/a/V2.0", "https://login.test:443/a/v2.0",
		"https://evil.test/https://login.test/a/v2.0", "https://login.test.evil/a/v2.0", "https://login.test/v2.0/v2.0x", "", "a",
	} {
		wantReason(t, auth, issuer.Token(c{"iss": iss, "tid": "a"}), bearer.ReasonUnknownIssuer)
	}
}

// The value of the placeholder can be the end of the name.
func TestTemplateCanEndWithItsPlaceholder(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := mustNew(t, bearer.WithIssuer("https://login.test/{tenant}", issuer.Audience(),
		bearer.IssuerTemplate("tid", acceptAll), bearer.Keys(jwks.Static(issuer.KeySet()))))
	wantReason(t, auth, issuer.Token(c{"iss": "https://login.test/a", "tid": "a"}), "")
	wantReason(t, auth, issuer.Token(c{"iss": "https://login.test/a/", "tid": "a"}), bearer.ReasonUnknownIssuer)
	wantReason(t, auth, issuer.Token(c{"iss": "https://login.test/", "tid": ""}), bearer.ReasonUnknownIssuer)
}

// The claim that the option names is a string that equals the value in iss.
// Rules: issuer.template-claim.
func TestTemplateClaimEqualsTheValueInIssuer(t *testing.T) {
	issuer := bearertest.NewIssuer()
	calls := 0
	accept := func(context.Context, string) error { calls++; return nil }
	auth := mustNew(t, trustTenants(issuer, accept))
	for name, test := range map[string]struct {
		claim any
		want  bearer.Reason
		cause string
	}{
		"equal":      {"acme", "", ""},
		"another":    {"other", bearer.ReasonUnknownIssuer, `the claim "tid" does not equal "acme"`},
		"case":       {"ACME", bearer.ReasonUnknownIssuer, "does not equal"},
		"longer":     {"acme ", bearer.ReasonUnknownIssuer, "does not equal"},
		"controls":   {strings.Repeat("\x01", 1024), bearer.ReasonUnknownIssuer, "does not equal"},
		"an array":   {[]string{"acme"}, bearer.ReasonUnknownIssuer, "does not equal"},
		"an object":  {c{"acme": "acme"}, bearer.ReasonUnknownIssuer, "does not equal"},
		"null":       {json.RawMessage("null"), bearer.ReasonUnknownIssuer, "does not equal"},
		"an empty":   {"", bearer.ReasonUnknownIssuer, "does not equal"},
		"not there":  {nil, bearer.ReasonMissingClaim, `has no claim "tid"`},
		"a number":   {1, bearer.ReasonUnknownIssuer, "does not equal"},
		"two values": {[]string{"acme", "other"}, bearer.ReasonUnknownIssuer, "does not equal"},
	} {
		t.Run(name, func(t *testing.T) {
			calls = 0
			token := ofTenant(issuer, "acme", c{"tid": test.claim})
			for range 2 {
				_, err := auth.Guard().Verify(t.Context(), token)
				if got := reasonOf(t, err); got != test.want {
					t.Fatalf("reason %q, want %q", got, test.want)
				}
				if test.want == "" {
					continue
				}
				if cause := causeOf(err); !strings.Contains(cause, test.cause) || strings.Contains(cause, "\x01") {
					t.Errorf("cause %q, want %q in it", cause, test.cause)
				}
				if calls != 0 {
					t.Error("the function was asked about a token that contradicts itself")
				}
			}
		})
	}
	escaped := issuer.SignRaw([]byte(fmt.Sprintf(`{"alg":%q,"kid":%q}`, issuer.Algorithm(), issuer.KeyID())),
		[]byte(fmt.Sprintf(`{"iss":%q,"tid":"\u0061cme","aud":%q,"exp":4102444800}`, tenantIssuer("acme"), issuer.Audience())))
	wantReason(t, auth, escaped, "")
}

// The function runs on every request, cached or not, on each pass of a nested guard, and under
// Verify. What it returns decides.
// Rules: issuer.template-accept.
func TestTemplateFunctionDecidesOnEveryRequest(t *testing.T) {
	issuer := bearertest.NewIssuer()
	refused, down := errors.New("not a customer"), fmt.Errorf("the database: %w", bearer.ErrUnavailable)
	for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
		t.Run(how, func(t *testing.T) {
			type key struct{}
			calls, verdict := 0, error(nil)
			auth := mustNew(t, cache, trustTenants(issuer, func(ctx context.Context, value string) error {
				if calls++; value != "acme" {
					t.Errorf("asked about %q", value)
				}
				if ctx.Value(key{}) != "of the request" {
					t.Error("it gets another context than the request's")
				}
				return verdict
			}))
			token := ofTenant(issuer, "acme")
			ctx := context.WithValue(t.Context(), key{}, "of the request")
			outer, inner := auth.Guard(), auth.Guard()
			for round := range 3 {
				for _, test := range []struct {
					verdict error
					want    bearer.Reason
					status  int
				}{
					{nil, "", 0},
					{refused, bearer.ReasonUnknownIssuer, http.StatusUnauthorized},
					{down, bearer.ReasonPolicyUnavailable, http.StatusServiceUnavailable},
				} {
					for _, ask := range []func() error{
						func() error { _, err := outer.Verify(ctx, token); return err },
						func() error { _, err := outer.Authenticate(get("Bearer " + token).WithContext(ctx)); return err },
						func() error {
							verdict = nil
							passed, err := outer.Authenticate(get("Bearer " + token).WithContext(ctx))
							if err != nil {
								t.Fatal(err)
							}
							calls, verdict = 0, test.verdict
							_, err = inner.Authenticate(passed)
							return err
						},
					} {
						calls, verdict = 0, test.verdict
						err := ask()
						if got := reasonOf(t, err); got != test.want || calls != 1 {
							t.Errorf("round %d: reason %q after %d calls, want %q", round, got, calls, test.want)
						}
						if err == nil {
							continue
						}
						var refusal *bearer.Error
						if !errors.As(err, &refusal) || refusal.StatusCode() != test.status || !errors.Is(err, test.verdict) {
							t.Errorf("%v is %d, want %d, and wraps what the function returned", err, refusal.StatusCode(), test.status)
						}
						if strings.Contains(err.Error(), "customer") || !strings.Contains(causeOf(err), test.verdict.Error()) {
							t.Errorf("text %q, cause %q", err, causeOf(err))
						}
					}
				}
			}
		})
	}
}

// A forged token calls no function of the application, and neither does one that fails another
// check.
// Rules: issuer.template-accept.
func TestTemplateFunctionIsAskedAboutVerifiedTokensAlone(t *testing.T) {
	issuer, stranger := bearertest.NewIssuer(), bearertest.NewIssuer()
	calls := 0
	auth := mustNew(t, trustTenants(issuer, func(context.Context, string) error { calls++; return nil }))
	for want, token := range map[bearer.Reason]string{
		bearer.ReasonSignature:     forged(ofTenant(issuer, "acme")),
		bearer.ReasonUnknownKey:    ofTenant(stranger, "acme"),
		bearer.ReasonExpired:       ofTenant(issuer, "acme", c{"exp": 1}),
		bearer.ReasonAudience:      ofTenant(issuer, "acme", c{"aud": "other"}),
		bearer.ReasonUnknownIssuer: ofTenant(issuer, "a/b"),
	} {
		wantReason(t, auth, token, want)
	}
	if calls != 0 {
		t.Errorf("%d calls", calls)
	}
}

// A function that panics lets nothing pass, now or later.
// Rules: issuer.template-accept.
func TestTemplateFunctionThatPanicsOpensNothing(t *testing.T) {
	issuer := bearertest.NewIssuer()
	panics := true
	auth := mustNew(t, trustTenants(issuer, func(context.Context, string) error {
		if panics {
			panic("canary")
		}
		return errors.New("no")
	}))
	token := ofTenant(issuer, "acme")
	for range 2 {
		inner, value := &spy{}, any(nil)
		func() {
			defer func() { value = recover() }()
			auth.Handler(inner).ServeHTTP(httptest.NewRecorder(), get("Bearer "+token))
		}()
		if inner.ran || value == nil {
			t.Errorf("the handler ran: %v, panic %v", inner.ran, value)
		}
	}
	panics = false
	wantReason(t, auth, token, bearer.ReasonUnknownIssuer)
}

// A key whose member issuer is a template or an issuer signs for the tokens whose own iss fits.
// Rules: key.issuer-member, issuer.template.
func TestKeyOfATemplateIsComparedWithTheTokensOwnIssuer(t *testing.T) {
	all, one, mine := pairs()[0], pairs()[1], pairs()[7]
	server := &keyServer{}
	server.publish(boundJWK(all, "all", anyTenant), boundJWK(one, "one", contoso), boundJWK(mine, "mine", personal))
	var last bearer.Event
	auth := mustNew(t, bearer.WithIssuer(anyTenant, "api", bearer.JWKSURL(commonSet), bearer.IssuerTemplate("tid", acceptAll)),
		bearer.WithHTTPClient(server.client()), quiet(), seen(&last))
	token := func(iss, kid string, key pair) string {
		claims := c{"iss": iss, "aud": "api", "exp": int64(4102444800), "tid": strings.Split(iss, "/")[3]}
		return signedBy(c{"alg": "ES256", "kid": kid}, claims, "ES256", key.private)
	}
	good := []string{token(contoso, "all", all), token(fabrikam, "all", all), token(contoso, "one", one), token(personal, "mine", mine)}
	for _, cached := range []bool{false, true} {
		for _, text := range good {
			wantReason(t, auth, text, "")
			if last.Cached != cached {
				t.Errorf("cached %v, want %v", last.Cached, cached)
			}
		}
		wantReason(t, auth, token(fabrikam, "one", one), bearer.ReasonUnknownKey)
		wantReason(t, auth, token(contoso, "mine", mine), bearer.ReasonUnknownKey)
	}
}

// An issuer that is configured by its name is judged by its own rules, and the template does not
// add to them.
// Rules: issuer.template.
func TestConfiguredIssuerComesBeforeATemplate(t *testing.T) {
	family, single := bearertest.NewIssuer(), bearertest.NewIssuer()
	exact := bearer.WithIssuer(tenantIssuer("own"), "own", bearer.Keys(jwks.Static(single.KeySet())))
	template := trustTenants(family, acceptAll)
	for name, opts := range map[string][]bearer.Option{"first": {exact, template}, "last": {template, exact}} {
		t.Run(name, func(t *testing.T) {
			auth := mustNew(t, opts...)
			wantReason(t, auth, ofTenant(family, "other"), "")
			wantReason(t, auth, ofTenant(single, "own", c{"aud": "own"}), "")
			wantReason(t, auth, ofTenant(single, "own", c{"aud": "own", "tid": nil}), "")
			wantReason(t, auth, ofTenant(family, "own"), bearer.ReasonUnknownKey)
			wantReason(t, auth, ofTenant(single, "own"), bearer.ReasonAudience)
			wantReason(t, auth, ofTenant(single, "other"), bearer.ReasonUnknownKey)
		})
	}
}

// Rules: issuer.template.
func TestMistakesInTemplates(t *testing.T) {
	keys := bearer.JWKSURL("https://login.test/keys")
	good := bearer.IssuerTemplate("tid", acceptAll)
	for name, test := range map[string]struct {
		name string
		opts []bearer.IssuerOption
		want string // the option at fault
		text string
	}{
		"no placeholder":         {"https://login.test/a", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "one placeholder"},
		"two placeholders":       {"https://login.test/{a}/{b}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "one placeholder"},
		"a brace too many":       {"https://login.test/{a}/}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "one placeholder"},
		"nested braces":          {"https://login.test/{{a}}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", ""},
		"an open brace":          {"https://login.test/{a", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "one placeholder"},
		"without a name":         {"https://login.test/{}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "name"},
		"a name with a slash":    {"https://login.test/{a/b}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "name"},
		"in the host":            {"https://{tenant}.login.test/", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "whole segment"},
		"the host":               {"https://{tenant}/a", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "whole segment"},
		"the host, no scheme":    {"{tenant}/a", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "whole segment"},
		"the end of a segment":   {"https://login.test/t-{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "whole segment"},
		"the start of a segment": {"https://login.test/{tenant}-t/a", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "whole segment"},
		"in the query":           {"https://login.test/?t=/{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "query"},
		"in the fragment":        {"https://login.test/#/{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "fragment"},
		"http":                   {"http://login.test/{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "not https"},
		"a user name":            {"https://u@login.test/{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "user name"},
		"no URL":                 {"urn:a://b/{tenant}", []bearer.IssuerOption{keys, good}, "IssuerTemplate", "absolute https URL"},
		"no keys":                {tenants, []bearer.IssuerOption{good}, "IssuerTemplate", "JWKSURL"},
		"a secret":               {tenants, []bearer.IssuerOption{good, bearer.HMACSecret(make([]byte, 32))}, "IssuerTemplate", "HMACSecret"},
		"no claim":               {tenants, []bearer.IssuerOption{keys, bearer.IssuerTemplate("", acceptAll)}, "IssuerTemplate", "unset"},
		"no function":            {tenants, []bearer.IssuerOption{keys, bearer.IssuerTemplate("tid", nil)}, "IssuerTemplate", "the function is nil"},
		"twice":                  {tenants, []bearer.IssuerOption{keys, good, good}, "IssuerTemplate", "set more than once"},
		"without the option":     {tenants, []bearer.IssuerOption{keys}, "WithIssuer", "add IssuerTemplate"},
		"no audience":            {tenants, []bearer.IssuerOption{keys, good}, "WithIssuer", "the audience is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			audience := "api"
			if name == "no audience" {
				audience = ""
			}
			_, err := bearer.New(bearer.WithIssuer(test.name, audience, test.opts...))
			wantProblem(t, err, test.want, test.text)
		})
	}
	loopback := bearer.WithIssuer("http://127.0.0.1/{tenant}", "api", keys, good)
	insecure := bearer.WithIssuer("http://login.test/{tenant}", "api", keys, good, bearer.InsecureHTTP())
	mustNew(t, loopback, insecure)
}

// wantMistake checks that one of the joined mistakes is of this option, with a text.
func wantProblem(t testing.TB, err error, option, text string) {
	t.Helper()
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, e := range configErrors(t, err) {
		if e.Option == option && strings.Contains(e.Error(), text) {
			return
		}
	}
	t.Errorf("no mistake of %s with %q: %v", option, text, err)
}

// Two templates that an iss could both fit are a mistake.
// Rules: issuer.template.
func TestTemplatesThatOverlapAreAMistake(t *testing.T) {
	for _, test := range []struct {
		one, other string
		overlap    bool
	}{
		{"https://h.test/{a}/x", "https://h.test/{b}/x", true},
		{"https://h.test/{a}/x", "https://h.test/y/{b}", true},
		{"https://h.test/{a}/x", "https://h.test/{a}/y", false},
		{"https://h.test/{a}/x", "https://h.test/y/{b}/z", false},
		{"https://h.test/{a}/x", "https://i.test/{a}/x", false},
		{"https://h.test/{a}", "https://h.test/{a}/", false},
		{"https://h.test/{a}/a%20b", "https://h.test/y/{b}", false}, // which is no value
		{"https://h.test/{a}/..", "https://h.test/y/{b}", false},
		{"https://h.test/a/{b}", "https://h.test/{a}/" + strings.Repeat("b", 65), false},
		{"https://h.test/a/{b}", "https://h.test/{a}/" + strings.Repeat("b", 64), true},
	} {
		trust := func(name string) bearer.Option {
			return bearer.WithIssuer(name, "api", bearer.IssuerTemplate("tid", acceptAll), bearer.JWKSURL("https://h.test/keys"))
		}
		_, err := bearer.New(trust(test.one), trust(test.other))
		if test.overlap {
			wantProblem(t, err, "IssuerTemplate", "can fit both")
		} else if err != nil {
			t.Errorf("%s and %s: %v", test.one, test.other, err)
		}
	}
	same := bearer.WithIssuer(tenants, "api", bearer.IssuerTemplate("tid", acceptAll), bearer.JWKSURL("https://h.test/keys"))
	_, err := bearer.New(same, same)
	wantProblem(t, err, "WithIssuer", "set more than once")
}

// A template is no authorization server's name.
func TestResourceMetadataNamesNoTemplate(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, trustTenants(issuer, acceptAll), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"}))
	_, handler := auth.ResourceMetadata()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, get(""))
	if body := w.Body.String(); strings.Contains(body, "tenant") || !strings.Contains(body, issuer.URL()) {
		t.Errorf("the document is %s", body)
	}
}

// The cause says what is wrong with the name of an issuer that is not trusted, in fixed text.
// Rules: claims.iss, issuer.template.
func TestCauseOfAnUnknownIssuer(t *testing.T) {
	issuer := bearertest.NewIssuer()
	keys := bearer.Keys(jwks.Static(issuer.KeySet()))
	auth := mustNew(t, bearer.WithIssuer("https://login.test/Own", "api", keys), bearer.WithIssuer("https://slash.test/", "api", keys),
		bearer.WithIssuer("http://127.0.0.1/x", "api", keys), trustTenants(issuer, acceptAll))
	for iss, want := range map[string]string{
		"https://login.test/own":                       "differs from a configured issuer in case",
		"https://LOGIN.test/Own":                       "differs from a configured issuer in case",
		"https://login.test/Own/":                      "differs from a configured issuer in a trailing slash",
		"https://slash.test":                           "differs from a configured issuer in a trailing slash",
		"http://login.test/Own":                        "differs from a configured issuer in the scheme",
		"https://127.0.0.1/x":                          "differs from a configured issuer in the scheme",
		"https://login.test/a b/v2.0":                  "the value of its placeholder",
		"https://login.test/../v2.0":                   "the value of its placeholder",
		"https://other.test":                           "is not a configured issuer",
		"https://login.test/Owm":                       "is not a configured issuer",
		"https://login.test/Own ":                      "is not a configured issuer",
		"":                                             "is not a configured issuer",
		strings.Repeat("\x01", 20):                     "is not a configured issuer",
		"https://login.test/" + strings.Repeat("x", 3): "is not a configured issuer",
	} {
		_, err := auth.Guard().Verify(t.Context(), issuer.Token(c{"iss": iss}))
		if got := causeOf(err); reasonOf(t, err) != bearer.ReasonUnknownIssuer || !strings.Contains(got, want) {
			t.Errorf("%q: %v, cause %q, want %q", iss, err, got, want)
		}
		if iss != "" && strings.Contains(causeOf(err), iss) {
			t.Errorf("the cause has the token's iss: %q", causeOf(err))
		}
	}
}
