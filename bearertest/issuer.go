package bearertest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/internal/jws"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keySetPath    = "/jwks"
)

// Issuer is an issuer of tokens for tests: it publishes a discovery document (OpenID Connect
// Discovery 1.0 section 4) and a key set (RFC 7517 section 5), and it signs whatever it is asked
// to: see [Issuer.Token]. Package oauthtest makes an authorization server of it.
//
// It misbehaves on request: see [Issuer.SetFault] and [Fault]. A request that meets a fault is
// counted like every other. The issuer goes on signing all the while: a service that has its keys
// has no reason to refuse a token.
//
// It is itself the [http.Handler] that answers for it, at the paths below its URL, so that it can
// be mounted on a server of your own. Its methods may be called from several goroutines at once.
// Make one with [NewIssuer], [NewServer] or [NewTLSServer].
type Issuer struct {
	url       string
	origin    *url.URL // url, parsed
	audience  string
	algorithm string         // as asked for: "Ed25519" and "EdDSA" are two names of one algorithm
	method    *jws.Algorithm // what it stands for
	defaults  []Claims
	caching   string // the Cache-Control of the key set, or "" for none
	transport http.RoundTripper
	secure    bool // it is served over TLS

	mu       sync.Mutex
	current  *key                    // nil until a key is needed
	previous *key                    // nil until the first Rotate, and after RotateWithoutOverlap
	fault    http.HandlerFunc        // what answers instead, or nil while nothing is wrong
	changes  int                     // of the fault
	handlers map[string]http.Handler // by the path below url; see Handle
	requests int
	paths    map[string]int // the requests for each path below url
}

// NewIssuer returns an issuer that lives inside the process, at "https://issuer.test" unless
// [WithURL] says otherwise. It opens no socket, starts no goroutine and needs no cleanup; it is
// reached through [Issuer.Client].
func NewIssuer(opts ...IssuerOption) *Issuer {
	issuer := newIssuer(slices.Concat([]IssuerOption{WithURL(defaultURL)}, opts))
	issuer.transport = newInProcess(issuer.origin, issuer, elsewhere(issuer.origin))
	return issuer
}

// NewServer returns an issuer that listens on the loopback interface until the test ends. Its URL
// is "http://127.0.0.1" and its port, which package bearer trusts without https because nothing of
// it leaves the machine. The option [WithURL] fails the test. Sockets do not settle inside a
// [testing/synctest] bubble; use [NewIssuer] there.
//
// The end of the test also ends the requests that a fault keeps waiting.
func NewServer(tb testing.TB, opts ...IssuerOption) *Issuer {
	tb.Helper()
	return listen(tb, "NewServer", "http", opts)
}

// NewTLSServer is [NewServer] with https, as oauthtest.WithCertificateClient needs it. Its URL is
// "https://127.0.0.1" and its port. [Issuer.Client] trusts its certificate; to prove itself a
// client makes one with a certificate of its own:
//
//	transport := issuer.Client().Transport.(*http.Transport).Clone()
//	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
//
// The server's certificate is not good for the origin that [Redirect] leads to: a client that
// follows gets an error.
func NewTLSServer(tb testing.TB, opts ...IssuerOption) *Issuer {
	tb.Helper()
	return listen(tb, "NewTLSServer", "https", opts)
}

func listen(tb testing.TB, name, scheme string, opts []IssuerOption) *Issuer {
	tb.Helper()
	issuer := newIssuer(opts)
	if issuer.url != "" {
		tb.Fatalf("bearertest: %s: the option WithURL is for NewIssuer; a server's URL is its address", name)
	}
	server := httptest.NewUnstartedServer(issuer)
	WithURL(scheme + "://" + server.Listener.Addr().String())(issuer)
	// Close waits for every request that is under way. Those that wait for the time or for their
	// client end with the test's context, also one that comes in later; those that write to a client
	// which does not read end with their connection.
	server.Config.BaseContext = func(net.Listener) context.Context { return tb.Context() }
	if scheme == "https" {
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		server.StartTLS()
		issuer.secure = true
	} else {
		server.Start()
	}
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	issuer.transport = server.Client().Transport
	return issuer
}

func newIssuer(opts []IssuerOption) *Issuer {
	issuer := &Issuer{handlers: make(map[string]http.Handler), paths: make(map[string]int)}
	for _, opt := range slices.Concat([]IssuerOption{WithAudience(defaultAudience), WithAlgorithm(defaultAlgorithm)}, opts) {
		opt(issuer)
	}
	return issuer
}

// URL returns the issuer identifier: the iss of the issuer's tokens.
func (i *Issuer) URL() string { return i.url }

// Format writes the issuer's URL, whatever the verb is: no key, secret or token, and nothing that
// changes meanwhile.
func (i *Issuer) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "bearertest.Issuer(%s)", i.url) }

