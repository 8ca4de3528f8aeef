package bearer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/jwa"
	"github.com/bearer-go/bearer/jwks"
)

// pair is a private key and the algorithms it signs with.
type pair struct {
	private    crypto.Signer
	algorithms []string
	jwk        c // its public half, without kid, use and alg
}

// pairs are made once: they cost more than all that is done with them.
var pairs = sync.OnceValue(func() (all []pair) {
	ec := func(curve elliptic.Curve, alg string) {
		key, err := ecdsa.GenerateKey(curve, crand.Reader)
		if err != nil {
			panic(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		all = append(all, pair{key, []string{alg}, c{
			"kty": "EC", "crv": curve.Params().Name, "x": b64(string(point[1 : 1+half])), "y": b64(string(point[1+half:])),
		}})
	}
	ed := func() {
		public, key, err := ed25519.GenerateKey(crand.Reader)
		if err != nil {
			panic(err)
		}
		all = append(all, pair{key, []string{"EdDSA", "Ed25519"}, c{"kty": "OKP", "crv": "Ed25519", "x": b64(string(public))}})
	}
	ec(elliptic.P256(), "ES256")
	ec(elliptic.P256(), "ES256")
	ec(elliptic.P384(), "ES384")
	ed()
	ed()
	ed()
	key, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	all = append(all, pair{key, []string{"RS256", "PS256"}, c{
		"kty": "RSA", "n": b64(string(key.N.Bytes())), "e": b64(string(big.NewInt(int64(key.E)).Bytes())),
	}})
	ec(elliptic.P256(), "ES256")
	ec(elliptic.P256(), "ES256")
	return all
})

// signedBy makes a token of exactly these members.
func signedBy(header, claims c, alg string, key any) string {
	text := func(members c) string {
		data, err := json.Marshal(members)
		if err != nil {
			panic(err)
		}
		return b64(string(data))
	}
	input := text(header) + "." + text(claims)
	method, ok := jwa.Lookup(alg)
	if !ok {
		panic(alg)
	}
	signature, err := method.Sign(input, key)
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(signature))
}

// keyServer publishes a key set without a socket, and counts how often it is asked. Change it only between requests.
type keyServer struct {
	mu           sync.Mutex
	keys         []c
	broken       func() (status int, body string) // instead of the keys, or nil
	cacheControl string
	fetches      int
	delay        time.Duration
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetches++; s.delay > 0 {
		<-time.After(s.delay)
	}
	status, header := http.StatusOK, make(http.Header)
	data, err := json.Marshal(c{"keys": s.keys})
	body := string(data)
	if s.cacheControl != "" {
		header.Set("Cache-Control", s.cacheControl)
	}
	if tag := strconv.Quote(strconv.FormatUint(digest(body), 36)); s.broken == nil {
		header.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			status, body = http.StatusNotModified, ""
		}
	} else {
		status, body = s.broken()
	}
	return &http.Response{
		StatusCode: status, Header: header, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, err
}

// digest is FNV-1a.
func digest(text string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(text) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func (s *keyServer) publish(keys ...c) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *keyServer) breaks(with func() (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = with
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func (s *keyServer) client() *http.Client { return &http.Client{Transport: s} }

func quiet() bearer.Option { return bearer.WithLogger(slog.New(slog.DiscardHandler)) }

// How a server of keys breaks.
var breakages = []func() (int, string){
	func() (int, string) { return http.StatusServiceUnavailable, "down" },
	func() (int, string) { return http.StatusOK, `{"keys":[]}` },
	func() (int, string) { return http.StatusOK, "<!doctype html>" },
	func() (int, string) { return http.StatusNotFound, "" },
}

// world is a random configuration, seen by a Middleware that remembers tokens and one that does not, and what happens to it.
type world struct {
	*testing.T
	rand      *rand.Rand
	servers   []*keyServer // of the issuers with public keys
	names     []string     // of all issuers; the last has a secret
	secret    []byte
	cached    *bearer.Middleware
	uncached  *bearer.Middleware
	events    [2]bearer.Event
	tokens    []string
	good      []string    // those that were good once
	moments   []time.Time // at which an answer may change
	withdrawn []c
	lifetime  time.Duration
	alone     bool // the two have key sets of their own

	hits    int
	reasons map[bearer.Reason]int
}

func pick[T any](w *world, from ...T) T { return from[w.rand.IntN(len(from))] }

func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

func newWorld(t *testing.T, seed uint64, alone bool) *world {
	w := &world{
		T: t, rand: rand.New(rand.NewPCG(seed, 0)), secret: []byte(strings.Repeat("s", 64)), alone: alone,
		names:    []string{"https://one.example", "https://two.example", "https://secret.example"},
		lifetime: time.Minute, reasons: make(map[bearer.Reason]int),
	}
	for i := range 2 {
		w.servers = append(w.servers, &keyServer{})
		for range 1 + w.rand.IntN(3) {
			w.addKey(w.servers[i])
		}
	}
	var tuples [3][]bearer.IssuerOption
	audiences := []string{"api", "api", "api"}
	for i := range tuples {
		tuples[i], audiences[i] = w.tuple(i)
	}
	build := func(seen *bearer.Event, opts ...bearer.Option) *bearer.Middleware {
		opts = append(opts, quiet(), bearer.WithObserver(func(_ context.Context, e bearer.Event) { *seen = e }))
		for i, name := range w.names {
			tuple := slices.Clone(tuples[i])
			if i < len(w.servers) {
				lifetime := jwks.Lifetime(time.Second, 24*time.Hour)
				if alone {
					lifetime = jwks.Lifetime(w.lifetime, w.lifetime)
				}
				tuple = append(tuple, bearer.Keys(jwks.Remote(name+"/keys", lifetime, jwks.HTTPClient(w.servers[i].client()))))
			}
			opts = append(opts, bearer.WithIssuer(name, audiences[i], tuple...))
		}
		return mustNew(t, opts...)
	}
	w.cached = build(&w.events[0], bearer.WithCache(pick(w, 2, 8, 1000), 1<<20))
	w.uncached = build(&w.events[1], bearer.WithoutCache())
	if !alone {
		w.uncached.ShareKeys(w.cached)
	}
	return w
}

// tuple makes up how an issuer's tokens are judged.
func (w *world) tuple(i int) (opts []bearer.IssuerOption, audience string) {
	audience = "api"
	if w.chance(70) {
		opts = append(opts, bearer.Leeway(pick(w, 0, time.Nanosecond, time.Second, 5*time.Minute)))
	}
	if w.chance(25) {
		opts = append(opts, bearer.MaxLifetime(pick(w, time.Minute, time.Hour)))
	}
	switch w.rand.IntN(6) {
	case 0:
		opts = append(opts, bearer.RFC9068())
	case 1, 2:
		opts = append(opts, bearer.InsecureNoExpiry())
	case 3:
		opts, audience = append(opts, bearer.InsecureAnyAudience()), ""
	case 4:
		opts = append(opts, bearer.TokenTypes("jwt", "at+jwt"), bearer.InsecureIgnoreConfirmation())
	}
	switch {
	case i == len(w.names)-1:
		opts = append(opts, bearer.HMACSecret(w.secret), bearer.Algorithms(pick(w, []string{"HS256"}, []string{"HS256", "HS384"})...))
	case w.chance(75):
		opts = append(opts, bearer.Algorithms("ES256", "ES384", "EdDSA", "RS256"))
	}
	return opts, audience
}

// addKey publishes a key under a key id that may be another one's, or none.
func (w *world) addKey(s *keyServer) {
	key := pick(w, pairs()...)
	entry := maps.Clone(key.jwk)
	if kid := pick(w, "a", "b", "c", "a", "b", ""); kid != "" {
		entry["kid"] = kid
	}
	if w.chance(30) {
		entry["alg"] = pick(w, key.algorithms...)
	}
	s.keys = append(s.keys, entry)
}

// change is something that an issuer does.
func (w *world) change() {
	s := pick(w, w.servers...)
	at := w.rand.IntN(len(s.keys))
	keys := slices.Clone(s.keys)
	keys[at] = maps.Clone(keys[at])
	s.keys = keys
	switch w.rand.IntN(14) {
	case 0, 1:
		s.breaks(pick(w, breakages...))
	case 2, 3, 4:
		s.breaks(nil)
	case 5:
		w.addKey(s)
	case 6, 11, 12: // another key under the same key id
		keys[at] = merged(pick(w, pairs()...).jwk, c{"kid": keys[at]["kid"]})
		if keys[at]["kid"] == nil {
			delete(keys[at], "kid")
		}
	case 7:
		w.withdrawn = append(w.withdrawn, keys[at])
		if len(keys) > 1 {
			s.keys = slices.Delete(keys, at, at+1)
		}
	case 8:
		if len(w.withdrawn) > 0 {
			s.keys = append(keys, pick(w, w.withdrawn...))
		}
	case 9:
		if keys[at]["use"] != nil {
			delete(keys[at], "use")
		} else {
			keys[at]["use"] = "enc"
		}
	case 10:
		if keys[at]["alg"] != nil {
			delete(keys[at], "alg")
		} else {
			keys[at]["alg"] = pick(w, "ES256", "EdDSA", "RS256")
		}
	case 13: // the key is for other issuers
		if keys[at]["issuer"] != nil {
			delete(keys[at], "issuer")
		} else {
			keys[at]["issuer"] = pick[any](w, w.names[0], w.names[1], 7)
		}
	}
	if !w.alone && w.chance(20) {
		s.cacheControl = pick(w, "", "max-age=1", "max-age=3600", "no-cache")
	}
}

// token makes up a token, and notes when what is said about it may change.
func (w *world) token() string {
	now := time.Now()
	issuer := w.rand.IntN(len(w.names))
	claims := c{"iss": w.names[issuer], "aud": "api", "sub": fmt.Sprint("subject ", w.rand.IntN(1000)), "jti": fmt.Sprint(w.rand.Uint64())}
	claims["client_id"] = pick(w, "api", "client")
	at := func(claim string, moment time.Time) {
		claims[claim] = moment.Unix()
		if w.chance(30) {
			claims[claim] = json.Number(fmt.Sprintf("%d.%03d", moment.Unix(), w.rand.IntN(1000)))
		}
		w.moments = append(w.moments, moment)
	}
	if w.chance(85) {
		at("exp", now.Add(pick(w, -time.Minute, time.Second, time.Minute, 10*time.Minute, time.Hour, time.Hour, 100*time.Hour)))
	}
	if w.chance(20) {
		at("nbf", now.Add(pick(w, -time.Minute, time.Second, time.Minute, time.Hour)))
	}
	if w.chance(70) {
		at("iat", now.Add(pick(w, -time.Minute, 0, 0, 0, time.Minute)))
	}
	if w.chance(10) {
		claims["aud"] = pick[any](w, "other", []string{"other", "api"}, []string{}, 1, nil)
	}
	if w.chance(4) {
		claims["cnf"] = c{"jkt": "x"}
	}
	if w.chance(4) {
		claims["at_hash"] = "x"
	}
	if w.chance(4) {
		delete(claims, pick(w, "sub", "jti", "client_id", "iss"))
	}
	if w.chance(3) {
		claims["iss"] = "https://other.example"
	}
	if w.chance(50) {
		claims["scope"] = pick(w, "a", "a b", "b", "")
	}

	header, alg, key := c{}, "HS256", any(w.secret)
	if typ := pick(w, "at+jwt", "at+jwt", "at+jwt", "JWT", "application/AT+JWT", ""); typ != "" {
		header["typ"] = typ
	}
	if issuer < len(w.servers) && !w.chance(4) {
		entry := pick(w, w.servers[issuer].keys...)
		s := pairs()[slices.IndexFunc(pairs(), func(s pair) bool {
			return s.jwk["x"] == entry["x"] && s.jwk["n"] == entry["n"]
		})]
		if w.chance(10) {
			s = pick(w, pairs()...)
		}
		alg, key = pick(w, s.algorithms...), s.private
		if kid := entry["kid"]; kid != nil && !w.chance(15) {
			header["kid"] = kid
		}
	}
	if w.chance(3) {
		header["kid"] = pick(w, "a", "b", "unknown")
	}
	header["alg"] = alg
	if w.chance(3) {
		header["alg"] = pick(w, "none", "HS256", "ES256", "RS256", "EdDSA")
	}
	return w.mangled(signedBy(header, claims, alg, key))
}

// mangled is most often the token itself.
func (w *world) mangled(token string) string {
	switch i := w.rand.IntN(len(token)); w.rand.IntN(40) {
	case 0:
		return token[:i] + pick(w, "A", "-", ".", "=", "\n") + token[i+1:]
	case 1:
		return token[:i]
	case 2:
		return token + pick(w, "A", ".", "AAAA")
	case 3:
		if len(w.tokens) > 0 { // another one's signature, or claims
			return edit(token, 1+w.rand.IntN(2), func(part string) string {
				if parts := strings.Split(pick(w, w.tokens...), "."); len(parts) == 3 {
					return parts[pick(w, 1, 2)]
				}
				return part
			})
		}
	}
	return token
}

// pass lets time pass, often until something is about to change.
func (w *world) pass() {
	if w.alone { // both sets refresh at once, or neither does
		<-time.After(max(1, pick(w, 0, w.lifetime+time.Second, w.lifetime+time.Second, 5*time.Minute, time.Hour, 23*time.Hour, 25*time.Hour)))
		return
	}
	if len(w.moments) > 0 && w.chance(40) {
		moment := pick(w, w.moments...).Add(pick(w, 0, 0, 30*time.Second, 5*time.Minute, time.Second))
		if d := time.Until(moment); d >= 0 {
			<-time.After(d + pick(w, -time.Nanosecond, 0, time.Nanosecond))
			return
		}
	}
	<-time.After(pick(w, time.Nanosecond, time.Second, 10*time.Second, time.Minute, 5*time.Minute, 5*time.Minute-time.Nanosecond,
		9*time.Minute, time.Hour, 10*time.Hour, 24*time.Hour))
}

// ask gives both the same request. What they say is compared in a moment in which no keys are fetched: one that asks later may know
// more.
func (w *world) ask(token string, reqs ...bearer.Requirement) {
	w.Helper()
	for range 8 {
		fetches := w.servers[0].count() + w.servers[1].count()
		var answers [2]string
		order := []int{0, 1}
		if w.chance(50) && !w.alone {
			slices.Reverse(order)
		}
		for _, i := range order {
			answers[i] = w.answer([]*bearer.Middleware{w.cached, w.uncached}[i], &w.events[i], token, reqs)
			synctest.Wait()
		}
		if w.events[0].Cached {
			w.hits++
		}
		if w.events[1].Cached {
			w.Error("cached without a cache")
		}
		if answers[0] == answers[1] {
			w.reasons[w.events[0].Reason]++
			if w.events[0].Outcome == bearer.OutcomeAllowed {
				w.good = append(w.good, token)
			}
			return
		}
		if w.alone || fetches == w.servers[0].count()+w.servers[1].count() {
			w.Fatalf("token %s\ncached:   %s\nuncached: %s", token, answers[0], answers[1])
		}
	}
	w.Fatal("keys are fetched again and again")
}

// answer is everything that comes of a request, in words.
func (w *world) answer(auth *bearer.Middleware, event *bearer.Event, token string, reqs []bearer.Requirement) string {
	r, err := auth.Authenticate(get("Bearer "+token), reqs...)
	said := fmt.Sprintf("%s %s %q %q %q: ", event.Outcome, event.Reason, event.Issuer, event.KeyID, event.Algorithm)
	if err != nil {
		refusal := err.(*bearer.Error) //nolint:errorlint // it is documented to be one
		if !w.alone {                  // the pauses after failures are random
			said += fmt.Sprint(refusal.RetryAfter(), " ")
		}
		return said + fmt.Sprint(refusal.StatusCode(), " ", refusal)
	}
	return said + everythingOf(w.T, r)
}

// everythingOf is all that a handler can learn of the claims of a request.
func everythingOf(t *testing.T, r *http.Request) string {
	claims, ok := bearer.FromContext(r.Context())
	if !ok {
		return "no claims"
	}
	var all map[string]any
	if err := claims.Decode(&all); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%q %q %q %q %q %q %q %q %q %q %v %v %v %v %v", claims.Issuer(), claims.Subject(), claims.ID(), claims.ClientID(),
		claims.ACR(), claims.Audience(), claims.Scopes(), claims.Roles(), claims.KeyID(), claims.Algorithm(),
		claims.Expiry(), claims.NotBefore(), claims.IssuedAt(), claims.AuthTime(), all)
}

// DESIGN.md section 7: whatever the tokens, the configuration and the clock, whoever remembers tokens answers as one who does not.
// BEARER_SEED repeats one case, and BEARER_WORLDS is how many there are.
func TestCachedAndUncachedAnswersAreEqual(t *testing.T) {
	const steps = 150
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first, worlds := number("BEARER_SEED", rand.Uint64()), number("BEARER_WORLDS", 40)
	if os.Getenv("BEARER_SEED") != "" {
		worlds = 1
	}
	hits, reasons := 0, make(map[bearer.Reason]int)
	for seed := first; seed-first < worlds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, seed%3 == 0)
				for range steps {
					switch {
					case w.chance(12):
						w.change()
						w.pass()
					case w.chance(20):
						w.pass()
					}
					if len(w.tokens) < 3 || w.chance(20) {
						w.tokens = append(w.tokens, w.token())
					}
					recent := w.tokens[max(0, len(w.tokens)-12):]
					if n := len(w.good); n > 0 && w.chance(70) {
						recent = w.good[max(0, n-pick(w, 3, 10, 1000)):]
					}
					if w.chance(25) {
						w.ask(pick(w, recent...), bearer.Scopes("a"))
					} else {
						w.ask(pick(w, recent...))
					}
				}
				if err := w.cached.CheckCache(); err != nil {
					t.Error(err)
				}
				hits += w.hits
				for reason, n := range w.reasons {
					reasons[reason] += n
				}
			})
		})
	}
	t.Logf("%d hits, %v", hits, reasons)
	if worlds < 20 || t.Failed() {
		return
	}
	if hits < 300 {
		t.Errorf("only %d hits: the cases say nothing", hits)
	}
	for _, reason := range []bearer.Reason{
		"", bearer.ReasonMalformedToken, bearer.ReasonUnknownKey, bearer.ReasonKeysUnavailable, bearer.ReasonSignature, bearer.ReasonExpired,
		bearer.ReasonScope, bearer.ReasonType, bearer.ReasonAlgorithm, bearer.ReasonMissingClaim, bearer.ReasonUnknownIssuer,
	} {
		if reasons[reason] == 0 {
			t.Errorf("no case was answered with %q", reason)
		}
	}
}

