package webclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/webclient"
)

// What package net/http or a server may quote is not in the text of an error, by no verb and at no level.
func TestQuiet(t *testing.T) {
	const secret = "s3cr3t"
	quoting := func(err error) error { return &url.Error{Op: "Post", URL: "https://a.example/" + secret, Err: err} }
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"any":                    {errors.New("malformed HTTP response " + secret), "is not shown"},
		"a URL alone":            {quoting(nil), "is not shown"},
		"a URL":                  {quoting(refused), "dial tcp: connection refused"},
		"a URL within another":   {quoting(fmt.Errorf("by way of %w", quoting(refused))), "dial tcp: connection refused"},
		"time":                   {quoting(context.DeadlineExceeded), "context deadline exceeded"},
		"an end":                 {fmt.Errorf("%s: %w", secret, context.Canceled), "context canceled"},
		"no answer":              {quoting(io.EOF), "EOF"},
		"half an answer":         {quoting(io.ErrUnexpectedEOF), "unexpected EOF"},
		"no TLS":                 {quoting(http.ErrSchemeMismatch), http.ErrSchemeMismatch.Error()},
		"a proxy":                {quoting(webclient.ErrProxyUnknown), webclient.ErrProxyUnknown.Error()},
		"another origin":         {quoting(webclient.ErrOtherOrigin), webclient.ErrOtherOrigin.Error()},
		"redirects":              {quoting(webclient.ErrRedirects), webclient.ErrRedirects.Error()},
		"too long":               {fmt.Errorf("%s: %w", secret, webclient.ErrTooLong), webclient.ErrTooLong.Error()},
		"a certificate":          {&tls.CertificateVerificationError{Err: errors.New("x509: for a\nb\u202e\"")}, "x509: for a?b??"},
		"a certificate's length": {&tls.CertificateVerificationError{Err: errors.New(strings.Repeat("x", 1000))}, strings.Repeat("x", 200)},
	} {
		t.Run(name, func(t *testing.T) {
			err := webclient.Quiet(tt.err)
			if !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 256 {
				t.Errorf("%q, want %q", err, tt.want)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				if text := fmt.Sprintf(verb, err); strings.Contains(text, secret) {
					t.Errorf("%s shows %s", verb, text)
				}
			}
			if errors.Unwrap(err) != nil || !errors.Is(err, tt.err) {
				t.Error("it can be unwrapped, or its cause cannot be found")
			}
		})
	}
	hidden, shown := quoting(refused), errors.New("shown")
	err := webclient.Hide(hidden, shown)
	if _, found := errors.AsType[*net.OpError](err); err.Error() != "shown" || !found || errors.Unwrap(err) != nil {
		t.Errorf("%v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest = time.Hour
		for text, want := range map[string]time.Duration{
			"": 0, "0": 0, "7": 7 * time.Second, "3600": longest, "3601": longest, strings.Repeat("9", 100): longest,
			"-1": 0, "+1": 0, "1.5": 0, " 7": 0, "7 ": 0, "soon": 0, "٧": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
			time.Now().Add(2 * longest).UTC().Format(http.TimeFormat):  longest,
		} {
			if got := webclient.RetryAfter(http.Header{"Retry-After": {text}}, longest); got != want {
				t.Errorf("%q: %v, want %v", text, got, want)
			}
		}
	})
}
