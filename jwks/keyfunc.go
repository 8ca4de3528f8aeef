package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
)

// Keyfunc offers the set to users of golang-jwt who keep their own parser, with everything that the set does to have its
// keys at hand:
//
//	token, err := jwt.Parse(text, set.Keyfunc().Keyfunc, jwt.WithValidMethods([]string{"RS256"}), ...)
//
// Always give jwt.WithValidMethods. This way knows less of the token than [Set.Keys], and checks less: of several keys
// under one key id it uses the first, a token without a key id is tried with every key of the set, and whether a key
// fits the token's algorithm in type, curve and size is left to golang-jwt, unless the key itself names its algorithm.
// Everything that golang-jwt does not check by default, such as the issuer, the audience and that the token expires at
// all, is for the caller to ask for. Package bearer does not use it.
//
// Of the methods of the result, use KeyfuncCtx where there is a request: its context bounds how long the token waits for
// keys. Errors wrap [ErrKeyNotFound] and [*UnavailableError] as those of [Set.Keys] do. The Storage of the result is
// read-only.
func (s *Set) Keyfunc() keyfunc.Keyfunc {
	k, err := keyfunc.New(keyfunc.Options{Storage: storage{s}})
	if err != nil {
		panic(err) // only for want of a Storage
	}
	return k
}

// storage shows a set to keyfunc.
type storage struct{ set *Set }

var errReadOnly = errors.New("jwks: the keys are the issuer's and cannot be changed here")

// KeyRead waits for the first keys, and looks for an unknown key id, as [Set.Keys] does.
func (s storage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	snap, err := s.set.view(ctx, kid)
	if err != nil {
		return jwkset.JWK{}, err
	}
	found := snap.candidates(kid, nil)
	if found.n == 0 {
		return jwkset.JWK{}, fmt.Errorf("%w (%w)", ErrKeyNotFound, jwkset.ErrKeyNotFound)
	}
	return *found.keys[0].jwk, nil
}

func (s storage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	snap, err := s.set.view(ctx, "")
	if err != nil {
		return nil, err
	}
	all := make([]jwkset.JWK, len(snap.keys))
	for i, key := range snap.keys {
		all[i] = *key.jwk
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