// press makes tokens of one issuer with a secret, fast.
type press struct {
	mac    hash.Hash
	header string
}

const pressIssuer = "https://secret.example"

func newPress() *press {
	return &press{hmac.New(sha256.New, []byte(strings.Repeat("s", 32))), b64(`{"alg":"HS256","typ":"at+jwt"}`)}
}

// auth trusts the issuer of the press.
func (p *press) auth(t testing.TB, opts ...bearer.Option) *bearer.Middleware {
	t.Helper()
	trust := bearer.WithIssuer(pressIssuer, "api", bearer.HMACSecret([]byte(strings.Repeat("s", 32))))
	return mustNew(t, append(opts, trust)...)
}

// token is good for an hour, and says more than it must.
func (p *press) token(sub string, more ...string) string {
	claims := fmt.Sprintf(`{"iss":%q,"aud":"api","exp":%d,"sub":%q%s}`, pressIssuer, time.Now().Add(time.Hour).Unix(), sub, strings.Join(more, ""))
	input := p.header + "." + b64(claims)
	p.mac.Reset()
	_, _ = p.mac.Write([]byte(input))
	return input + "." + b64(string(p.mac.Sum(nil)))
}

// remembers verifies a token twice and reports whether the second time was a hit.
func remembers(t testing.TB, auth *bearer.Middleware, token string) bool {
	t.Helper()
	wantReason(t, auth, token, "")
	_, held := auth.CachedToken(token)
	return held
}

