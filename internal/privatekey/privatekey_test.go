package privatekey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/internal/privatekey"
)

// keys are one private key of each kind, and some that cannot be used.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return key
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	all := map[string]crypto.Signer{"Ed25519": must(edKey, err)}
	for name, bits := range map[string]int{"RSA": 2048, "another RSA": 2048, "weak RSA": 1536} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		all[name] = must(key, err)
	}
	for name, curve := range map[string]elliptic.Curve{
		"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		all[name] = must(key, err)
	}
	for !hasLeadingZero(all["P-521"]) { // as every second key has it
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		all["P-521"] = must(key, err)
	}
	return all
})

// hasLeadingZero reports whether the x of a point begins with 0.
func hasLeadingZero(key crypto.Signer) bool {
	point, err := key.Public().(*ecdsa.PublicKey).Bytes()
	return err == nil && point[1] == 0
}

// good are the kinds of keys that can be used.
var good = []string{"RSA", "P-256", "P-384", "P-521", "Ed25519"}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func sec1(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(keys()[name].(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pkcs1(name string) []byte { return x509.MarshalPKCS1PrivateKey(keys()[name].(*rsa.PrivateKey)) }

// wantKey parses a text, and compares the key with one of keys.
func wantKey(t *testing.T, text, name string) privatekey.Key {
	t.Helper()
	got, err := privatekey.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	public := keys()[name].Public().(interface{ Equal(crypto.PublicKey) bool })
	if !public.Equal(got.Signer.Public()) {
		t.Error("it is another key")
	}
	return got
}

// wantRefused parses a text, and wants an error that quotes nothing of it.
func wantRefused(t *testing.T, text, want string) {
	t.Helper()
	got, err := privatekey.Parse([]byte(text))
	if err == nil || got.Signer != nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("key %T, error %v; want %q", got.Signer, err, want)
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \n\r\"{}:,", r) }) {
		if len(word) > 12 && strings.Contains(err.Error(), word) {
			t.Errorf("%v quotes %q", err, word)
		}
	}
}

func TestPEMOfEachKind(t *testing.T) {
	t.Parallel()
	for _, name := range good {
		wantKey(t, block("PRIVATE KEY", pkcs8(t, keys()[name])), name)
	}
	wantKey(t, block("RSA PRIVATE KEY", pkcs1("RSA")), "RSA")
	for _, name := range []string{"P-256", "P-384", "P-521"} {
		wantKey(t, block("EC PRIVATE KEY", sec1(t, name)), name)
	}
	key := block("EC PRIVATE KEY", sec1(t, "P-256"))
	for _, text := range []string{
		" \n\t" + key + "\n\r\n", strings.ReplaceAll(key, "\n", "\r\n"), strings.TrimSpace(key),
		block("EC PARAMETERS", []byte{6, 1, 1}) + key, // as openssl ecparam -genkey writes it
	} {
		if got := wantKey(t, text, "P-256"); got.ID != "" || got.Algorithm != "" {
			t.Errorf("key %q for %q", got.ID, got.Algorithm)
		}
	}
}

func TestPEMThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	key := block("PRIVATE KEY", pkcs8(t, keys()["P-256"]))
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(keys()["P-256"].Public())
	if err != nil {
		t.Fatal(err)
	}
	legacy := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00112233445566778899AABBCCDDEEFF"},
		Bytes: pkcs1("RSA"),
	}))
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":                    {"", "there is no PEM block"},
		"white space":                {" \n", "there is no PEM block"},
		"some text":                  {"hunter2-hunter2-hunter2", "there is no PEM block"},
		"DER":                        {string(pkcs8(t, keys()["P-256"])), "there is no PEM block"},
		"parameters alone":           {block("EC PARAMETERS", []byte{6, 1, 1}), "there is no PEM block"},
		"text before it":             {"hunter2\n" + key, "outside of a PEM block"},
		"text after it":              {key + "hunter2", "outside of a PEM block"},
		"a broken block after it":    {key + key[:len(key)/2], "outside of a PEM block"},
		"half of it":                 {key[:len(key)/2], "outside of a PEM block"},
		"two keys":                   {key + key, "several private keys"},
		"parameters after it":        {key + block("EC PARAMETERS", []byte{6, 1, 1}), "no private key"},
		"an encrypted key":           {block("ENCRYPTED PRIVATE KEY", pkcs8(t, keys()["P-256"])), "encrypted"},
		"an encrypted key of PKCS 1": {legacy, "encrypted"},
		"a public key":               {block("PUBLIC KEY", public), "it is a public key"},
		"a public RSA key":           {block("RSA PUBLIC KEY", []byte{1}), "it is a public key"},
		"a certificate":              {key + block("CERTIFICATE", []byte{1}), "it has a certificate"},
		"a key of OpenSSH":           {block("OPENSSH PRIVATE KEY", []byte{1}), "ssh-keygen"},
		"another block":              {block("DSA PRIVATE KEY", []byte{1}), "no private key"},
		"a garbled key":              {block("PRIVATE KEY", []byte("hunter2")), "cannot be read"},
		"an empty block":             {block("PRIVATE KEY", nil), "cannot be read"},
		"a key under another name":   {block("RSA PRIVATE KEY", pkcs8(t, keys()["RSA"])), "cannot be read"},
		"data after PKCS 8":          {block("PRIVATE KEY", append(pkcs8(t, keys()["Ed25519"]), 0)), "cannot be read"},
		"data after PKCS 1":          {block("RSA PRIVATE KEY", append(pkcs1("RSA"), 0)), "cannot be read"},
		"data after SEC 1":           {block("EC PRIVATE KEY", append(sec1(t, "P-256"), 0)), "cannot be read"},
		"a short RSA key":            {block("PRIVATE KEY", pkcs8(t, keys()["weak RSA"])), "fewer than 2048 bits"},
		"P-224":                      {block("PRIVATE KEY", pkcs8(t, keys()["P-224"])), "P-256, P-384, P-521 or Ed25519"},
		"X25519":                     {block("PRIVATE KEY", pkcs8(t, x25519)), "P-256, P-384, P-521 or Ed25519"},
		"a key that is too long":     {key + strings.Repeat("\n", privatekey.MaxSize-len(key)+1), "longer than 16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, tt.text, tt.want) })
	}
	wantKey(t, key+strings.Repeat("\n", privatekey.MaxSize-len(key)), "P-256")
	if _, err := privatekey.FromPEM(bytes.Repeat([]byte{'{'}, 3)); err == nil {
		t.Error("a brace is PEM")
	}
}
