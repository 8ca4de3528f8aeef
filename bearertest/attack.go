package bearertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer"
)

// Attack fires forged and malformed credentials, about 290 of them, at a handler: the service's own, with its guard around it. It
// fails the test for each that gets through, and for each refusal that says the wrong thing: another status or error code
// than RFC 6750 section 3.1 has for it, no challenge or a malformed one, no Cache-Control: no-store, or anything of the token.
// It looks at nothing but answers, so that any guard can be attacked, not only one of package bearer.
//
//	issuer := bearertest.NewIssuer(bearertest.DefaultClaims(bearertest.Claims{"scope": "orders:read"}))
//	bearertest.Attack(t, newService(issuer.URL(), issuer.Audience(), issuer.Client()), issuer,
//		bearertest.WithRequest(func() *http.Request { return httptest.NewRequest("GET", "/orders", nil) }))
//
// The handler trusts the issuer, and is called in the test's own process without a socket, inside a [testing/synctest] bubble
// as well. It answers its request, GET / unless [WithRequest] says otherwise, with a status of 2xx if there is a good token with it,
// as [Issuer.Token] makes one; claims that the route demands are the issuer's [DefaultClaims]. Attack begins with that, and
// stops if it is not so. In between it sends a good token again, for an attack must not lock out anybody else.
//
// Each attack has one fault, and is named after the rule that it breaks and what it tries. No rule can be left out: a handler
// fails for which one was switched off, with an option whose name begins with Insecure. The attacks on the audience change
// aud, or client_id if the issuer's tokens have no aud; those on scopes change the claim scope, if the route demands it.
//
// Tokens with unknown key ids are among the attacks. A middleware may ask the issuer for new keys because of them, but not for
// long, so that it may not find the new key after an [Issuer.Rotate]: give Attack a handler of its own. While the issuer is
// down or has another fault, a refusal may also be 503, with Retry-After.
func Attack(t testing.TB, handler http.Handler, issuer *Issuer, opts ...AttackOption) {
	t.Helper()
	if handler == nil || issuer == nil {
		t.Fatal("bearertest: Attack: the handler or the issuer is nil")
	}
	a := newAttack(t.Context(), issuer, opts)
	if problem := a.begin(handler); problem != "" {
		t.Fatalf("bearertest: Attack: %s", problem)
	}
	for _, f := range a.run(handler) {
		t.Errorf("bearertest: Attack: %s", f)
	}
}

// AttackOption says what [Attack] cannot know of a handler.
type AttackOption func(*attack)

// WithRequest chooses the request that the attacks are put into. The function is called for each and returns a new one every
// time, without any credential. Default: GET /.
func WithRequest(request func() *http.Request) AttackOption {
	if request == nil {
		panic("bearertest: WithRequest: the function is nil")
	}
	return func(a *attack) { a.request = request }
}

// WithTokensFrom says that the handler takes tokens from these places, as bearer.WithTokensFrom does. A second token there is then
// expected to be refused as one too many, and a token there alone is no attack. bearer.FromHeader must be among them,
// for that is the way the attacks come. Default: the Authorization header alone.
func WithTokensFrom(sources ...bearer.TokenSource) AttackOption {
	if !slices.Contains(sources, bearer.FromHeader()) {
		panic("bearertest: WithTokensFrom: bearer.FromHeader is missing; the attacks come in the Authorization header")
	}
	return func(a *attack) { a.sources = sources }
}

// WithoutKeyIDs says that the handler was given keys that have no key id, as with jwks.PEM and jwks.PublicKeys. Such a key
// answers to every kid, so that the attacks whose only fault is the kid are left out.
func WithoutKeyIDs() AttackOption {
	return func(a *attack) { a.withoutKeyIDs = true }
}

// attack is one run of Attack.
type attack struct {
	request       func() *http.Request
	sources       []bearer.TokenSource
	withoutKeyIDs bool
	kit           *kit
	volleys       func() []volley // made when they are first needed
}

func newAttack(ctx context.Context, issuer *Issuer, opts []AttackOption) *attack {
	a := &attack{
		request: func() *http.Request { return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) },
	}
	for _, opt := range opts {
		opt(a)
	}
	a.kit = newKit(issuer, !a.withoutKeyIDs)
	a.volleys = sync.OnceValue(a.prepare)
	return a
}

// finding is one attack that succeeded, or one answer that is wrong.
type finding struct {
	rule, variant string
	problem       string
}

func (f finding) String() string { return f.rule + "/" + f.variant + ": " + f.problem }

// begin makes sure that the attacks will be refused for what is wrong with them, and says what is missing for that.
func (a *attack) begin(handler http.Handler) (problem string) {
	good := shot{token: a.kit.issuer.Token(), put: inHeader}
	if got := a.fire(handler, good); !got.passes() {
		return fmt.Sprintf("a good token is not let through: %s\n%s", got, a.advice(got))
	}
	// The same token as in the attacks, but without a fault.
	good.token = a.kit.good
	if got := a.fire(handler, good); !got.passes() {
		return fmt.Sprintf("a good token with a claim %q is not let through: %s", canaryClaim, got)
	}
	for _, scheme := range []string{"bearer", "BEARER"} { // RFC 9110 section 11.1
		good.put = inHeaderAfter(scheme + " ")
		if got := a.fire(handler, good); !got.passes() {
			return fmt.Sprintf("a good token is not let through when the scheme is written %q: %s", scheme, got)
		}
	}
	nothing := shot{put: func(*http.Request, string) {}}
	if problems := a.fire(handler, nothing).judge(noCredential, nil); len(problems) > 0 {
		return "a request without a token: " + strings.Join(problems, "; ")
	}
	return ""
}

