package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

const iss, aud = "https://issuer.example", "orders"

func issuerWith(opts ...bearer.IssuerOption) bearer.Option {
	return bearer.WithIssuer(iss, aud, opts...)
}

// Every mistake is reported, by name and with its value; an empty value is a mistake and never "check off".
// Rules: key.secret-size, config.no-empty-value.
func TestNewRejectsConfiguration(t *testing.T) {
	secret := []byte(strings.Repeat("s", 64))
	tests := []struct {
		name string
		opts []bearer.Option
		want string // the option named by the error
		text string // part of the message
	}{
		{"no issuer", nil, "New", "add WithIssuer"},
		{"nil option", []bearer.Option{issuerWith(), nil}, "New", "nil"},
		{"nil issuer option", []bearer.Option{issuerWith(nil)}, "WithIssuer", "option 1 is nil"},
		{"empty issuer", []bearer.Option{bearer.WithIssuer("", aud)}, "WithIssuer", "issuer is empty"},
		{"empty audience", []bearer.Option{bearer.WithIssuer(iss, "")}, "WithIssuer", "audience is empty"},
		{"http issuer off loopback", []bearer.Option{bearer.WithIssuer("http://issuer.example", aud)}, "WithIssuer", "http://issuer.example"},
		{"issuer without a host", []bearer.Option{bearer.WithIssuer("issuer", aud)}, "WithIssuer", ""},
		{"issuer with a query", []bearer.Option{bearer.WithIssuer(iss+"?x", aud)}, "WithIssuer", ""},
		{"two tuples for one issuer", []bearer.Option{issuerWith(), issuerWith()}, "WithIssuer", "set more than once"},
		{"unknown algorithm", []bearer.Option{issuerWith(bearer.Algorithms("RS257"))}, "Algorithms", `"RS257"`},
		{"algorithm in lower case", []bearer.Option{issuerWith(bearer.Algorithms("rs256"))}, "Algorithms", `"rs256"`},
		{"none", []bearer.Option{issuerWith(bearer.Algorithms("none"))}, "Algorithms", "never accepted"},
		{"None", []bearer.Option{issuerWith(bearer.Algorithms("None"))}, "Algorithms", "never accepted"},
		{"no algorithm", []bearer.Option{issuerWith(bearer.Algorithms())}, "Algorithms", "at least"},
		{"empty algorithm", []bearer.Option{issuerWith(bearer.Algorithms(""))}, "Algorithms", `""`},
		{"HMAC without a secret", []bearer.Option{issuerWith(bearer.Algorithms("HS256"))}, "Algorithms", "HMACSecret"},
		{"HMAC with public keys", []bearer.Option{issuerWith(bearer.Algorithms("RS256", "HS256"))}, "Algorithms", "HMACSecret"},
		{"public keys with HMAC", []bearer.Option{issuerWith(bearer.HMACSecret(secret), bearer.Algorithms("RS256"))}, "Algorithms", "never serve as a secret"},
		{"secret shorter than the hash", []bearer.Option{issuerWith(bearer.HMACSecret(secret[:31]))}, "HMACSecret", "31 bytes"},
		{"secret shorter than another hash", []bearer.Option{issuerWith(bearer.HMACSecret(secret[:63]), bearer.Algorithms("HS512"))}, "HMACSecret", "needs 64"},
		{"empty secret", []bearer.Option{issuerWith(bearer.HMACSecret(nil))}, "HMACSecret", "0 bytes"},
		{"secret and URL", []bearer.Option{issuerWith(bearer.HMACSecret(secret), bearer.JWKSURL("https://keys.example"))}, "WithIssuer", "exclude each other"},
		{"secret and keys", []bearer.Option{issuerWith(bearer.HMACSecret(secret), bearer.Keys(jwks.Remote("https://keys.example")))}, "WithIssuer", "exclude each other"},
		{"URL and keys", []bearer.Option{issuerWith(bearer.JWKSURL("https://keys.example"), bearer.Keys(jwks.Remote("https://keys.example")))}, "WithIssuer", "exclude each other"},
		{"empty source", []bearer.Option{issuerWith(bearer.Keys(jwks.Source{}))}, "Keys", ""},
		{"empty URL", []bearer.Option{issuerWith(bearer.JWKSURL(""))}, "JWKSURL", `""`},
		{"http URL off loopback", []bearer.Option{issuerWith(bearer.JWKSURL("http://keys.example"))}, "JWKSURL", "http://keys.example"},
		{"leeway over 5 min", []bearer.Option{issuerWith(bearer.Leeway(5*time.Minute + 1))}, "Leeway", "5m0"},
		{"negative leeway", []bearer.Option{issuerWith(bearer.Leeway(-1))}, "Leeway", "-1ns"},
		{"zero lifetime", []bearer.Option{issuerWith(bearer.MaxLifetime(0))}, "MaxLifetime", "positive"},
		{"empty scope claim", []bearer.Option{issuerWith(bearer.ScopeClaim(""))}, "ScopeClaim", `""`},
		{"empty roles claim", []bearer.Option{issuerWith(bearer.RolesClaim(""))}, "RolesClaim", `""`},
		{"empty audience claim", []bearer.Option{issuerWith(bearer.AudienceClaim(""))}, "AudienceClaim", `""`},
		{"no audiences", []bearer.Option{issuerWith(bearer.Audiences())}, "Audiences", "unset"},
		{"empty audience among audiences", []bearer.Option{issuerWith(bearer.Audiences("a", ""))}, "Audiences", `"a", ""`},
		{"no types", []bearer.Option{issuerWith(bearer.TokenTypes())}, "TokenTypes", "unset"},
		{"empty type", []bearer.Option{issuerWith(bearer.TokenTypes("at+jwt", ""))}, "TokenTypes", `""`},
		{"type that is only a prefix", []bearer.Option{issuerWith(bearer.TokenTypes("application/"))}, "TokenTypes", "unset"},
		{"resource with an escape", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example/a%2Fb"})}, "WithResourceMetadata", "path"},
		{"resource with braces", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example/{x}"})}, "WithResourceMetadata", "path"},
		{"resource with a space", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example/a b"})}, "WithResourceMetadata", "path"},
		{"resource with doubled slashes", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example//a"})}, "WithResourceMetadata", "path"},
		{"resource with dots", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example/a/../b"})}, "WithResourceMetadata", "path"},
		{"any audience and one", []bearer.Option{issuerWith(bearer.InsecureAnyAudience())}, "InsecureAnyAudience", "drop one"},
		{"profile and types", []bearer.Option{issuerWith(bearer.RFC9068(), bearer.TokenTypes("JWT"))}, "RFC9068", "TokenTypes"},
		{"profile without expiry", []bearer.Option{issuerWith(bearer.RFC9068(), bearer.InsecureNoExpiry())}, "RFC9068", "InsecureNoExpiry"},
		{"single-valued issuer option twice", []bearer.Option{issuerWith(bearer.Leeway(0), bearer.Leeway(0))}, "Leeway", "set more than once"},
		{"single-valued option twice", []bearer.Option{issuerWith(), bearer.WithRealm("a"), bearer.WithRealm("b")}, "WithRealm", "set more than once"},
		{"empty realm", []bearer.Option{issuerWith(), bearer.WithRealm("")}, "WithRealm", `""`},
		{"realm with a quote", []bearer.Option{issuerWith(), bearer.WithRealm(`a"b`)}, "WithRealm", "quotes"},
		{"realm with a line break", []bearer.Option{issuerWith(), bearer.WithRealm("a\r\nb")}, "WithRealm", "printable"},
		{"no sources", []bearer.Option{issuerWith(), bearer.WithTokensFrom()}, "WithTokensFrom", "no source"},
		{"zero source", []bearer.Option{issuerWith(), bearer.WithTokensFrom(bearer.TokenLocation{})}, "WithTokensFrom", "empty"},
		{"source twice", []bearer.Option{issuerWith(), bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromHeader())}, "WithTokensFrom", "twice"},
		{"source with an empty name", []bearer.Option{issuerWith(), bearer.WithTokensFrom(bearer.FromCookie(""))}, "WithTokensFrom", "name"},
		{"source with two names", []bearer.Option{issuerWith(), bearer.WithTokensFrom(bearer.FromQuery("a", "b"))}, "WithTokensFrom", "name"},
		{"nil logger", []bearer.Option{issuerWith(), bearer.WithLogger(nil)}, "WithLogger", "nil"},
		{"nil observer", []bearer.Option{issuerWith(), bearer.WithObserver(nil)}, "WithObserver", "nil"},
		{"nil error handler", []bearer.Option{issuerWith(), bearer.WithErrorHandler(nil)}, "WithErrorHandler", "nil"},
		{"nil client", []bearer.Option{issuerWith(), bearer.WithHTTPClient(nil)}, "WithHTTPClient", "nil"},
		{"zero token size", []bearer.Option{issuerWith(), bearer.WithMaxTokenSize(0)}, "WithMaxTokenSize", "0"},
		{"token size over 1 MiB", []bearer.Option{issuerWith(), bearer.WithMaxTokenSize(1<<20 + 1)}, "WithMaxTokenSize", "1048576"},
		{"resource that is no URL", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{})}, "WithResourceMetadata", "https"},
		{"resource over http", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "http://a.example"})}, "WithResourceMetadata", "https"},
		{"resource with a fragment", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example/#f"})}, "WithResourceMetadata", "fragment"},
		{"scope with a space", []bearer.Option{issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://a.example", Scopes: []string{"a b"}})}, "WithResourceMetadata", "scope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			auth, err := bearer.New(tt.opts...)
			if err == nil || auth != nil {
				t.Fatalf("New = %v, %v; want an error alone", auth, err)
			}
			all := configErrors(t, err)
			for _, e := range all {
				if e.Option == tt.want && strings.Contains(e.Error(), tt.text) {
					return
				}
			}
			t.Errorf("no error names %s with %q: %v", tt.want, tt.text, err)
		})
	}
}

