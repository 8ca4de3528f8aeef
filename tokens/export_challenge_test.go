package tokens

import "net/http"

// SaysInvalidToken is how a Transport reads the challenges of an answer.
func SaysInvalidToken(header http.Header) bool {
	all, ok := challengesOf(header)
	return ok && all.invalid
}
