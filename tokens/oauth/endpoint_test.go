package oauth_test

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// endpointWith is a good answer with a member replaced; "" takes it away.
func endpointWith(name, value string) string {
	members := map[string]string{"access_token": `"2YotnFZFEjr1zCsicMWpAA"`, "token_type": `"Bearer"`, name: value}
	var parts []string
	for name, value := range members {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// endpointFetch asks a server whose token endpoint gives this answer.
func endpointFetch(t testing.TB, handler tokenstest.Handler) (*tokens.Response, error) {
	t.Helper()
	server := tokenstest.NewServer()
	server.On("/token", handler)
	return fetchFrom(t, server, oauth.WithTokenEndpoint(tokenstest.TokenURL))
}

func TestTokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			<-time.After(3 * time.Second) // the token's life begins before
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		start := time.Now()
		grant, err := fetchFrom(t, server, oauth.WithTokenEndpoint(tokenstest.TokenURL+"?tenant=1"))
		if err != nil || !grant.Requested.Equal(start) {
			t.Fatalf("%+v, %v; asked at %s", grant, err, start)
		}
		got := server.Seen("")[0]
		if got.Method != http.MethodPost || got.URL != tokenstest.TokenURL+"?tenant=1" ||
			got.Header.Get("Accept") != "application/json" ||
			got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("sent %s %s %q", got.Method, got.URL, got.Header)
		}
	})
}