// configErrors takes a joined error apart, and fails when a part is not a *ConfigError.
func configErrors(t testing.TB, err error) (all []*bearer.ConfigError) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is not a joined error", err)
	}
	for _, e := range joined.Unwrap() {
		var mistake *bearer.ConfigError
		if !errors.As(e, &mistake) {
			t.Fatalf("%T (%v) is not a *ConfigError", e, e)
		}
		all = append(all, mistake)
	}
	return all
}

// Rules: config.all-mistakes.
func TestNewReportsEveryMistakeAtOnce(t *testing.T) {
	_, err := bearer.New(
		bearer.WithIssuer("", "", bearer.Leeway(time.Hour), bearer.Algorithms("none", "RS999")),
		bearer.WithIssuer("http://plain.example", aud),
		bearer.WithRealm(""),
		bearer.WithMaxTokenSize(-1),
	)
	if all := configErrors(t, err); len(all) != 8 {
		t.Errorf("%d mistakes reported, want 8:\n%v", len(all), err)
	}
}

// An error has the same text each time, so that a start-up that fails twice shows one failure.
func TestNewReportsMistakesInOneOrder(t *testing.T) {
	trust := bearer.WithIssuer(iss, "", bearer.RFC9068(), bearer.TokenTypes("JWT"),
		bearer.InsecureNoExpiry(), bearer.AudienceClaim("client_id"), bearer.InsecureAnyAudience())
	texts := make(map[string]bool)
	for range 50 {
		_, err := bearer.New(trust)
		if all := configErrors(t, err); len(all) != 5 {
			t.Fatalf("%d mistakes reported, want 5:\n%v", len(all), err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the same mistakes are reported in %d orders", len(texts))
	}
}

func TestConfigErrorNamesOptionValueAndIssuer(t *testing.T) {
	_, err := bearer.New(issuerWith(bearer.Leeway(time.Hour)))
	const want = `bearer: Leeway(1h0m0s) for issuer "https://issuer.example": must be from 0 to 5m0s; fix the clock instead of tolerating more`
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v, want\n%s", err, want)
	}
}

func TestConfigErrorKeepsTheSecret(t *testing.T) {
	const url = "https://user:hunter2@example.com"
	for name, opts := range map[string][]bearer.Option{
		"HMAC secret": {issuerWith(bearer.HMACSecret([]byte("hunter2")))},
		"issuer":      {bearer.WithIssuer(url, aud, bearer.Leeway(time.Hour))},
		"JWKSURL":     {issuerWith(bearer.JWKSURL(url), bearer.JWKSURL(url))},
		"keys":        {issuerWith(bearer.Keys(jwks.Remote(url)))},
		"resource":    {issuerWith(), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: url})},
	} {
		_, err := bearer.New(opts...)
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, configErrors(t, err)), "hunter2") {
			t.Errorf("%s: error is %v", name, err)
		}
		for _, e := range configErrors(t, err) {
			if strings.Contains(e.Subject+e.Value+e.Problem, "hunter2") {
				t.Errorf("%s: error is %#v", name, e)
			}
		}
	}
}

