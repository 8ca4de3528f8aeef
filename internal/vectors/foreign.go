package vectors

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

// The layers at which a case enters the library.
const (
	LayerHTTP = "http" // a request, answered with a status and a challenge
	LayerJWS  = "jws"  // a token up to its signature; the payload is no claims set
	LayerKeys = "keys" // the keys that a token with this kid and alg is tried with
)

// The verdicts on cases in which the library once gave another answer than the suite expects.
const (
	ProductRight  = "product-right"  // an RFC decides for the library
	ProductStrict = "product-strict" // the RFCs allow what the library refuses by choice
	ProductWrong  = "product-wrong"  // an RFC decides for the suite
)

// Case is one case of another project's test suite.
type Case struct {
	ID      string `json:"id"`
	Layer   string `json:"layer"`
	Now     int64  `json:"now"` // the case's clock, in Unix seconds
	Config  Config `json:"config"`
	Token   string `json:"token"`
	Request *struct {
		Method, Path string
		Headers      [][2]string
	} `json:"request"` // nil for a request with the token in its Authorization header
	Expected struct {
		Accept      bool
		Status      int    // 0 where the suite does not say
		Error       string // of the challenge; likewise
		ConfigError bool   `json:"config_error"`
		Lookups     []struct {
			Kid, Alg string
			Found    int
		}
	} `json:"expected"`
	Verdict string `json:"verdict"`
}

// Config describes the service.
type Config struct {
	Issuers       []Issuer `json:"issuers"`
	From          []string `json:"from"` // "header", "query", "query:name" or "cookie:name"
	Scopes, Roles []string
	Optional      bool
}

// Issuer is one issuer that the service trusts. Its keys are a JWK Set, PEM or a secret.
type Issuer struct {
	Name        string          `json:"issuer"`
	Audience    string          `json:"audience"`
	JWKS        json.RawMessage `json:"jwks"`   // a set, the text of one, or {"$set": "name"}
	Static      bool            `json:"static"` // the set is configured, not fetched
	PEM         string          `json:"pem"`
	Secret      []byte          `json:"secret_b64"`
	Algorithms  []string        `json:"algs"`
	Audiences   []string        `json:"audiences"`
	RolesClaim  string          `json:"roles_claim"`
	AnyAudience bool            `json:"any_audience"`
	NoExpiry    bool            `json:"no_expiry"`
	Leeway      *int            `json:"leeway"`       // seconds; nil for the default
	MaxLifetime int             `json:"max_lifetime"` // seconds
}

const foreignCases = 350

