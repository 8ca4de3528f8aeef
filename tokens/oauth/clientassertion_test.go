package oauth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// readyJWT is an assertion that looks right and tells itself from others.
func readyJWT(n int) string {
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"jti":"%d"}`, n))
	return "eyJhbGciOiJSUzI1NiJ9." + claims + ".c2lnbmF0dXJl"
}

// write makes a file, or replaces its content.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lastSent is the form that came to the token endpoint last.
func lastSent(t testing.TB, server *tokenstest.Server) url.Values {
	t.Helper()
	requests := server.Seen("/token")
	if len(requests) == 0 {
		t.Fatal("there was no request")
	}
	return requests[len(requests)-1].Form
}

func TestReadyAssertionIsSentAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	for name, auth := range map[string]oauth.ClientAuth{
		"a function": oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret(readyJWT(1)), nil }),
		"a file":     oauth.ClientAssertionFile(path),
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			fetcher := tokenstest.NewClient(t, server, auth).ClientCredentials()
			for _, content := range []string{readyJWT(1), " \r\n" + readyJWT(1) + "\n"} {
				writeFile(t, path, content)
				if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Fatal(err)
				}
				want := url.Values{
					"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_assertion": {readyJWT(1)},
					"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				}
				if got := lastSent(t, server); got.Encode() != want.Encode() {
					t.Errorf("sent %q, want %q", got, want)
				}
			}
		})
	}
}

// A projected token is replaced by a link that leads elsewhere.
func TestAssertionFileIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	server := tokenstest.NewServer()
	fetcher := tokenstest.NewClient(t, server, oauth.ClientAssertionFile(path)).ClientCredentials()
	for i := range 3 {
		data := filepath.Join(dir, fmt.Sprint("data", i))
		writeFile(t, data, readyJWT(i))
		link := filepath.Join(dir, "new")
		if err := os.Symlink(data, link); err != nil {
			t.Skip(err)
		}
		if err := os.Rename(link, path); err != nil {
			t.Fatal(err)
		}
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Fatal(err)
		}
		if got := lastSent(t, server).Get("client_assertion"); got != readyJWT(i) {
			t.Errorf("sent %q after %q was written", got, readyJWT(i))
		}
	}
}

func TestAssertionsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	const shape = "three parts in base64url"
	largest := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("A", 64<<10-len("eyJhbGciOiJSUzI1NiJ9..c2lnbmF0dXJl")) + ".c2lnbmF0dXJl"
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":            {"", shape},
		"a secret":           {"hunter2-hunter2", shape},
		"two parts":          {"eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0", shape},
		"no signature":       {"eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0.", shape},
		"no claims":          {"eyJhbGciOiJSUzI1NiJ9..c2lnbmF0dXJl", shape},
		"four parts":         {readyJWT(1) + ".c2lnbmF0dXJl", shape},
		"padding":            {readyJWT(1) + "=", shape},
		"a space inside":     {strings.Replace(readyJWT(1), ".", ". ", 1), shape},
		"JSON around it":     {`{"token":"` + readyJWT(1) + `"}`, shape},
		"the largest":        {largest, ""},
		"a long signature":   {readyJWT(1) + strings.Repeat("AAAA", 1000), ""},
		"one byte more":      {strings.Replace(largest, ".", ".A", 1), "longer than 65536 bytes"},
		"an ordinary one":    {readyJWT(1), ""},
		"a NUL after it":     {readyJWT(1) + "\x00", shape},
		"a second one":       {readyJWT(1) + "\n" + readyJWT(2), shape},
		"a byte order mark":  {"\ufeff" + readyJWT(1), shape},
		"standard base64":    {strings.Replace(readyJWT(1), ".e", ".+", 1), shape},
		"bits left over":     {strings.Replace(readyJWT(1), "c2lnbmF0dXJl", "c2lnbmF0dXJ", 1), shape},
		"a part of one byte": {"e.e.e", shape},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			writeFile(t, path, tt.text)
			for kind, auth := range map[string]oauth.ClientAuth{
				"function": oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret(tt.text), nil }),
				"file":     oauth.ClientAssertionFile(path),
			} {
				server := tokenstest.NewServer()
				_, err := tokenstest.NewClient(t, server, auth).ClientCredentials().Fetch(t.Context(), tokens.Request{})
				if tt.want == "" {
					if err != nil {
						t.Errorf("%s: %v", kind, err)
					}
					continue
				}
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Op != "token" || e.Permanent() || !strings.Contains(err.Error(), "the client's assertion is not available: ") ||
					!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%s: %v, want %q", kind, err, tt.want)
				}
				if len(server.Seen("/token")) != 0 {
					t.Errorf("%s: it was sent", kind)
				}
			}
		})
	}
}

func TestAssertionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	errPlatform := errors.New("the platform is down")
	missing := filepath.Join(t.TempDir(), "missing")
	for want, tt := range map[error]oauth.ClientAuth{
		errPlatform:    oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) { return tokens.Secret{}, errPlatform }),
		fs.ErrNotExist: oauth.ClientAssertionFile(missing),
	} {
		_, err := tokenstest.NewClient(t, tokenstest.NewServer(), tt).ClientCredentials().Fetch(t.Context(), tokens.Request{})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "the client's assertion is not available") {
			t.Errorf("Fetch: %v, want %v", err, want)
		}
	}
	for want, auth := range map[string]oauth.ClientAuth{
		`oauth: ClientAssertionFunc(nil): the function is nil`:           oauth.ClientAssertionFunc(nil),
		`oauth: ClientAssertionFile(""): the path is empty; name a file`: oauth.ClientAssertionFile(""),
	} {
		if _, err := oauth.NewClient(tokenstest.Issuer, "orders", auth); err == nil || err.Error() != want {
			t.Errorf("NewClient: %v, want %q", err, want)
		}
	}
}

// The function knows the request's context, and a server does not get its assertion back in an
// error.
func TestAssertionFunctionOfARequest(t *testing.T) {
	t.Parallel()
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_request","error_description":"not good: `+readyJWT(7)+`"}`))
	fetcher := tokenstest.NewClient(t, server, oauth.ClientAssertionFunc(func(ctx context.Context) (tokens.Secret, error) {
		text, _ := ctx.Value(callerKey{}).(string)
		return tokens.NewSecret(text), nil
	})).ClientCredentials()
	_, err := fetcher.Fetch(context.WithValue(t.Context(), callerKey{}, readyJWT(7)), tokens.Request{})
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_request" || e.Description != "" {
		t.Errorf("Fetch: %#v", err)
	}
	if got := lastSent(t, server).Get("client_assertion"); got != readyJWT(7) {
		t.Errorf("sent %q", got)
	}
}

// An assertion that has expired is refused. Its file is replaced within the pause.
func TestNewAssertionEndsThePauseOfOneThatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		writeFile(t, path, readyJWT(1))
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if form.Get("client_assertion") == readyJWT(1) {
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		m := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.ClientAssertionFile(path)).ClientCredentials())
		for i := range 10 {
			_ = tokenstest.WantUnavailable(t, m.Source(tokens.Key{Scope: fmt.Sprint(i)}))
		}
		if n := len(server.Seen("/token")); n != 1 {
			t.Errorf("%d requests with one assertion", n)
		}
		writeFile(t, path, readyJWT(2))
		tokenstest.MustToken(t, m.Source(tokens.Key{Scope: "another"}))
		<-time.After(5 * time.Minute) // the longest pause of a Source
		tokenstest.MustToken(t, m.Source(tokens.Key{Scope: "0"}))
	})
}