// A tuple without a name, or with one that was given before, is judged like the others.
func TestNewReportsTheMistakesOfEveryTuple(t *testing.T) {
	bad := bearer.JWKSURL("http://keys.example")
	for _, opts := range [][]bearer.Option{{bearer.WithIssuer("", aud, bad)}, {issuerWith(), issuerWith(bad)}} {
		_, err := bearer.New(opts...)
		if all := configErrors(t, err); len(all) != 2 {
			t.Errorf("%d mistakes reported, want 2:\n%v", len(all), err)
		}
	}
}

// These configurations are good, although some values look empty. New only judges them.
func TestNewAcceptsConfiguration(t *testing.T) {
	noFetch := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("New made a request")
		return nil, errors.New("no")
	})}
	secret := []byte(strings.Repeat("s", 32))
	for name, opts := range map[string][]bearer.Option{
		"defaults":         {issuerWith()},
		"loopback":         {bearer.WithIssuer("http://127.0.0.1:9000", aud), bearer.WithIssuer("http://localhost/x", aud)},
		"insecure http":    {bearer.WithIssuer("http://issuer.example", aud, bearer.InsecureHTTP())},
		"no leeway":        {issuerWith(bearer.Leeway(0))},
		"most leeway":      {issuerWith(bearer.Leeway(5 * time.Minute))},
		"any audience":     {bearer.WithIssuer(iss, "", bearer.InsecureAnyAudience())},
		"two issuers":      {issuerWith(), bearer.WithIssuer("https://other.example", aud)},
		"hmac":             {bearer.WithIssuer("not a URL", aud, bearer.HMACSecret(secret))},
		"audiences, twice": {issuerWith(bearer.Audiences("a"), bearer.Audiences("b", "c"))},
		"everything": {
			issuerWith(bearer.JWKSURL("https://keys.example/jwks"), bearer.Algorithms("ES512", "Ed25519"), bearer.MaxLifetime(time.Hour)),
			bearer.WithRealm("orders"), bearer.WithMaxTokenSize(1 << 20), bearer.WithLogger(slog.New(slog.DiscardHandler)),
			bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie(), bearer.FromQuery("t"), bearer.FromForm(), bearer.FromWebSocket()),
			bearer.WithObserver(func(context.Context, bearer.Event) {}),
			bearer.WithErrorHandler(func(http.ResponseWriter, *http.Request, *bearer.Error) {}),
			bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example/v1"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			auth, err := bearer.New(append(opts, bearer.WithHTTPClient(noFetch))...)
			if err != nil {
				t.Fatal(err)
			}
			if err := auth.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An issuer's name need not be a URL. Then it must be said where its keys are, and the mistake says
// how.
func TestIssuerThatIsNoURLSaysWhatHelps(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"accounts.google.com", "http://keycloak:8080/realms/x", "my-issuer"} {
		_, err := bearer.New(bearer.WithIssuer(name, "api"))
		if text := fmt.Sprint(err); !strings.Contains(text, "JWKSURL, MetadataURL or Keys") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bearer.New(bearer.WithIssuer(name, "api", bearer.JWKSURL("https://keys.example/jwks"))); err != nil {
			t.Errorf("%s with JWKSURL: %v", name, err)
		}
	}
}