// seen is a Middleware's last event.
func seen(last *bearer.Event) bearer.Option {
	return bearer.WithObserver(func(_ context.Context, e bearer.Event) { *last = e })
}

// A hit is a fact about a token, never a decision about a request: what a route demands is looked at each time.
func TestRequirementsAreCheckedOnEveryHit(t *testing.T) {
	p := newPress()
	var last bearer.Event
	auth := p.auth(t, seen(&last))
	token := p.token("alice", `,"scope":"a"`)
	calls, verdict := 0, error(nil)
	judge := bearer.Func("judge", func(*http.Request, *bearer.Claims) error {
		calls++
		return verdict
	})
	for i := range 3 {
		wantReason(t, auth, token, "", bearer.Scopes("a"))
		if last.Cached != (i > 0) {
			t.Errorf("request %d: cached %v", i, last.Cached)
		}
		wantReason(t, auth, token, bearer.ReasonScope, bearer.Scopes("a", "b"))
		wantReason(t, auth, token, bearer.ReasonRole, bearer.Roles("a"))
		verdict = nil
		wantReason(t, auth, token, "", judge)
		verdict = io.EOF
		wantReason(t, auth, token, bearer.ReasonPolicy, judge)
		verdict = bearer.ErrUnavailable
		wantReason(t, auth, token, bearer.ReasonPolicyUnavailable, judge)
		if calls != 3*(i+1) {
			t.Errorf("%d calls of a Func in %d requests", calls, 3*(i+1))
		}
	}
	if err := auth.Close(); err != nil {
		t.Error(err)
	}
	wantReason(t, auth, token, bearer.ReasonClosed)
}

