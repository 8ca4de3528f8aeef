package bearer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// header is what the pipeline uses of a JOSE header. jku, x5u, x5c and jwk are not among it: a token does not bring its
// own key (RFC 8725 section 3.10).
type header struct {
	alg, kid, typ string // typ: lower case, without "application/", "jwt" when absent
}

func readHeader(raw string) (h header, err *Error) {
	var room [8]strictjson.Member
	members, jsonErr := strictjson.AppendObject(room[:0], raw)
	if jsonErr != nil {
		return h, refuse(ReasonMalformedToken)
	}
	h.typ = "jwt"
	ok := true
	for _, m := range members {
		switch m.Name {
		case "alg":
			h.alg, ok = strictjson.String(m.Value)
		case "kid":
			h.kid, ok = strictjson.String(m.Value)
		case "typ":
			h.typ, ok = strictjson.String(m.Value)
			h.typ = mediaType(h.typ)
		case "crit", "b64":
			// RFC 7515 section 4.1.11: an extension we do not implement must not be ignored; RFC 7797's is one.
			return h, refuse(ReasonUnsupportedHeader)
		}
		if !ok {
			return h, refuse(ReasonMalformedToken)
		}
	}
	if h.alg == "" {
		return h, refuse(ReasonMalformedToken)
	}
	return h, nil
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
