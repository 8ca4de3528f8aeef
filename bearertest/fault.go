package bearertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Every fault is a handler that stands in for ServeHTTP. Most of them call answer, which is what ServeHTTP does without
// one, and change when it is called, what it writes to, or what the key set says.

func (i *Issuer) setFault(fault http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault = fault
	i.changes++
}

// Restore ends the fault that stands, if any. Requests that are under way still end as it has them end.
func (i *Issuer) Restore() { i.setFault(nil) }

// Down makes the issuer answer every request with 503 Service Unavailable. A good service goes on with the keys it has;
// one that has none answers 503 itself.
func (i *Issuer) Down() {
	i.setFault(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the issuer is down", http.StatusServiceUnavailable)
	})
}

// Busy makes the issuer answer every request with 429 Too Many Requests (RFC 6585 section 4), and with a Retry-After of this
// time in seconds (RFC 9110 section 10.2.3). A good client asks for nothing before it is over. It panics unless the time is
// a number of whole seconds above zero.
func (i *Issuer) Busy(retryAfter time.Duration) {
	mustSeconds("Busy", retryAfter)
	i.setFault(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(retryAfter/time.Second), 10))
		http.Error(w, "the issuer is busy", http.StatusTooManyRequests)
	})
}

// Slow makes every answer of the issuer begin so much later; it is the right one, as of then. A good service that has
// keys lets no request wait for it; one that has none waits for a while and then answers 503. It panics unless the time
// is above zero.
func (i *Issuer) Slow(by time.Duration) {
	if by <= 0 {
		panic(fmt.Sprintf("bearertest: Slow(%v): want a time above zero", by))
	}
	i.setFault(i.slow(by))
}

func (i *Issuer) slow(by time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// To wait takes the body, which the answer may need; what is wrong with it is for the one who waits to find.
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
		pause(r, by)
		r.Body = io.NopCloser(bytes.NewReader(body))
		i.answer(w, r, i.KeySet)
	}
}

// slowFor is Slow while call runs, unless a fault stands. One that another test begins meanwhile
// takes its place, and stays.
func (i *Issuer) slowFor(by time.Duration, call func()) {
	i.mu.Lock()
	free := i.fault == nil
	if free {
		i.fault = i.slow(by)
		i.changes++
	}
	ours := i.changes
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if free && i.changes == ours {
			i.fault = nil
		}
	}()
	call()
}

// Hang makes the issuer take every request and answer none: each ends when its client gives up, or with the server. A
// good service that has keys lets no request wait for it; one that has none gives up after a while and answers 503.
//
// Restore does not release the requests that hang already. On a server of one's own they keep [httptest.Server.Close]
// waiting, until [httptest.Server.CloseClientConnections].
func (i *Issuer) Hang() {
	i.setFault(func(_ http.ResponseWriter, r *http.Request) {
		awaitEnd(r, nil)
	})
}

// Mute makes the issuer do what it is asked to and break the connection instead of giving the answer: a code is used up, a
// refresh token is rotated, and the client never hears of it. With [Issuer.Hang] in contrast nothing has happened. A good
// client does not take the loss of an answer for a refusal, and when the refresh token it has turns out to be used up, it
// asks for a new login.
func (i *Issuer) Mute() {
	i.setFault(func(_ http.ResponseWriter, r *http.Request) {
		i.answer(httptest.NewRecorder(), r, i.KeySet)
		panic(http.ErrAbortHandler)
	})
}

// Drip makes the issuer give every answer one byte a second, after a header that comes at once. Each byte is progress,
// so that only a limit for the whole answer ends it. A good service has one, and does as with [Issuer.Hang].
func (i *Issuer) Drip() {
	i.setFault(func(w http.ResponseWriter, r *http.Request) {
		i.answer(dripping{w, r}, r, i.KeySet)
	})
}

// Huge makes the issuer follow every answer with 1 GiB of white space. What is JSON stays JSON by it, so that whoever
// reads to the end finds nothing wrong but the memory used up. A good service stops reading early and goes on with the
// keys it has; one that has none answers 503.
//
// The white space is written from one small buffer, and no further than the client reads.
func (i *Issuer) Huge() {
	// The space in front of the rest is there for the ETag, which is then not that of the right answer: a client that has
	// the right one is not let off with a 304.
	keySet := func() []byte { return append(i.KeySet(), ' ') }
	i.setFault(func(w http.ResponseWriter, r *http.Request) {
		i.answer(w, r, keySet)
		if r.Method == http.MethodHead {
			return
		}
		space := bytes.Repeat([]byte(" "), 64<<10)
		for rest := 1 << 30; rest > 0; rest -= len(space) {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // a return would make the answer look complete
			}
			if _, err := w.Write(space); err != nil {
				return
			}
		}
	})
}