// The clock decides to the nanosecond, for known tokens as for new ones.
func TestKnownTokensExpireToTheNanosecond(t *testing.T) {
	for name, leeway := range map[string]time.Duration{"no leeway": 0, "a leeway": 17 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last bearer.Event
				secret := []byte(strings.Repeat("s", 32))
				auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", bearer.HMACSecret(secret), bearer.Leeway(leeway)), seen(&last))
				exp := time.Now().Add(time.Hour)
				token := newPress().token("alice")
				for _, before := range []time.Duration{time.Hour, time.Minute, time.Second, 1} {
					<-time.After(time.Until(exp.Add(leeway - before)))
					wantReason(t, auth, token, "")
					if known := before < time.Hour; last.Cached != known {
						t.Errorf("%v before the end: cached %v", before, last.Cached)
					}
				}
				<-time.After(1)
				wantReason(t, auth, token, bearer.ReasonExpired)
				wantReason(t, auth, token, bearer.ReasonExpired)
				if _, _, found := auth.CacheSize(); last.Cached || found != 0 {
					t.Error("an expired token is remembered")
				}
			})
		})
	}
}

// A token without exp is verified anew every five minutes.
func TestTokensWithoutExpiryAreVerifiedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last bearer.Event
		secret := []byte(strings.Repeat("s", 32))
		auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", bearer.HMACSecret(secret), bearer.InsecureNoExpiry()), seen(&last))
		token := signedBy(c{"alg": "HS256"}, c{"iss": pressIssuer, "aud": "api"}, "HS256", secret)
		for range 3 {
			for _, step := range []struct {
				after time.Duration
				known bool
			}{{0, false}, {time.Minute, true}, {4*time.Minute - 1, true}} {
				<-time.After(step.after)
				wantReason(t, auth, token, "")
				if last.Cached != step.known {
					t.Errorf("cached %v, want %v", last.Cached, step.known)
				}
			}
			<-time.After(1)
		}
	})
}

