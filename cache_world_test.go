package bearer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/jwks"
)

// pair is a private key and the algorithms it signs with.
type pair struct {
	private    crypto.Signer
	algorithms []string
	jwk        c // its public half, without kid, use and alg
}

// pairs are made once: making them costs more than everything done with them.
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
	method, ok := jws.Lookup(alg)
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
	if name, found := strings.CutSuffix(r.URL.String(), "/metadata"); found {
		data, err = json.Marshal(c{"issuer": name, "jwks_uri": name + "/keys"})
	}
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

// world is a random configuration and its history, for a Middleware with a cache and one without.
type world struct {
	*testing.T
	rand      *rand.Rand
	servers   []*keyServer // of the issuers with public keys
	names     []string     // of all issuers; the last has a secret
	secret    []byte
	newSecret []byte // of issuers that replace theirs
	cached    *bearer.Middleware
	uncached  *bearer.Middleware
	events    [2]bearer.Event
	tokens    []string
	good      []string    // those that were good once
	moments   []time.Time // at which an answer may change
	withdrawn []c
	lifetime  time.Duration
	alone     bool // the two have key sets of their own
	put       func(r *http.Request, token string)
	route     []bearer.RouteOption // what the place of put needs
	stale     []bearer.RouteOption // for routes that require nothing

	hits    int
	reasons map[bearer.Reason]int
}

func pick[T any](w *world, from ...T) T { return from[w.rand.IntN(len(from))] }

func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

