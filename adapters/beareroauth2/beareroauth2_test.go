package beareroauth2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/bearer-go/bearer/adapters/beareroauth2"
	"github.com/bearer-go/bearer/tokens"
)

const (
	secret   = "s3cret-of-the-client"
	tokenURL = "https://login.example.com/token?api_key=in-the-url"
)

// roundTripper is a server without sockets.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f(r)
	if response != nil {
		response.Request = r
	}
	return response, err
}

// answer is what a server says; the headers are names and values in turn.
func answer(status int, body string, headers ...string) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Header: header, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// fetch asks a server for a token by way of package oauth2.
func fetch(ctx context.Context, r tokens.Request, server roundTripper) (*tokens.Response, error) {
	config := clientcredentials.Config{
		ClientID: "orders", ClientSecret: secret, TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams,
	}
	return beareroauth2.Fetcher(func(ctx context.Context, _ tokens.Key) (*oauth2.Token, error) {
		client, ok := ctx.Value(oauth2.HTTPClient).(*http.Client)
		if !ok {
			return nil, errors.New("no client")
		}
		ours := *client
		ours.Transport = server
		return config.Token(context.WithValue(ctx, oauth2.HTTPClient, &ours))
	}).Fetch(ctx, r)
}

// given is a Fetcher of one token or error.
func given(token *oauth2.Token, err error) tokens.Fetcher {
	return beareroauth2.Fetcher(func(context.Context, tokens.Key) (*oauth2.Token, error) { return token, err })
}

func newSource(t *testing.T, fetcher tokens.Fetcher) *tokens.Source {
	t.Helper()
	manager, err := tokens.NewManager(fetcher, tokens.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	return manager.Source(tokens.Key{Scope: "billing:write"})
}

// lives is a Fetcher that takes a second for each token of such a life.
func lives(life time.Duration, calls *atomic.Int64) tokens.Fetcher {
	return tokens.FetcherFunc(func(ctx context.Context, _ tokens.Request) (*tokens.Response, error) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		name := fmt.Sprintf("token-%d", calls.Add(1))
		return &tokens.Response{AccessToken: tokens.NewSecret(name), TokenType: "bearer", ExpiresIn: life}, nil
	})
}

func TestTokenSourceReturnsTheTokenOfTheSource(t *testing.T) {
	for _, tt := range []struct {
		name       string
		life, want time.Duration // from the first call, in which a second passes
	}{
		{"long", time.Hour, 12 * time.Second},
		{"a little longer than a cache keeps it", 12001 * time.Millisecond, 12 * time.Second},
		{"a little shorter", 11999 * time.Millisecond, 11999 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				token, err := beareroauth2.TokenSource(t.Context(), newSource(t, lives(tt.life, new(atomic.Int64)))).Token()
				if err != nil {
					t.Fatal(err)
				}
				if token.AccessToken != "token-1" || token.Type() != "Bearer" || token.RefreshToken != "" || !token.Valid() {
					t.Errorf("the token is not the one that was fetched, or not a valid bearer token")
				}
				if got := token.Expiry.Sub(began.Round(0)); got != tt.want {
					t.Errorf("Expiry is %v after the call, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestTokenSourceWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newSource(t, lives(time.Hour, new(atomic.Int64)))
		gone := errors.New("the service stops")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, gone)
		defer cancel()
		began := time.Now()
		token, err := beareroauth2.TokenSource(ctx, source).Token()
		if token != nil || !errors.Is(err, gone) || time.Since(began) != 300*time.Millisecond {
			t.Errorf("got %v after %v, want the context's cause after 300ms", err, time.Since(began))
		}
	})
}

// oauth2.NewClient puts an oauth2.ReuseTokenSource around every source.
func TestACacheAroundTokenSourceDoesNotKeepItFromRenewing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		source := newSource(t, lives(5*time.Minute, &calls))
		kept := oauth2.ReuseTokenSource(nil, beareroauth2.TokenSource(t.Context(), source))
		if _, err := kept.Token(); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < time.Hour; <-time.After(time.Second) {
			asked := time.Now()
			token, err := kept.Token()
			if err != nil || time.Since(asked) != 0 {
				t.Fatalf("after %v: a wait of %v, error %v; want a token at once", time.Since(began), time.Since(asked), err)
			}
			if !token.Valid() {
				t.Fatalf("after %v: the token is not valid", time.Since(began))
			}
		}
		if n := calls.Load(); n < 14 || n > 18 { // an hour in parts of 210 to 255 seconds
			t.Errorf("%d fetches, want one for each life", n)
		}
	})
}