// What the issuer does to its keys takes effect on the next request of a known token.
func TestKeysOfKnownTokens(t *testing.T) {
	key := pairs()[0]
	named := merged(key.jwk, c{"kid": "a"})
	const name = "https://one.example"
	setUp := func(t *testing.T) (*keyServer, *bearer.Middleware, string, *bearer.Event) {
		server, last := &keyServer{}, &bearer.Event{}
		server.publish(named)
		source := jwks.Remote(name+"/keys", jwks.HTTPClient(server.client()), jwks.Lifetime(10*time.Minute, 10*time.Minute))
		auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Keys(source)), quiet(), seen(last))
		token := signedBy(c{"alg": "ES256", "kid": "a"}, c{"iss": name, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}, "ES256", key.private)
		for _, known := range []bool{false, true} {
			wantReason(t, auth, token, "")
			if last.Cached != known || last.KeyID != "a" || last.Algorithm != "ES256" || last.Issuer != name {
				t.Errorf("event %+v", *last)
			}
		}
		return server, auth, token, last
	}
	const stale = 11 * time.Minute
	for what, test := range map[string]struct {
		keys  []c
		want  bearer.Reason
		known bool
	}{
		"the same":                      {[]c{named}, "", true},
		"said otherwise":                {[]c{merged(named, c{"use": "sig", "x5t": "abc"})}, "", true},
		"among others":                  {[]c{merged(pairs()[1].jwk, c{"kid": "a"}), named, merged(pairs()[3].jwk, c{"kid": "b"})}, "", true},
		"withdrawn":                     {[]c{merged(pairs()[1].jwk, c{"kid": "b"})}, bearer.ReasonUnknownKey, false},
		"another under its key id":      {[]c{merged(pairs()[1].jwk, c{"kid": "a"})}, bearer.ReasonSignature, false},
		"another type under its key id": {[]c{merged(pairs()[3].jwk, c{"kid": "a"})}, bearer.ReasonUnknownKey, false},
		"under another key id":          {[]c{merged(named, c{"kid": "b"})}, bearer.ReasonUnknownKey, false},
		"for encryption":                {[]c{merged(named, c{"use": "enc"})}, bearer.ReasonUnknownKey, false},
		"not for verifying":             {[]c{merged(named, c{"key_ops": []string{"encrypt"}})}, bearer.ReasonUnknownKey, false},
		"for its algorithm alone":       {[]c{merged(named, c{"alg": "ES256"})}, "", false},
		"for another algorithm":         {[]c{merged(named, c{"alg": "ES384"})}, bearer.ReasonUnknownKey, false},
		"after four others": {[]c{
			merged(pairs()[1].jwk, c{"kid": "a"}), merged(pairs()[1].jwk, c{"kid": "a", "alg": "ES256"}),
			merged(pairs()[7].jwk, c{"kid": "a"}), merged(pairs()[8].jwk, c{"kid": "a"}), named,
		}, bearer.ReasonSignature, false},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, auth, token, last := setUp(t)
				server.publish(test.keys...)
				<-time.After(stale)
				wantReason(t, auth, token, test.want)
				if last.Cached != test.known {
					t.Errorf("cached %v", last.Cached)
				}
				server.publish(named)
				<-time.After(stale)
				wantReason(t, auth, token, "")
			})
		})
	}
	t.Run("too old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, auth, token, last := setUp(t)
			server.breaks(breakages[0])
			<-time.After(24*time.Hour - 1)
			wantReason(t, auth, token, "")
			if !last.Cached {
				t.Error("stale keys are good for known tokens")
			}
			<-time.After(1)
			wantReason(t, auth, token, bearer.ReasonKeysUnavailable)
			<-time.After(time.Minute)
			wantReason(t, auth, token, bearer.ReasonKeysUnavailable)
			server.breaks(nil)
			<-time.After(time.Minute)
			wantReason(t, auth, token, "")
		})
	})
	t.Run("refreshed by hits alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, auth, token, last := setUp(t)
			for range 100 {
				<-time.After(time.Minute)
				wantReason(t, auth, token, "")
				if !last.Cached {
					t.Error("not cached")
				}
				synctest.Wait()
			}
			if n := server.count(); n < 10 || n > 14 {
				t.Errorf("%d fetches in 100 minutes", n)
			}
			for fetched := server.count(); server.count() == fetched; synctest.Wait() {
				<-time.After(time.Minute)
				wantReason(t, auth, token, "")
			}
			server.publish(merged(pairs()[1].jwk, c{"kid": "b"}))
			<-time.After(9*time.Minute + time.Second) // the refresh is due, and nobody waits for it
			wantReason(t, auth, token, "")
			synctest.Wait()
			wantReason(t, auth, token, bearer.ReasonUnknownKey)
		})
	})
}

