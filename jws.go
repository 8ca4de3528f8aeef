package bearer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/bearer-go/bearer/internal/jws"
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

// readToken reads the parts of a token without interpreting its claims. The buffer is to decode
// them into, and at least as long as the token. Each part is base64url in its canonical spelling.
func readToken(compact jws.Compact, buffer []byte, known *headerMemo) (t signedToken, err *Error) {
	var ok bool
	t.headerText = compact.Header
	if t.payload, buffer, ok = jws.Decode(compact.Payload, buffer); !ok {
		return t, refusedPayload
	}
	if t.signature, buffer, ok = jws.Decode(compact.Signature, buffer); !ok {
		return t, refusedSignaturePart
	}
	t.signingInput = compact.SigningInput
	if t.header, ok = known.get(t.headerText); !ok {
		t.header, err = readHeader(t.headerText, buffer)
	}
	return t, err
}

// The refusals of tokens that are no JWS in compact serialization.
var (
	refusedNoJWT = fixed(ReasonMalformedToken, "jws.compact", "it has no dots: it is an opaque token, or none at all",
		"have the issuer issue JWT access tokens for this service; some do so only when the client asks for its audience")
	refusedEncrypted = fixed(ReasonMalformedToken, "jws.compact", "it has more than three parts, as an encrypted token (JWE) has",
		"have the issuer sign the access tokens for this service, and not encrypt them")
	refusedParts = fixed(ReasonMalformedToken, "jws.compact", "it does not consist of three parts that are not empty", "")

	refusedHeaderPart    = fixed(ReasonMalformedToken, "jws.one-spelling", "its header is not base64url without padding", "")
	refusedPayload       = fixed(ReasonMalformedToken, "jws.one-spelling", "its payload is not base64url without padding", "")
	refusedSignaturePart = fixed(ReasonMalformedToken, "jws.one-spelling", "its signature is not base64url without padding", "")
)

// How much of a token is looked at to say what it is instead, and how long it can be for that, in
// bytes: an attacker's can be longer.
const (
	maxCounted  = 1 << 10
	maxMisshape = 8 << 10
)

// misshapen returns the refusal of a token that does not consist of three parts.
func misshapen(token string) *Error {
	if len(token) > maxMisshape {
		return refusedParts
	}
	switch dots := strings.Count(token[:min(len(token), maxCounted)], "."); {
	case dots > 2:
		return refusedEncrypted
	case dots == 0 && len(token) <= maxCounted:
		return refusedNoJWT
	default:
		return refusedParts
	}
}

// header is what the pipeline uses of a JOSE header.
type header = jws.Header

// The refusals of headers.
var (
	refusedHeader = fixed(ReasonMalformedToken, "jws.header",
		"its header is not one JSON object with texts as alg, kid and typ, or a name is repeated in it", "")
	refusedNoAlgorithm = fixed(ReasonMalformedToken, "jws.header", "its header has no alg", "")
	refusedExtension   = fixed(ReasonUnsupportedHeader, "jws.crit",
		"its header has crit or b64: an extension that must be understood", "have the issuer leave the extension out")
)

// readHeader reads a header as it stands in a token.
func readHeader(text string, buffer []byte) (h header, refusal *Error) {
	switch err := h.Read(text, buffer); err { // there is one of each, and errors.Is would cost a token that is no JSON 80 ns
	case nil:
		return h, nil
	case jws.ErrEncoding: //nolint:errorlint // see above
		return h, refusedHeaderPart
	case jws.ErrExtension:
		return h, refusedExtension
	case jws.ErrNoAlgorithm:
		return h, refusedNoAlgorithm
	default:
		return h, refusedHeader
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
func (t *signedToken) isAccessToken() bool { return t.header.Type == accessTokenType }

const accessTokenType = "at+jwt"

// graphLooksAt bounds how much of an unverified payload is searched for its aud, in bytes. Tokens
// for Microsoft Graph begin with it.
const graphLooksAt = 1 << 10

// isForGraph reports whether a token whose signature does not verify looks like one for Microsoft
// Graph. Nothing rests on it but a fixed text for the operator.
func (t *signedToken) isForGraph() bool {
	if t.header.Algorithm == nil || t.header.Algorithm.Name != "RS256" {
		return false
	}
	if t.header.Nonce {
		return true
	}
	aud, found, err := strictjson.Find(t.payload[:min(len(t.payload), graphLooksAt)], "aud")
	return err == nil && found && isGraph(strings.Trim(string(aud), `"`))
}
