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
	"time"

	"github.com/bearer-go/bearer"
)

// Attack fires forged and malformed credentials, about 400 of them, at a handler: the service's
// own, with its guard around it. It fails the test for each that gets through, and for each refusal
// that says the wrong thing: another status or error code than RFC 6750 section 3.1 has for it, no
// challenge or a malformed one, no Cache-Control: no-store, or anything of the token. Without
// options it looks at nothing but answers, so that any guard can be attacked, not only one of
// package bearer.
//
//	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
//	bearertest.Attack(t, newService(issuer.URL(), issuer.Audience(), issuer.Client()), issuer,
//		bearertest.WithRequest(func() *http.Request { return httptest.NewRequest("GET", "/orders", nil) }))
//
// The handler trusts the issuer, and is called in the test's own process without a socket, inside a
// [testing/synctest] bubble as well. It answers its request, GET / unless [WithRequest] says
// otherwise, with a status of 2xx if there is a good token with it, as [Issuer.Token] makes one;
// claims that the route demands are the issuer's [WithDefaultClaims]. Attack begins with that, and
// stops if it is not so. In between it sends a good token again, for an attack must not lock out
// anybody else.
//
// Each attack has one fault. Its name is the id of the rule that it breaks, as docs/rules.md has
// it, and what it tries. No rule can be left out: a handler fails if an option whose name begins
// with Insecure switches one off. The attacks on the audience change aud, or client_id if the
// issuer's tokens have no aud; those on scopes change the claim scope, if the route demands it.
//
// Beside forged tokens it tries the ways around a guard:
//   - The attacker has an issuer, which [Issuer.Client] reaches while Attack runs. Its tokens are
//     good, and of no issuer that the handler trusts.
//   - Requests with other methods, headers and paths come without a token. The path is guarded for
//     every method. Another path may be open, so it counts as let through when the answer is the
//     route's own. CORS may answer OPTIONS, so that counts when the answer has a body.
//   - A token that was let through is sent again after its end. Attack looks for the leeway of the
//     handler's clock with tokens that end about now, and waits for the end of the last one: some
//     hundredths of a second, or up to two seconds when the handler knows whole seconds alone. In a
//     bubble the wait costs nothing.
//
// Options tell it more of the handler, and each adds attacks: [WithReached], [WithFreshHandler],
// [WithPartner] and [WithSubject].
//
// It does not test these:
//   - without WithReached, whether a refused request had an effect all the same, and whether a
//     request for another path or with OPTIONS had one whose answer is empty or differs from the
//     route's;
//   - without WithFreshHandler, handlers that have no keys; without WithPartner, a second issuer;
//     without WithSubject, for whom an answer is. With WithSubject, requests sent at the same time
//     are only likely to meet in the handler;
//   - other routes of the service, and requirements of the route other than a scope;
//   - revocation, withdrawn keys, and the proofs that a bound token needs;
//   - what needs a connection: requests that a proxy and the server read in two ways, and floods.
//
// A limit on requests, at once or in a time, stays out of the handler: Attack sends about 400, some
// of them at the same time, and judges 429 like any other answer.
//
// Tokens with unknown key ids are among the attacks. A middleware may ask the issuer for new keys
// because of them, but not for long, so that it may not find the new key after an [Issuer.Rotate]:
// give Attack a handler of its own. They come at the same time, while the issuer takes a tenth of a
// second longer to answer, since a middleware that bounds how often it asks lets them wait. While
// the issuer is down or has another fault, a refusal may also be 503, with Retry-After.
func Attack(t testing.TB, handler http.Handler, issuer *Issuer, opts ...AttackOption) {
	t.Helper()
	if handler == nil || issuer == nil {
		t.Fatal("bearertest: Attack: the handler or the issuer is nil")
	}
	a := newAttack(t, issuer, opts)
	if problem := a.begin(handler); problem != "" {
		t.Fatalf("bearertest: Attack: %s", problem)
	}
	for _, f := range a.run(handler) {
		t.Errorf("bearertest: Attack: %s", f)
	}
}