// Audience returns the aud of the issuer's tokens.
func (i *Issuer) Audience() string { return i.audience }

// Algorithm returns the alg of the issuer's tokens.
func (i *Issuer) Algorithm() string { return i.algorithm }

// Client returns an [http.Client] that reaches the issuer. For an issuer without a socket it
// answers inside the process, streams bodies and honours the request's context as a connection
// would; a request to another origin is an error, unless it is the one that [Redirect] leads
// to, or the attacker's while [Attack] runs. [Client] reaches several issuers.
func (i *Issuer) Client() *http.Client { return &http.Client{Transport: i.transport} }

// Token returns a signed access token that a service which trusts the issuer accepts. It has iss,
// aud, sub "alice", client_id "test-client", iat now, exp in five minutes and a jti of its own,
// then the issuer's [WithDefaultClaims], then the given claims: a later value wins, nil removes the
// claim. Its header is that of [Issuer.Sign] without additions.
func (i *Issuer) Token(claims ...Claims) string { return i.Sign(nil, claims...) }

// Sign is [Issuer.Token] with a say in the header (RFC 7515 section 4): its members are laid over
// alg, kid and the typ "at+jwt" of RFC 9068 section 2.1. The signature is made with the current key
// and the issuer's algorithm whatever the header says, so that a lie in the header is the token's
// only fault.
func (i *Issuer) Sign(header Claims, claims ...Claims) string {
	key := i.signingKey()
	head := merge(standardHeader(i.algorithm, key.id), header)
	layers := slices.Concat([]Claims{standardClaims(i.url, i.audience)}, i.defaults, claims)
	return compact(i.method, key.signing(), mustJSON(head), mustJSON(merge(layers...)))
}

// SignRaw signs exactly these bytes as header and payload, with the current key. They need not be
// JSON: it makes the tokens that no map can express, with names given twice or bytes that are not
// UTF-8.
func (i *Issuer) SignRaw(header, payload []byte) string {
	return compact(i.method, i.signingKey().signing(), header, payload)
}

// KeyID returns the kid of the current key: its thumbprint (RFC 7638), different for every key of
// every issuer. A secret has none: it is "" then.
func (i *Issuer) KeyID() string { return i.signingKey().id }

// PublicKeys returns the public halves of the keys that are published, the current one first. An
// issuer with a secret has none.
func (i *Issuer) PublicKeys() (public []crypto.PublicKey) {
	for _, k := range i.keysInForce() {
		if k.private != nil {
			public = append(public, k.private.Public())
		}
	}
	return public
}

// PublicKey returns the public half of the current key: an *rsa.PublicKey, an *ecdsa.PublicKey or
// an ed25519.PublicKey. For an issuer with a secret it is nil.
func (i *Issuer) PublicKey() crypto.PublicKey {
	if k := i.signingKey(); k.private != nil {
		return k.private.Public()
	}
	return nil
}

// Secrets returns copies of the secrets with which the tokens of an issuer with HS256, HS384 or
// HS512 are verified, the current one first and the one before a [Issuer.Rotate] after it, as
// bearer.HMACSecret takes them:
//
//	bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.HMACSecret(issuer.Secrets()...))
//
// Another issuer has none.
func (i *Issuer) Secrets() (secrets [][]byte) {
	for _, k := range i.keysInForce() {
		if k.secret != nil {
			secrets = append(secrets, slices.Clone(k.secret))
		}
	}
	return secrets
}

// keysInForce are the keys whose tokens are good, the current one first.
func (i *Issuer) keysInForce() []*key {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := []*key{i.currentKey()}
	if i.previous != nil {
		keys = append(keys, i.previous)
	}
	return keys
}

// Rotate makes a new key the current one, which signs from now on. The key it takes over from stays
// published, so that tokens already signed remain good; a second Rotate withdraws it.
func (i *Issuer) Rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.previous, i.current = i.currentKey(), newKey(i.algorithm)
}

// RotateWithoutOverlap makes a new key the current one and withdraws every other at once, as an
// issuer does that lost a key to a thief. Tokens already signed are good no more: a service has to
// refuse them as soon as it has the new key set.
func (i *Issuer) RotateWithoutOverlap() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.previous, i.current = nil, newKey(i.algorithm)
}

func (i *Issuer) signingKey() *key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.currentKey()
}

// currentKey is the current key, made when it is first asked for: an issuer that signs nothing
// costs nothing. The caller holds mu.
func (i *Issuer) currentKey() *key {
	if i.current == nil {
		i.current = newKey(i.algorithm)
	}
	return i.current
}

// Fetches returns how many requests for the key set reached the issuer, those included that met a
// fault.
func (i *Issuer) Fetches() int { return i.RequestsTo(keySetPath) }

