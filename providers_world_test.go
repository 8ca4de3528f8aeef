package bearer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/jwks"
	"github.com/golang-jwt/jwt/v5"
)

// shapeWorld is the web of one shape: what its provider serves, and the service that is configured
// for it.
type shapeWorld struct {
	t     testing.TB
	shape vectors.Shape
	serve map[string]any // by URL
}

func newShapeWorld(t testing.TB, provider vectors.Provider, shape vectors.Shape) *shapeWorld {
	t.Helper()
	w := &shapeWorld{t: t, shape: shape, serve: make(map[string]any)}
	for _, documents := range []map[string]any{provider.Serve, shape.Serve} {
		for address, document := range documents {
			w.serve[address] = filled(t, document)
		}
	}
	return w
}

// client reaches the provider.
func (w *shapeWorld) client() *http.Client { return &http.Client{Transport: w} }

// RoundTrip answers with the document that the provider has at the URL. An object of these members
// alone describes an answer that is not plain JSON.
func (w *shapeWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, contentType string, body []byte) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	}
	document, ok := w.serve[r.URL.String()]
	if !ok {
		return answer(http.StatusNotFound, "text/html", []byte("<h1>Not Found</h1>"))
	}
	status, contentType := http.StatusOK, "application/json"
	if described, ok := document.(map[string]any); ok && describesAnswer(described) {
		if value, ok := described["authorization"].(string); ok && r.Header.Get("Authorization") != value {
			return answer(http.StatusUnauthorized, "application/json", []byte(`{"message":"Unauthorized"}`))
		}
		if value, ok := described["status"].(float64); ok {
			status = int(value)
		}
		if value, ok := described["content_type"].(string); ok {
			contentType = value
		}
		if raw, ok := described["raw"].(string); ok {
			return answer(status, contentType, []byte(raw))
		}
		document = described["body"]
	}
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return answer(status, contentType, body)
}

func describesAnswer(document map[string]any) bool {
	for name := range document {
		if !slices.Contains([]string{"status", "content_type", "authorization", "body", "raw"}, name) {
			return false
		}
	}
	return len(document) > 0
}

// authorized is a client that sends an Authorization header, read for each request, as a token that
// is in a file needs it.
func (w *shapeWorld) authorized(header func() (string, error)) *http.Client {
	return &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		value, err := header()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", value)
		return w.RoundTrip(r)
	})}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tokenFile writes the token that the provider's documents demand to a file.
func (w *shapeWorld) tokenFile() string {
	for _, document := range w.serve {
		if described, ok := document.(map[string]any); ok {
			if value, ok := described["authorization"].(string); ok {
				name := filepath.Join(w.t.TempDir(), "token")
				if err := os.WriteFile(name, []byte(strings.TrimPrefix(value, "Bearer ")+"\n"), 0o600); err != nil {
					w.t.Fatal(err)
				}
				return name
			}
		}
	}
	w.t.Fatal("no document demands a token")
	return ""
}

// call applies an option or a requirement, which a table has by its name, to its values.
func call[T any](w *shapeWorld, table map[string]any, setting vectors.Setting) (applied T, err error) {
	option, ok := table[setting.Name()]
	if !ok {
		return applied, fmt.Errorf("option %s is not known", setting.Name())
	}
	f := reflect.ValueOf(option)
	values := setting[1:]
	var in []reflect.Value
	for i := range f.Type().NumIn() {
		parameter := f.Type().In(i)
		if f.Type().IsVariadic() && i == f.Type().NumIn()-1 {
			for _, value := range values {
				in = append(in, reflect.ValueOf(value).Convert(parameter.Elem()))
			}
			values = nil
			break
		}
		switch {
		case parameter == reflect.TypeFor[*shapeWorld]():
			in = append(in, reflect.ValueOf(w))
		case parameter.Kind() == reflect.Func: // of the application, which accepts
			in = append(in, reflect.MakeFunc(parameter, func([]reflect.Value) []reflect.Value {
				return []reflect.Value{reflect.Zero(parameter.Out(0))}
			}))
		case len(values) == 0:
			return applied, fmt.Errorf("option %s takes more values", setting.Name())
		default:
			in = append(in, reflect.ValueOf(values[0]).Convert(parameter))
			values = values[1:]
		}
	}
	if len(values) > 0 {
		return applied, fmt.Errorf("option %s does not take %v", setting.Name(), values)
	}
	applied, ok = f.Call(in)[0].Interface().(T)
	if !ok {
		return applied, fmt.Errorf("%s is no option of this place", setting.Name())
	}
	return applied, nil
}

