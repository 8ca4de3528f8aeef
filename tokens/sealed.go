package tokens

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// ErrSealed means that a record is there and cannot be opened: none of the keys is the one it was sealed with, it has been changed
// or cut, it is another record's, or it was never sealed. Delete removes it. Until then Save in version 0 does not
// replace it. In its own version, if that is known from before, Save replaces it with [Sealed], which does not look at the old
// record, and not with [NewFileStore].
var ErrSealed = errors.New("tokens: the sealed record cannot be opened")

// SealKeys returns the keys that records are sealed with, 32 random bytes each: the first seals, and all of them open. To change
// the key add a new one second, wherever the records are read; when all have it, move it to the front. A record goes over to it
// when it is saved next, and the old key can go when all have been. One key is good for 2^32 times of saving (NIST SP 800-38D
// section 8.3).
//
// [SealKeysFromFile] and [SealKeysFromEnv] make one; for a keyring or a key management service write one's own, and let it
// remember what it got: it is called each time that a record is loaded or saved, from several goroutines at once. It returns
// when the context ends. An error means that there is no key now; the record is not lost by it.
type SealKeys func(ctx context.Context) ([][]byte, error)

const (
	sealKeySize = 32      // bytes: AES-256
	maxKeyFile  = 4 << 10 // bytes of a file with keys, which are some 60 of them
)

// GenerateSealKey makes a new key, in the form in which a file or an environment variable holds it: 44 characters of base64. The
// command openssl rand -base64 32 does the same.
func GenerateSealKey() Secret {
	key := make([]byte, sealKeySize)
	_, _ = rand.Read(key) // never fails
	return NewSecret(base64.StdEncoding.EncodeToString(key))
}

// SealKeysFromFile takes the keys from a file: 44 characters of base64 or 64 of hexadecimal each, one a line, the first one first.
// The file is read each time, so that a new key needs no restart.
//
// It must be a regular file of at most 4 KiB that nobody but its owner may read or write (0600 or less), who is the user that this
// process runs as, or root. Windows has other permissions, which are not looked at.
func SealKeysFromFile(path string) SealKeys {
	return func(context.Context) ([][]byte, error) {
		if path == "" {
			return nil, errors.New("the path of the file with the keys is empty")
		}
		text, err := readKeyFile(path)
		if err != nil {
			return nil, err
		}
		return parseSealKeys(text)
	}
}

// SealKeysFromEnv takes the keys from an environment variable, which holds what the file of [SealKeysFromFile] does; white space
// separates them. One that is not set is an error, and so is an empty one.
func SealKeysFromEnv(variable string) SealKeys {
	return func(context.Context) ([][]byte, error) {
		text := os.Getenv(variable)
		if text == "" {
			return nil, fmt.Errorf("the environment variable %q, which should hold the keys, is not set or empty", variable)
		}
		return parseSealKeys(text)
	}
}

func readKeyFile(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openNoWait, 0) //nolint:gosec // who configures the service names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("the file with the keys is not a regular file")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return "", errors.New("the file with the keys is open to others: allow nobody but its owner to read or write it (chmod 0600)")
	case isStrangers(info):
		return "", errors.New("the file with the keys belongs to another user than this process runs as")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("the file with the keys is longer than %d bytes", maxKeyFile)
	}
	return string(text), nil
}

// parseSealKeys reads keys. No error quotes any of the text: it may be a key with a typing error.
func parseSealKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for field := range strings.FieldsSeq(text) {
		var key []byte
		var err error
		switch len(field) {
		case base64.StdEncoding.EncodedLen(sealKeySize):
			key, err = base64.StdEncoding.Strict().DecodeString(field)
		case hex.EncodedLen(sealKeySize):
			key, err = hex.DecodeString(field)
		}
		if err != nil || len(key) != sealKeySize {
			return nil, fmt.Errorf("key %d is neither %d characters of base64 nor %d of hexadecimal, which 32 bytes have",
				len(keys)+1, base64.StdEncoding.EncodedLen(sealKeySize), hex.EncodedLen(sealKeySize))
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sealers are the keys, ready for use.
func (k SealKeys) sealers(ctx context.Context) ([]sealer, error) {
	keys, err := k(ctx)
	if err != nil {
		return nil, fmt.Errorf("tokens: there is no key to seal records with: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("tokens: there is no key to seal records with")
	}
	sealers := make([]sealer, len(keys))
	for n, key := range keys {
		if sealers[n], err = newSealer(key); err != nil {
			return nil, fmt.Errorf("tokens: key %d to seal records with %w", n+1, err)
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
	// The ID tells which key to take and nothing else about it: a key is too random to be found by its hash.
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
		return nil, fmt.Errorf("%w: it is not of the form that sealed records have", ErrSealed)
	case len(sealed) > maxKept:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrSealed, maxKept)
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
		return nil, fmt.Errorf("%w: none of the keys is the one it was sealed with", ErrSealed)
	}
	return nil, fmt.Errorf("%w: it has been changed, or is the record of another name or label", ErrSealed)
}

var (
	errNoSealKeys = errors.New("tokens: the keys to seal records with are nil: see SealKeysFromFile")
	errNoStore    = errors.New("tokens: the Store to be sealed is nil")
)

// Sealed returns a [Store] that keeps its records in another one, sealed with AES-256-GCM: who can
// read that one, or a backup of it, learns the names, when a record changes and how long it is, and
// no token. A record that was changed, or put in the place of another name's, is [ErrSealed]. So is
// one of another Store with the same key, if the two have labels; see [StoreLabel].
//
// What it cannot detect is an old record put back in its own place, by an attacker or from a backup: the other Store is
// trusted to have the last one.
func Sealed(store Store, keys SealKeys, opts ...StoreOption) (Store, error) {
	label, errs := newStoreConfig("Sealed", opts)
	if store == nil {
		errs = append(errs, errNoStore)
	}
	if keys == nil {
		errs = append(errs, errNoSealKeys)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return &sealedStore{hiddenSealed: &hiddenSealed{&sealedState{store, keys, binding{sealedForStore, label}}}}, nil
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
