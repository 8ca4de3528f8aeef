package main

import (
	"context"
	"net/http"
)

// path is where the requests go.
const path = "/orders"

// passedStatus is what only the protected handler answers.
const passedStatus = http.StatusNoContent

// sink is a ResponseWriter that costs nothing, and says what was answered.
type sink struct {
	status int
	header http.Header
	bytes  int
}

func newSink() *sink { return &sink{header: make(http.Header, 8)} }

// Header implements [http.ResponseWriter].
func (w *sink) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *sink) WriteHeader(status int) { w.status = status }

// Write implements [http.ResponseWriter].
func (w *sink) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return len(p), nil
}

// reset makes it ready for the next request.
func (w *sink) reset() {
	w.status, w.bytes = 0, 0
	if len(w.header) > 0 {
		clear(w.header)
	}
}

// protected is the handler behind every guard.
func protected(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(passedStatus) }

// request makes a request with an Authorization header, or with none when it is "".
func request(authorization string) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://api.example.com"+path, nil)
	if err != nil {
		wrong("%v", err)
	}
	r.RequestURI, r.RemoteAddr = path, "192.0.2.1:1234"
	r.Header.Set("User-Agent", "bench")
	r.Header.Set("Accept", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// bearerOf is the value of the Authorization header.
func bearerOf(token string) string { return "Bearer " + token }

func bearersOf(tokens []string) []string {
	values := make([]string, len(tokens))
	for i, token := range tokens {
		values[i] = bearerOf(token)
	}
	return values
}

// passes sends one request again and again, which the guard must let through.
func passes(h http.Handler, token string) func(n int) {
	r, w := request(bearerOf(token)), newSink()
	return func(n int) {
		for range n {
			w.status = 0
			h.ServeHTTP(w, r)
			if w.status != passedStatus {
				wrong("a good token got %d", w.status)
			}
		}
	}
}

// passesEach is passes with tokens that rotate. Each is sent once before.
func passesEach(h http.Handler, tokens []string) func(n int) {
	values, r, w, next := bearersOf(tokens), request("Bearer -"), newSink(), 0
	header := r.Header["Authorization"]
	run := func(n int) {
		for range n {
			header[0] = values[next]
			next = (next + stride) % len(values)
			w.status = 0
			h.ServeHTTP(w, r)
			if w.status != passedStatus {
				wrong("a good token got %d", w.status)
			}
		}
	}
	run(len(values))
	return run
}

// refuses sends one request again and again, which the guard must refuse with this status, 0 for any error: some peers
// answer 500 where a client is wrong.
func refuses(h http.Handler, authorization string, status int) func(n int) {
	r, w := request(authorization), newSink()
	return func(n int) {
		for range n {
			w.reset()
			h.ServeHTTP(w, r)
			if w.status != status && (status != 0 || w.status < 400) {
				wrong("a bad request got %d", w.status)
			}
		}
	}
}