func TestAnswersThatAreRead(t *testing.T) {
	for name, tt := range map[string]struct {
		contentType, body string
		want              tokens.Response
	}{
		"RFC 6749 section 5.1": {"application/json;charset=UTF-8", `{
       "access_token":"2YotnFZFEjr1zCsicMWpAA",
       "token_type":"example",
       "expires_in":3600,
       "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
       "example_parameter":"example_value"
     }`, tokens.Response{}}, // its token type is none that can be used
		"RFC 6749 section 4.4.3": {
			"application/json;charset=UTF-8",
			`{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"bearer","expires_in":3600,"example_parameter":"example_value"}`,
			tokens.Response{TokenType: "Bearer", ExpiresIn: time.Hour, Extras: tokens.NewSecret(`{"example_parameter":"example_value"}`)},
		},
		"everything": {
			"application/json",
			`{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"BEARER","expires_in":3600,"refresh_in":1800,"scope":"a b",` +
				`"refresh_token":"r t","id_token":"a.b.c"}`,
			tokens.Response{
				TokenType: "Bearer", ExpiresIn: time.Hour, RefreshIn: 30 * time.Minute, Scope: "a b", RefreshToken: tokens.NewSecret("r t"), IDToken: tokens.NewSecret("a.b.c"),
			},
		},
		"no content type": {"", endpointWith("", ""), tokens.Response{TokenType: "Bearer"}},
		"a kind of JSON":  {"application/token+json", endpointWith("", ""), tokens.Response{TokenType: "Bearer"}},
		"capitals":        {"Application/JSON", endpointWith("", ""), tokens.Response{TokenType: "Bearer"}},
		"null is absent":  {"", endpointWith("refresh_token", "null"), tokens.Response{TokenType: "Bearer"}},
		"a null life":     {"", endpointWith("expires_in", "null"), tokens.Response{TokenType: "Bearer"}},
		"an empty scope":  {"", endpointWith("scope", `""`), tokens.Response{TokenType: "Bearer"}},
		"a string of digits": {
			"", endpointWith("expires_in", `"3600"`), tokens.Response{TokenType: "Bearer", ExpiresIn: time.Hour},
		},
		"a fraction": {
			"", endpointWith("expires_in", `1.5`), tokens.Response{TokenType: "Bearer", ExpiresIn: 1500 * time.Millisecond},
		},
		"an exponent": {"", endpointWith("expires_in", `36e2`), tokens.Response{TokenType: "Bearer", ExpiresIn: time.Hour}},
		"one second":  {"", endpointWith("expires_in", `1`), tokens.Response{TokenType: "Bearer", ExpiresIn: time.Second}},
		"a hundred years": {
			"", endpointWith("expires_in", `3153600000`), tokens.Response{TokenType: "Bearer", ExpiresIn: 876000 * time.Hour},
		},
		"another life": {"", endpointWith("ext_expires_in", `"x"`), tokens.Response{TokenType: "Bearer", Extras: tokens.NewSecret(`{"ext_expires_in":"x"}`)}},
		"refresh_in as text": {
			"", endpointWith("refresh_in", `"60"`), tokens.Response{TokenType: "Bearer", RefreshIn: time.Minute},
		},
		"refresh_in, negative": {"", endpointWith("refresh_in", `-60`), tokens.Response{TokenType: "Bearer"}},
		"refresh_in, absurd":   {"", endpointWith("refresh_in", `1e99`), tokens.Response{TokenType: "Bearer"}},
		"refresh_in, a list":   {"", endpointWith("refresh_in", `[]`), tokens.Response{TokenType: "Bearer"}},
		"refresh_expires_in":   {"", endpointWith("refresh_expires_in", `[]`), tokens.Response{TokenType: "Bearer", Extras: tokens.NewSecret(`{"refresh_expires_in":[]}`)}},
		"an empty error":       {"", endpointWith("error", `""`), tokens.Response{TokenType: "Bearer"}},
		"an error of null":     {"", endpointWith("error", `null`), tokens.Response{TokenType: "Bearer"}},
		"an error of false":    {"", endpointWith("error", `false`), tokens.Response{TokenType: "Bearer"}},
		"the longest refresh": {
			"", endpointWith("refresh_token", `"`+strings.Repeat("a", accesstoken.MaxSize)+`"`), tokens.Response{TokenType: "Bearer", RefreshToken: tokens.NewSecret(strings.Repeat("a", accesstoken.MaxSize))},
		},
		"the longest body": {
			"", endpointWith("", "") + strings.Repeat(" ", 1<<20-len(endpointWith("", ""))), tokens.Response{TokenType: "Bearer"},
		},
		"escapes in the member": {
			"", `{"access\u005ftoken":"2Yotn\u0046ZFEjr1zCsicMWpAA","token_type":"Bearer"}`, tokens.Response{TokenType: "Bearer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := endpointFetch(t, tokenstest.Gives(http.StatusOK, tt.contentType, tt.body))
			if tt.want.TokenType == "" {
				if err == nil {
					t.Error("it is read")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.want.AccessToken, tt.want.Requested = tokens.NewSecret("2YotnFZFEjr1zCsicMWpAA"), grant.Requested
			tt.want.ExpiresIn = cmp.Or(tt.want.ExpiresIn, 5*time.Minute)
			if *grant != tt.want || grant.Requested.IsZero() {
				t.Errorf("%#v, want %#v", *grant, tt.want)
			}
		})
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	const (
		noToken = "no access_token that could be sent"
		noType  = "of a type that is not Bearer"
		html    = "is not application/json"
		scope   = "scope is neither a string nor a list of strings"
	)
	for name, tt := range map[string]struct {
		contentType, body, want string
	}{
		"a web page":                 {"text/html", "<!doctype html>", html},
		"a web page without a type":  {"", "<!doctype html>", "invalid JSON: not an object"},
		"a form without an end":      {"application/x-www-form-urlencoded", "access_token=a&token_type=bearer", "whether all of it came is not known"},
		"a form of another type":     {"text/plain", "access_token=a&token_type=bearer", html},
		"a form that is called JSON": {"application/json", "access_token=a&token_type=bearer", "invalid JSON"},
		"half of JSON as text":       {"text/plain", tokenstest.Good[:20], html},
		"JSON as text, twice":        {"text/plain", tokenstest.Good + tokenstest.Good, html},
		"JSON as text in text":       {"text/html", "<p>" + tokenstest.Good + "</p>", html},
		"nothing":                    {"", "", "invalid JSON"},
		"a list":                     {"", "[]", "invalid JSON"},
		"two documents":              {"", tokenstest.Good + tokenstest.Good, "invalid JSON"},
		"half a document":            {"", tokenstest.Good[:20], "invalid JSON"},
		"not UTF-8":                  {"", endpointWith("x", "\"\xff\""), "invalid JSON"},
		"a member twice":             {"", `{"access_token":"a",` + tokenstest.Good[1:], "a member name occurs twice"},
		"a member twice, escaped":    {"", `{"access\u005ftoken":"a",` + tokenstest.Good[1:], "a member name occurs twice"},
		"one byte too long":          {"", tokenstest.Good + strings.Repeat(" ", 1<<20-len(tokenstest.Good)+1), "longer than 1048576 bytes"},
		"no token":                   {"", endpointWith("access_token", ""), noToken},
		"a null token":               {"", endpointWith("access_token", "null"), noToken},
		"an empty token":             {"", endpointWith("access_token", `""`), noToken},
		"a token of a number":        {"", endpointWith("access_token", `1`), "access_token is not a string"},
		"a token with a line break":  {"", endpointWith("access_token", `"a\r\nX-Evil: 1"`), noToken},
		"a token with a space":       {"", endpointWith("access_token", `"a b"`), noToken},
		"a token not in ASCII":       {"", endpointWith("access_token", `"\u00e9"`), noToken},
		"a token that is too long":   {"", endpointWith("access_token", `"`+strings.Repeat("a", accesstoken.MaxSize+1)+`"`), noToken},
		"another case":               {"", `{"ACCESS_TOKEN":"a","token_type":"Bearer"}`, noToken},
		"another type":               {"", endpointWith("token_type", `"DPoP"`), noType},
		"N_A":                        {"", endpointWith("token_type", `"N_A"`), noType},
		"a look-alike of Bearer":     {"", endpointWith("token_type", `"Bearer "`), noType},
		"a type of a number":         {"", endpointWith("token_type", `1`), "token_type is not a string"},
		"a bare NaN":                 {"", endpointWith("expires_in", `NaN`), "invalid JSON"},
		"a scope in a list of lists": {"", endpointWith("scope", `[["a"]]`), scope},
		"a scope in half a list":     {"", endpointWith("scope", `["a",7]`), scope},
		"a scope of a number":        {"", endpointWith("scope", `7`), "scope is not a string"},
		"a list with a line break":   {"", endpointWith("scope", `["a\nb"]`), "scope has a character"},
		"a list that is too long":    {"", endpointWith("scope", `["`+strings.Repeat("a", 16<<10)+`",""]`), "scope is longer than 16384 bytes"},
		"a scope with a line break":  {"", endpointWith("scope", `"a\nb"`), "scope has a character"},
		"a scope with a quote":       {"", endpointWith("scope", `"a\"b"`), "scope has a character"},
		"a refresh token of a list":  {"", endpointWith("refresh_token", `[]`), "refresh_token is not a string"},
		"a refresh token of control": {"", endpointWith("refresh_token", `"\u0000"`), "refresh_token cannot be sent back"},
		"an error beside":            {"", endpointWith("error", `"not a code"`), "the answer says error"},
		"an error of an object":      {"", endpointWith("error", `{"code":7}`), "the answer says error"},
		"a refresh token too long": {
			"", endpointWith("refresh_token", `"`+strings.Repeat("a", accesstoken.MaxSize+1)+`"`), "cannot be sent back",
		},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := endpointFetch(t, tokenstest.Gives(http.StatusOK, tt.contentType, tt.body))
			e, ok := errors.AsType[*tokens.Error](err)
			if grant != nil || !ok || e.Op != "token" || e.Status != http.StatusOK || e.Permanent() ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %q", grant, err, tt.want)
			}
		})
	}
}

