package bearertest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
)

// Claims are members of a token's claims set, or of its header, laid over the ones this package
// chooses.
//
// A nil value removes the member; json.RawMessage("null") writes a JSON null. A time.Time becomes a
// NumericDate, in whole seconds (RFC 7519 section 2). Every other value is written as
// [json.Marshal] writes it.
type Claims map[string]any

// tokenLifetime is the time from iat to exp of a token that does not say otherwise.
const tokenLifetime = 5 * time.Minute

// standardClaims are the claims of a token without changes: those that RFC 9068 section 2.2
// requires.
func standardClaims(issuer, audience string) Claims {
	now := time.Now()
	return Claims{
		"iss":       issuer,
		"sub":       "alice",
		"aud":       audience,
		"client_id": "test-client",
		"iat":       now,
		"exp":       now.Add(tokenLifetime),
		"jti":       rand.Text(),
	}
}

// standardHeader is the header of an access token (RFC 9068 section 2.1). An empty keyID stands for
// none.
func standardHeader(algorithm, keyID string) Claims {
	header := Claims{"alg": algorithm, "typ": "at+jwt"}
	if keyID != "" {
		header["kid"] = keyID
	}
	return header
}

// merge lays the layers over each other: a later one wins.
func merge(layers ...Claims) Claims {
	merged := Claims{}
	for _, layer := range layers {
		for name, value := range layer {
			switch value := value.(type) {
			case nil:
				delete(merged, name)
			case time.Time:
				merged[name] = value.Unix()
			default:
				merged[name] = value
			}
		}
	}
	return merged
}

// compact is the JWS Compact Serialization (RFC 7515 section 7.1) of exactly these bytes, signed.
func compact(algorithm *jws.Algorithm, key any, header, payload []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(header) + "." + encode(payload)
	signature, err := algorithm.Sign(input, key)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return input + "." + encode(signature)
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot be written as JSON: %v", err))
	}
	return data
}
