package bearer

import (
	"errors"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/bearer-go/bearer/internal/jwa"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// header is what the pipeline uses of a JOSE header. jku, x5u, x5c and jwk are not among it: a token does not bring its
// own key (RFC 8725 section 3.10).
type header struct {
	alg *jwa.Algorithm // nil: none that is known
	kid string
	typ string // lower case, without "application/", "jwt" when absent
}

// The bounds of a header, so that one which is refused costs no memory beyond them.
const (
	maxHeaderNames = 64   // members, those of a jwk in it included
	maxAlgorithm   = 32   // bytes
	maxKeyID       = 1024 // bytes
	maxType        = 255  // bytes: a type and a subtype of 127 (RFC 6838 section 4.2)
)

var errMalformed = errors.New("malformed")

// tooLong stands for a text beyond its bound. No algorithm and no media type begins with NUL.
const tooLong = "\x00"

// readHeader reads a header as it stands in a token. The buffer is to decode it into, and as long.
func readHeader(part string, buffer []byte) (h header, err *Error) {
	raw, _, ok := decode(part, buffer)
	if !ok {
		return h, refuse(ReasonMalformedToken)
	}
	h.typ = "jwt"
	signed, unsupported := false, false
	text := func(value []byte, longest int) (string, error) {
		if value[0] != '"' {
			return "", errMalformed
		}
		if len(value) > 6*longest+2 { // an escape has up to 6 bytes for one
			return tooLong, nil
		}
		s, ok := strictjson.String(value)
		switch {
		case !ok:
			return "", errMalformed
		case len(s) > longest:
			return tooLong, nil
		default:
			return string(s), nil
		}
	}
	jsonErr := strictjson.Walk(raw, maxHeaderNames, func(name, value []byte) (err error) {
		switch string(name) {
		case "alg":
			alg, err := text(value, maxAlgorithm)
			if err != nil || alg == "" {
				return errMalformed
			}
			h.alg, _ = jwa.Lookup(alg)
			signed = true
		case "kid":
			h.kid, err = text(value, maxKeyID)
		case "typ":
			h.typ, err = text(value, maxType)
			h.typ = mediaType(h.typ)
		case "crit", "b64":
			// RFC 7515 section 4.1.11: an extension we do not implement must not be ignored; RFC 7797's is one.
			unsupported = true
		}
		return err
	})
	switch {
	case jsonErr != nil:
		return h, refuse(ReasonMalformedToken)
	case unsupported:
		return h, refuse(ReasonUnsupportedHeader)
	case !signed:
		return h, refuse(ReasonMalformedToken)
	default:
		return h, nil
	}
}

// isAccessToken reports that the token says what it is (RFC 9068 section 2.1).
func (h header) isAccessToken() bool { return h.typ == accessTokenType }

const accessTokenType = "at+jwt"

// mediaType brings a typ to the form in which it is compared: media types are case-insensitive, and "application/" may be
// omitted (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(asciiLower(typ), "application/")
}

// asciiLower folds A to Z alone: Unicode folding would let look-alikes such as U+212A (the Kelvin sign) match.
func asciiLower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// headerMemo remembers what the headers of good tokens say: all tokens that an issuer signs with one key have the same. What it
// holds follows from the text alone, so it decides nothing. A header is learnt after a good signature, so that nobody else fills
// it, and each has one place, where a new one takes over: there is nothing to lock and nothing that grows.
type headerMemo struct {
	seed  maphash.Seed
	slots [64]atomic.Pointer[knownHeader]
}

type knownHeader struct {
	text   string // as it stands in the token
	header header
}

func (m *headerMemo) slot(text string) *atomic.Pointer[knownHeader] {
	return &m.slots[maphash.String(m.seed, text)%uint64(len(m.slots))]
}

func (m *headerMemo) recall(text string) (header, bool) {
	known := m.slot(text).Load()
	if known == nil || known.text != text {
		return header{}, false
	}
	return known.header, true
}

func (m *headerMemo) learn(text string, h header) {
	m.slot(text).Store(&knownHeader{strings.Clone(text), h})
}