func TestACacheAroundTokenSourceDropsAnInvalidatedTokenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		source := newSource(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			name := fmt.Sprintf("token-%d", calls.Add(1))
			return &tokens.Response{AccessToken: tokens.NewSecret(name), TokenType: "bearer", ExpiresIn: time.Hour}, nil
		}))
		kept := oauth2.ReuseTokenSource(nil, beareroauth2.TokenSource(t.Context(), source))
		if _, err := kept.Token(); err != nil {
			t.Fatal(err)
		}
		refused, err := source.Token(t.Context())
		if err != nil || !source.Invalidate(refused) {
			t.Fatalf("not invalidated: %v", err)
		}
		<-time.After(time.Second + 1)
		if token, err := kept.Token(); err != nil || token.AccessToken != "token-2" {
			t.Errorf("the token that a server refused is still in use (%v)", err)
		}
	})
}

func TestTokenSourceGivesTheErrorOfTheSource(t *testing.T) {
	source := newSource(t, given(nil, &tokens.Error{Op: "token", Status: 503}))
	_, err := beareroauth2.TokenSource(t.Context(), source).Token()
	unavailable, ok := errors.AsType[*tokens.UnavailableError](err)
	if !ok || unavailable.RetryAfter <= 0 {
		t.Errorf("got %v, want an UnavailableError with the time of the next attempt", err)
	}
}

// Package fmt reads the fields of a struct, and would those of a context while others change them.
func TestTokenSourcePrintsAsAFunction(t *testing.T) {
	type contextKey struct{}
	var calls atomic.Int64
	source := newSource(t, lives(time.Hour, &calls))
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), contextKey{}, "in-the-context")
	for _, v := range []any{beareroauth2.TokenSource(ctx, source), beareroauth2.Fetcher(func(context.Context, tokens.Key) (*oauth2.Token, error) {
		return nil, nil
	})} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%p", "%x"} {
			if text := fmt.Sprintf(verb, v); strings.ContainsAny(text, "&{") || strings.Contains(text, "in-the-context") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

func TestNilIsRefusedWhereItIsWired(t *testing.T) {
	for name, wire := range map[string]func(){
		"TokenSource": func() { beareroauth2.TokenSource(t.Context(), nil) },
		"Fetcher":     func() { beareroauth2.Fetcher(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "beareroauth2: "+name) {
					t.Errorf("the panic is %q, want a text that names %s", text, name)
				}
			}()
			wire()
		})
	}
}