// A request that waits for keys is judged by the time at which it has them, not by that of its arrival.
func TestTheClockAfterWaitingForKeys(t *testing.T) {
	const name = "https://one.example"
	for what, test := range map[string]struct {
		idle, delay time.Duration
		opts        []jwks.Option
	}{
		"stale keys":   {2 * time.Hour, 1500 * time.Millisecond, nil},
		"expired keys": {25 * time.Hour, 4 * time.Second, nil},
		"a long wait":  {25 * time.Hour, 4 * time.Second, []jwks.Option{jwks.ColdWait(time.Minute)}},
	} {
		for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
			t.Run(what+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := &keyServer{}
					server.publish(merged(pairs()[3].jwk, c{"kid": "a"}))
					source := jwks.Remote(name+"/keys", append(test.opts, jwks.HTTPClient(server.client()))...)
					auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Leeway(0), bearer.Keys(source)), quiet(), cache)
					exp := time.Now().Add(test.idle)
					claims := c{"iss": name, "aud": "api", "exp": exp.Unix()}
					token := signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", pairs()[3].private)
					wantReason(t, auth, token, "")
					server.delay = test.delay
					<-time.After(time.Until(exp.Add(-time.Second)))
					wantReason(t, auth, token, bearer.ReasonExpired)
				})
			})
		}
	}
}

func TestCacheOptions(t *testing.T) {
	trust := bearer.WithIssuer("https://issuer.test", "api")
	const most, least = 1 << 24, 64 << 10
	for name, test := range map[string]struct {
		opts []bearer.Option
		errs []string
	}{
		"fewest":           {[]bearer.Option{bearer.WithCache(1, least)}, nil},
		"most":             {[]bearer.Option{bearer.WithCache(most, math.MaxInt)}, nil},
		"off":              {[]bearer.Option{bearer.WithoutCache()}, nil},
		"none":             {[]bearer.Option{bearer.WithCache(0, least)}, []string{"WithCache"}},
		"negative":         {[]bearer.Option{bearer.WithCache(-1, least)}, []string{"WithCache"}},
		"too many":         {[]bearer.Option{bearer.WithCache(most+1, least)}, []string{"WithCache"}},
		"too few bytes":    {[]bearer.Option{bearer.WithCache(1, least-1)}, []string{"WithCache"}},
		"both wrong":       {[]bearer.Option{bearer.WithCache(0, 0)}, []string{"WithCache", "WithCache"}},
		"twice":            {[]bearer.Option{bearer.WithCache(1, least), bearer.WithCache(1, least)}, []string{"WithCache"}},
		"off twice":        {[]bearer.Option{bearer.WithoutCache(), bearer.WithoutCache()}, []string{"WithoutCache"}},
		"bounded, and off": {[]bearer.Option{bearer.WithCache(1, least), bearer.WithoutCache()}, []string{"WithoutCache"}},
		"off, and bounded": {[]bearer.Option{bearer.WithoutCache(), bearer.WithCache(1, least)}, []string{"WithCache"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bearer.New(append(test.opts, trust)...)
			var got []string
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, err := range joined.Unwrap() {
					got = append(got, err.(*bearer.ConfigError).Option) //nolint:errorlint // it is documented to be one
				}
			}
			if !slices.Equal(got, test.errs) {
				t.Errorf("mistakes in %q, want %q: %v", got, test.errs, err)
			}
		})
	}
}