// Foreign returns the cases of one layer.
func Foreign(t testing.TB, layer string) (cases []Case) {
	t.Helper()
	var file struct {
		Sets  map[string]json.RawMessage
		Cases []Case
	}
	Read(t, &file, "foreign-vectors/vectors.json")
	if len(file.Cases) != foreignCases {
		t.Fatalf("%d cases, want %d", len(file.Cases), foreignCases)
	}
	for _, c := range file.Cases {
		if c.Layer != layer {
			continue
		}
		for i, issuer := range c.Config.Issuers {
			c.Config.Issuers[i].JWKS = document(t, issuer.JWKS, file.Sets)
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		t.Fatalf("no case of layer %s", layer)
	}
	return cases
}

// document returns the bytes of a key set as an issuer sends them.
func document(t testing.TB, raw json.RawMessage, sets map[string]json.RawMessage) []byte {
	t.Helper()
	var reference struct {
		Set string `json:"$set"`
	}
	if err := json.Unmarshal(raw, &reference); err == nil && reference.Set != "" {
		set, ok := sets[reference.Set]
		if !ok {
			t.Fatalf("no set is named %s", reference.Set)
		}
		return document(t, set, nil)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return []byte(text)
	}
	return raw
}

// Source is where the issuer's public keys come from. A set that is not static is served by Client.
func (i Issuer) Source() jwks.Source {
	switch {
	case i.PEM != "":
		return jwks.PEM([]byte(i.PEM))
	case i.Static:
		return jwks.Static(i.JWKS)
	default:
		return jwks.Remote(i.KeysURL())
	}
}

// KeysURL is where Client serves the key set.
func (i Issuer) KeysURL() string {
	return "https://keys.test/" + base64.RawURLEncoding.EncodeToString([]byte(i.Name))
}

// Client serves the key sets of the issuers without a socket.
func (c Config) Client() *http.Client { return &http.Client{Transport: keyServer(c.Issuers)} }

type keyServer []Issuer

func (s keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, issuer := range s {
		if r.URL.String() == issuer.KeysURL() {
			return &http.Response{
				StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
				Header: http.Header{"Content-Type": {"application/json"}},
				Body:   io.NopCloser(strings.NewReader(string(issuer.JWKS))),
			}, nil
		}
	}
	return &http.Response{StatusCode: http.StatusNotFound, Request: r, Header: http.Header{}, Body: http.NoBody}, nil
}

// Options configures a Middleware as the case demands.
func (c Config) Options() []bearer.Option {
	opts := []bearer.Option{bearer.WithHTTPClient(c.Client())}
	for _, issuer := range c.Issuers {
		opts = append(opts, bearer.WithIssuer(issuer.Name, issuer.Audience, issuer.options()...))
	}
	if from := c.TokenSources(); from != nil {
		opts = append(opts, bearer.WithTokensFrom(from...))
	}
	return opts
}

func (i Issuer) options() []bearer.IssuerOption {
	opts := i.ClaimOptions()
	if len(i.Secret) > 0 {
		opts = append(opts, bearer.HMACSecret(i.Secret))
	} else {
		opts = append(opts, bearer.Keys(i.Source()))
	}
	if i.Algorithms != nil {
		opts = append(opts, bearer.Algorithms(i.Algorithms...))
	}
	return opts
}

// ClaimOptions are the issuer's options about claims.
func (i Issuer) ClaimOptions() (opts []bearer.IssuerOption) {
	add := func(wanted bool, opt bearer.IssuerOption) {
		if wanted {
			opts = append(opts, opt)
		}
	}
	add(i.Audiences != nil, bearer.Audiences(i.Audiences...))
	add(i.RolesClaim != "", bearer.RolesClaim(i.RolesClaim))
	add(i.AnyAudience, bearer.InsecureAnyAudience())
	add(i.NoExpiry, bearer.InsecureNoExpiry())
	add(i.MaxLifetime > 0, bearer.MaxLifetime(time.Duration(i.MaxLifetime)*time.Second))
	if i.Leeway != nil {
		opts = append(opts, bearer.Leeway(time.Duration(*i.Leeway)*time.Second))
	}
	return opts
}

// TokenSources are the places where tokens may be, or nil for the default.
func (c Config) TokenSources() (sources []bearer.TokenLocation) {
	for _, from := range c.From {
		kind, name, named := strings.Cut(from, ":")
		var names []string
		if named {
			names = []string{name}
		}
		switch kind {
		case "query":
			sources = append(sources, bearer.FromQuery(names...))
		case "cookie":
			sources = append(sources, bearer.FromCookie(names...))
		default:
			sources = append(sources, bearer.FromHeader())
		}
	}
	return sources
}

// RouteOptions are those of the route that the case asks for.
func (c Config) RouteOptions() (opts []bearer.RouteOption) {
	if len(c.Scopes) > 0 {
		opts = append(opts, bearer.Scopes(c.Scopes...))
	}
	if len(c.Roles) > 0 {
		opts = append(opts, bearer.Roles(c.Roles...))
	}
	if c.Optional {
		opts = append(opts, bearer.Optional())
	}
	return opts
}

// ReadRequest reads the case's request from its text, as a server does.
func (c Case) ReadRequest() (*http.Request, error) {
	method, path, headers := "GET", "/", [][2]string{{"Authorization", "Bearer ${token}"}}
	if c.Request != nil {
		headers = c.Request.Headers
		if c.Request.Method != "" {
			method = c.Request.Method
		}
		if c.Request.Path != "" {
			path = c.Request.Path
		}
	}
	text := method + " " + path + " HTTP/1.1\r\nHost: api.test\r\n"
	for _, header := range headers {
		text += header[0] + ": " + header[1] + "\r\n"
	}
	text = strings.ReplaceAll(text, "${token}", c.Token) + "\r\n"
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
}
