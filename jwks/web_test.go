package jwks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

const (
	issuerURL    = "https://issuer.test"
	discoveryURL = issuerURL + "/.well-known/openid-configuration"
	keysURL      = issuerURL + "/keys"
)

// page answers requests for one URL.
type page func(*http.Request) (*http.Response, error)

// web is a network without sockets. It counts the requests for each URL.
type web struct {
	mu    sync.Mutex
	pages map[string]page
	hits  map[string]int
	last  map[string]*http.Request
}

func newWeb() *web {
	return &web{pages: make(map[string]page), hits: make(map[string]int), last: make(map[string]*http.Request)}
}

// issuer is a web with an issuer that publishes these keys.
func issuer(keys ...jwk) *web {
	w := newWeb()
	w.put(discoveryURL, says(200, `{"issuer":"`+issuerURL+`","jwks_uri":"`+keysURL+`"}`))
	w.put(keysURL, says(200, keySet(keys...)))
	return w
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	u := r.URL.String()
	w.hits[u]++
	w.last[u] = r
	p := w.pages[u]
	w.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if p == nil {
		p = says(404, "not here")
	}
	response, err := p(r)
	if response != nil {
		response.Request = r
	}
	return response, err
}

func (w *web) put(u string, p page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[u] = p
}

func (w *web) count(u string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits[u]
}

func (w *web) client() *http.Client { return &http.Client{Transport: w} }

// discover makes a set of the web's issuer that logs nothing unless told to.
func (w *web) discover(t testing.TB, options ...jwks.Option) *jwks.Set {
	t.Helper()
	return open(t, jwks.Discover(issuerURL, options...), w)
}

// remote makes a set of the keys at keysURL.
func (w *web) remote(t testing.TB, options ...jwks.Option) *jwks.Set {
	t.Helper()
	return open(t, jwks.Remote(keysURL, options...), w)
}

// open makes a set that is closed when the test ends.
func open(t testing.TB, source jwks.Source, w *web) *jwks.Set {
	t.Helper()
	set, err := jwks.New(source, jwks.WithHTTPClient(w.client()), jwks.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

func says(status int, body string, header ...string) page {
	return func(*http.Request) (*http.Response, error) {
		h := make(http.Header)
		for i := 0; i < len(header); i += 2 {
			h.Add(header[i], header[i+1])
		}
		return &http.Response{
			StatusCode: status, Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

var errDown = errors.New("connection refused")

func down(*http.Request) (*http.Response, error) { return nil, errDown }

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func after(d time.Duration, p page) page {
	if d == 0 {
		return p
	}
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return p(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// streams answers with a body that is read from the function: it is asked for one byte at a time.
func streams(next func(context.Context) (byte, error)) page {
	return func(r *http.Request) (*http.Response, error) {
		response, err := says(200, "")(r)
		response.Body = io.NopCloser(byteReader(func() (byte, error) { return next(r.Context()) }))
		return response, err
	}
}

type byteReader func() (byte, error)

func (r byteReader) Read(p []byte) (int, error) {
	for i := range p {
		b, err := r()
		if err != nil {
			return i, err
		}
		p[i] = b
		if i >= 4095 {
			return i + 1, nil
		}
	}
	return len(p), nil
}

// jwk is one JSON Web Key.
type jwk map[string]any

// with returns a copy with some members changed, or removed by nil.
func (k jwk) with(members jwk) jwk {
	k = maps.Clone(k)
	for name, value := range members {
		if value == nil {
			delete(k, name)
		} else {
			k[name] = value
		}
	}
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newJWK(kid string, public crypto.PublicKey) jwk {
	var k jwk
	switch public := public.(type) {
	case *rsa.PublicKey:
		k = jwk{"kty": "RSA", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		k = jwk{"kty": "EC", "crv": public.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		k = jwk{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	if kid != "" {
		k["kid"] = kid
	}
	return k
}

func keySet(keys ...jwk) string {
	return mustJSON(map[string]any{"keys": keys})
}

// Keys to test with. Making RSA keys is slow, so there are two.
var (
	rsaKey  = newRSAKey()
	rsaKey2 = newRSAKey()
	p256Key = newECKey(elliptic.P256())
	p384Key = newECKey(elliptic.P384())
	p521Key = newECKey(elliptic.P521())
	edKey   = newEdKey()
)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func newECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newEdKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// edJWK is a new Ed25519 key: cheap to make.
func edJWK(kid string) jwk { return newJWK(kid, newEdKey().Public()) }

// logs collects what is logged, one JSON object a line.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// detailed is logger with the level Debug.
func (l *logs) detailed() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// lines returns the lines that contain all of the words.
func (l *logs) lines(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.buf.String()) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// ids are the key ids of candidates.
func ids(keys []jwks.Key) string {
	var all []string
	for _, key := range keys {
		all = append(all, key.ID())
	}
	return strings.Join(all, " ")
}

// outcome says in a word how a call of Keys ended.
func outcome(keys []jwks.Key, err error) string {
	var unavailable *jwks.UnavailableError
	switch {
	case err == nil && len(keys) > 0:
		return "found"
	case err == nil:
		return "nothing, without an error"
	case errors.Is(err, jwks.ErrClosed) && errors.As(err, &unavailable):
		return "closed"
	case errors.Is(err, jwks.ErrKeyNotFound) && !errors.As(err, &unavailable):
		return "not found"
	case errors.As(err, &unavailable) && !errors.Is(err, jwks.ErrKeyNotFound):
		return "unavailable"
	default:
		return "confused: " + err.Error()
	}
}

func want(t *testing.T, set *jwks.Set, kid, alg, expected string) {
	t.Helper()
	if got := outcome(set.Keys(t.Context(), kid, alg)); got != expected {
		t.Errorf("Keys(%q, %q): %s, want %s", kid, alg, got, expected)
	}
}

// blockingLogger writes nothing until it is released.
func blockingLogger(release <-chan struct{}) *slog.Logger {
	return slog.New(blockingHandler{release: release})
}

type blockingHandler struct {
	slog.Handler
	release <-chan struct{}
}

func (blockingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h blockingHandler) Handle(context.Context, slog.Record) error {
	<-h.release
	return nil
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