func TestFetcherTakesOverWhatTheServerSaid(t *testing.T) {
	const life = 600 * time.Second
	for _, tt := range []struct {
		name, body string
		form       bool
		want       tokens.Response
	}{
		{
			"all", `{"access_token":"a","token_type":"bearer","expires_in":600,"refresh_in":300,"scope":"x y",` +
				`"refresh_token":"r","id_token":"i"}`, false, tokens.Response{TokenType: "Bearer", ExpiresIn: life, RefreshIn: 300 * time.Second, Scope: "x y"},
		},
		{"little", `{"access_token":"a"}`, false, tokens.Response{TokenType: "Bearer"}},
		{"a form", "access_token=a&token_type=Bearer&expires_in=600&refresh_in=300&scope=x", true, tokens.Response{
			TokenType: "Bearer", ExpiresIn: life, RefreshIn: 300 * time.Second, Scope: "x",
		}},
		{"another type", `{"access_token":"a","token_type":"DPoP"}`, false, tokens.Response{TokenType: "DPoP"}},
		{"a list of scopes", `{"access_token":"a","scope":["x","y"]}`, false, tokens.Response{TokenType: "Bearer"}},
		{
			"a fraction", `{"access_token":"a","expires_in":600,"refresh_in":0.5}`, false,
			tokens.Response{TokenType: "Bearer", ExpiresIn: life, RefreshIn: time.Second / 2},
		},
		{"a text", `{"access_token":"a","refresh_in":"300"}`, false, tokens.Response{TokenType: "Bearer", RefreshIn: 300 * time.Second}},
		{"a form's fraction", "access_token=a&refresh_in=1.5", true, tokens.Response{TokenType: "Bearer", RefreshIn: 1500 * time.Millisecond}},
		{"as long as can be", `{"access_token":"a","refresh_in":2147483647}`, false, tokens.Response{
			TokenType: "Bearer", RefreshIn: 2147483647 * time.Second,
		}},
		{"longer", `{"access_token":"a","refresh_in":2147483648}`, false, tokens.Response{TokenType: "Bearer"}},
		{"absurd", `{"access_token":"a","refresh_in":1e300}`, false, tokens.Response{TokenType: "Bearer"}},
		{"negative", `{"access_token":"a","refresh_in":-1}`, false, tokens.Response{TokenType: "Bearer"}},
		{"no number", `{"access_token":"a","refresh_in":"soon"}`, false, tokens.Response{TokenType: "Bearer"}},
		{"neither", `{"access_token":"a","refresh_in":true}`, false, tokens.Response{TokenType: "Bearer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.want.AccessToken = tokens.NewSecret("a")
				got, err := fetch(t.Context(), tokens.Request{}, func(*http.Request) (*http.Response, error) {
					<-time.After(2 * time.Second) // is no part of the life, which a Manager counts from before
					if tt.form {
						return answer(200, tt.body, "Content-Type", "application/x-www-form-urlencoded")
					}
					return answer(200, tt.body)
				})
				if err != nil {
					t.Fatal(err)
				}
				if *got != tt.want {
					t.Errorf("the grant is not the one that was wanted: %+v, want %+v", *got, tt.want)
				}
			})
		})
	}
}

func TestFetcherRefusesWhatIsNoNewToken(t *testing.T) {
	source := newSource(t, given(&oauth2.Token{AccessToken: "before"}, nil))
	previous, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	extra := func(scope string) *oauth2.Token {
		return (&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{"scope": scope})
	}
	for _, tt := range []struct {
		name     string
		token    *oauth2.Token
		previous *tokens.Token
		want     string // of the error; "" for none
	}{
		{"another", &oauth2.Token{AccessToken: "a"}, previous, ""},
		{"the same as before", &oauth2.Token{AccessToken: "before"}, previous, ""},
		{"none", nil, nil, "neither a token nor an error"},
		{"over", &oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(-time.Second)}, nil, "life was over"},
		{"a scope with a newline", extra("x\ny"), nil, "no scope has"},
		{"a scope with a quote", extra(`x"y`), nil, "no scope has"},
		{"a scope with a backslash", extra(`x\y`), nil, "no scope has"},
		{"a scope beyond ASCII", extra("x\u0443"), nil, "no scope has"},
		{"a scope with DEL", extra("x\x7f"), nil, "no scope has"},
		{"a scope of GitHub", extra("x,y~!"), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			grant, err := given(tt.token, nil).Fetch(t.Context(), tokens.Request{Previous: tt.previous})
			if tt.want == "" {
				if err != nil || grant == nil {
					t.Errorf("got %v, want a token", err)
				}
				return
			}
			if e, ok := errors.AsType[*tokens.Error](err); !ok || grant != nil || e.Op != "token" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a *tokens.Error that says %q", err, tt.want)
			}
		})
	}
}

// A time that is over this very moment must not be taken for one that was not said.
func TestFetcherRefusesALifeOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, left := range []time.Duration{0, 1} {
			grant, err := given(&oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(left)}, nil).Fetch(t.Context(), tokens.Request{})
			if good := err == nil && grant.ExpiresIn == left; good != (left > 0) {
				t.Errorf("%v left: %v", left, err)
			}
		}
	})
}