// The bounds hold whatever comes, and memory is taken neither before the first token nor after the end.
func TestBoundsOfTheCache(t *testing.T) {
	p := newPress()
	for name, test := range map[string]struct{ entries, bytes, tokens, most int }{
		"by entries":   {1000, 1 << 30, 20_000, 1000},
		"by bytes":     {1 << 16, 1 << 20, 20_000, 1 << 20 / 900},
		"one entry":    {1, 1 << 20, 1000, 1},
		"two entries":  {2, 1 << 20, 1000, 2},
		"fewest bytes": {1 << 16, 64 << 10, 2000, 64 << 10 / 900},
	} {
		t.Run(name, func(t *testing.T) {
			auth := p.auth(t, bearer.WithCache(test.entries, test.bytes))
			if table, ghosts := auth.CachePlaces(); table != 0 || ghosts != 0 {
				t.Errorf("%d and %d places before the first token", table, ghosts)
			}
			for i := range test.tokens {
				token := p.token(strconv.Itoa(i))
				if !remembers(t, auth, token) {
					t.Fatalf("token %d is not remembered", i)
				}
				if i%4999 == 0 {
					if entries, bytes, _ := auth.CacheSize(); entries > test.entries || bytes > test.bytes {
						t.Fatalf("%d entries, %d bytes", entries, bytes)
					}
				}
			}
			entries, bytes, found := auth.CacheSize()
			if entries > test.most || found != entries || entries < test.most*3/4 || bytes > test.bytes {
				t.Errorf("%d entries of %d bytes, of which %d are found; want %d at most", entries, bytes, found, test.most)
			}
			if err := auth.CheckCache(); err != nil {
				t.Error(err)
			}
			_ = auth.Close()
			table, ghosts := auth.CachePlaces()
			if entries, bytes, _ := auth.CacheSize(); entries+bytes+table+ghosts != 0 {
				t.Errorf("after the end: %d entries, %d bytes, %d and %d places", entries, bytes, table, ghosts)
			}
		})
	}
}

// heap is how much memory is in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one found to be unused in pools
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// WithCache: how many bytes they take in memory. So the bound is one of memory, and not of what was counted.
func TestMemoryOfTheCache(t *testing.T) {
	for name, test := range map[string]struct {
		entries, bytes int
		more           func(i int) string // claims
	}{
		"small tokens":             {1 << 14, 8 << 20, func(int) string { return "" }},
		"large tokens":             {1 << 12, 2 << 20, func(int) string { return `,"x":"` + strings.Repeat("x", 8000) + `"` }},
		"many entries, few bytes":  {1 << 24, 64 << 10, func(int) string { return "" }},
		"tokens of many scopes":    {1 << 12, 2 << 20, func(int) string { return `,"scope":"` + manyWords(3000) + `"` }},
		"large headers":            {1 << 12, 2 << 20, func(int) string { return "" }},
		"tokens of many roles":     {1 << 12, 2 << 20, func(int) string { return `,"roles":["` + strings.ReplaceAll(manyWords(1500), " ", `","`) + `"]` }},
		"long claims, one escape":  {1 << 12, 8 << 20, func(int) string { return `,"jti":"\n` + strings.Repeat("x", 4000) + `"` }},
		"tokens with many escapes": {1 << 12, 2 << 20, func(int) string { return `,"jti":"` + strings.Repeat(`\n`, 4000) + `"` }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress()
			auth := p.auth(t, bearer.WithCache(test.entries, test.bytes))
			before := heap()
			for i := range 12_000 {
				if name == "large headers" {
					p.header = b64(fmt.Sprintf(`{"alg":"HS256","kid":"%d","x":%q}`, i, strings.Repeat("x", 8000)))
				}
				token := p.token(strconv.Itoa(i), test.more(i))
				if _, err := auth.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				if i*len(token) > 2*test.bytes {
					break
				}
			}
			_, counted, _ := auth.CacheSize()
			used := heap() - before
			t.Logf("%d bytes in memory, %d counted, %d allowed", used, counted, test.bytes)
			// Beside it there are the last 64 headers, as they stand in tokens and decoded.
			if limit := test.bytes + test.bytes/4 + 256<<10 + 64*2*len(p.header); used > limit {
				t.Errorf("the cache takes %d bytes, want at most %d; it counts %d", used, limit, counted)
			}
			if counted < test.bytes/2 {
				t.Errorf("%d bytes of %d are used", counted, test.bytes)
			}
			runtime.KeepAlive(auth)
		})
	}
}

// manyWords are different words, as short as they can be.
func manyWords(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = strconv.FormatInt(int64(i), 36)
	}
	return strings.Join(words, " ")
}

// One token must not displace all others.
func TestLargeTokensAreNotCached(t *testing.T) {
	p := newPress()
	auth := p.auth(t, bearer.WithCache(1000, 64<<10))
	if token := p.token("small"); !remembers(t, auth, token) {
		t.Error("a small token is not remembered")
	}
	for _, claim := range []string{`,"x":"` + strings.Repeat("x", 4000) + `"`, `,"x":"` + strings.Repeat("x", 8000) + `"`} {
		if token := p.token("large", claim); remembers(t, auth, token) {
			t.Errorf("a token of %d bytes is remembered", len(token))
		}
	}
	if _, bytes, found := auth.CacheSize(); found != 1 || bytes > 64<<10/8 {
		t.Errorf("%d tokens, %d bytes", found, bytes)
	}
}

// Tokens that come once or twice and never again do not displace those in use.
func TestHotTokensOutlastAScan(t *testing.T) {
	const hot, passing, entries = 1000, 30_000, 2000
	for name, test := range map[string]struct {
		bounds bearer.Option
		times  int // that one of them comes
		uses   int // of hot tokens, meanwhile
	}{
		"once, by entries":  {bearer.WithCache(entries, 1<<30), 1, 1},
		"twice, by entries": {bearer.WithCache(entries, 1<<30), 2, 3},
		"once, by bytes":    {bearer.WithCache(1<<20, entries*1200), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress()
			var last bearer.Event
			auth := p.auth(t, test.bounds, seen(&last))
			verify := func(token string) (hit int) {
				if _, err := auth.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				if last.Cached {
					return 1
				}
				return 0
			}
			tokens := func(name string) (all []string) {
				for i := range hot {
					all = append(all, p.token(fmt.Sprint(name, i)))
				}
				return all
			}
			first, hits := tokens("hot "), 0
			for i := range 2 * hot {
				verify(first[i%hot])
			}
			for i := range passing {
				once := p.token(fmt.Sprint("passing ", i))
				for range test.times {
					verify(once)
				}
				for n := range test.uses {
					hits += verify(first[(i*test.uses+n)%hot])
				}
			}
			if requests := passing * test.uses; hits*100 < requests*95 {
				t.Errorf("%d hits in %d requests of hot tokens", hits, requests)
			}
			// Those that were hot and are not any more make room in the end.
			second, hits := tokens("hot again "), 0
			for i := range 10 * hot {
				verify(second[i%hot])
			}
			for _, token := range second {
				hits += verify(token)
			}
			if hits != hot {
				t.Errorf("%d hits in %d requests of tokens that have become hot", hits, hot)
			}
		})
	}
}

