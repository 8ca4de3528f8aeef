package jws

import (
	"errors"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// Header is what a verifier uses of a JOSE header. jku, x5u, x5c and jwk are left out: a token does
// not bring its own key (RFC 8725 section 3.10). x5t#S256 selects among the issuer's keys.
type Header struct {
	Algorithm *Algorithm // nil if it is not known
	Type      string     // as [MediaType] gives it; "jwt" if there is none
	Hint      keyset.Hint
	Nonce     bool // there is a nonce, as in tokens for Microsoft Graph
}

// The bounds of a header, so that one which is refused costs no memory beyond them.
const (
	maxHeaderNames = 64   // members, with those of a jwk in it
	maxAlgorithm   = 32   // bytes
	maxKeyID       = 1024 // bytes
	maxType        = 255  // bytes: a type and a subtype of 127 (RFC 6838 section 4.2)
)

// Why a header is refused.
var (
	ErrEncoding    = errors.New("its header is not base64url without padding")
	ErrHeader      = errors.New("its header is not one JSON object with texts as alg, kid and typ, or a name is repeated in it")
	ErrNoAlgorithm = errors.New("its header has no alg")
	ErrExtension   = errors.New("its header has crit or b64: an extension that must be understood")
)

// tooLong stands for a text beyond its bound. No algorithm and no media type begins with NUL.
const tooLong = "\x00"

// Read reads a header as it stands in a token. The buffer is to decode it into, and at least as long
// as the text.
func (h *Header) Read(text string, buffer []byte) error {
	raw, _, ok := Decode(text, buffer)
	if !ok {
		return ErrEncoding
	}
	h.Type = "jwt"
	signed, unsupported := false, false
	jsonErr := strictjson.Walk(raw, maxHeaderNames, func(name, value []byte) (err error) {
		switch string(name) {
		case "alg":
			alg, err := bounded(value, maxAlgorithm)
			if err != nil || len(alg) == 0 {
				return ErrHeader
			}
			h.Algorithm, _ = Lookup(string(alg))
			signed = true
		case "kid":
			h.Hint.KeyID, err = boundedText(value, maxKeyID)
		case "x5t#S256":
			text, err := bounded(value, keyset.MaxThumbprint)
			if err != nil {
				return err
			}
			h.Hint.Thumbprint = keyset.ThumbprintOf(text)
		case "typ":
			h.Type, err = boundedText(value, maxType)
			h.Type = MediaType(h.Type)
		case "crit":
			// A recipient must reject an extension that it does not understand (RFC 7515 section
			// 4.1.11). This module understands none.
			unsupported = true
		case "b64":
			// Without crit it is a member like any other, and true says what is so without it (RFC
			// 7797 section 3). Anything else may mean a payload that is not encoded.
			unsupported = unsupported || string(value) != "true"
		case "nonce":
			h.Nonce = true
		}
		return err
	})
	switch {
	case jsonErr != nil:
		return ErrHeader
	case unsupported:
		return ErrExtension
	case !signed:
		return ErrNoAlgorithm
	default:
		return nil
	}
}

// boundedText is bounded as a string.
func boundedText(value []byte, longest int) (string, error) {
	text, err := bounded(value, longest)
	return string(text), err
}

// bounded reads a JSON string of at most so many bytes. It returns tooLong for a longer one.
func bounded(value []byte, longest int) ([]byte, error) {
	if value[0] != '"' {
		return nil, ErrHeader
	}
	if len(value) > strictjson.MaxSpelling(longest) {
		return []byte(tooLong), nil
	}
	s, ok := strictjson.String(value)
	switch {
	case !ok:
		return nil, ErrHeader
	case len(s) > longest:
		return []byte(tooLong), nil
	default:
		return s, nil
	}
}

// MediaType returns a typ in the form in which it is compared: media types are case-insensitive,
// and "application/" may be left out where no other slash follows (RFC 7515 section 4.1.9).
func MediaType(typ string) string {
	typ = grammar.Lower(typ)
	if short, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return typ
}
