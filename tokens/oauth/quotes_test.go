package oauth_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// endpointForms are the forms in which a text may stand in another.
func endpointForms(secret string) []string {
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// endpointQuotes reports whether an error, any of those that it wraps, or what it shows beside its
// text has a secret in it.
func endpointQuotes(err error, secrets ...string) string {
	texts := []string{fmt.Sprintf("%v %+v %s", err, err, err)}
	if e, ok := errors.AsType[*tokens.Error](err); ok {
		texts = append(texts, e.Code, e.Description)
	}
	for _, secret := range secrets {
		for _, form := range endpointForms(secret) {
			for _, text := range texts {
				if strings.Contains(text, form) {
					return text
				}
			}
		}
	}
	return ""
}

// A server that sends back what it was sent does not get it into an error.
func TestErrorsQuoteNoSecret(t *testing.T) {
	const (
		secret = "s3cr+t/of &this=client~"
		token  = "an.access/token+that==is%20secret"
		short  = "hunter2"
	)
	key := func(kind string) oauth.ClientAuth { return oauth.PrivateKeyJWT(assertionKeys()[kind], "") }
	exchange := func(c *oauth.Client) tokens.Fetcher {
		give := func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
			return oauth.SecurityToken{Token: tokens.NewSecret(token)}, nil
		}
		return c.ExchangeWithActor(give, give)
	}
	bearer := func(c *oauth.Client) tokens.Fetcher {
		return c.JWTBearer(grantsSign(tokens.NewSecret(token)))
	}
	for name, tt := range map[string]struct {
		auth oauth.ClientAuth
		make func(*oauth.Client) tokens.Fetcher
	}{
		"basic":          {oauth.ClientSecretBasic(tokens.NewSecret(secret)), ofTheClient},
		"post":           {oauth.ClientSecretPost(tokens.NewSecret(secret)), ofTheClient},
		"a short secret": {oauth.ClientSecretPost(tokens.NewSecret(short)), ofTheClient},
		"an assertion":   {key("Ed25519"), ofTheClient},
		"an exchange":    {oauth.ClientSecretBasic(tokens.NewSecret(secret)), exchange},
		"a JWT":          {oauth.NoClientAuth(), bearer},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			// echoes are the server's ways to say what it heard.
			echoes := map[string]func(text string) (*http.Response, error){}
			for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusInternalServerError} {
				for name, body := range map[string]string{
					"the code": `{"error":%q}`, "the description": `{"error":"own_code","error_description":%q}`,
					"a sentence":  `{"error":"own_code","error_description":"what is %%s? " + %q}`,
					"a late word": `{"error":"own_code","error_description":` + `"` + strings.Repeat("x", 240) + `" + %q}`,
					"the token":   `{"access_token":%q,"token_type":"another"}`, "the type": `{"access_token":"a","token_type":%q}`,
					"the life": `{"access_token":"a","token_type":"another","expires_in":%q}`,
				} {
					echoes[fmt.Sprint(name, " of ", status)] = func(text string) (*http.Response, error) {
						body := strings.ReplaceAll(fmt.Sprintf(body, text), `" + "`, "")
						return tokenstest.Response(status, strings.NewReader(body), "Content-Type", "application/json"), nil
					}
				}
			}
			echoes["the content type"] = func(text string) (*http.Response, error) {
				return tokenstest.Response(http.StatusOK, strings.NewReader("<html>"), "Content-Type", text), nil
			}
			echoes["Retry-After"] = func(text string) (*http.Response, error) {
				return tokenstest.Response(http.StatusServiceUnavailable, strings.NewReader(text), "Retry-After", text), nil
			}
			echoes["Location"] = func(text string) (*http.Response, error) {
				return tokenstest.Response(http.StatusFound, strings.NewReader(text), "Location", "https://%zz"+text), nil
			}
			echoes["the transport"] = func(text string) (*http.Response, error) {
				return nil, fmt.Errorf("malformed HTTP response %q", text)
			}
			for how, echo := range echoes {
				for form := range endpointForms("") {
					for part, parts := 0, 1; part < parts; part++ { // of what was sent
						server := tokenstest.NewServer()
						server.On("/token", func(r *http.Request, values url.Values) (*http.Response, error) {
							sent = nil
							for _, name := range []string{
								"client_secret", "client_assertion", "assertion", "subject_token", "actor_token",
							} {
								sent = append(sent, values[name]...)
							}
							if _, value, ok := r.BasicAuth(); ok {
								decoded, _ := url.QueryUnescape(value)
								sent = append(sent, decoded, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
							}
							parts = len(sent)
							return echo(endpointForms(sent[part])[form])
						})
						c := tokenstest.NewClient(t, server, tt.auth, oauth.WithTokenEndpoint(tokenstest.TokenURL))
						r := tokens.Request{}
						if name == "an exchange" {
							r.Key.Subject = "alice"
						}
						if _, err := tt.make(c).Fetch(t.Context(), r); err == nil {
							t.Fatalf("%s: no error", how)
						} else if text := endpointQuotes(err, sent...); text != "" {
							t.Fatalf("%s, form %d, shows %q", how, form, text)
						}
					}
				}
			}
		})
	}
}