func newWorld(t *testing.T, seed uint64, alone bool) *world {
	w := &world{
		T: t, rand: rand.New(rand.NewPCG(seed, 0)), secret: []byte(strings.Repeat("s", 64)), newSecret: []byte(strings.Repeat("t", 64)), alone: alone,
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
	several := []bool{!alone && w.chance(30), !alone && w.chance(30)}
	sources := []func(string, ...jwks.Option) jwks.Source{w.source(), w.source()}
	filed := w.keysFile()
	w.choosePlace()
	build := func(seen *bearer.Event, opts ...bearer.Option) *bearer.Middleware {
		opts = append(opts, quiet(), observing(func(e bearer.Event) { *seen = e }))
		for i, name := range w.names {
			tuple := slices.Clone(tuples[i])
			if i < len(w.servers) {
				lifetime := jwks.WithLifetime(time.Second, 24*time.Hour)
				if alone {
					lifetime = jwks.WithLifetime(w.lifetime, w.lifetime)
				}
				source := sources[i](name, lifetime, jwks.WithHTTPClient(w.servers[i].client()))
				if several[i] { // the second has other keys, and its own outages
					other := jwks.Remote(name+"/more", lifetime, jwks.WithHTTPClient(w.servers[1-i].client()))
					source = jwks.AnyOf(source, other, jwks.File(filed))
				}
				tuple = append(tuple, bearer.Keys(source))
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

// source is one of the ways to fetch an issuer's keys.
func (w *world) source() func(name string, opts ...jwks.Option) jwks.Source {
	var more []jwks.Option
	if w.chance(30) {
		more = append(more, jwks.WithFetchTimeout(30*time.Second))
	}
	if w.chance(50) {
		more = append(more, jwks.WithJWTSVIDKeys())
	}
	elsewhere := w.chance(30)
	return func(name string, opts ...jwks.Option) jwks.Source {
		opts = append(opts, more...)
		if elsewhere {
			return jwks.Discover(name, append(opts, jwks.WithMetadataURL(name+"/metadata"))...)
		}
		return jwks.Remote(name+"/keys", opts...)
	}
}

// keysFile is a file with one key, which is not written any more.
func (w *world) keysFile() string {
	path := filepath.Join(w.TempDir(), "keys.json")
	text := jsonText(c{"keys": []c{merged(pick(w, pairs()...).jwk, c{"kid": "b"})}})
	written := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, written, written)); err != nil {
		w.Fatal(err)
	}
	return path
}

// choosePlace makes up where tokens are.
func (w *world) choosePlace() {
	header := bearer.FromHeader()
	w.put = inAuthorization
	switch w.rand.IntN(8) {
	case 0:
		w.put, w.route = inHeaderOf("X-Token", ""), []bearer.RouteOption{bearer.TokensFrom(header, bearer.FromHeader("X-Token"))}
	case 1:
		w.put, w.route = inHeaderOf("Authorization", "Token "), []bearer.RouteOption{bearer.TokensFrom(header, bearer.FromHeaderScheme("Authorization", "Token"))}
	case 2:
		w.put, w.route = inSession, []bearer.RouteOption{bearer.TokensFrom(bearer.FirstOf(bearer.FromCookie("session"), header))}
	case 3:
		w.put, w.route = inSession, []bearer.RouteOption{bearer.TokensFrom(bearer.FromCookie("session"))}
		w.stale = []bearer.RouteOption{bearer.Optional(), bearer.StaleCookieIsAnonymous()}
	}
}

// tuple makes up the options by which an issuer's tokens are judged.
func (w *world) tuple(i int) (opts []bearer.IssuerOption, audience string) {
	audience = "api"
	if w.chance(70) {
		opts = append(opts, bearer.Leeway(pick(w, 0, time.Nanosecond, time.Second, 5*time.Minute)))
	}
	if w.chance(25) {
		opts = append(opts, bearer.MaxLifetime(pick(w, time.Minute, time.Hour)))
	}
	for _, option := range []bearer.IssuerOption{
		bearer.ClientIDClaim("cid", "client_id"), bearer.ScopeClaim("scope", "ext.scope"), bearer.RolesClaim("roles", "ext.roles"),
		bearer.RolesFromMembers(), bearer.RolesSeparatedBySpaces(), bearer.AnyClaimPresent("scope", "ext"),
	} {
		if w.chance(20) {
			opts = append(opts, option)
		}
	}
	profile := w.rand.IntN(6)
	if profile != 0 && w.chance(25) {
		opts = append(opts, bearer.InsecureIDTokens())
	}
	if profile != 0 && i == 0 && w.chance(60) {
		opts = append(opts, bearer.InsecureNoIssuer())
	}
	switch profile {
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
		secrets := pick(w, [][]byte{w.secret}, [][]byte{w.secret, w.newSecret})
		opts = append(opts, bearer.HMACSecret(secrets...), bearer.Algorithms(pick(w, []string{"HS256"}, []string{"HS256", "HS384"})...))
	case w.chance(30):
		opts = append(opts, bearer.HMACSecretBesideKeys(w.secret, w.newSecret))
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
	if w.chance(30) {
		entry["x5t#S256"] = pick(w, "one", "two")
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
	switch w.rand.IntN(15) {
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
			keys[at]["use"] = pick(w, "enc", "jwt-svid")
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
	case 14: // the key has another certificate
		if keys[at]["x5t#S256"] != nil {
			delete(keys[at], "x5t#S256")
		} else {
			keys[at]["x5t#S256"] = pick[any](w, "one", "two", 7)
		}
	}
	if !w.alone && w.chance(20) {
		s.cacheControl = pick(w, "", "max-age=1", "max-age=3600", "no-cache")
	}
}

// token makes up a token, and records the times at which the answer to it may change.
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
		claims[pick(w, "at_hash", "at_hash", "events")] = "x"
	}
	if w.chance(4) {
		claims[pick(w, "token_use", "typ")] = pick[any](w, "id", "ID", "refresh", "access", 1)
	}
	if w.chance(8) {
		delete(claims, pick(w, "sub", "jti", "client_id", "iss", "iss", "iss"))
	}
	if w.chance(3) {
		claims["iss"] = pick[any](w, "", nil, 1)
	}
	if w.chance(30) {
		claims["ext"] = c{"scope": pick(w, "a", "c d"), "roles": pick[any](w, "r s", []string{"r"}, c{"r": c{}, "s": false}, nil)}
		claims["roles"] = pick[any](w, "r", c{"u": true}, []string{"r", "s"}, 1)
		claims["cid"] = pick[any](w, "client", "client", "", 1)
	}
	if w.chance(3) {
		claims["iss"] = "https://other.example"
	}
	if w.chance(50) {
		claims["scope"] = pick(w, "a", "a b", "b", "")
	}

	header, alg, key := c{}, "HS256", any(pick(w, w.secret, w.secret, w.newSecret))
	if typ := pick(w, "at+jwt", "at+jwt", "at+jwt", "JWT", "application/AT+JWT", ""); typ != "" {
		header["typ"] = typ
	}
	if issuer < len(w.servers) && !w.chance(10) {
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
		if x5t := entry["x5t#S256"]; x5t != nil && w.chance(40) || w.chance(5) {
			header["x5t#S256"] = x5t
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

// mangled returns a damaged copy of a token or, most often, the token itself.
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

// ask gives both the same request. Their answers are compared while no keys are being fetched,
// because the one that asks later may know more.
func (w *world) ask(token string, reqs ...bearer.RouteOption) {
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

// answer is everything that a request leads to, as text.
func (w *world) answer(auth *bearer.Middleware, event *bearer.Event, token string, reqs []bearer.RouteOption) string {
	reqs = append(slices.Clone(reqs), w.route...)
	if len(reqs) == len(w.route) {
		reqs = append(reqs, w.stale...)
	}
	r, err := auth.Guard(reqs...).Authenticate(requestWith(w.put, token))
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
	return mustNew(t, append(opts, p.trust())...)
}

// trust is the option that trusts the issuer of the press, and reads its claims as the options say.
func (p *press) trust(opts ...bearer.IssuerOption) bearer.Option {
	secret := bearer.HMACSecret([]byte(strings.Repeat("s", 32)))
	return bearer.WithIssuer(pressIssuer, "api", append(opts, secret)...)
}

// token is good for an hour, and has more claims than it needs.
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
	return observing(func(e bearer.Event) { *last = e })
}