// configured turns the shape's configuration into options. Every option that is not known is an
// error of its own.
func (w *shapeWorld) configured() (opts []bearer.Option, route []bearer.RouteOption, err error) {
	var mistakes []error
	for _, issuer := range w.shape.Issuers {
		var issuerOpts []bearer.IssuerOption
		for _, setting := range issuer.Options {
			opt, err := call[bearer.IssuerOption](w, shapeOptions, setting)
			if mistakes = append(mistakes, err); err == nil {
				issuerOpts = append(issuerOpts, opt)
			}
		}
		opts = append(opts, bearer.WithIssuer(issuer.Issuer, issuer.Audience, issuerOpts...))
	}
	for _, setting := range w.shape.Options {
		if setting.Name() != "WithTokensFrom" {
			mistakes = append(mistakes, fmt.Errorf("option %s is not known", setting.Name()))
			continue
		}
		var places []bearer.TokenLocation
		for _, place := range setting[1:] {
			name, value, named := strings.Cut(place.(string), ":")
			location := vectors.Setting{name}
			if named {
				location = append(location, value)
			}
			from, err := call[bearer.TokenLocation](w, shapeLocations, location)
			mistakes, places = append(mistakes, err), append(places, from)
		}
		opts = append(opts, bearer.WithTokensFrom(places...))
	}
	for _, setting := range w.shape.Require {
		requirement, err := call[bearer.RouteOption](w, shapeRequirements, setting)
		mistakes, route = append(mistakes, err), append(route, requirement)
	}
	return opts, route, errors.Join(mistakes...)
}

// request is the shape's, with its token at the places that it names.
func (w *shapeWorld) request(token string) *http.Request {
	if len(w.shape.Send) == 0 {
		return get("Bearer " + token)
	}
	r := get("")
	for name, value := range w.shape.Send {
		if name == "cookie" {
			r.AddCookie(&http.Cookie{Name: value, Value: token})
			continue
		}
		r.Header.Set(name, strings.ReplaceAll(value, "$token", token))
	}
	return r
}