// Also a part of a long secret is one.
func TestDescriptionWithAPartOfASecretIsDropped(t *testing.T) {
	for text, want := range map[string]string{
		"the secret " + tokenstest.Secret[5:13] + " is wrong":        "",
		"the secret " + tokenstest.Secret[5:12] + " is wrong":        "the secret " + tokenstest.Secret[5:12] + " is wrong",
		"the secret of client orders is wrong":                       "the secret of client orders is wrong",
		strings.Repeat("x", 256) + tokenstest.Secret:                 "",
		strings.Repeat("x", 256-8) + tokenstest.Secret[:16]:          "",
		strings.Repeat("x", 256-4) + tokenstest.Secret[:7]:           strings.Repeat("x", 256-4) + tokenstest.Secret[:4],
		strings.ToUpper(tokenstest.Secret) + " is in capitals":       strings.ToUpper(tokenstest.Secret) + " is in capitals",
		base64.StdEncoding.EncodeToString([]byte(tokenstest.Secret)): "",

		base64.StdEncoding.EncodeToString([]byte("x" + tokenstest.Secret)):   "", // its bytes stand elsewhere in the characters
		base64.StdEncoding.EncodeToString([]byte("xy" + tokenstest.Secret)):  "",
		base64.URLEncoding.EncodeToString([]byte("xyz" + tokenstest.Secret)): "",
	} {
		_, err := endpointFetch(t, tokenstest.JSON(http.StatusUnauthorized, fmt.Sprintf(`{"error":"invalid_client","error_description":%q}`, text)))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Description != want || e.Code != "invalid_client" {
			t.Errorf("%q: %+v", text, e)
		}
	}
}

// An error that carries a refresh token to be saved does not show it, and neither does one that
// hides what was quoted.
func TestErrorsPrintNothingByAnyVerb(t *testing.T) {
	_, refused := endpointFetch(t, tokenstest.JSON(http.StatusOK, `{"access_token":"a","token_type":"DPoP","refresh_token":"hunter2"}`))
	_, quoting := endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) {
		return nil, textproto.ProtocolError("malformed MIME header line: hunter2")
	})
	for _, err := range []error{refused, quoting} {
		if err == nil {
			t.Error("no error")
		}
		for ; err != nil; err = errors.Unwrap(err) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
				text := fmt.Sprintf(verb, err)
				if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
					t.Errorf("%s prints %s", verb, text)
				}
			}
		}
	}
}

// What package net/http says of an answer that it cannot read has the answer in it.
func TestErrorsOfTheConnectionQuoteNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"a status line": "hunter2 %s\r\n\r\n",
		"a version":     "HTTP/9.%s 200 OK\r\n\r\n",
		"a status":      "HTTP/1.1 %s\r\n\r\n",
		"a header":      "HTTP/1.1 200 OK\r\nhunter2 %s\r\n\r\n",
		"a length":      "HTTP/1.1 200 OK\r\nContent-Length: hunter2%s\r\n\r\n",
		"an encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: hunter2%s\r\n\r\n",
		"a chunk":       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nhunter2%s\r\n",
		"half a body":   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n{\"hunter2\":%s",
		"nothing":       "%.0s",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				defer connection.Close()
				r, err := http.ReadRequest(bufio.NewReader(connection))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(connection, answer, body)
			}()
			endpoint := "http://" + listener.Addr().String()
			c, err := oauth.NewClient(endpoint, "orders", oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(endpoint))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
			listener.Close()
			<-done
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "token" || e.Permanent() || strings.Contains(err.Error(), "hunter2") ||
				endpointQuotes(err, tokenstest.Secret) != "" {
				t.Errorf("Fetch: %v", err)
			}
			for ; err != nil; err = errors.Unwrap(err) { // as those do who report errors elsewhere
				if strings.Contains(err.Error(), "hunter2") || endpointQuotes(err, tokenstest.Secret) != "" {
					t.Errorf("further down: %v", err)
				}
			}
		})
	}
}

// A transport made of another client wraps what it says once more, and a certificate has names in
// it that anybody chose.
func TestErrorsInErrorsQuoteNothing(t *testing.T) {
	inner := &url.Error{Op: "Post", URL: "https://hunter2.test", Err: errors.New("malformed HTTP response hunter2")}
	_, err := endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) { return nil, inner })
	if err == nil || strings.Contains(err.Error(), "hunter2") || !errors.Is(err, inner.Err) {
		t.Errorf("a url.Error: %v", err)
	}
	invalid := &tls.CertificateVerificationError{Err: errors.New("valid for a\n2026/01/01 ERROR made up" + strings.Repeat("x", 1000))}
	_, err = endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) { return nil, invalid })
	if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 || !strings.Contains(err.Error(), "valid for a") {
		t.Errorf("a certificate: %v", err)
	}
}

// What can be shown is shown. errors.Is and errors.As find the rest.
func TestErrorsOfTheConnectionSayWhatTheyMay(t *testing.T) {
	errOwn := errors.New("a transport's own reason")
	_, err := endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) { return nil, errOwn })
	if !errors.Is(err, errOwn) || strings.Contains(err.Error(), "own reason") ||
		!strings.Contains(err.Error(), "the exchange failed") {
		t.Errorf("Fetch: %v", err)
	}
	_, err = endpointFetch(t, func(*http.Request, url.Values) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	})
	if err == nil || !strings.Contains(err.Error(), "dial tcp: connection refused") {
		t.Errorf("Fetch: %v", err)
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = nil
	c, err := oauth.NewClient(server.URL, "orders", oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("Fetch: %v", err)
	}
}

// A refresh token of up to 64 KiB in an answer that cannot be used is kept where it matters, and
// not with each of many keys that fail.
func TestErrorsKeepNoRefreshTokenWithoutNeed(t *testing.T) {
	_, err := endpointFetch(t, tokenstest.JSON(http.StatusOK, `{"access_token":"a","token_type":"MAC","refresh_token":"r"}`))
	if _, ok := err.(*tokens.Error); !ok { //nolint:errorlint // and nothing around it
		t.Errorf("a %T: %v", err, err)
	}
}
