package privatekey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/privatekey"
)

// A text is a key that signs and can be written as PEM and read again, or an error with one of the
// fixed texts.
func FuzzParse(f *testing.F) {
	for _, name := range good {
		f.Add(block("PRIVATE KEY", pkcs8(f, keys()[name])))
		f.Add(jwkOf(f, name).with(members{"kid": "2026"}))
	}
	f.Add(block("RSA PRIVATE KEY", pkcs1("RSA")))
	f.Add(block("EC PARAMETERS", []byte{6, 1, 1}) + block("EC PRIVATE KEY", sec1(f, "P-256")))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := privatekey.Parse([]byte(text))
		if err != nil {
			if key != (privatekey.Key{}) || len(err.Error()) > 120 || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("key %T, error %q", key.Signer, err)
			}
			return
		}
		switch public := key.Signer.Public().(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			if _, err := key.Signer.Sign(nil, make([]byte, crypto.SHA256.Size()), crypto.SHA256); err != nil {
				t.Error(err)
			}
		case ed25519.PublicKey:
			if _, err := key.Signer.Sign(nil, nil, crypto.Hash(0)); err != nil {
				t.Error(err)
			}
		default:
			t.Fatalf("a key for a %T", public)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key.Signer)
		if err != nil {
			t.Fatal(err)
		}
		again, err := privatekey.FromPEM([]byte(block("PRIVATE KEY", der)))
		if err != nil || !again.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Signer.Public()) {
			t.Errorf("it cannot be read again: %v", err)
		}
	})
}
