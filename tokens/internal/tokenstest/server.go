package tokenstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// What the server is known by.
const (
	Issuer   = "https://login.example.com"
	TokenURL = Issuer + "/token"
	Secret   = "gX1fBat3bV-7Fjfp0ZBr1KtDRbnfVdmIw" // of RFC 6749's examples, and longer

	OpenIDPath = "/.well-known/openid-configuration"
	OAuthPath  = "/.well-known/oauth-authorization-server"
)

// Handler answers one request of a [Server].
type Handler func(r *http.Request, form url.Values) (*http.Response, error)

// Server is an authorization server in the process: a transport that works in a synctest bubble.
type Server struct {
	mu       sync.Mutex
	handlers map[string]Handler // by the URL without its query, or its path
	requests []Request
}

// Request is one that came to a Server.
type Request struct {
	Method, URL string
	Header      http.Header
	Form        url.Values
}

// RoundTrip answers a request.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
		body = string(text)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	target := *r.URL
	target.RawQuery = ""
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.String(), r.Header.Clone(), form})
	handler := s.handlers[target.String()]
	if handler == nil {
		handler = s.handlers[target.Path]
	}
	s.mu.Unlock()
	if handler == nil {
		handler = Gives(http.StatusNotFound, "text/plain", "nothing is here")
	}
	response, err := handler(r, form)
	if response != nil {
		response.Request = r
	}
	return response, err
}

// On sets what answers at a URL or a path.
func (s *Server) On(place string, handler Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[place] = handler
}

// Handler returns what answers at a URL or a path.
func (s *Server) Handler(place string) Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handlers[place]
}

// Off takes away what answers at a URL or a path.
func (s *Server) Off(place string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handlers, place)
}

// Seen returns the requests that came to URLs with this in them.
func (s *Server) Seen(part string) (seen []Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r.URL, part) {
			seen = append(seen, r)
		}
	}
	return seen
}

// Response makes an answer, with the names and values of its header.
func Response(status int, body io.Reader, header ...string) *http.Response {
	response := &http.Response{
		StatusCode: status, Header: make(http.Header), Body: io.NopCloser(body), ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	for i := 0; i < len(header); i += 2 {
		response.Header.Add(header[i], header[i+1])
	}
	return response
}

// Gives answers the same each time.
func Gives(status int, contentType, body string, header ...string) Handler {
	return func(*http.Request, url.Values) (*http.Response, error) {
		all := slices.Clone(header)
		if contentType != "" {
			all = append(all, "Content-Type", contentType)
		}
		return Response(status, strings.NewReader(body), all...), nil
	}
}

// JSON answers the same each time.
func JSON(status int, body string, header ...string) Handler {
	return Gives(status, "application/json", body, header...)
}

// Good is an answer with a token.
const Good = `{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3600}`

// Document is a discovery document, with members to add or replace; nil takes one away.
func Document(members map[string]any) string {
	document := map[string]any{
		"issuer":                 Issuer,
		"token_endpoint":         TokenURL,
		"revocation_endpoint":    Issuer + "/revoke",
		"authorization_endpoint": Issuer + "/authorize",
	}
	for name, value := range members {
		document[name] = value
		if value == nil {
			delete(document, name)
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// NewServer is a server that gives tokens.
func NewServer() *Server {
	return &Server{handlers: map[string]Handler{
		OpenIDPath: JSON(http.StatusOK, Document(nil)),
		"/token":   JSON(http.StatusOK, Good),
		"/revoke":  JSON(http.StatusOK, ""),
	}}
}
