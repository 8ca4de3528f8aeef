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
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/webclient"
)

// What package net/http or a server may quote is not in the text of an error, by no verb and at no
// level.
func TestErrorsQuoteNothingOfAServer(t *testing.T) {
	const secret = "s3cr3t"
	quoting := func(err error) error { return &url.Error{Op: "Post", URL: "https://a.example/" + secret, Err: err} }
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	refused := op(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	at := func(address net.Addr) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: syscall.ECONNREFUSED}
	}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"any":                    {errors.New("malformed HTTP response " + secret), "is not shown"},
		"a URL alone":            {quoting(nil), "is not shown"},
		"a URL":                  {quoting(refused), "dial tcp: connection refused"},
		"a URL within another":   {quoting(fmt.Errorf("by way of %w", quoting(refused))), "dial tcp: connection refused"},
		"an address":             {at(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}), "dial tcp 127.0.0.1:443: connection refused"},
		"an address with a zone": {at(&net.TCPAddr{IP: net.IPv6loopback, Zone: secret}), "dial tcp: connection refused"},
		"an address of a kind":   {at(&net.UnixAddr{Name: secret}), "dial tcp: connection refused"},
		"an alert":               {&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, "handshake failure"},
		"an operation that says": {op(errors.New("tls: failed to parse certificate: " + secret)), "is not shown"},
		"a name":                 {op(&net.DNSError{Name: secret, Err: secret, IsNotFound: true}), "lookup: no such host"},
		"a name, no time":        {op(&net.DNSError{Name: secret, Err: secret, IsTimeout: true}), "lookup: timeout"},
		"a name, no answer":      {op(&net.DNSError{Name: secret, Err: secret}), "lookup: no answer"},
		"a timeout that says":    {quoting(saysTimeout(secret)), "timeout"},
		"a text":                 {saysText(secret), "is not shown"},
		"a deadline that says":   {quoting(fmt.Errorf("%s: %w", secret, os.ErrDeadlineExceeded)), "i/o timeout"},
		"an operation's time":    {op(os.ErrDeadlineExceeded), "dial tcp: i/o timeout"},
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
				for _, held := range []any{err, struct{ err error }{err}} { // in a field it is not asked how it prints
					if text := fmt.Sprintf(verb, held); strings.Contains(text, secret) {
						t.Errorf("%s shows %s", verb, text)
					}
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

// saysText is an error that is a text and nothing more.
type saysText string

func (e saysText) Error() string { return string(e) }

// saysTimeout is a timeout with a text of its own, as package net/http makes one of any error that
// comes when the time is over.
type saysTimeout string

func (e saysTimeout) Error() string { return string(e) }
func (saysTimeout) Timeout() bool   { return true }
func (saysTimeout) Temporary() bool { return true }

// A server that answers with nonsense about when the client gives up is not quoted.
func TestErrorsQuoteNoAnswerAtTheDeadline(t *testing.T) {
	const secret = "s3cr3t"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-time.After(2 * time.Millisecond)
				_, _ = io.WriteString(conn, secret+"\r\n\r\n")
				_ = conn.Close()
			})
		}
	})
	client := &http.Client{Timeout: 2 * time.Millisecond, Transport: webclient.Transport()}
	for range 200 {
		response, err := client.Get("http://" + listener.Addr().String())
		if err == nil {
			_ = response.Body.Close()
			t.Fatal("no error")
		}
		if text := webclient.Quiet(err).Error(); strings.Contains(text, secret) {
			t.Fatal(text)
		}
	}
}

func TestRetryAfterReadsSecondsAndDates(t *testing.T) {
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
