package bearer

import (
	"errors"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// signedToken is a token whose shape is right and whose header was read. Nothing of it is verified.
type signedToken struct {
	header       header
	headerText   string // as it stands in the token
	payload      []byte // in the buffer it was decoded into, as the next one is
	signature    []byte
	signingInput string
}

// readToken reads a token without interpreting its claims. The buffer is to decode it into, and at
// least as long. The parts are base64url, each in its canonical spelling.
func readToken(token string, buffer []byte, known *headerMemo) (t signedToken, err *Error) {
	compact, ok := jws.Split(token)
	if !ok {
		return t, refuse(ReasonMalformedToken)
	}
	t.headerText = compact.Header
	if t.payload, buffer, ok = jws.Decode(compact.Payload, buffer); !ok {
		return t, refuse(ReasonMalformedToken)
	}
	if t.signature, buffer, ok = jws.Decode(compact.Signature, buffer); !ok {
		return t, refuse(ReasonMalformedToken)
	}
	t.signingInput = compact.SigningInput
	if t.header, ok = known.get(t.headerText); !ok {
		t.header, err = readHeader(t.headerText, buffer)
	}
	return t, err
}

// header is what the pipeline uses of a JOSE header. jku, x5u, x5c and jwk are left out: a token
// does not bring its own key (RFC 8725 section 3.10). x5t#S256 selects among the issuer's keys.
type header struct {
	alg *jws.Algorithm // nil if it is not known
	kid string
	typ string // in lower case, without "application/"; "jwt" if there is none

	thumbprint keyset.Thumbprint // x5t#S256; zero if there is none
}

// hint is what the header says of the token's key.
func (h *header) hint() keyset.Hint { return keyset.Hint{KeyID: h.kid, Thumbprint: h.thumbprint} }

// The bounds of a header, so that one which is refused costs no memory beyond them.
const (
	maxHeaderNames = 64   // members, with those of a jwk in it
	maxAlgorithm   = 32   // bytes
	maxKeyID       = 1024 // bytes
	maxType        = 255  // bytes: a type and a subtype of 127 (RFC 6838 section 4.2)
)

var errMalformed = errors.New("malformed")

// tooLong stands for a text beyond its bound. No algorithm and no media type begins with NUL.
const tooLong = "\x00"

// readHeader reads a header as it stands in a token.
func readHeader(text string, buffer []byte) (h header, err *Error) {
	raw, _, ok := jws.Decode(text, buffer)
	if !ok {
		return h, refuse(ReasonMalformedToken)
	}
	h.typ = "jwt"
	signed, unsupported := false, false
	jsonErr := strictjson.Walk(raw, maxHeaderNames, func(name, value []byte) (err error) {
		switch string(name) {
		case "alg":
			alg, err := bounded(value, maxAlgorithm)
			if err != nil || len(alg) == 0 {
				return errMalformed
			}
			h.alg, _ = jws.Lookup(string(alg))
			signed = true
		case "kid":
			h.kid, err = boundedText(value, maxKeyID)
		case "x5t#S256":
			text, err := bounded(value, keyset.MaxThumbprint)
			if err != nil {
				return err
			}
			h.thumbprint = keyset.ThumbprintOf(text)
		case "typ":
			h.typ, err = boundedText(value, maxType)
			h.typ = mediaType(h.typ)
		case "crit", "b64":
			// A recipient must reject an extension that it does not understand (RFC 7515 section
			// 4.1.11). This package understands none. b64 is the one of RFC 7797.
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

// boundedText is bounded as a string.
func boundedText(value []byte, longest int) (string, error) {
	text, err := bounded(value, longest)
	return string(text), err
}

// bounded reads a JSON string of at most so many bytes. It returns tooLong for a longer one.
func bounded(value []byte, longest int) ([]byte, error) {
	if value[0] != '"' {
		return nil, errMalformed
	}
	if len(value) > strictjson.MaxSpelling(longest) {
		return []byte(tooLong), nil
	}
	s, ok := strictjson.String(value)
	switch {
	case !ok:
		return nil, errMalformed
	case len(s) > longest:
		return []byte(tooLong), nil
	default:
		return s, nil
	}
}

// headerMemo stores what the headers of verified tokens say: all tokens that an issuer signs with
// one key have the same header. A header follows from its text alone, so that a stored one decides
// nothing. It is stored after its token was verified, so that an attacker cannot fill the memo.
// Each text has one slot and replaces what was there: the memo needs no lock and cannot grow.
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

func (m *headerMemo) get(text string) (h header, ok bool) {
	known := m.slot(text).Load()
	if known == nil || known.text != text {
		return h, false
	}
	return known.header, true
}

func (m *headerMemo) add(text string, h header) {
	if _, known := m.get(text); !known {
		m.slot(text).Store(&knownHeader{strings.Clone(text), h})
	}
}

// isAccessToken reports whether the token declares itself an access token (RFC 9068 section 2.1).
func (h header) isAccessToken() bool { return h.typ == accessTokenType }

const accessTokenType = "at+jwt"

// mediaType returns a typ in the form in which it is compared: media types are case-insensitive,
// and "application/" may be left out (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(grammar.Lower(typ), "application/")
}