// HTML200 makes the issuer answer every request with a web page that announces maintenance, under the status 200, as a
// proxy in front of it may. A good service goes on with the keys it has; one that has none answers 503.
func (i *Issuer) HTML200() {
	i.setFault(func(w http.ResponseWriter, _ *http.Request) {
		const page = "<!doctype html>\n<title>Maintenance</title>\n<p>We will be back soon.\n"
		reply(w, "text/html; charset=utf-8", []byte(page))
	})
}

// EmptyKeys makes the issuer publish a key set without keys, {"keys":[]}, while its discovery document stays right.
// That is how issuers answer whose database is gone, and not how they withdraw their keys: a good service goes on with
// those it has, and one that has none answers 503.
func (i *Issuer) EmptyKeys() {
	i.setKeySet(func() []byte { return []byte(`{"keys":[]}`) })
}

// setKeySet begins a fault that is in the key set alone.
func (i *Issuer) setKeySet(keySet func() []byte) {
	i.setFault(func(w http.ResponseWriter, r *http.Request) { i.answer(w, r, keySet) })
}

// Redirect makes the issuer send every request to another origin with 302 Found, where it is itself again and has the right
// answers: whoever follows gets good keys, and is found out because each request is then counted twice. A good service takes
// keys from the origin it was told to trust and from no other; so it goes on with the keys it has, and answers 503 when it
// has none. A POST is sent there with 307 Temporary Redirect, and so with its body (RFC 9110 section 15.4.8): a good client
// sends its secrets to no other place than it was told.
//
// The other origin has the same scheme and port. Its host is "elsewhere.test", which the issuer's client reaches inside
// the process; for an issuer at a loopback address it is "localhost", which leads to the same socket.
func (i *Issuer) Redirect() {
	other := elsewhere(i.origin)
	i.setFault(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Host, other.Host) {
			i.answer(w, r, i.KeySet)
			return
		}
		target := *r.URL
		target.Scheme, target.Host = other.Scheme, other.Host
		status := http.StatusFound
		if r.Method == http.MethodPost {
			status = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, target.String(), status) //nolint:gosec // the host is not the client's choice
	})
}

// elsewhere is the origin that Redirect leads to.
func elsewhere(origin *url.URL) *url.URL {
	host := "elsewhere.test"
	ip, err := netip.ParseAddr(origin.Hostname())
	switch {
	case err == nil && ip.IsLoopback():
		host = "localhost"
	case strings.EqualFold(origin.Hostname(), "localhost"):
		host = "127.0.0.1"
	case strings.EqualFold(origin.Hostname(), host):
		host = "issuer.test"
	}
	if port := origin.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return &url.URL{Scheme: origin.Scheme, Host: host}
}

// pause lets the time pass, unless the request ends before: then there is nobody to answer any more.
func pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	awaitEnd(r, timer.C)
}

