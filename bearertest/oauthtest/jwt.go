package oauthtest

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
)

// signingAlgorithms are the algorithms that a client may sign its assertions with: all that are
// asymmetric.
var signingAlgorithms = lookUp("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

func lookUp(names ...string) []*jws.Algorithm {
	var found []*jws.Algorithm
	for _, name := range names {
		if algorithm, ok := jws.Lookup(name); ok {
			found = append(found, algorithm)
		}
	}
	return found
}

// verifiedClaims are the claims of a JWT that one of the keys has signed, with whatever algorithm
// is for it, or nil.
func verifiedClaims(token string, keys ...crypto.PublicKey) map[string]any {
	input, signature, _ := cutLast(token, ".")
	header, _, _ := strings.Cut(token, ".")
	members := decodeObject(header)
	alg, _ := members["alg"].(string)
	algorithm, known := jws.Lookup(alg)
	sum, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if _, critical := members["crit"]; !known || critical || err != nil {
		return nil // a header that demands what this server does not know is refused (RFC 7515 section 4.1.11)
	}
	for _, key := range keys {
		if algorithm.Fits(key) && algorithm.Verify(input, sum, key) == nil {
			return unverifiedClaims(token)
		}
	}
	return nil
}

// unverifiedClaims are the claims of a JWT, which anybody can have written, or nil.
func unverifiedClaims(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	return decodeObject(parts[1])
}

// decodeObject is a JSON object that stands in base64url, or nil.
func decodeObject(text string) map[string]any {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil
	}
	return object
}

// untimely is what is wrong with a JWT that is not, where the longest is maxAssertionLife.
const untimely = "the assertion's exp is missing, past or more than five minutes ahead, or its nbf is not past"

// isTimely reports whether a JWT is good now: its exp is there and ahead, by no more than so much,
// and its nbf is not (RFC 7519 sections 4.1.4 and 4.1.5).
func isTimely(claims map[string]any, longest time.Duration) bool {
	now := float64(time.Now().UnixMilli()) / 1000
	exp, ok := claims["exp"].(float64)
	nbf, found := claims["nbf"]
	from, isNumber := nbf.(float64)
	return ok && exp > now && exp <= now+longest.Seconds() && (!found || isNumber && from <= now)
}

// cutLast is [strings.Cut] around the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	if n := strings.LastIndex(s, separator); n >= 0 {
		return s[:n], s[n+len(separator):], true
	}
	return s, "", false
}