func TestErrorAnswers(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		want              tokens.Error // without Op
		permanent         bool
	}{
		"RFC 6749 section 5.2": {
			http.StatusBadRequest, "application/json;charset=UTF-8", `{"error":"invalid_request"}`, tokens.Error{Code: "invalid_request"}, true,
		},
		"a description": {
			http.StatusUnauthorized, "application/json", `{"error":"invalid_client","error_description":"no such client"}`,
			tokens.Error{Code: "invalid_client", Description: "no such client"},
			true,
		},
		"an error with the status 200": {
			http.StatusOK, "application/json", `{"error":"invalid_grant"}`, tokens.Error{Code: "invalid_grant"}, true,
		},
		"an error as text": {
			http.StatusBadRequest, "text/plain", `{"error":"invalid_grant"}`, tokens.Error{Code: "invalid_grant"}, true,
		},
		"an unregistered code": {
			http.StatusBadRequest, "", `{"error":"AADSTS7000215.x-y"}`, tokens.Error{Code: "AADSTS7000215.x-y"}, false,
		},
		"down": {http.StatusServiceUnavailable, "text/html", "<h1>down</h1>", tokens.Error{}, false},
		"down, and invalid": {
			http.StatusBadGateway, "", `{"error":"invalid_grant"}`, tokens.Error{Code: "invalid_grant"}, false,
		},
		"too many requests": {
			http.StatusTooManyRequests, "", `{"error":"invalid_client"}`, tokens.Error{Code: "invalid_client"}, false,
		},
		"no JSON": {http.StatusBadRequest, "application/json", `{"error":`, tokens.Error{}, false},
		"the error twice": {
			http.StatusBadRequest, "", `{"error":"invalid_grant","error":"x"}`, tokens.Error{}, false,
		},
		"an error of an object":      {http.StatusBadRequest, "", `{"error":{"code":"invalid_grant"}}`, tokens.Error{}, false},
		"an error with a line break": {http.StatusBadRequest, "", `{"error":"invalid\ngrant"}`, tokens.Error{}, false},
		"an error with a space":      {http.StatusBadRequest, "", `{"error":"invalid grant"}`, tokens.Error{}, false},
		"an error with a look-alike": {http.StatusBadRequest, "", `{"error":"\u0456nvalid_grant"}`, tokens.Error{}, false},
		"an error of 64 characters": {
			http.StatusBadRequest, "", `{"error":"` + long[:64] + `"}`, tokens.Error{Code: long[:64]}, false,
		},
		"an error of 65 characters": {http.StatusBadRequest, "", `{"error":"` + long[:65] + `"}`, tokens.Error{}, false},
		"a description of 257": {
			http.StatusBadRequest, "", `{"error_description":"` + long[:257] + `"}`, tokens.Error{Description: long[:256]}, false,
		},
		"a description of a number": {http.StatusBadRequest, "", `{"error_description":7}`, tokens.Error{}, false},
		"a description of bad letters": {
			http.StatusBadRequest, "", `{"error_description":"a\u001b[31m\r\nb\"\\\u00e9\u007f!"}`, tokens.Error{Description: "a?[31m??b????!"}, false,
		},
		"another success, of a page": {
			http.StatusCreated, "text/html", "<h1>created</h1>", tokens.Error{Err: errors.New("the answer is not application/json")}, false,
		},
		"a part": {
			http.StatusPartialContent, "application/json", tokenstest.Good, tokens.Error{Err: errors.New("the status is not 200")}, false,
		},
		"no content": {http.StatusNoContent, "", "", tokens.Error{Err: errors.New("the status is not 200")}, false},
		"not modified": {
			http.StatusNotModified, "", `{"error":"invalid_grant"}`, tokens.Error{Err: errors.New("redirects, which is not followed")}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := endpointFetch(t, tokenstest.Gives(tt.status, tt.contentType, tt.body))
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "token" || e.Status != tt.status || e.Code != tt.want.Code || e.Description != tt.want.Description ||
				e.Permanent() != tt.permanent {
				t.Fatalf("%+v", e)
			}
			if (e.Err == nil) != (tt.want.Err == nil) || e.Err != nil && !strings.Contains(e.Err.Error(), tt.want.Err.Error()) {
				t.Errorf("%v, want %v", e.Err, tt.want.Err)
			}
			if e.Description != "" && strings.Contains(err.Error(), e.Description) {
				t.Errorf("the description is in the error: %v", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "120": 2 * time.Minute, "3600": time.Hour, "3601": time.Hour, "99999999999999999999999": time.Hour,
		"18446744073709551615": time.Hour, "-1": 0, "1.5": 0, "+1": 0, "0x10": 0, "soon": 0, "1, 2": 0, " ": 0,
		"Sat, 01 Jan 2000 00:02:00 GMT": 2 * time.Minute, "Sat, 01 Jan 2000 05:00:00 GMT": time.Hour, "Fri, 31 Dec 1999 23:59:00 GMT": 0,
		"Saturday, 01-Jan-00 00:00:30 GMT": 30 * time.Second, "Sat, 01 Jan 9999 00:00:00 GMT": time.Hour, "Sat, 99 Jan 2000 00:00:00 GMT": 0,
	} {
		synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
			_, err := endpointFetch(t, tokenstest.Gives(http.StatusServiceUnavailable, "", "", "Retry-After", value))
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.RetryAfter != want {
				t.Errorf("%q: %+v, want %s", value, e, want)
			}
		})
	}
}