// attack is one run of Attack.
type attack struct {
	request       func() *http.Request
	sources       []bearer.TokenLocation
	withoutKeyIDs bool
	reached       func() int
	fresh         func() http.Handler
	partner       *Issuer
	subject       func(*http.Response) string

	ctx     context.Context // the test's
	kit     *kit
	volleys func() []volley // made when they are first needed
	body    string          // what the route answers to a good token
}

func newAttack(tb testing.TB, issuer *Issuer, opts []AttackOption) *attack {
	tb.Helper()
	ctx := tb.Context()
	a := &attack{
		request: func() *http.Request { return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) },
		ctx:     ctx,
	}
	for _, opt := range opts {
		opt(a)
	}
	a.kit = newKit(tb, issuer, !a.withoutKeyIDs)
	a.volleys = sync.OnceValue(a.prepare)
	return a
}

// finding is one attack that succeeded, or one answer that is wrong.
type finding struct {
	rule, variant string
	problem       string
}

func (f finding) String() string { return f.rule + "/" + f.variant + ": " + f.problem }

// begin makes sure that the attacks will be refused for what is wrong with them, and says what is
// missing for that.
func (a *attack) begin(handler http.Handler) (problem string) {
	good := shot{token: a.kit.issuer.Token(), put: inHeader}
	got := a.fire(handler, good)
	if !got.passes() {
		return fmt.Sprintf("a good token is not let through: %s\n%s", got, a.advice(got))
	}
	if a.reached != nil && got.reached != 1 {
		return fmt.Sprintf("a good token is let through, and WithReached counts %d calls of the protected handler, want one", got.reached)
	}
	a.body = got.body
	if problem := a.beginPartner(handler); problem != "" {
		return problem
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
	nothing := shot{put: func(*http.Request, string) {}, want: noCredential}
	if problems := a.judge(nothing, a.fire(handler, nothing)); len(problems) > 0 {
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
		return "Claims that the route demands, such as scopes, are given to NewIssuer with WithDefaultClaims."
	case got.status == http.StatusServiceUnavailable:
		return "Does the handler reach the issuer through the issuer's Client, and is the issuer up?"
	default:
		return "WithRequest chooses a request that the handler answers with a status of 2xx."
	}
}

// run fires everything and returns what was found.
func (a *attack) run(handler http.Handler) (findings []finding) {
	for _, rule := range a.volleys() {
		if rule.name == ruleScope && a.fire(handler, shot{token: a.kit.withoutScopes(), put: inHeader}).passes() {
			continue // the route demands no scope
		}
		for i, got := range a.fireAll(handler, rule) {
			findings = append(findings, a.findings(rule.name, rule.shots[i], got)...)
		}
		if rule.run != nil {
			findings = append(findings, rule.run(handler, rule.name)...)
		}
		if got := a.fire(handler, shot{token: a.kit.issuer.Token(), put: inHeader}); !got.passes() {
			findings = append(findings, finding{rule.name, "a good token afterwards", "is not let through: " + got.String()})
		}
	}
	return findings
}

// try fires a shot and returns what is wrong with the answer.
func (a *attack) try(handler http.Handler, rule string, s shot) []finding {
	return a.findings(rule, s, a.fire(handler, s))
}

func (a *attack) findings(rule string, s shot, got *response) (findings []finding) {
	for _, problem := range a.judge(s, got) {
		findings = append(findings, finding{rule, s.name, problem})
	}
	return findings
}

// judge says what is wrong with the answer to a shot.
func (a *attack) judge(s shot, got *response) (problems []string) {
	switch {
	case s.stray == nil, got.panicked != nil, got.status == s.want.status:
		problems = got.judge(s.want, s.secrets(a.kit))
	case s.stray(got):
		problems = []string{fmt.Sprintf("is let through with %d", got.status)}
	default: // refused by something else, such as the router
		problems = got.judgeSilence(s.secrets(a.kit))
	}
	if got.reached > 0 && got.panicked == nil && !got.passes() {
		problems = append(problems, fmt.Sprintf("is answered with %d, and the protected handler ran", got.status))
	}
	return problems
}

// volley is what is fired at one rule.
type volley struct {
	name  string
	shots []shot
	run   func(handler http.Handler, rule string) []finding // what takes more than a shot; nil for nothing
}

// shot is a variant made ready for one issuer.
type shot struct {
	name  string
	token string
	put   func(r *http.Request, token string)
	want  answer
	stray func(got *response) bool
}

// prepare makes the variants ready that apply to the issuer and to what the options say of the
// handler.
func (a *attack) prepare() (list []volley) {
	for _, rule := range slices.Concat(rules(), a.ways()) {
		v := volley{name: rule.name}
		for _, variant := range rule.variants {
			s := shot{name: variant.name, token: a.kit.good, put: variant.put, want: variant.want, stray: variant.stray}
			if variant.forge != nil {
				s.token = variant.forge(a.kit)
			}
			if s.put == nil {
				s.put = inHeader
			}
			if s.want == (answer{}) {
				s.want = rule.want
			}
			if variant.from != (bearer.TokenLocation{}) && a.takesFrom(variant.from) {
				s.name, s.put, s.want = s.name+", and in the header", both(s.put), twoCredentials
			}
			if s.token != "" {
				v.shots = append(v.shots, s)
			}
		}
		list = append(list, v)
	}
	return append(list, a.campaigns()...)
}

// takesFrom reports whether the handler takes a token from a place beside the header. A body
// without a form is no such place (RFC 6750 section 2.2).
func (a *attack) takesFrom(source bearer.TokenLocation) bool {
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

// both puts a token into the header, and does what put does, unless that is nil.
func both(put func(*http.Request, string)) func(*http.Request, string) {
	return func(r *http.Request, token string) {
		inHeader(r, token)
		if put != nil {
			put(r, token)
		}
	}
}

// secrets are texts that no answer may contain: what is planted in every forged token, and the ends
// of the token's parts.
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

// count is how often the protected handler ran, if WithReached tells.
func (a *attack) count() int {
	if a.reached == nil {
		return 0
	}
	return a.reached()
}

// together is how much longer the issuer takes to answer while shots come at the same time: long
// enough for all of them to arrive before it has answered the first.
const together = 100 * time.Millisecond

// fireAll fires the shots of a rule, one after the other. Only those with an unknown key id come at
// the same time, while the issuer is slow: a middleware that bounds how often it asks the issuer
// for them answers all who wait together. Calls of the protected handler count for the first of
// those.
func (a *attack) fireAll(handler http.Handler, rule volley) []*response {
	answers := make([]*response, len(rule.shots))
	if rule.name != ruleKeyID || len(answers) == 0 {
		for i, s := range rule.shots {
			answers[i] = a.fire(handler, s)
		}
		return answers
	}
	before := a.count()
	a.kit.issuer.slowFor(together, func() {
		var wg sync.WaitGroup
		for i, s := range rule.shots {
			r := a.load(s)
			wg.Go(func() { answers[i] = a.send(handler, r) })
		}
		wg.Wait()
	})
	answers[0].reached = a.count() - before
	return answers
}

// fire sends one shot to the handler and takes down the answer.
func (a *attack) fire(handler http.Handler, s shot) *response {
	r, before := a.load(s), a.count()
	got := a.send(handler, r)
	got.reached = a.count() - before
	return got
}

// load puts a shot into a request.
func (a *attack) load(s shot) *http.Request {
	r := a.request()
	r = r.Clone(r.Context()) // in case it is the same every time
	if r.Header == nil {
		r.Header = http.Header{}
	}
	s.put(r, s.token)
	return r
}

func (a *attack) send(handler http.Handler, r *http.Request) (got *response) {
	got = &response{issuerDown: a.kit.issuer.isDown()}
	w := httptest.NewRecorder()
	defer func() {
		if got.panicked = recover(); got.panicked == nil {
			result := w.Result()
			_ = result.Body.Close() // of a recorder: nothing is open
			got.result, got.status, got.header, got.body = result, result.StatusCode, result.Header, w.Body.String()
		}
	}()
	handler.ServeHTTP(w, r)
	return got
}