func TestFetcherTellsWhenToAskAgain(t *testing.T) {
	quoting := `{"error":"%s","error_description":"no client with ` + secret + `","error_uri":"https://x.test/` + secret + `"}`
	for _, tt := range []struct {
		name      string
		status    int
		body      string
		after     string
		want      tokens.Error
		permanent bool
	}{
		{"invalid_client", 401, fmt.Sprintf(quoting, "invalid_client"), "", tokens.Error{Status: 401, Code: "invalid_client"}, true},
		{"with 200", 200, fmt.Sprintf(quoting, "invalid_grant"), "", tokens.Error{Status: 200, Code: "invalid_grant"}, true},
		{"unavailable", 503, "<h1>" + secret, "7", tokens.Error{Status: 503, RetryAfter: 7 * time.Second}, false},
		{"a code with 503", 503, fmt.Sprintf(quoting, "invalid_client"), "", tokens.Error{Status: 503, Code: "invalid_client"}, false},
		{"a date", 429, "", "Sat, 01 Jan 2000 00:01:30 GMT", tokens.Error{Status: 429, RetryAfter: 90 * time.Second}, false},
		{"a date in the past", 429, "", "Fri, 31 Dec 1999 23:59:00 GMT", tokens.Error{Status: 429}, false},
		{"nonsense", 429, "", "-5", tokens.Error{Status: 429}, false},
		{"the longest", 429, "", "3600", tokens.Error{Status: 429, RetryAfter: time.Hour}, false},
		{"longer", 429, "", "3601", tokens.Error{Status: 429, RetryAfter: time.Hour}, false},
		{"a date that is late", 429, "", "Sat, 01 Jan 2050 00:00:00 GMT", tokens.Error{Status: 429, RetryAfter: time.Hour}, false},
		{"absurd", 429, "", strings.Repeat("9", 99), tokens.Error{Status: 429, RetryAfter: time.Hour}, false},
		{"a code of a login", 400, fmt.Sprintf(quoting, "login_required"), "", tokens.Error{Status: 400, Code: "login_required"}, false},
		{"a code for a while", 400, fmt.Sprintf(quoting, "slow_down"), "", tokens.Error{Status: 400, Code: "slow_down"}, false},
		{"no code", 400, fmt.Sprintf(quoting, ""), "", tokens.Error{Status: 400}, false},
		{"a code with a newline", 400, fmt.Sprintf(quoting, `invalid_client\n`), "", tokens.Error{Status: 400}, false},
		{"a code in capitals", 400, fmt.Sprintf(quoting, `INVALID_CLIENT`), "", tokens.Error{Status: 400}, false},
		{"a code that is the secret", 400, fmt.Sprintf(quoting, secret), "", tokens.Error{Status: 400}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // midnight, at the beginning of 2000
				_, err := fetch(t.Context(), tokens.Request{}, func(*http.Request) (*http.Response, error) {
					return answer(tt.status, tt.body, "Retry-After", tt.after)
				})
				e, ok := errors.AsType[*tokens.Error](fmt.Errorf("wrapped: %w", err))
				if !ok {
					t.Fatalf("got %T, want a *tokens.Error", err)
				}
				if tt.want.Op = "token"; *e != tt.want || e.Permanent() != tt.permanent {
					t.Errorf("got %+v and permanent: %t, want %+v and %t", *e, e.Permanent(), tt.want, tt.permanent)
				}
				disclosesNothing(t, err)
			})
		})
	}
}

// disclosesNothing looks into everything that an error could be printed as, unwrapped as well, and
// for the error of package oauth2, which has it all.
func disclosesNothing(t *testing.T, err error) {
	t.Helper()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Error("x", "error", err)
	slog.New(slog.NewTextHandler(&log, nil)).Error("x", "error", err)
	var chain strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&chain, "%v %+v %#v %d", e, e, e, e)
		for _, verb := range []string{"%v", "%s", "%t"} { // in a field it is not asked how it prints
			fmt.Fprintf(&chain, verb, struct{ err error }{e})
		}
	}
	for _, text := range []string{chain.String(), fmt.Sprintf("%#v %q", err, err), log.String()} {
		for _, bad := range []string{secret, "api_key", "in-the-url", "<h1>"} {
			if strings.Contains(text, bad) {
				t.Errorf("the error shows %q: %s", bad, text)
			}
		}
	}
	if _, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		t.Error("the error has the server's answer in it")
	}
}

