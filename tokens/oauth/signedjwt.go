package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/jwks"
	"github.com/bearer-go/bearer/tokens"
)

// maxJWT is the size of the largest ID token and the largest signed answer of the userinfo
// endpoint, in bytes. It is that of an access token.
const maxJWT = accesstoken.MaxSize

// refusal is why a JWT is refused. Nothing of the JWT is in it.
type refusal string

func (r refusal) Error() string { return string(r) }

// The refusals of a JWT by its shape, its header and its signature.
var (
	refusedMissing   = refusal("there is none")
	refusedSize      = refusal(fmt.Sprintf("it is longer than %d bytes", maxJWT))
	refusedShape     = refusal("it does not consist of three parts that are not empty; one with five is encrypted, which is not supported")
	refusedEncoding  = refusal("a part of it is not base64url without padding")
	refusedType      = refusal("its typ is neither absent nor JWT, so that it is another kind of token")
	refusedAlgorithm = refusal("its algorithm is not one of those that are accepted; see WithIDTokenAlgorithms, and what the server's document says")
	refusedSignature = refusal("its signature does not verify with the server's key")
	refusedJSON      = refusal("its claims are not one JSON object in UTF-8 without repeated names")
)

// verifiedJWT is a JWT that the issuer signed.
type verifiedJWT struct {
	algorithm *jws.Algorithm
	payload   string
	claims    strictjson.MemberList
}

// verify reads a JWT strictly and checks its signature (RFC 7515 section 5.2, RFC 8725 section 3).
// The error is a [refusal], a [*keyset.Miss], or that the keys are not available.
func (k *issuerKeys) verify(ctx context.Context, text string, accept func(*jws.Algorithm) error) (*verifiedJWT, error) {
	switch {
	case text == "":
		return nil, refusedMissing
	case len(text) > maxJWT:
		return nil, refusedSize
	}
	compact, ok := jws.Split(text)
	if !ok {
		return nil, refusedShape
	}
	payload, rest, ok := jws.Decode(compact.Payload, make([]byte, len(text)))
	if !ok {
		return nil, refusedEncoding
	}
	signature, rest, ok := jws.Decode(compact.Signature, rest)
	if !ok {
		return nil, refusedEncoding
	}
	var header jws.Header
	switch err := header.Read(compact.Header, rest); {
	case err != nil:
		return nil, refusal(err.Error())
	case header.Type != "jwt":
		return nil, refusedType
	case header.Algorithm == nil:
		return nil, refusedAlgorithm
	}
	if err := accept(header.Algorithm); err != nil {
		return nil, err
	}
	set, err := k.open()
	if err != nil {
		return nil, err
	}
	found, _, err := keyset.Of(set).Candidates(ctx, k.wire.Issuer, header.Hint, header.Algorithm.Name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(found.Keys(), func(key *keyset.Key) bool {
		return header.Algorithm.Verify(compact.SigningInput, signature, key.Public) == nil
	}) {
		return nil, refusedSignature
	}
	t := &verifiedJWT{algorithm: header.Algorithm, payload: string(payload)}
	if t.claims, err = strictjson.Object(t.payload); err != nil {
		return nil, refusedJSON
	}
	return t, nil
}

// text returns a claim that is a string. Without it, it is "".
func (t *verifiedJWT) text(name string) (string, error) {
	value := t.claims.Value(name)
	if value == "" {
		return "", nil
	}
	text, ok := strictjson.String(value)
	if !ok {
		return "", refusal(name + " is not a string")
	}
	return text, nil
}

// audience returns aud, a string or an array of strings (RFC 7519 section 4.1.3).
func (t *verifiedJWT) audience() ([]string, error) {
	value := t.claims.Value("aud")
	if text, ok := strictjson.String(value); ok {
		return []string{text}, nil
	}
	list, ok := strictjson.AppendStrings(nil, value)
	if value != "" && !ok {
		return nil, refusal("aud is neither a string nor an array of strings")
	}
	return list, nil
}

// jwtError is the error about a JWT. Refused is what a refusal of it wraps.
func jwtError(op string, refused, err error) *tokens.Error {
	if miss, ok := errors.AsType[*keyset.Miss](err); ok {
		err = refusal(strings.TrimPrefix(miss.Error(), "jwks: "))
	}
	if _, ok := err.(refusal); ok { //nolint:errorlint // it is never wrapped
		return &tokens.Error{Op: op, Err: fmt.Errorf("%w: %w", refused, err)}
	}
	return keysError(op, err)
}

// keysError is the error when the keys are not available, which says nothing of the JWT.
func keysError(op string, err error) *tokens.Error {
	if e, ok := errors.AsType[*tokens.Error](err); ok { // of the document
		return e
	}
	failure := &tokens.Error{Op: op, Err: err}
	if e, ok := errors.AsType[*jwks.UnavailableError](err); ok {
		failure.RetryAfter = e.RetryAfter
	}
	return failure
}