// advice says where to look when a good token is refused.
func (a *attack) advice(got *response) string {
	issuer := a.kit.issuer
	switch {
	case got.panicked != nil:
		return "The handler must not panic."
	case got.status == http.StatusUnauthorized:
		return fmt.Sprintf("Does the handler trust the issuer %q for the audience %q, and reach it through the issuer's Client?",
			issuer.URL(), issuer.Audience())
	case got.status == http.StatusForbidden:
		return "Claims that the route demands, such as scopes, are given to NewIssuer with DefaultClaims."
	case got.status == http.StatusServiceUnavailable:
		return "Does the handler reach the issuer through the issuer's Client, and is the issuer up?"
	default:
		return "WithRequest chooses a request that the handler answers with a status of 2xx."
	}
}

// run fires everything and returns what was found.
func (a *attack) run(handler http.Handler) (findings []finding) {
	for _, rule := range a.volleys() {
		if rule.name == scopeRule && a.fire(handler, shot{token: a.kit.withoutScopes(), put: inHeader}).passes() {
			continue // the route demands no scope
		}
		for _, s := range rule.shots {
			for _, problem := range a.fire(handler, s).judge(s.want, s.secrets(a.kit)) {
				findings = append(findings, finding{rule.name, s.name, problem})
			}
		}
		if got := a.fire(handler, shot{token: a.kit.issuer.Token(), put: inHeader}); !got.passes() {
			findings = append(findings, finding{rule.name, "a good token afterwards", "is not let through: " + got.String()})
		}
	}
	return findings
}

// volley is what is fired at one rule.
type volley struct {
	name  string
	shots []shot
}

// shot is a variant made ready for one issuer.
type shot struct {
	name  string
	token string
	put   func(r *http.Request, token string)
	want  answer
}

// prepare makes the variants ready that apply to the issuer and to what the options say of the handler.
func (a *attack) prepare() (list []volley) {
	for _, rule := range rules() {
		v := volley{name: rule.name}
		for _, variant := range rule.variants {
			s := shot{name: variant.name, token: a.kit.good, put: variant.put, want: variant.want}
			if variant.forge != nil {
				s.token, s.put = variant.forge(a.kit), inHeader
			}
			if s.want == (answer{}) {
				s.want = rule.want
			}
			if variant.from != (bearer.TokenSource{}) && a.takesFrom(variant.from) {
				s.name, s.put, s.want = s.name+", and in the header", both(s.put), twoCredentials
			}
			if s.token != "" {
				v.shots = append(v.shots, s)
			}
		}
		list = append(list, v)
	}
	return list
}

// takesFrom reports whether the handler takes a token from a place beside the header. A body without a form is no such place
// (RFC 6750 section 2.2).
func (a *attack) takesFrom(source bearer.TokenSource) bool {
	if method := a.request().Method; source == bearer.FromForm() && (method == http.MethodGet || method == http.MethodHead) {
		return false
	}
	return slices.Contains(a.sources, source)
}

// inHeader is where a token belongs (RFC 6750 section 2.1).
func inHeader(r *http.Request, token string) { inHeaderAfter("Bearer ")(r, token) }

func inHeaderAfter(prefix string) func(*http.Request, string) {
	return func(r *http.Request, token string) { r.Header["Authorization"] = []string{prefix + token} }
}

func both(put func(*http.Request, string)) func(*http.Request, string) {
	return func(r *http.Request, token string) {
		inHeader(r, token)
		put(r, token)
	}
}

// secrets are texts that no answer may contain: what is planted in every forged token, and the ends of the token's parts.
func (s shot) secrets(k *kit) []string {
	const size = 16
	list := []string{k.canary}
	for part := range strings.SplitSeq(s.token, ".") {
		if len(part) >= size {
			list = append(list, part[:size], part[len(part)-size:])
		}
	}
	return list
}

// fire sends a shot to the handler and takes down the answer.
func (a *attack) fire(handler http.Handler, s shot) (got *response) {
	got = &response{issuerDown: a.kit.issuer.isDown()}
	r, w := a.request(), httptest.NewRecorder()
	r = r.Clone(r.Context()) // in case it is the same every time
	if r.Header == nil {
		r.Header = http.Header{}
	}
	s.put(r, s.token)
	defer func() {
		if got.panicked = recover(); got.panicked == nil {
			result := w.Result()
			_ = result.Body.Close() // of a recorder: nothing is open
			got.status, got.header, got.body = result.StatusCode, result.Header, w.Body.String()
		}
	}()
	handler.ServeHTTP(w, r)
	return got
}