func TestFetchersErrorsDiscloseNothing(t *testing.T) {
	mine := errors.New("no configuration for " + secret)
	own := &tokens.Error{Op: "token", Code: "invalid_request"}
	quoting := func(err error) error { return &url.Error{Op: "Post", URL: tokenURL, Err: err} }
	op := func(err error, address net.Addr) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err}
	}
	refused := op(os.NewSyscallError("connect", syscall.ECONNREFUSED), nil)
	said := &oauth2.RetrieveError{Response: &http.Response{StatusCode: 400}, Body: []byte(secret), ErrorCode: "invalid_scope"}
	for _, tt := range []struct {
		name string
		err  error
		want string // part of the text
		is   error  // that can be found; nil for none
	}{
		{"any", mine, "is not shown", mine},
		{"a *tokens.Error", fmt.Errorf("orders: %w", own), "orders: tokens: token: invalid_request", own},
		{"an answer, wrapped", fmt.Errorf("asking with %s: %w", secret, said), "tokens: token: status 400: invalid_scope", nil},
		{"an answer within a URL's", quoting(said), "tokens: token: status 400: invalid_scope", nil},
		{"an answer without a response", &oauth2.RetrieveError{ErrorCode: "invalid_scope"}, "tokens: token: invalid_scope", nil},
		{"a URL", quoting(refused), "dial tcp: connection refused", refused},
		{"a URL within another", quoting(fmt.Errorf("by way of %w", quoting(refused))), "dial tcp: connection refused", refused},
		{"a URL alone", quoting(nil), "is not shown", nil},
		{"an answer that is none", quoting(errors.New("malformed HTTP response " + secret)), "is not shown", nil},
		{"time", quoting(context.DeadlineExceeded), "deadline exceeded", context.DeadlineExceeded},
		{"an end", fmt.Errorf("%s: %w", secret, context.Canceled), "context canceled", context.Canceled},
		{"half an answer", quoting(io.ErrUnexpectedEOF), "unexpected EOF", io.ErrUnexpectedEOF},
		{"no answer", quoting(io.EOF), "EOF", io.EOF},
		{"no TLS", quoting(http.ErrSchemeMismatch), "HTTP response to HTTPS client", http.ErrSchemeMismatch},
		{"an address", op(syscall.ECONNREFUSED, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}), "dial tcp 127.0.0.1:443: connection refused", nil},
		{"an address with a zone", op(syscall.ECONNREFUSED, &net.TCPAddr{IP: net.IPv6loopback, Zone: secret}), "dial tcp: connection refused", nil},
		{"an address of another kind", op(syscall.ECONNREFUSED, &net.UnixAddr{Name: secret}), "dial tcp: connection refused", nil},
		{"an alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, "handshake failure", tls.AlertError(40)},
		{"an operation with a text", op(errors.New("tls: failed to parse certificate: "+secret), nil), "is not shown", nil},
		{"an unknown host", op(&net.DNSError{Name: secret, Err: secret, IsNotFound: true}, nil), "lookup: no such host", nil},
		{"a lookup's timeout", op(&net.DNSError{Name: secret, Err: secret, IsTimeout: true}, nil), "lookup: timeout", nil},
		{"a lookup's failure", op(&net.DNSError{Name: secret, Err: secret}, nil), "lookup: no usable answer", nil},
		{"a timeout with a text", quoting(timeoutError(secret)), "timeout", timeoutError(secret)},
		{"a timeout that is a text", timeoutError(secret), "timeout", timeoutError(secret)},
		{"a deadline", quoting(fmt.Errorf("%s: %w", secret, os.ErrDeadlineExceeded)), "i/o timeout", os.ErrDeadlineExceeded},
		{"a certificate", quoting(&tls.CertificateVerificationError{Err: errors.New("x509: unknown")}), "x509: unknown", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := given(nil, tt.err).Fetch(t.Context(), tokens.Request{})
			if _, ok := errors.AsType[*tokens.Error](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a *tokens.Error that says %q", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%q cannot be found in the error", tt.is)
			}
			disclosesNothing(t, err)
		})
	}
}

// timeoutError is a timeout with a text of its own, as package net/http makes one.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// An attacker who answers instead of the server chooses the names in its certificate.
func TestFetcherShowsLittleOfACertificate(t *testing.T) {
	for _, tt := range []struct{ said, want string }{
		{"x509: valid for a\nERROR made up, \u202e\x7f", "valid for a?ERROR made up, ??"},
		{strings.Repeat("x", 10000), "xxx"},
	} {
		_, err := given(nil, &tls.CertificateVerificationError{Err: errors.New(tt.said)}).Fetch(t.Context(), tokens.Request{})
		shown := strings.TrimPrefix(err.Error(), "tokens: token: ")
		if !strings.Contains(shown, tt.want) || len(shown) > 256 || len(tt.said) > 256 && len(shown) != 256 {
			t.Errorf("%d characters: %q", len(shown), shown)
		}
	}
}