// Requests returns how many requests of any kind reached the issuer, those included that met a
// fault.
func (i *Issuer) Requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

// RequestsTo returns how many requests for a path below the issuer's URL reached it, those included
// that met a fault.
func (i *Issuer) RequestsTo(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.paths[path]
}

// Handle has a handler answer the requests for a path below the issuer's URL, such as "/userinfo",
// in place of the issuer. Faults stand in front of it, and its requests are counted.
func (i *Issuer) Handle(path string, handler http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handlers[path] = handler
}

func (i *Issuer) handler(path string) http.Handler {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.handlers[path]
}

// KeySet returns the key set as JSON (RFC 7517 section 5), as it is served below the issuer's URL
// at /jwks while no fault stands. A service that is to make no requests at all takes it as a static
// source of keys.
func (i *Issuer) KeySet() []byte { return i.publish() }

// publish is the key set with further entries before the good ones.
func (i *Issuer) publish(first ...any) []byte {
	keys := append([]any{}, first...) // not nil, which is no array
	for _, k := range i.keysInForce() {
		if k.jwk != nil { // a secret is never published
			keys = append(keys, k.jwk)
		}
	}
	return mustJSON(map[string]any{"keys": keys})
}

// discovery is the issuer's metadata (OpenID Connect Discovery 1.0 section 3). It has no endpoint,
// so there is no response type.
func (i *Issuer) discovery() []byte {
	return mustJSON(map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.endpoint(keySetPath),
		"response_types_supported":              []string{},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{i.algorithm},
	})
}

// endpoint is the URL of a path below the issuer's.
func (i *Issuer) endpoint(path string) string { return strings.TrimSuffix(i.url, "/") + path }

// ServeHTTP answers for the discovery document, the key set and what [Issuer.Handle] added, or as
// the fault has it that stands when the request comes in. The key set's answers carry an ETag, and
// a service that has them already is told so with 304 (RFC 9110 section 13.1.2).
//
// A request that a fault leaves without an answer ends in a panic with [http.ErrAbortHandler],
// which a server of net/http takes for what it is.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fault := i.arrive(r); fault != nil {
		fault(w, r)
		return
	}
	i.answer(w, r, i.KeySet)
}

// arrive counts a request and returns the fault that it meets, if any.
func (i *Issuer) arrive(r *http.Request) http.HandlerFunc {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests++
	if path := i.below(r); path != "" {
		i.paths[path]++
	}
	return i.fault
}

// answer is what an issuer answers that has no fault, except perhaps in what its key set says.
func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, keySet func() []byte) {
	path := i.below(r)
	handler := i.handler(path)
	switch {
	case handler != nil:
		handler.ServeHTTP(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case path == keySetPath:
		i.answerKeySet(w, r, keySet())
	case path == discoveryPath:
		reply(w, "application/json", i.discovery())
	default:
		http.NotFound(w, r)
	}
}

// below is the path of a request below the issuer's URL, or "" when it is not there.
func (i *Issuer) below(r *http.Request) string {
	path, ok := strings.CutPrefix(r.URL.Path, strings.TrimSuffix(i.origin.Path, "/"))
	if !ok {
		return ""
	}
	return path
}

// answerKeySet sends a key set, or 304 to a client that has it. A 304 carries the same validator
// and the same Cache-Control as the answer it stands for (RFC 9110 section 15.4.5).
func (i *Issuer) answerKeySet(w http.ResponseWriter, r *http.Request, keySet []byte) {
	hash := sha256.Sum256(keySet)
	tag := `"` + base64.RawURLEncoding.EncodeToString(hash[:]) + `"`
	w.Header().Set("ETag", tag)
	if i.caching != "" {
		w.Header().Set("Cache-Control", i.caching)
	}
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	reply(w, "application/jwk-set+json", keySet)
}

// entityTag is one element of a list of entity tags, with the comma after it (RFC 9110 sections
// 5.6.1 and 8.8.3). A comma inside the quotes belongs to the tag, and a backslash is nothing
// special.
var entityTag = regexp.MustCompile(`^[ \t,]*(?:W/)?("[^"\x00-\x20\x7f]*")[ \t]*(?:,|$)`)

// matches reports whether an If-None-Match names the tag or is "*". Whether a tag is weak plays no
// part in it (RFC 9110 section 13.1.2). Nothing is read beyond what is malformed.
func matches(lines []string, tag string) bool {
	list := strings.Join(lines, ",") // several lines are one list (section 5.3)
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	for {
		element := entityTag.FindStringSubmatch(list)
		if element == nil {
			return false
		}
		if element[1] == tag {
			return true
		}
		list = list[len(element[0]):]
	}
}

func reply(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) //nolint:gosec // nothing of the request is in it
}