// A redirect would take the secret along (RFC 9110 section 15.4.8), or turn the POST into a GET.
func TestTokenEndpointsRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, location := range []string{"https://evil.example/token", tokenstest.Issuer + "/elsewhere", "", "/elsewhere"} {
			server := tokenstest.NewServer()
			server.On("/token", tokenstest.Gives(status, "", "", "Location", location))
			_, err := fetchFrom(t, server)
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Status != status || !strings.Contains(err.Error(), "redirects, which is not followed") ||
				strings.Contains(err.Error(), "evil") {
				t.Errorf("%d: %v", status, err)
			}
			if n := len(server.Seen("")); n != 2 {
				t.Errorf("%d to %q: %d requests", status, location, n)
			}
		}
	}
}

// The client's own CheckRedirect does not change that.
func TestCheckRedirectOfTheGivenClientIsNotAsked(t *testing.T) {
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.Gives(http.StatusTemporaryRedirect, "", "", "Location", "https://evil.example/token"))
	c, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)), oauth.WithHTTPClient(&http.Client{
		Transport: server, CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil || len(server.Seen("evil")) != 0 {
		t.Error("followed:", err)
	}
}

// endpointSpace is endless white space, and counts what is read of it.
type endpointSpace struct{ read int }

func (s *endpointSpace) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	s.read += len(p)
	if s.read > 1<<30 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestHugeAnswerIsNotRead(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusServiceUnavailable} {
		space := &endpointSpace{}
		_, err := endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) {
			return tokenstest.Response(status, io.MultiReader(strings.NewReader(tokenstest.Good), space)), nil
		})
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Status != status || !strings.Contains(err.Error(), "longer than 1048576 bytes") || space.read > 2<<20 {
			t.Errorf("%d: %v after %d bytes", status, err, space.read)
		}
	}
}