// Some servers return the same token until it ends. That is no failure: every caller still has a
// token.
func TestFetcherTakesATokenThatTheServerRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Minute
		began := time.Now()
		source := newSource(t, beareroauth2.Fetcher(func(context.Context, tokens.Key) (*oauth2.Token, error) {
			n := int(time.Since(began) / life)
			return &oauth2.Token{AccessToken: fmt.Sprint("token-", n), Expiry: began.Add(life * time.Duration(n+1))}, nil
		}))
		for ; time.Since(began) < time.Hour; <-time.After(time.Second) {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
		}
	})
}

// Package oauth2 quotes the number that it cannot read.
func TestFetcherQuotesNoAnswerThatCannotBeRead(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":  secret,
		"a number": `{"access_token":"a","expires_in":"` + secret + `"}`,
		"no token": `{"other":"` + secret + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t.Context(), tokens.Request{}, func(*http.Request) (*http.Response, error) { return answer(200, body) })
			if err == nil {
				t.Fatal("no error")
			}
			disclosesNothing(t, err)
		})
	}
}

func TestFetcherFollowsNoRedirectWithTheSecret(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var asked []string
		_, err := fetch(t.Context(), tokens.Request{}, func(r *http.Request) (*http.Response, error) {
			if asked = append(asked, r.URL.Host); len(asked) > 1 {
				return answer(200, `{"access_token":"a"}`)
			}
			return answer(status, "", "Location", "https://attacker.example/token")
		})
		if len(asked) != 1 || err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("status %d: %q were asked, error %v; want the endpoint alone, and an error that says why", status, asked, err)
		}
	}
}

// All share what comes of a fetch, so that none of them may choose who is asked.
func TestFetcherUsesNoClientOfWhoeverNeedsTheToken(t *testing.T) {
	theirs := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("a client of the caller's was used")
		return answer(503, "")
	})}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, theirs)
	_, err := beareroauth2.Fetcher(func(ctx context.Context, _ tokens.Key) (*oauth2.Token, error) {
		if ctx.Value(oauth2.HTTPClient) == any(theirs) {
			t.Error("the client of the caller's is in the function's context")
		}
		return &oauth2.Token{AccessToken: "a"}, nil
	}).Fetch(ctx, tokens.Request{})
	if err != nil {
		t.Error(err)
	}
}

func TestFetcherHandsOverTheKeyAndTheContext(t *testing.T) {
	type name struct{}
	key := tokens.Key{Resource: "https://billing.example.com", Scope: "billing:write", Subject: "alice"}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "trace"), time.Hour)
	defer cancel()
	_, err := beareroauth2.Fetcher(func(ctx context.Context, got tokens.Key) (*oauth2.Token, error) {
		if _, bounded := ctx.Deadline(); got != key || ctx.Value(name{}) != "trace" || !bounded {
			t.Errorf("the function got %+v, or a context without the caller's deadline and values", got)
		}
		return &oauth2.Token{AccessToken: "a"}, nil
	}).Fetch(ctx, tokens.Request{Key: key})
	if err != nil {
		t.Error(err)
	}
}

// A Manager in front of package oauth2: 20 callers, one request, and one failure for all of them.
func TestManagerBeforeOAuth2AsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		source := newSource(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			return fetch(ctx, r, func(*http.Request) (*http.Response, error) {
				calls.Add(1)
				<-time.After(200 * time.Millisecond)
				return answer(503, secret, "Retry-After", "60")
			})
		}))
		type outcome struct {
			err  error
			took time.Duration
		}
		outcomes := make(chan outcome)
		for range 20 {
			go func() {
				began := time.Now()
				_, err := source.Token(t.Context())
				outcomes <- outcome{err, time.Since(began)}
			}()
		}
		for range 20 {
			o := <-outcomes
			e, ok := errors.AsType[*tokens.UnavailableError](o.err)
			if !ok || o.took != 200*time.Millisecond || e.RetryAfter < time.Minute {
				t.Errorf("after %v: %v; want an UnavailableError after 200ms, until Retry-After is over", o.took, o.err)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}