// credential is the token that the shape describes, signed.
func (w *shapeWorld) credential() string {
	w.t.Helper()
	if w.shape.Raw != "" {
		return w.shape.Raw
	}
	var parts []string
	for _, part := range []map[string]any{w.shape.Header, w.shape.Claims} {
		text, err := json.Marshal(filled(w.t, part))
		if err != nil {
			w.t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	input := strings.Join(parts, ".")
	var key any
	if secret, ok := strings.CutPrefix(w.shape.Key, "hs:"); ok {
		key = []byte(secret)
	} else {
		key = providerKey(w.t, w.shape.Key).private
	}
	signature, err := jwt.GetSigningMethod(w.shape.Header["alg"].(string)).Sign(input, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// logged is what the service logs.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

// shown returns the lines that a log of the default level has.
func (l *logged) shown() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	debug := func(line string) bool { return strings.Contains(line, "level=DEBUG") }
	return strings.Join(slices.DeleteFunc(slices.Clone(l.lines), debug), "")
}

func (l *logged) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// placeholder is a part of a key, or a time.
var placeholder = regexp.MustCompile(`^\$(?:now([+-]\d+)?|([a-z]+\d*)\.([a-zA-Z0-9#]+))$`)

// filled returns a document in which each placeholder has its value.
func filled(t testing.TB, document any) any {
	t.Helper()
	switch document := document.(type) {
	case map[string]any:
		all := make(map[string]any, len(document))
		for name, value := range document {
			all[name] = filled(t, value)
		}
		return all
	case []any:
		all := make([]any, len(document))
		for i, value := range document {
			all[i] = filled(t, value)
		}
		return all
	case string:
		match := placeholder.FindStringSubmatch(document)
		switch {
		case match == nil:
			return document
		case match[2] != "":
			return providerKey(t, match[2]).part(t, match[3])
		}
		seconds := 0
		if match[1] != "" {
			var err error
			if seconds, err = strconv.Atoi(match[1]); err != nil {
				t.Fatal(err)
			}
		}
		return time.Now().Unix() + int64(seconds)
	default:
		return document
	}
}

// providerSigner is one key, with a certificate of its own.
type providerSigner struct {
	private     crypto.Signer
	certificate []byte // DER
}

var providerKeys struct {
	sync.Mutex
	byName map[string]*providerSigner
}

// providerKey returns the key of a name, such as "rs2". Keys are made once.
func providerKey(t testing.TB, name string) *providerSigner {
	t.Helper()
	providerKeys.Lock()
	defer providerKeys.Unlock()
	if providerKeys.byName == nil {
		providerKeys.byName = make(map[string]*providerSigner)
	}
	if signer := providerKeys.byName[name]; signer != nil {
		return signer
	}
	var err error
	signer := &providerSigner{}
	switch strings.TrimRight(name, "0123456789") {
	case "rs":
		signer.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ec", "es":
		signer.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ed":
		_, signer.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no key is named %s", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	signer.certificate, err = x509.CreateCertificate(rand.Reader, template, template, signer.private.Public(), signer.private)
	if err != nil {
		t.Fatal(err)
	}
	providerKeys.byName[name] = signer
	return signer
}

// part is a member of the key's JWK.
func (s *providerSigner) part(t testing.TB, member string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch member {
	case "x5c":
		return base64.StdEncoding.EncodeToString(s.certificate)
	case "x5t":
		hash := sha1.Sum(s.certificate) // RFC 7517 section 4.8
		return encode(hash[:])
	case "x5t#S256":
		hash := sha256.Sum256(s.certificate)
		return encode(hash[:])
	}
	members := make(map[string]string)
	switch public := s.private.Public().(type) {
	case *rsa.PublicKey:
		members["n"], members["e"] = encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		size := len(point) / 2
		members["x"], members["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case ed25519.PublicKey:
		members["x"] = encode(public)
	}
	part, ok := members[member]
	if !ok {
		t.Fatalf("a %T has no part %s", s.private.Public(), member)
	}
	return part
}

// tokenOf reads a file that an orchestrator renews.
func tokenOf(file string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(file)
		return "Bearer " + strings.TrimSpace(string(text)), err
	}
}

func fixed(value string) func() (string, error) {
	return func() (string, error) { return value, nil }
}

// discovered finds the keys with a client that authenticates itself.
func discovered(w *shapeWorld, issuer, authorization string) bearer.IssuerOption {
	return bearer.Keys(jwks.Discover(issuer, jwks.WithHTTPClient(w.authorized(fixed(authorization)))))
}

func remote(w *shapeWorld, address, authorization string) bearer.IssuerOption {
	return bearer.Keys(jwks.Remote(address, jwks.WithHTTPClient(w.authorized(fixed(authorization)))))
}

// discoveredWithFile does so with a token that it reads each time. The certificate authority in the
// second file is of no account here: there is no TLS.
func discoveredWithFile(w *shapeWorld, _, _ string) bearer.IssuerOption {
	issuer := w.shape.Issuers[0].Issuer
	return bearer.Keys(jwks.Discover(issuer, jwks.WithHTTPClient(w.authorized(tokenOf(w.tokenFile())))))
}
