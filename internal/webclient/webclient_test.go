package webclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/webclient"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// redirects answers every request with a redirect to the next of the locations, and in the end with
// 200.
func redirects(locations ...string) (http.RoundTripper, *[]string) {
	asked := new([]string)
	return transport(func(r *http.Request) (*http.Response, error) {
		response := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: http.NoBody, Request: r}
		if n := len(*asked); n < len(locations) {
			response.StatusCode = http.StatusTemporaryRedirect
			response.Header.Set("Location", locations[n])
		}
		*asked = append(*asked, r.URL.String())
		return response, nil
	}), asked
}

func get(t *testing.T, client *http.Client, url string) (status int, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := webclient.Do(client, request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

func TestWithinOriginStopsAtAnotherOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		locations []string
		want      error
	}{
		"none":         {nil, nil},
		"within":       {[]string{"/b", "https://A.example:443/c"}, nil},
		"five":         {[]string{"/1", "/2", "/3", "/4", "/5"}, nil},
		"six":          {[]string{"/1", "/2", "/3", "/4", "/5", "/6"}, webclient.ErrRedirects},
		"another host": {[]string{"https://b.example/"}, webclient.ErrOtherOrigin},
		"another port": {[]string{"https://a.example:8443/"}, webclient.ErrOtherOrigin},
		"without TLS":  {[]string{"http://a.example/"}, webclient.ErrOtherOrigin},
		"and back":     {[]string{"/b", "https://b.example/", "https://a.example/"}, webclient.ErrOtherOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			through, asked := redirects(tt.locations...)
			next := 0
			client := &http.Client{Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error { next++; return nil }}
			webclient.WithinOrigin(client)
			_, err := get(t, client, "https://a.example/a")
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if followed := len(*asked) - 1; next != followed {
				t.Errorf("the client's own check was asked %d times for %d redirects", next, followed)
			}
		})
	}
}

func TestOwnCheckRedirectMayRefuse(t *testing.T) {
	errOwn := errors.New("own")
	through, _ := redirects("/b")
	client := &http.Client{Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error { return errOwn }}
	webclient.WithinOrigin(client)
	if _, err := get(t, client, "https://a.example/a"); !errors.Is(err, errOwn) {
		t.Error(err)
	}
}

func TestWithoutRedirectsReturnsTheFirstAnswer(t *testing.T) {
	through, asked := redirects("/b")
	client := &http.Client{Transport: through}
	webclient.WithoutRedirects(client)
	status, err := get(t, client, "https://a.example/a")
	if err != nil || status != http.StatusTemporaryRedirect || len(*asked) != 1 {
		t.Errorf("%d, %v, asked %q", status, err, *asked)
	}
}

func TestDoDoesNotNameTheLastURL(t *testing.T) {
	errDial := errors.New("no route")
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/made-up" {
			return nil, errDial
		}
		header := http.Header{"Location": {"/made-up"}}
		return &http.Response{StatusCode: http.StatusFound, Header: header, Body: http.NoBody, Request: r}, nil
	})}
	if _, err := get(t, client, "https://a.example/a"); !errors.Is(err, errDial) || strings.Contains(err.Error(), "made-up") {
		t.Error(err)
	}
}

func TestBodyIsBounded(t *testing.T) {
	for size, ok := range map[int]bool{0: true, webclient.MaxBody: true, webclient.MaxBody + 1: false} {
		body := io.NopCloser(strings.NewReader(strings.Repeat("x", size)))
		text, err := webclient.Body(&http.Response{Body: body})
		if (err == nil) != ok || ok && len(text) != size || !ok && !errors.Is(err, webclient.ErrTooLong) {
			t.Errorf("%d bytes: %d, %v", size, len(text), err)
		}
	}
}

// What a proxy says when it does not connect is not shown, but that it does not is.
func TestTransportTellsThatAProxyDoesNotConnect(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := webclient.Transport()
	through.Proxy = http.ProxyURL(at)
	_, err = get(t, &http.Client{Transport: through}, "https://a.example")
	if !errors.Is(err, webclient.ErrProxyRefuses) || webclient.Quiet(err).Error() != webclient.ErrProxyRefuses.Error() {
		t.Error(err)
	}
	errOwn := errors.New("own")
	through.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return errOwn }
	standard := http.DefaultTransport
	defer func() { http.DefaultTransport = standard }()
	http.DefaultTransport = through
	if _, err := get(t, &http.Client{Transport: webclient.Transport()}, "https://a.example"); !errors.Is(err, errOwn) {
		t.Error(err)
	}
}

func TestTransportKeepsThePasswordOfAProxy(t *testing.T) {
	standard := http.DefaultTransport
	defer func() { http.DefaultTransport = standard }()
	own := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("hunter2") }}
	http.DefaultTransport = own
	through := webclient.Transport()
	if through == nil || through == own || !through.DisableKeepAlives || through.MaxResponseHeaderBytes != webclient.MaxHeader {
		t.Fatalf("%+v", through)
	}
	if _, err := get(t, &http.Client{Transport: through}, "https://a.example"); !errors.Is(err, webclient.ErrProxyUnknown) ||
		strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	http.DefaultTransport = &http.Transport{}
	if webclient.Transport().Proxy != nil {
		t.Error("a proxy from nowhere")
	}
	http.DefaultTransport = transport(nil)
	if webclient.Transport() != nil {
		t.Error("a transport of nothing")
	}
}