// awaitEnd returns when the channel says so, and aborts the request when that ends before.
func awaitEnd(r *http.Request, done <-chan time.Time) {
	// net/http looks out for the end of a connection only once the request's body has been read.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	select {
	case <-done:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// dripping writes one byte a second.
type dripping struct {
	http.ResponseWriter
	request *http.Request
}

func (d dripping) Write(p []byte) (int, error) {
	flush := http.NewResponseController(d.ResponseWriter).Flush
	_ = flush() // the header; where a connection is broken, the next Write says so, too
	if d.request.Method == http.MethodHead {
		return len(p), nil
	}
	for n := range p {
		pause(d.request, time.Second)
		if _, err := d.ResponseWriter.Write(p[n : n+1]); err != nil {
			return n, err
		}
		_ = flush()
	}
	return len(p), nil
}

// Poison is something bad in a key set. See [Issuer.Poison]. Its text is its name, fit for that of a subtest.
type Poison string

// A bad entry that stands first in the key set, before the good keys. Each is wrong in this one way and carries the kid
// "poison", unless its comment says otherwise. A good service leaves it out and uses the keys beside it, so that no
// token signed by the issuer is refused, whether the service had keys before or not, and nothing that names the kid
// "poison" is accepted.
const (
	// PoisonNullEntry is null in place of a key.
	PoisonNullEntry Poison = "null entry"

	// PoisonUnknownType is a key whose kty nobody knows. RFC 7517 section 5 asks for it to be ignored.
	PoisonUnknownType Poison = "unknown type"

	// PoisonUnknownCurve is a key on a curve (crv) that nobody knows.
	PoisonUnknownCurve Poison = "unknown curve"

	// PoisonBase64 is a P-256 key with a byte in it that no alphabet of base64 has.
	PoisonBase64 Poison = "broken base64"

	// PoisonShortCoordinate is a P-256 key whose x ends too early (RFC 7518 section 6.2.1.2).
	PoisonShortCoordinate Poison = "short coordinate"

	// PoisonOffCurve is a P-256 key whose point is not on the curve.
	PoisonOffCurve Poison = "point off its curve"

	// PoisonWeakRSA is an RSA key of 1024 bits, which is well formed and too short (RFC 7518 section 3.3).
	PoisonWeakRSA Poison = "RSA key of 1024 bits"

	// PoisonEvenExponent is an RSA key with the exponent 65536, with which there is no RSA.
	PoisonEvenExponent Poison = "even RSA exponent"

	// PoisonSmallOrder is an Ed25519 key whose point is the neutral element: there is a signature that everybody can write
	// down and that it verifies for every message.
	PoisonSmallOrder Poison = "point of small order"

	// PoisonSymmetricKey is a secret for HS256 (kty oct), which is none any more where everybody can read it.
	PoisonSymmetricKey Poison = "symmetric key"

	// PoisonPrivateKey is a key for the issuer's algorithm with its private half (d). Everybody can sign with it.
	PoisonPrivateKey Poison = "private key"

	// PoisonEncryptionKey is a key for the issuer's algorithm that says it is for encryption (use, RFC 7517 section 4.2).
	PoisonEncryptionKey Poison = "encryption key"

	// PoisonDuplicateKeyID is a good key under the kid of the current one. A service has to try both.
	PoisonDuplicateKeyID Poison = "duplicate key id"
)

// A key set that is bad as a whole. A good service goes on with the keys it has; one that has none answers 503.
const (
	// PoisonTruncated is the first half of the right key set. As an answer of HTTP it is complete.
	PoisonTruncated Poison = "truncated document"

	// PoisonNullDocument is null.
	PoisonNullDocument Poison = "null document"

	// PoisonEmptyDocument is an object without members, {}.
	PoisonEmptyDocument Poison = "empty document"

	// PoisonDuplicateMember is a key set with two members named "keys": a stranger's key under the kid "poison", then the
	// good ones. RFC 7517 section 5 lets a service refuse such a set or take the last member; so one that has no keys yet
	// may also work.
	PoisonDuplicateMember Poison = "duplicate member"

	// PoisonTooManyKeys is a set with 10,000 keys, well formed and each with a kid of its own, before the good ones. It is
	// less than 1 MiB long, so that the number is what is wrong with it.
	PoisonTooManyKeys Poison = "too many keys"
)

// InDocument reports whether the key set is bad as a whole, so that a service without keys has none to use and answers
// 503. Otherwise, and for an unknown kind, there are good keys beside a bad entry.
func (p Poison) InDocument() bool { return slices.ContainsFunc(badDocuments, p.is) }

// Poisons returns every [Poison], for a test that goes through all of them: bad entries first, then bad key sets.
func Poisons() []Poison {
	var all []Poison
	for _, p := range slices.Concat(badEntries, badDocuments) {
		all = append(all, p.kind)
	}
	return all
}

// Poison makes the issuer publish a key set with something bad in it, while its discovery document stays right. What a
// good service does is said at each kind. Secrets and keys in it are new with each call. It panics for an unknown kind.
func (i *Issuer) Poison(kind Poison) {
	all := slices.Concat(badEntries, badDocuments)
	n := slices.IndexFunc(all, kind.is)
	if n < 0 {
		panic(fmt.Sprintf("bearertest: Poison(%q): want one of Poisons()", string(kind)))
	}
	i.setKeySet(all[n].brew(i))
}

// poison is how a Poison is made: brew is called once, and what it returns for each answer.
type poison struct {
	kind Poison
	brew func(*Issuer) (keySet func() []byte)
}

func (p Poison) is(other poison) bool { return p == other.kind }

var badEntries = []poison{
	{PoisonNullEntry, beside(func(*Issuer) any { return nil })},
	{PoisonUnknownType, beside(func(*Issuer) any { return tainted("ES256", members{"kty": "unknown"}) })},
	{PoisonUnknownCurve, beside(func(*Issuer) any { return tainted("ES256", members{"crv": "unknown"}) })},
	{PoisonBase64, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["x"] = "!" + jwk["x"][1:]
		return jwk
	})},
	{PoisonShortCoordinate, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["x"] = jwk["x"][:40] // the first 30 bytes
		return jwk
	})},
	{PoisonOffCurve, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["y"] = jwk["x"]
		return jwk
	})},
	{PoisonWeakRSA, beside(func(*Issuer) any { return rsaEntry(1024, "AQAB") })},
	{PoisonEvenExponent, beside(func(*Issuer) any { return rsaEntry(2048, "AQAA") })},
	{PoisonSmallOrder, beside(func(*Issuer) any {
		neutral := make([]byte, ed25519.PublicKeySize)
		neutral[0] = 1 // y = 1, so x = 0 (RFC 8032 section 5.1.2)
		return tainted("EdDSA", members{"x": encode(neutral)})
	})},
	{PoisonSymmetricKey, beside(func(*Issuer) any {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return members{"kty": "oct", "k": encode(secret), "kid": poisonID, "use": "sig", "alg": "HS256"}
	})},
	{PoisonPrivateKey, beside(func(i *Issuer) any {
		key := newKey(i.algorithm)
		return poisoned(key.jwk, members{"d": privateMember(key)})
	})},
	{PoisonEncryptionKey, beside(func(i *Issuer) any { return tainted(i.algorithm, members{"use": "enc"}) })},
	{PoisonDuplicateKeyID, func(i *Issuer) func() []byte {
		jwk := newKey(i.algorithm).jwk
		return func() []byte { return i.publish(poisoned(jwk, members{"kid": i.KeyID()})) }
	}},
}

