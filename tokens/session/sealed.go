package session

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrCannotUnseal means that a record is there and cannot be opened: none of the keys is the one it
// was sealed with, it has been changed or cut, it is another record's, or it was never sealed. The
// same holds for the text of [Login.Seal], which is the record of a client's login.
// Delete removes it. Until then Save in version 0 does not replace it. In its own version, if that
// is known from before, Save replaces it with [NewSealedStore], which does not look at the old
// record, and not with [NewFileStore].
var ErrCannotUnseal = errors.New("session: the sealed record cannot be opened")

// sealers are the keys, ready for use.
func (k SealKeys) sealers(ctx context.Context) ([]sealer, error) {
	keys, err := k(ctx)
	if err != nil {
		return nil, fmt.Errorf("session: there is no key to seal records with: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("session: there is no key to seal records with")
	}
	sealers := make([]sealer, len(keys))
	for n, key := range keys {
		if sealers[n], err = newSealer(key); err != nil {
			return nil, fmt.Errorf("session: key %d to seal records with %w", n+1, err)
		}
	}
	return sealers, nil
}

// sealer seals and opens with one key.
//
// A sealed record is a byte that says how, the key's ID, and what AES-256-GCM made of the data: a
// random nonce of 96 bits, the ciphertext and a tag of 128 bits. The tag also covers the first two,
// and the [binding] and the name that the record is for.
type sealer struct {
	head [headSize]byte
	aead cipher.AEAD
}

const (
	sealFormat = 1
	headSize   = 1 + 8 // bytes: the format and the key's ID
)

func newSealer(key []byte) (s sealer, err error) {
	if len(key) != sealKeySize {
		return s, fmt.Errorf("has %d bytes and must have %d", len(key), sealKeySize)
	}
	if strings.Count(string(key), string(key[:1])) == sealKeySize {
		return s, errors.New("is one byte over and over: use a random one")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return s, err
	}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return s, err
	}
	// The ID tells which key to take and nothing else about it: a key is too random to be found by
	// its hash.
	id := sha256.Sum256(append([]byte("bearer tokens seal key\x00"), key...))
	s.head[0] = sealFormat
	copy(s.head[1:], id[:])
	return s, nil
}

// sealRecord seals a record with the first key.
func sealRecord(sealers []sealer, b binding, name string, data []byte) []byte {
	s := sealers[0]
	return s.aead.Seal(s.head[:], nil, data, b.context(s.head, name)) //nolint:gosec // the AEAD takes a random nonce itself
}

// openRecord opens what sealRecord has made with any of the keys.
func openRecord(sealers []sealer, b binding, name string, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) < headSize || sealed[0] != sealFormat:
		return nil, fmt.Errorf("%w: it is not of the form that sealed records have", ErrCannotUnseal)
	case len(sealed) > maxKept:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrCannotUnseal, maxKept)
	}
	known := false
	for _, s := range sealers {
		if !bytes.Equal(s.head[:], sealed[:headSize]) {
			continue
		}
		known = true
		if data, err := s.aead.Open(nil, nil, sealed[headSize:], b.context(s.head, name)); err == nil {
			return data, nil
		}
	}
	if !known {
		return nil, fmt.Errorf("%w: none of the keys is the one it was sealed with", ErrCannotUnseal)
	}
	return nil, fmt.Errorf("%w: it has been changed, or is the record of another name or label, or a login of another client", ErrCannotUnseal)
}

// NewSealedStore returns a [Store] that keeps its records in another one, sealed with AES-256-GCM:
// who can read that one, or a backup of it, learns the names, when a record changes and how long it
// is, and no token. A record that was changed, or put in the place of another name's, is
// [ErrCannotUnseal]. So is one of another Store with the same key, if the two have labels; see
// [WithLabel].
//
// What it cannot detect is an old record put back in its own place, by an attacker or from a
// backup: the other Store is trusted to have the last one.
//
// The error is every mistake in the configuration, each a [*ConfigError].
func NewSealedStore(store Store, keys SealKeys, opts ...StoreOption) (Store, error) {
	c := configureStore("NewSealedStore", keys, opts)
	if store == nil {
		c.Add("NewSealedStore", "nil", "the Store to be sealed is nil")
	}
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	b := binding{sealedForStore, c.label.Get()}
	return &sealedStore{hiddenSealed: &hiddenSealed{&sealedState{store, keys, b}}}, nil
}

type sealedStore struct {
	opaque
	*hiddenSealed
}

type hiddenSealed struct{ *sealedState }

type sealedState struct {
	store   Store
	keys    SealKeys
	binding binding
}

func (s *sealedStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if err := checkName(ctx, name); err != nil {
		return nil, 0, err
	}
	sealed, version, err := s.store.Load(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	sealers, err := s.keys.sealers(ctx)
	if err != nil {
		return nil, 0, err
	}
	data, err := openRecord(sealers, s.binding, name, sealed)
	if err != nil {
		return nil, 0, err
	}
	return data, version, nil
}

func (s *sealedStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	if err := checkName(ctx, name); err != nil {
		return 0, err
	}
	if len(data) > maxData {
		return 0, errData
	}
	sealers, err := s.keys.sealers(ctx)
	if err != nil {
		return 0, err
	}
	return s.store.Save(ctx, name, sealRecord(sealers, s.binding, name, data), version)
}

func (s *sealedStore) Delete(ctx context.Context, name string) error {
	if err := checkName(ctx, name); err != nil {
		return err
	}
	return s.store.Delete(ctx, name)
}

func (s *sealedStore) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	if err := checkLock(ctx, name, lease); err != nil {
		return nil, err
	}
	return s.store.Lock(ctx, name, lease)
}
