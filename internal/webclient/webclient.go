// Package webclient holds what the HTTP clients of this module have in common: where redirects may
// lead, how much of an answer is read, when to ask again, and that no error names a URL that a
// server made up. What else package net/http quotes of an answer that it cannot read, [Quiet]
// leaves out.
package webclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/weburl"
)

// The bounds of an answer.
const (
	MaxBody   = 1 << 20  // bytes of an answer's body, uncompressed
	MaxHeader = 64 << 10 // bytes of its header, with a transport of [Transport]

	maxRedirects = 5
)

// What can go wrong, in texts that are fixed.
var (
	// ErrProxyUnknown takes the place of a proxy function's error: package net/http quotes a
	// malformed variable with the password in it.
	ErrProxyUnknown = errors.New("the proxy for it cannot be told; look at the variables HTTPS_PROXY and HTTP_PROXY")

	// ErrProxyRefuses means that a proxy did not connect to the server, so that nothing was sent to
	// it. The proxy's own words for that may be anything.
	ErrProxyRefuses = errors.New("the proxy does not connect to it")

	ErrRedirects   = fmt.Errorf("more than %d redirects", maxRedirects)
	ErrOtherOrigin = errors.New("a redirect to another origin is not followed")
	ErrTooLong     = fmt.Errorf("the answer is longer than %d bytes", MaxBody)
)

// Transport returns a copy of [http.DefaultTransport] that keeps no connections, reads a bounded
// header, keeps the error of its proxy function to itself and says of a proxy that it does not
// connect. It is nil if the default was replaced by something else than an [*http.Transport].
func Transport() *http.Transport {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil
	}
	transport := standard.Clone()
	transport.DisableKeepAlives = true
	transport.MaxResponseHeaderBytes = MaxHeader
	transport.Proxy = discreet(transport.Proxy)
	transport.OnProxyConnectResponse = connected(transport.OnProxyConnectResponse)
	return transport
}

// onConnect judges what a proxy answered to CONNECT.
type onConnect = func(context.Context, *url.URL, *http.Request, *http.Response) error

func connected(next onConnect) onConnect {
	return func(ctx context.Context, proxy *url.URL, request *http.Request, response *http.Response) error {
		if next != nil {
			if err := next(ctx, proxy, request, response); err != nil {
				return err
			}
		}
		if response.StatusCode != http.StatusOK {
			return ErrProxyRefuses
		}
		return nil
	}
}

func discreet(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if proxy == nil {
		return nil
	}
	return func(request *http.Request) (*url.URL, error) {
		through, err := proxy(request)
		if err != nil {
			return nil, ErrProxyUnknown
		}
		return through, nil
	}
}

// WithinOrigin makes a client follow redirects within one origin only, and then ask its own
// CheckRedirect.
func WithinOrigin(client *http.Client) {
	next := client.CheckRedirect
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return ErrRedirects
		}
		to, from := request.URL, via[0].URL
		if weburl.OriginOf(to.Scheme, to.Host) != weburl.OriginOf(from.Scheme, from.Host) {
			return ErrOtherOrigin
		}
		if next != nil {
			return next(request, via)
		}
		return nil
	}
}

// WithoutRedirects makes a client follow none: the answer that would redirect it is the answer.
func WithoutRedirects(client *http.Client) {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// Do sends a request. Its error does not name the last URL, which may be one that the server made
// up. It may quote an answer that is not HTTP.
func Do(client *http.Client, request *http.Request) (*http.Response, error) {
	response, err := client.Do(request) //nolint:gosec // where it goes is for the callers to judge, who do
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return response, err
}

// Body reads the body of an answer, of which more than [MaxBody] bytes are an error.
func Body(response *http.Response) (string, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return "", err
	}
	if len(body) > MaxBody {
		return "", ErrTooLong
	}
	return string(body), nil
}

// RetryAfter reads the header of that name (RFC 9110 section 10.2.3), a number of seconds or a
// date. What is longer than longest is that, and nonsense, or what is past, is 0.
func RetryAfter(header http.Header, longest time.Duration) time.Duration {
	text := header.Get("Retry-After")
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(longest/time.Second) { // also a number that is too large for any type
			return longest
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, time.Until(at)), longest)
}