func TestCompressedAnswerIsCountedUncompressed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = io.WriteString(z, tokenstest.Good)
		space := []byte(strings.Repeat(" ", 1<<20))
		for range 64 {
			if _, err := z.Write(space); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	c, err := oauth.NewClient(server.URL, "orders", oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
	if err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("Fetch: %v", err)
	}
}

func TestSlowAnswerEnds(t *testing.T) {
	for name, handler := range map[string]tokenstest.Handler{
		"a body of a byte a second": func(r *http.Request, _ url.Values) (*http.Response, error) {
			return tokenstest.Response(http.StatusOK, &clientDrip{ctx: r.Context()}), nil
		},
		"an error's body of a byte a second": func(r *http.Request, _ url.Values) (*http.Response, error) {
			return tokenstest.Response(http.StatusBadRequest, &clientDrip{ctx: r.Context()}), nil
		},
		"no answer": func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"no answer, and the cause": func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := endpointFetch(t, handler)
				e, ok := errors.AsType[*tokens.Error](err)
				if wait := time.Since(start); wait != 10*time.Second || !ok || e.Permanent() ||
					!errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("after %s: %v", wait, err)
				}
				if !strings.Contains(err.Error(), "no complete answer within 10s") {
					t.Errorf("the error does not say how long it was waited: %v", err)
				}

				// The caller's own end comes first, and can be told by both its kind and its cause.
				server := tokenstest.NewServer()
				server.On("/token", handler)
				errWhy := errors.New("why")
				fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(tokenstest.TokenURL)).ClientCredentials()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errWhy)
				defer cancel()
				start = time.Now()
				_, err = fetcher.Fetch(ctx, tokens.Request{})
				if wait := time.Since(start); wait != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) ||
					!errors.Is(err, errWhy) {
					t.Errorf("after %s: %v", wait, err)
				}
				canceled, stop := context.WithCancel(t.Context())
				stop()
				if _, err = fetcher.Fetch(canceled, tokens.Request{}); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

func TestTimeoutOfTheGivenClientCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), oauth.WithTokenEndpoint(tokenstest.TokenURL),
			oauth.WithHTTPClient(&http.Client{Transport: server, Timeout: 2 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = c.JWTBearer(grantsSign(tokens.NewSecret("a.b.c"))).Fetch(t.Context(), tokens.Request{})
		if wait := time.Since(start); wait != 2*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v", wait, err)
		}
	})
}

// An answer is read, and nothing keeps the rest of it in memory.
func TestAnswersAreNotKept(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 64 MiB")
	}
	padding := strings.Repeat("x", 1000<<10)
	keep := make([]any, 64)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range keep {
		if i%2 == 0 {
			keep[i], _ = endpointFetch(t, tokenstest.JSON(http.StatusOK, strings.TrimSuffix(tokenstest.Good, "}")+`,"scope":"a","x":"`+padding+`"}`))
		} else {
			_, keep[i] = endpointFetch(t, tokenstest.JSON(http.StatusBadRequest, `{"error":"odd","error_description":"odd","x":"`+padding+`"}`))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
		t.Errorf("%d KiB for %d answers", kept>>10, len(keep))
	}
	runtime.KeepAlive(keep)
}

// A server can fill the memory with nothing that it answers: the scope has a bound, and what is
// kept of an error keeps no more than is shown.
func TestWhatIsKeptOfAnAnswerIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 64 MiB")
	}
	const answers = 40
	kept := func(name, answer string, status, most int) {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(status, answer))
		manager := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials())
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range answers {
			_, _ = manager.Source(tokens.Key{Scope: fmt.Sprint("s", i)}).Token(t.Context())
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / answers; each > int64(most) {
			t.Errorf("%s: %d KiB for each key", name, each>>10)
		}
		runtime.KeepAlive(manager)
	}
	scope := strings.TrimSuffix(tokenstest.Good, "}") + `,"scope":"` + strings.TrimSuffix(strings.Repeat("a ", 8<<10), " ")
	kept("a scope", scope+`"}`, http.StatusOK, 64<<10)
	kept("a scope that is too long", scope+strings.Repeat(" a", 450<<10)+`"}`, http.StatusOK, 64<<10)
	kept("a description", `{"error":"odd","error_description":"`+strings.Repeat("a ", 500<<10)+`"}`, http.StatusBadRequest, 64<<10)
	kept("a code", `{"error":"`+strings.Repeat("a", 1000<<10)+`"}`, http.StatusBadRequest, 64<<10)
}

