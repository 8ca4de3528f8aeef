package oauthtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

const discoveryPath = "/.well-known/openid-configuration"

const (
	exchangeGrant  = "urn:ietf:params:oauth:grant-type:token-exchange"
	assertionGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	accessTokenURN = "urn:ietf:params:oauth:token-type:access_token"
	jwtURN         = "urn:ietf:params:oauth:token-type:jwt"
	refreshURN     = "urn:ietf:params:oauth:token-type:refresh_token"
)

// fields makes a form of names and values that take turns.
func fields(pairs ...string) url.Values {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	return form
}

// with is a form with further fields in place of those of the same name; an empty value takes one
// away.
func with(form url.Values, pairs ...string) url.Values {
	form = maps.Clone(form)
	for pair := range slices.Chunk(pairs, 2) {
		form.Set(pair[0], pair[1])
		if pair[1] == "" {
			form.Del(pair[0])
		}
	}
	return form
}

// basic makes a request that of a client which proves itself by RFC 6749 section 2.3.1.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// asOrders is the client of these tests.
var asOrders = basic("orders", "s3cret")

func newServer(opts ...oauthtest.Option) *oauthtest.Server {
	return newServerOf(bearertest.NewIssuer(), opts...)
}

func newServerOf(issuer *bearertest.Issuer, opts ...oauthtest.Option) *oauthtest.Server {
	return oauthtest.NewServer(issuer, slices.Concat([]oauthtest.Option{
		oauthtest.WithClient("orders", "s3cret"), oauthtest.WithClient("billing", "another"), oauthtest.WithPublicClient("spa"),
	}, opts)...)
}

// reply is an answer of an endpoint.
type reply struct {
	issuertest.Answer
	members map[string]any
}

func (r reply) text(member string) string {
	text, _ := r.members[member].(string)
	return text
}

// outcome is "200", or the status and the error code.
func (r reply) outcome() string {
	return strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", r.text("error")))
}

// formRequest is a POST of a form.
func formRequest(ctx context.Context, address, body string, changes ...func(*http.Request)) *http.Request {
	r := issuertest.Request(ctx, http.MethodPost, address, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, change := range changes {
		change(r)
	}
	return r
}

// post sends a form to a path below the issuer's URL.
func post(tb testing.TB, issuer *oauthtest.Server, path string, form url.Values, changes ...func(*http.Request)) reply {
	tb.Helper()
	got, err := issuertest.Exchange(issuer.Client(), formRequest(tb.Context(), issuer.URL()+path, form.Encode(), changes...))
	if err != nil {
		tb.Fatal(err)
	}
	return read(tb, got)
}

// read checks what every answer of an endpoint has to have, and decodes it.
func read(tb testing.TB, got issuertest.Answer) reply {
	tb.Helper()
	r := reply{Answer: got}
	if got.Header.Get("Cache-Control") != "no-store" {
		tb.Errorf("Cache-Control is %q", got.Header.Get("Cache-Control"))
	}
	if challenge := got.Header.Get("WWW-Authenticate"); (got.StatusCode == http.StatusUnauthorized) != (challenge == "Basic") {
		tb.Errorf("the status is %d, WWW-Authenticate is %q", got.StatusCode, challenge)
	}
	if len(got.Content) == 0 {
		return r
	}
	if err := json.Unmarshal(got.Content, &r.members); err != nil || got.Header.Get("Content-Type") != "application/json" {
		tb.Errorf("the body is %q, %q", got.Header.Get("Content-Type"), got.Content)
	}
	return r
}

// token asks for a token that has to be given, and returns its claims as well.
func token(tb testing.TB, issuer *oauthtest.Server, form url.Values, changes ...func(*http.Request)) (reply, map[string]any) {
	tb.Helper()
	got := post(tb, issuer, "/token", form, changes...)
	if got.outcome() != "200" || got.text("token_type") != "Bearer" {
		tb.Fatalf("the token endpoint says %s: %s", got.outcome(), got.Content)
	}
	if err := issuertest.Verify(issuer.KeySet(), got.text("access_token")); err != nil {
		tb.Errorf("the token is refused: %v", err)
	}
	_, members := issuertest.Parts(tb, got.text("access_token"))
	return got, members[1]
}

// has compares some members with what they should be; nil is for one that is not there.
func has(tb testing.TB, what string, members map[string]any, want map[string]any) {
	tb.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(members[name], value) {
			tb.Errorf("%s: %s is %v, want %v", what, name, members[name], value)
		}
	}
}

var verifier = strings.Repeat("v", 43)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginForm is a good request for an authorization.
func loginForm(pairs ...string) url.Values {
	return with(fields("response_type", "code", "client_id", "orders", "redirect_uri", "https://app.test/callback",
		"code_challenge", challenge(verifier), "code_challenge_method", "S256", "state", "xyz"), pairs...)
}

// visit sends a query to the authorization endpoint and returns where it leads.
func visit(tb testing.TB, issuer *oauthtest.Server, query string) (status int, target string, back url.Values) {
	tb.Helper()
	client := issuer.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got, err := issuertest.Exchange(client, issuertest.Request(tb.Context(), http.MethodGet, issuer.URL()+"/authorize?"+query, nil))
	if err != nil {
		tb.Fatal(err)
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		tb.Errorf("Cache-Control is %q", got.Header.Get("Cache-Control"))
	}
	location, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		tb.Fatal(err)
	}
	target, _, _ = strings.Cut(location.String(), "?")
	return got.StatusCode, target, location.Query()
}

// login returns a request that redeems a new code.
func login(tb testing.TB, issuer *oauthtest.Server, pairs ...string) url.Values {
	tb.Helper()
	form := loginForm(pairs...)
	_, _, back := visit(tb, issuer, form.Encode())
	if back.Get("code") == "" {
		tb.Fatalf("there is no code: %v", back)
	}
	return fields("grant_type", "authorization_code", "code", back.Get("code"), "redirect_uri", form.Get("redirect_uri"),
		"code_verifier", verifier)
}

func refreshForm(refreshToken string, pairs ...string) url.Values {
	return with(fields("grant_type", "refresh_token", "refresh_token", refreshToken), pairs...)
}

// get returns the status, the content type and the body of an answer.
func get(tb testing.TB, client *http.Client, address string) (int, string, []byte) {
	tb.Helper()
	got, err := issuertest.Exchange(client, issuertest.Request(tb.Context(), http.MethodGet, address, nil))
	if err != nil {
		tb.Fatal(err)
	}
	return got.StatusCode, got.Header.Get("Content-Type"), got.Content
}

// fetchKeys walks from the server's URL to its keys, as a resource server does.
func fetchKeys(tb testing.TB, issuer *oauthtest.Server) []byte {
	tb.Helper()
	_, _, body := get(tb, issuer.Client(), issuer.URL()+discoveryPath)
	var document struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		tb.Fatal(err)
	}
	_, _, body = get(tb, issuer.Client(), document.JWKSURI)
	return body
}
