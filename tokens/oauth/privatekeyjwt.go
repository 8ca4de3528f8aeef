package oauth

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/livefile"
	"github.com/bearer-go/bearer/internal/privatekey"
)

// PrivateKeyJWT signs an assertion for each request (private_key_jwt, RFC 7523 section 2.2, OpenID
// Connect Core section 9): issuer and subject are the client's identifier, the audience is the
// server's issuer identifier alone, and it is good for 60 seconds and one use. For a server that
// asks for another audience there are [WithEndpointAudience] and [WithAssertionAudience]. One that
// knows the client by a certificate, such as Microsoft Entra ID, needs [CertificateJWT].
//
// The key decides the algorithm: PS256 for RSA of at least 2048 bits ([WithRS256] changes it),
// ES256, ES384 or ES512 for P-256, P-384 and P-521, EdDSA for Ed25519. The keyID names the public
// key to the server (kid); with "" it is not named.
//
// The signer is used by several requests at once, as many as [WithMaxRequests] allows, and by none
// that waits for its turn. It may be a key in memory, of [SignerFromPEM] for instance, or one in a
// module or a service elsewhere: what it signs is verified before it is sent. It is not told of the
// request's context, so a signer that waits should end by itself. A request is given up if its
// signature takes longer than 10 seconds.
func PrivateKeyJWT(signer crypto.Signer, keyID string, opts ...AssertionOption) ClientAuth {
	c := newKeyAssertion("PrivateKeyJWT", keyID, opts)
	key, err := newAssertionKey(signer, keyID, c.algorithm())
	c.judged(err)
	return c.auth("key", fixedKey(key))
}

// PrivateKeyJWTFunc is [PrivateKeyJWT] with a key that is replaced while the client runs: the
// function is called for each request, at several at once. Its error is in that of the request. A
// key that the server refused, as invalid_client, is not used again for a while. Another key, or
// the same one by another keyID, is used at once, until 4 in a row were refused.
func PrivateKeyJWTFunc(key func(ctx context.Context) (signer crypto.Signer, keyID string, err error), opts ...AssertionOption) ClientAuth {
	c := newKeyAssertion("PrivateKeyJWTFunc", "", opts)
	if key == nil {
		c.Add("PrivateKeyJWTFunc", "nil", "%v", errFunction)
	}
	return c.auth("key", func(ctx context.Context) (*assertionKey, error) {
		signer, keyID, err := key(ctx)
		if err == nil && !utf8.ValidString(keyID) {
			err = errKeyIDText
		}
		if err != nil {
			return nil, err
		}
		return newAssertionKey(signer, keyID, c.algorithm())
	})
}

// PrivateKeyJWTFile is [PrivateKeyJWT] with the key in a file: PEM by the rules of [SignerFromPEM],
// or a JWK by those of [SignerFromJWK]. With "" as the keyID a JWK's own is used. A JWK that has an
// alg is used with that algorithm, such as RS256 without [WithRS256]; the two must not contradict.
//
// The file is read for each request, so that a new key is used at once; see [PrivateKeyJWTFunc] for
// one that the server refused: with another alg it counts as another. NewClient does not read it. A
// file that cannot be read, or has no key in it, is the error of the request, also while there was
// one before. So rename a complete file over the old one.
//
// The path may lead through links, as a mounted Kubernetes secret does. The file must be a regular
// one, have at most 16 KiB, and not be writable by everyone (not checked on Windows). Its owner and
// who may read it are not checked: mounted secrets are often readable by all in their container.
// Keep the file from others yourself. A file system that is stuck is an error after 5 seconds.
func PrivateKeyJWTFile(path, keyID string, opts ...AssertionOption) ClientAuth {
	c := newKeyAssertion("PrivateKeyJWTFile", keyID, opts)
	if path == "" {
		c.Add("PrivateKeyJWTFile", `""`, "the path is empty; name a file")
	}
	file := &keyFile{file: livefile.New(path, privatekey.MaxSize), keyID: keyID, algorithm: c.algorithm()}
	return c.auth("key", file.key)
}

// newKeyAssertion is newAssertion for a function that takes the key's identifier as an argument.
func newKeyAssertion(function, keyID string, opts []AssertionOption) *assertionConfig {
	c := newAssertion(function, opts)
	if c.keyID.Given() {
		c.Add("WithAssertionKeyID", strconv.Quote(c.keyID.Get()), "it is for CertificateJWT; give the identifier as the keyID of %s", function)
	}
	if !utf8.ValidString(keyID) {
		c.Add(function, "", "%v", errKeyIDText)
	}
	return c
}

// keyFile is the file of [PrivateKeyJWTFile].
type keyFile struct {
	file             *livefile.File
	keyID, algorithm string // "" for those of the key

	mu   sync.Mutex
	sum  [sha256.Size]byte // of what was read last
	last *assertionKey     // that was in it; nil before the first
}

var (
	errKeyIDText      = errors.New("the key's identifier is not UTF-8")
	errOtherAlgorithm = errors.New("its alg is another than that of WithRS256; leave the option out")
)

// key returns the key that is in the file now.
func (f *keyFile) key(ctx context.Context) (*assertionKey, error) {
	text, err := f.file.Read(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil && f.sum == sum {
		return f.last, nil
	}
	key, err := f.parse(text)
	if err != nil {
		return nil, f.file.Unusable(err)
	}
	f.last, f.sum = key, sum
	return key, nil
}

func (f *keyFile) parse(text string) (*assertionKey, error) {
	found, err := privatekey.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	if f.algorithm != "" && found.Algorithm != "" && f.algorithm != found.Algorithm {
		return nil, errOtherAlgorithm
	}
	return newAssertionKey(found.Signer, cmp.Or(f.keyID, found.ID), cmp.Or(f.algorithm, found.Algorithm))
}

// SignerFromPEM reads a private key that is one PEM block: PRIVATE KEY (PKCS #8), RSA PRIVATE KEY
// (PKCS #1) or EC PRIVATE KEY (SEC 1). It is RSA of at least 2048 bits, P-256, P-384, P-521 or
// Ed25519. A key that is encrypted, a public key, several keys, a certificate beside the key, text
// around the block, and more than 16 KiB are errors. The error quotes nothing of it.
func SignerFromPEM(pem []byte) (crypto.Signer, error) {
	key, err := privatekey.FromPEM(pem)
	if err != nil {
		return nil, fmt.Errorf("oauth: the PEM cannot be used: %w", err)
	}
	return key.Signer, nil
}

// SignerFromJWK reads a private key that is a JWK (RFC 7517 section 4), and its kid, "" if it has
// none. It is one of those of [SignerFromPEM]; an RSA key has its primes. Its public members must
// be those of the private ones, its use and key_ops must allow signatures, and its alg must be one
// for such a key: all of these may be absent. The alg is not returned, so that one of RS256 needs
// [WithRS256] with [PrivateKeyJWT]. A JWK Set, a public or symmetric key, and more than 16 KiB are
// errors. The error quotes nothing of it.
func SignerFromJWK(jwk []byte) (signer crypto.Signer, keyID string, err error) {
	key, err := privatekey.FromJWK(jwk)
	if err != nil {
		return nil, "", fmt.Errorf("oauth: the JWK cannot be used: %w", err)
	}
	return key.Signer, key.ID, nil
}