// The scope of a token has at most 16 KiB, of whatever Fetcher.
func TestScopeHasABound(t *testing.T) {
	for size, good := range map[int]bool{16 << 10: true, 16<<10 + 1: false} {
		scope := strings.Repeat("a ", size)[:size]
		_, err := endpointFetch(t, tokenstest.JSON(http.StatusOK, strings.TrimSuffix(tokenstest.Good, "}")+`,"scope":"`+scope+`"}`))
		if (err == nil) != good {
			t.Errorf("%d bytes: %v", size, err)
		}
		_, err = tokenstest.NewManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer", Scope: scope}, nil
		})).Source(tokens.Key{}).Token(t.Context())
		if (err == nil) != good {
			t.Errorf("%d bytes of another Fetcher: %v", size, err)
		}
	}
}

// The default client keeps no connection.
func TestDefaultClientKeepsNoConnection(t *testing.T) {
	var connections []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections = append(connections, r.RemoteAddr)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, tokenstest.Good)
	}))
	defer server.Close()
	c, err := oauth.NewClient(server.URL, "orders", oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections) != 2 || connections[0] == connections[1] {
		t.Errorf("requests came over %q", connections)
	}
}

// FuzzTokenAnswer holds what every answer of a token endpoint is held to, whatever it is.
func FuzzTokenAnswer(f *testing.F) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusServiceUnavailable} {
		for _, body := range []string{
			tokenstest.Good, "", "{}", "[]", "<html>", `{"error":"invalid_grant","error_description":"x"}`, `{"error":"\u0000"}`,
			endpointWith("expires_in", "1e999"), endpointWith("expires_in", `"3600"`), endpointWith("expires_in", "-1"),
			endpointWith("refresh_token", `"a"`), endpointWith("scope", `"a b"`), endpointWith("access_token", `"\r\n"`),
			endpointWith("refresh_in", "0.5"), `{"access_token":"a","access_token":"b","token_type":"Bearer"}`,
		} {
			f.Add(status, "application/json", body, "")
			f.Add(status, "", body, "120")
		}
		for _, body := range []string{
			"access_token=a&token_type=bearer&scope=a%2Cb", "access_token=a&access_token=b", "error=invalid_grant&error_description=x", "x=%ff",
		} {
			f.Add(status, formType, body, "")
		}
	}
	f.Fuzz(func(t *testing.T, status int, contentType, body, retryAfter string) {
		if status < 200 || status > 599 {
			return
		}
		grant, err := endpointFetch(t, whole(status, contentType, body, "Retry-After", retryAfter))
		if (grant == nil) == (err == nil) {
			t.Fatalf("%v, %v", grant, err)
		}
		if err == nil {
			if status < 200 || status > 299 || grant.TokenType != "Bearer" || grant.ExpiresIn <= 0 || grant.RefreshIn < 0 ||
				len(grant.Extras.Reveal()) > 16<<10 || grant.Extra("refresh_token") != "" ||
				grant.ExpiresIn > 876000*time.Hour || grant.RefreshIn > 876000*time.Hour || grant.Requested.IsZero() {
				t.Errorf("%#v", grant)
			}
			r := http.Request{Header: http.Header{"Authorization": {"Bearer " + grant.AccessToken.Reveal()}}}
			if err := r.Write(io.Discard); grant.AccessToken.Reveal() == "" ||
				strings.ContainsAny(grant.AccessToken.Reveal(), " \r\n\x00\x7f") {
				t.Errorf("%q cannot be sent: %v", grant.AccessToken.Reveal(), err)
			}
			return
		}
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Op != "token" || e.Status != status || e.RetryAfter < 0 || e.RetryAfter > time.Hour || len(e.Code) > 64 ||
			len(e.Description) > 256 {
			t.Fatalf("%#v", err)
		}
		for _, c := range err.Error() + e.Description {
			if c < ' ' || c > '~' {
				t.Errorf("%q is in the error", c)
			}
		}
		if len(err.Error()) > 400 {
			t.Errorf("the error is long: %v", err)
		}
	})
}
