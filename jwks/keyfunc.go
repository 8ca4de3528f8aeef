package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/internal/keyset"
)

// Keyfunc offers the set to users of golang-jwt who keep their own parser, with everything that the
// set does to keep its keys available:
//
//	token, err := jwt.Parse(text, set.Keyfunc().Keyfunc, jwt.WithValidMethods([]string{"RS256"}), ...)
//
// A token gets the keys that [Set.Keys] has for its header, of those with a member issuer only the
// ones that sign for its iss; golang-jwt tries each. Always give jwt.WithValidMethods. Everything
// that golang-jwt does not check by default, such as the issuer, the audience and that the token
// expires at all, is for the caller to ask for. Package bearer does not use it.
//
// Of the methods of the result, use KeyfuncCtx where there is a request: its context bounds how
// long the token waits for keys. Errors wrap [ErrKeyNotFound] and [*UnavailableError] as those of
// [Set.Keys] do. VerificationKeySet, which knows no token, has a key only if the set has no other,
// and not if that has a member issuer. The Storage of the result is read-only, and shows the keys
// without their member issuer: who verifies with them compares the iss.
func (s *Set) Keyfunc() keyfunc.Keyfunc { return tokenKeys{s} }

// tokenKeys finds the keys for a token that golang-jwt has read.
type tokenKeys struct{ set *Set }

func (k tokenKeys) Keyfunc(token *jwt.Token) (any, error) {
	return k.keys(context.Background(), token)
}

func (k tokenKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) { return k.keys(ctx, token) }
}

func (k tokenKeys) Storage() jwkset.Storage { return storage(k) }

// VerificationKeySet is what keyfunc tries a token without a key id with. Which of several keys
// that is would be a guess, and each costs a verification. A key with a member issuer would verify
// the tokens of all others.
func (k tokenKeys) VerificationKeySet(ctx context.Context) (jwt.VerificationKeySet, error) {
	var found candidates
	_, err := k.set.find(ctx, &query{anyIssuer: true}, &found)
	if err != nil && !errors.Is(err, ErrKeyNotFound) {
		return jwt.VerificationKeySet{}, fmt.Errorf("%w: %w", keyfunc.ErrKeyfunc, err)
	}
	if found.n != 1 || found.untried != nil || found.keys[0].issuer != nil {
		return jwt.VerificationKeySet{}, errNoTokenKey
	}
	return jwt.VerificationKeySet{Keys: []jwt.VerificationKey{found.keys[0].Public}}, nil
}

// errNoTokenKey is [ErrKeyNotFound] as users of the libraries know it.
var errNoTokenKey = fmt.Errorf("%w: %w (%w)",
	keyfunc.ErrKeyfunc, ErrKeyNotFound, jwkset.ErrKeyNotFound)

var (
	errTokenKeyID      = fmt.Errorf("%w: the token's kid is not a string", keyfunc.ErrKeyfunc)
	errTokenThumbprint = fmt.Errorf("%w: the token's x5t#S256 is not a string", keyfunc.ErrKeyfunc)
)

// keys returns one key, or several in a [jwt.VerificationKeySet].
func (k tokenKeys) keys(ctx context.Context, token *jwt.Token) (any, error) {
	kid, isText := token.Header["kid"].(string)
	if _, said := token.Header["kid"]; said && !isText {
		return nil, errTokenKeyID
	}
	certificate, isText := token.Header["x5t#S256"].(string)
	if _, said := token.Header["x5t#S256"]; said && !isText {
		return nil, errTokenThumbprint
	}
	alg, _ := token.Header["alg"].(string)
	iss := ""
	if token.Claims != nil {
		iss, _ = token.Claims.GetIssuer() // "" if it cannot be read: no key is bound to that
	}
	q := query{
		hint: keyset.Hint{KeyID: kid, Thumbprint: keyset.ThumbprintOf(certificate)}, marked: certificate != "", iss: iss,
	}
	var found candidates
	_, err := k.set.candidates(ctx, &q, alg, &found)
	if errors.Is(err, ErrKeyNotFound) {
		return nil, errNoTokenKey
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keyfunc.ErrKeyfunc, err)
	}
	if found.n == 1 {
		return found.keys[0].Public, nil
	}
	var keys jwt.VerificationKeySet
	for _, key := range found.keys[:found.n] {
		keys.Keys = append(keys.Keys, key.Public)
	}
	return keys, nil
}

// storage shows a set to keyfunc.
type storage struct{ set *Set }

var errReadOnly = errors.New("jwks: the keys are the issuer's and cannot be changed here")

// KeyRead waits for the first keys, and looks for an unknown key id, as [Set.Keys] does.
func (s storage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	var found candidates
	_, err := s.set.find(ctx, &query{hint: keyset.Hint{KeyID: kid}, anyIssuer: true}, &found)
	if errors.Is(err, ErrKeyNotFound) {
		return jwkset.JWK{}, fmt.Errorf("%w (%w)", ErrKeyNotFound, jwkset.ErrKeyNotFound)
	}
	if err != nil {
		return jwkset.JWK{}, err
	}
	return *found.keys[0].jwk, nil
}

func (s storage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	all := []jwkset.JWK{}
	for _, source := range s.set.sources() {
		snap, err := source.view(ctx)
		if err != nil {
			return nil, err
		}
		for _, key := range snap.keys {
			all = append(all, *key.jwk)
		}
	}
	return all, nil
}

func (storage) KeyDelete(context.Context, string) (bool, error)   { return false, errReadOnly }
func (storage) KeyReplaceAll(context.Context, []jwkset.JWK) error { return errReadOnly }
func (storage) KeyWrite(context.Context, jwkset.JWK) error        { return errReadOnly }

// snapshot copies the keys into the library's own storage, which knows how to write them down.
func (s storage) snapshot(ctx context.Context) (*jwkset.MemoryJWKSet, error) {
	all, err := s.KeyReadAll(ctx)
	if err != nil {
		return nil, err
	}
	memory := jwkset.NewMemoryStorage()
	return memory, memory.KeyReplaceAll(ctx, all)
}

func (s storage) JSON(ctx context.Context) (json.RawMessage, error) {
	memory, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return memory.JSON(ctx)
}

func (s storage) JSONPublic(ctx context.Context) (json.RawMessage, error) {
	memory, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return memory.JSONPublic(ctx)
}

// JSONPrivate writes what JSONPublic does: no set holds a private key.
func (s storage) JSONPrivate(ctx context.Context) (json.RawMessage, error) { return s.JSONPublic(ctx) }

func (s storage) JSONWithOptions(
	ctx context.Context, marshal jwkset.JWKMarshalOptions, validate jwkset.JWKValidateOptions,
) (json.RawMessage, error) {
	memory, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return memory.JSONWithOptions(ctx, marshal, validate)
}

func (s storage) Marshal(ctx context.Context) (jwkset.JWKSMarshal, error) {
	memory, err := s.snapshot(ctx)
	if err != nil {
		return jwkset.JWKSMarshal{}, err
	}
	return memory.Marshal(ctx)
}

func (s storage) MarshalWithOptions(
	ctx context.Context, marshal jwkset.JWKMarshalOptions, validate jwkset.JWKValidateOptions,
) (jwkset.JWKSMarshal, error) {
	memory, err := s.snapshot(ctx)
	if err != nil {
		return jwkset.JWKSMarshal{}, err
	}
	return memory.MarshalWithOptions(ctx, marshal, validate)
}