var badDocuments = []poison{
	{PoisonTruncated, instead(func(good []byte) []byte { return good[:len(good)/2] })},
	{PoisonNullDocument, instead(func([]byte) []byte { return []byte("null") })},
	{PoisonEmptyDocument, instead(func([]byte) []byte { return []byte("{}") })},
	{PoisonDuplicateMember, func(i *Issuer) func() []byte {
		stranger := mustJSON(tainted(i.algorithm, nil))
		return func() []byte { return fmt.Appendf(nil, `{"keys":[%s],%s`, stranger, i.KeySet()[1:]) }
	}},
	{PoisonTooManyKeys, func(i *Issuer) func() []byte {
		many := make([]members, 10_000)
		public := publicMembers(generate("EdDSA").Public())
		for n := range many {
			many[n] = maps.Clone(public)
			many[n]["kid"] = fmt.Sprintf("%s-%d", poisonID, n)
		}
		text := bytes.Trim(mustJSON(many), "[]") // once: it takes its time
		return func() []byte {
			return fmt.Appendf(nil, `{"keys":[%s,%s`, text, bytes.TrimPrefix(i.KeySet(), []byte(`{"keys":[`)))
		}
	}},
}

// members are those of a JWK.
type members = map[string]string

const poisonID = "poison"

// beside puts an entry before the good ones, the same in every answer.
func beside(entry func(*Issuer) any) func(*Issuer) func() []byte {
	return func(i *Issuer) func() []byte {
		bad := entry(i)
		return func() []byte { return i.publish(bad) }
	}
}

// instead makes another document of the right key set.
func instead(document func(good []byte) []byte) func(*Issuer) func() []byte {
	return func(i *Issuer) func() []byte {
		return func() []byte { return document(i.KeySet()) }
	}
}

// tainted is the JWK of a new key with some members changed.
func tainted(algorithm string, changes members) members {
	return poisoned(newKey(algorithm).jwk, changes)
}

// poisoned is a JWK under the poison's kid, with some members changed.
func poisoned(jwk, changes members) members {
	jwk = maps.Clone(jwk)
	jwk["kid"] = poisonID
	maps.Copy(jwk, changes)
	return jwk
}

// rsaEntry is an RSA key of any size and exponent.
func rsaEntry(bits int, exponent string) members {
	n := big.NewInt(1)
	for range 2 {
		prime, err := rand.Prime(rand.Reader, bits/2) // its two highest bits are set: the product is as long as it should be
		if err != nil {
			panic(fmt.Sprintf("bearertest: cannot make an RSA modulus: %v", err))
		}
		n.Mul(n, prime)
	}
	return members{
		"kty": "RSA", "n": encode(n.Bytes()), "e": exponent,
		"kid": poisonID, "use": "sig", "alg": "RS256",
	}
}

// privateMember is the d of a JWK (RFC 7518 sections 6.2.2.1 and 6.3.2.1, RFC 8037 section 2).
func privateMember(k *key) string {
	var d []byte
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		d = private.D.Bytes()
	case *ecdsa.PrivateKey:
		var err error
		if d, err = private.Bytes(); err != nil { // as long as the order of the curve
			panic(fmt.Sprintf("bearertest: cannot write a key: %v", err))
		}
	case ed25519.PrivateKey:
		d = private.Seed()
	}
	return encode(d)
}
