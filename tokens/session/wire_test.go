package session_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"sync"
)

// sessionWire is the way to an issuer. It notes what is sent, and does as it is told with requests
// to the token endpoint.
type sessionWire struct {
	next http.RoundTripper

	mu      sync.Mutex
	tokens  []url.Values // forms that came to the token endpoint
	revokes []url.Values // and to the revocation endpoint
	all     int

	onToken  func(r *http.Request, pass func() (*http.Response, error)) (*http.Response, error) // nil passes
	onRevoke func(r *http.Request, pass func() (*http.Response, error)) (*http.Response, error)
}

func (w *sessionWire) RoundTrip(r *http.Request) (*http.Response, error) {
	var form url.Values
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		form, _ = url.ParseQuery(string(body))
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.mu.Lock()
	w.all++
	var hook func(*http.Request, func() (*http.Response, error)) (*http.Response, error)
	switch path.Base(r.URL.Path) {
	case "token":
		w.tokens = append(w.tokens, form)
		hook = w.onToken
	case "revoke":
		w.revokes = append(w.revokes, form)
		hook = w.onRevoke
	}
	w.mu.Unlock()
	pass := func() (*http.Response, error) { return w.next.RoundTrip(r) }
	if hook != nil {
		return hook(r, pass)
	}
	return pass()
}

func (w *sessionWire) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.tokens)
}

func (w *sessionWire) revoked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, form := range w.revokes {
		all = append(all, form.Get("token"))
	}
	return all
}

func (w *sessionWire) last() url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tokens[len(w.tokens)-1]
}

func (w *sessionWire) hook(onToken func(*http.Request, func() (*http.Response, error)) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onToken = onToken
}

func sessionResponse(status int, body any) *http.Response {
	text, _ := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(text)),
	}
}

// sessionAnswer makes the token endpoint answer so, without the issuer.
func (w *sessionWire) answer(status int, body map[string]any) {
	w.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
		return sessionResponse(status, body), nil
	})
}

// sessionRoundTrip is a function as a transport.
type sessionRoundTrip func(*http.Request) (*http.Response, error)

func (f sessionRoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
