package jws

import (
	"encoding/base64"
	"strings"
)

// Compact is a JWS in compact serialization, split but not decoded.
type Compact struct {
	Header, Payload, Signature string // in base64url
	SigningInput               string // Header and Payload with the dot between them
}

// maxSignature is the length of the longest signature in base64url, that of the largest RSA key.
const maxSignature = (MaxRSABits/8*8 + 5) / 6

// Split splits a token. ok is false if it does not consist of exactly three parts, so that a JWE
// and the JSON serializations are refused. The payload of a JWS may be empty.
func Split(token string) (c Compact, ok bool) {
	if rest := len(token) - maxSignature; rest > 0 && strings.IndexByte(token[rest-1:], '.') < 0 {
		return c, false // without a look at the rest, which may be long
	}
	first := strings.IndexByte(token, '.')
	if first <= 0 {
		return c, false
	}
	second := strings.IndexByte(token[first+1:], '.')
	if second < 0 {
		return c, false
	}
	second += first + 1
	if second == len(token)-1 || strings.IndexByte(token[second+1:], '.') >= 0 {
		return c, false
	}
	return Compact{token[:first], token[first+1 : second], token[second+1:], token[:second]}, true
}

// strictBase64 refuses trailing bits that are not zero. With them one token would have several
// spellings.
var strictBase64 = base64.RawURLEncoding.Strict()

// Decode decodes base64url (RFC 4648 section 5) into a buffer that is at least as long as the text,
// and returns the rest of the buffer. Only the canonical spelling is decoded: without padding, line
// breaks and trailing bits.
//
// Go's decoder skips CR and LF. Where it has skipped any, there are fewer bytes than the length
// promises. That holds for every length a base64 text can have: none leaves one character over,
// which would stand for six bits.
func Decode(text string, buffer []byte) (decoded, rest []byte, ok bool) {
	n, err := strictBase64.Decode(buffer, []byte(text))
	if err != nil || len(text)%4 == 1 || n != strictBase64.DecodedLen(len(text)) {
		return nil, nil, false
	}
	return buffer[:n:n], buffer[n:], true
}

// Encode returns data in base64url without padding.
func Encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
