package bearertest

import (
	"net/http"
	"net/url"
)

// NewTransport lets a test put a handler of its own behind the transport of an issuer's client.
func NewTransport(origin *url.URL, handler http.Handler) http.RoundTripper {
	return newInProcess(origin, handler)
}