// A request that is under way when the Middleware is closed leaves nothing behind.
func TestNothingIsRememberedAfterTheEnd(t *testing.T) {
	p := newPress()
	var tokens []string
	for i := range 400 {
		tokens = append(tokens, p.token(strconv.Itoa(i)))
	}
	for range 20 {
		auth := p.auth(t)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range tokens {
					if g == 0 && i == len(tokens)/4 {
						_ = auth.Close()
					}
					if _, err := auth.Verify(t.Context(), tokens[(i+g*100)%len(tokens)]); err != nil && reasonOf(t, err) != bearer.ReasonClosed {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if table, ghosts := auth.CachePlaces(); table+ghosts != 0 {
			t.Fatalf("%d and %d places after the end", table, ghosts)
		}
	}
}

// A hash finds a place, and decides nothing: with one chain, and even with one hash, every token is what it is.
func TestCollidingTokens(t *testing.T) {
	p := newPress()
	auth := p.auth(t)
	auth.OneChain()
	var tokens []string
	for i := range 16 { // as many as one chain holds
		tokens = append(tokens, p.token(strconv.Itoa(i)))
		wantReason(t, auth, tokens[i], "")
	}
	stranger := p.token("stranger")
	forgery := forged(tokens[3])
	for _, token := range tokens[1:14] {
		auth.Collide(token, tokens[0])
	}
	auth.Collide(tokens[14], forgery)
	auth.Collide(tokens[15], stranger)
	wantReason(t, auth, forgery, bearer.ReasonSignature)
	for i, token := range append(tokens, stranger) {
		claims, err := auth.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if want := strconv.Itoa(i); claims.Subject() != want && token != stranger || token == stranger && claims.Subject() != "stranger" {
			t.Errorf("token %d got the claims of %q", i, claims.Subject())
		}
	}
}

// Whatever goes on at the same time, nobody gets another token's claims, nor one whose key is withdrawn, and the cache holds together.
func TestCacheStorm(t *testing.T) {
	const goroutines, bursts, requests, tokens = 8, 12, 60, 40
	for name, test := range map[string]struct {
		entries int
		chain   bool
	}{"many chains": {15, false}, "one chain": {15, true}, "room for all": {1000, true}, "one entry": {1, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const issuer = "https://one.example"
				server := &keyServer{}
				keys := []pair{pairs()[3], pairs()[4]}
				source := jwks.Remote(issuer+"/keys", jwks.HTTPClient(server.client()), jwks.Lifetime(time.Second, time.Second))
				auth := mustNew(t, bearer.WithIssuer(issuer, "api", bearer.Keys(source), bearer.InsecureNoExpiry()),
					bearer.WithCache(test.entries, 1<<20), quiet())
				if test.chain {
					auth.OneChain()
				}
				all := make([]string, tokens)
				for i := range all {
					claims := c{"iss": issuer, "aud": "api", "sub": strconv.Itoa(i)}
					all[i] = signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", keys[i%2].private)
				}
				for burst := range bursts { // in each the issuer has another key under the same key id
					server.publish(merged(keys[burst%2].jwk, c{"kid": "a"}))
					<-time.After(2 * time.Second)
					var wg sync.WaitGroup
					for g := range goroutines {
						wg.Go(func() {
							choose := rand.New(rand.NewPCG(uint64(g), uint64(burst)))
							for range requests {
								i := choose.IntN(tokens)
								if choose.IntN(3) == 0 {
									i %= 4
								}
								claims, err := auth.Verify(t.Context(), all[i])
								if want := burst%2 == i%2; want != (err == nil) || want && claims.Subject() != strconv.Itoa(i) {
									t.Errorf("burst %d: token %d got %v, and an error: %v", burst, i, claims, err)
									return
								}
							}
						})
					}
					wg.Wait()
					if err := auth.CheckCache(); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// What is remembered are copies, so that it does not keep the header of a request in memory, nor what stands beside it there.
func TestCacheKeepsNoRequestInMemory(t *testing.T) {
	const beside = 64 << 20
	p := newPress()
	p.header = b64(`{"alg":"HS256","kid":"a","typ":"at+jwt"}`)
	auth := p.auth(t)
	token := p.token("alice", `,"scope":"a b","client_id":"x"`)
	before := heap()
	claims := func() *bearer.Claims {
		r, err := auth.Authenticate(get(("Bearer " + token + strings.Repeat("x", beside))[:len("Bearer ")+len(token)]))
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := bearer.FromContext(r.Context())
		return claims
	}()
	if used := heap() - before; used > beside/2 {
		t.Errorf("%d bytes of a request are still in memory", used)
	}
	if _, held := auth.CachedToken(token); !held || !auth.HeaderKnown(p.header) || claims.Subject() != "alice" {
		t.Error("nothing is remembered")
	}
}
