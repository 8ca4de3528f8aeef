package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/internal/jws"
)

// privateKeys are one key of each kind. RSA keys take a while to make.
var privateKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys := map[string]crypto.Signer{"RSA": rsaKey, "Ed25519": edKey, "a pointer to Ed25519": &edKey}
	for name, curve := range map[string]elliptic.Curve{
		"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
	} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	return keys
})

// module is a signer whose key is elsewhere.
type module struct {
	public crypto.PublicKey
	sign   func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (m *module) Public() crypto.PublicKey { return m.public }

func (m *module) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return m.sign(random, digest, opts)
}

type object = map[string]any

func TestSignerSignsAsTheKeyDecides(t *testing.T) {
	for _, tt := range []struct {
		key, algorithm, want string
		size                 int // of the signature, in bytes
	}{
		{"RSA", "", "PS256", 256},
		{"RSA", "PS256", "PS256", 256},
		{"RSA", "PS384", "PS384", 256},
		{"RSA", "PS512", "PS512", 256},
		{"RSA", "RS256", "RS256", 256},
		{"RSA", "RS384", "RS384", 256},
		{"RSA", "RS512", "RS512", 256},
		{"P-256", "", "ES256", 64},
		{"P-256", "ES256", "ES256", 64},
		{"P-384", "", "ES384", 96},
		{"P-521", "", "ES512", 132},
		{"Ed25519", "", "EdDSA", 64},
		{"a pointer to Ed25519", "", "EdDSA", 64},
	} {
		key := privateKeys()[tt.key]
		for where, signer := range map[string]crypto.Signer{
			"in memory": key, "elsewhere": &module{key.Public(), key.Sign},
		} {
			t.Run(tt.key+" with "+tt.want+" "+where, func(t *testing.T) {
				s, err := jws.NewSigner(signer, tt.algorithm)
				if err != nil {
					t.Fatal(err)
				}
				if s.Algorithm() != tt.want {
					t.Errorf("algorithm is %s, want %s", s.Algorithm(), tt.want)
				}
				token, err := s.Sign(object{"alg": s.Algorithm()}, object{"sub": "alice"})
				if err != nil {
					t.Fatal(err)
				}
				checkSigned(t, token, tt.want, key.Public(), tt.size)
			})
		}
	}
}

// checkSigned checks that a token is a JWS of the header and the payload above, signed with a key.
func checkSigned(t *testing.T, token, algorithm string, public crypto.PublicKey, size int) {
	t.Helper()
	c, ok := jws.Split(token)
	if !ok {
		t.Fatalf("%q is no compact JWS", token)
	}
	buffer := make([]byte, len(token))
	for part, want := range map[string]string{c.Header: `{"alg":"` + algorithm + `"}`, c.Payload: `{"sub":"alice"}`} {
		if got, _, ok := jws.Decode(part, buffer); !ok || string(got) != want {
			t.Errorf("a part is %s, want %s", got, want)
		}
	}
	signature, _, ok := jws.Decode(c.Signature, buffer)
	if !ok || len(signature) != size {
		t.Errorf("the signature has %d bytes, want %d", len(signature), size)
	}
	alg, _ := jws.Lookup(algorithm)
	if err := alg.Verify(c.SigningInput, signature, public); err != nil {
		t.Error(err)
	}
}

// Both numbers of an ECDSA signature have the full length, also the one in 256 that begins with a
// zero.
func TestSignerPadsTheNumbersOfAnECDSASignature(t *testing.T) {
	s, err := jws.NewSigner(privateKeys()["P-256"], "")
	if err != nil {
		t.Fatal(err)
	}
	padded := false
	for n := 0; n < 10_000 && !padded; n++ {
		token, err := s.Sign(object{}, object{"n": n})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := jws.Split(token)
		signature, _, ok := jws.Decode(c.Signature, make([]byte, 64))
		if !ok || len(signature) != 64 {
			t.Fatalf("the signature has %d bytes", len(signature))
		}
		padded = signature[0] == 0 || signature[32] == 0
	}
	if !padded {
		t.Error("no number began with a zero")
	}
}

func TestNewSignerRefuses(t *testing.T) {
	keys := privateKeys()
	long := new(big.Int).Lsh(big.NewInt(1), 2047)
	ofRSA := func(n *big.Int) crypto.Signer { return &module{public: &rsa.PublicKey{N: n, E: 65537}} }
	const (
		none = "the signer is nil"
		half = "empty or cut short"
		weak = "fewer than 2048 bits"
		odd  = "the key cannot be used"
		not  = "the algorithm is not one for the key"
	)
	for name, tt := range map[string]struct {
		key       crypto.Signer
		algorithm string
		want      string // "" for none
	}{
		"nothing":                     {nil, "", none},
		"a nil RSA key":               {(*rsa.PrivateKey)(nil), "", none},
		"a nil ECDSA key":             {(*ecdsa.PrivateKey)(nil), "", none},
		"a nil pointer to Ed25519":    {(*ed25519.PrivateKey)(nil), "", none},
		"a nil module":                {(*module)(nil), "", none},
		"no Ed25519 key":              {ed25519.PrivateKey(nil), "", half},
		"half an Ed25519 key":         {ed25519.PrivateKey(make([]byte, 32)), "", half},
		"63 bytes":                    {ed25519.PrivateKey(make([]byte, 63)), "", half},
		"64 bytes":                    {ed25519.PrivateKey(make([]byte, 64)), "", ""},
		"65 bytes":                    {ed25519.PrivateKey(make([]byte, 65)), "", half},
		"a pointer to no Ed25519 key": {new(ed25519.PrivateKey), "", half},
		"an empty RSA key":            {&rsa.PrivateKey{}, "", half},
		"the public half of an RSA key": {
			&rsa.PrivateKey{PublicKey: *keys["RSA"].Public().(*rsa.PublicKey)}, "", half,
		},
		"an empty ECDSA key": {&ecdsa.PrivateKey{}, "", half},
		"the public half of an ECDSA key": {
			&ecdsa.PrivateKey{PublicKey: *keys["P-256"].Public().(*ecdsa.PublicKey)}, "", half,
		},
		"the private half of an ECDSA key": {&ecdsa.PrivateKey{D: big.NewInt(1)}, "", half}, //nolint:staticcheck // deprecated is changing it
		"an RSA key of 2047 bits":          {ofRSA(new(big.Int).Rsh(long, 1)), "", weak},
		"an RSA key of 2048 bits":          {ofRSA(long), "", ""},
		"an RSA key of 16384 bits":         {ofRSA(new(big.Int).Lsh(long, 16384-2048)), "", ""},
		"an RSA key without a modulus":     {&module{public: &rsa.PublicKey{}}, "", weak},
		"a nil public RSA key":             {&module{public: (*rsa.PublicKey)(nil)}, "", weak},
		"a nil public ECDSA key":           {&module{public: (*ecdsa.PublicKey)(nil)}, "", odd},
		"an ECDSA key without a curve":     {&module{public: &ecdsa.PublicKey{}}, "", odd},
		"a short public Ed25519 key":       {&module{public: ed25519.PublicKey{1}}, "", odd},
		"a secret":                         {&module{public: make([]byte, 64)}, "", odd},
		"no public key":                    {&module{}, "", odd},
		"another curve":                    {keys["P-224"], "", odd},
		"RS256 for ECDSA":                  {keys["P-256"], "RS256", not},
		"ES256 for RSA":                    {keys["RSA"], "ES256", not},
		"ES256 for P-384":                  {keys["P-384"], "ES256", not},
		"EdDSA for ECDSA":                  {keys["P-256"], "EdDSA", not},
		"ES256 for Ed25519":                {keys["Ed25519"], "ES256", not},
		"HS256":                            {keys["RSA"], "HS256", not},
		"none":                             {keys["RSA"], "none", not},
		"an unknown algorithm":             {keys["RSA"], "rs256", not},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := jws.NewSigner(tt.key, tt.algorithm)
			if (err == nil) != (tt.want == "") || (s == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("NewSigner: %v, want %q", err, tt.want)
			}
			if errors.Is(err, jws.ErrNotForKey) != (tt.want == not) {
				t.Errorf("%v is ErrNotForKey, or is not", err)
			}
		})
	}
}

// A signature that would be refused elsewhere is an error here.
func TestFaultySigners(t *testing.T) {
	errModule := errors.New("the module is down")
	const none = "returned no signature"
	type sign = func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
	gives := func(signature ...byte) sign {
		return func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return signature, nil }
	}
	for _, kind := range []string{"RSA", "P-256", "P-384", "P-521", "Ed25519"} {
		key := privateKeys()[kind]
		for name, tt := range map[string]struct {
			sign sign
			want string // "" for none
		}{
			"signs":                     {key.Sign, ""},
			"fails":                     {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errModule }, errModule.Error()},
			"nothing":                   {gives(), none},
			"nonsense":                  {gives([]byte("nonsense")...), none},
			"zeros":                     {gives(make([]byte, 512)...), none},
			"no numbers in ASN.1":       {gives(0x30, 0), none},
			"zeros in ASN.1":            {gives(0x30, 6, 2, 1, 0, 2, 1, 0), none},
			"negative numbers in ASN.1": {gives(0x30, 6, 2, 1, 0xff, 2, 1, 0xff), none},
			"long numbers in ASN.1": {
				gives(append([]byte{0x30, 0x4b, 2, 0x46, 1}, append(make([]byte, 69), 2, 1, 1)...)...), none,
			},
			"another input": {func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				digest = append([]byte(nil), digest...)
				digest[0] ^= 1
				return key.Sign(r, digest, opts)
			}, none},
			"a byte more": {func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				signature, err := key.Sign(r, digest, opts)
				return append(signature, 0), err
			}, none},
			"a byte less": {func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				signature, err := key.Sign(r, digest, opts)
				return signature[:len(signature)-1], err
			}, none},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				s, err := jws.NewSigner(&module{key.Public(), tt.sign}, "")
				if err != nil {
					t.Fatal(err)
				}
				token, err := s.Sign(object{}, object{})
				if (err == nil) != (tt.want == "") || err != nil && (token != "" || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("Sign: %q, %v, want %q", token, err, tt.want)
				}
				if errors.Is(err, errModule) != (tt.want == errModule.Error()) {
					t.Errorf("%v is the module's error, or is not", err)
				}
			})
		}
	}
}

// A signature with the salt of another length verifies in many libraries, and not here (RFC 7518
// section 3.5).
func TestSignerWithAnotherSalt(t *testing.T) {
	key := privateKeys()["RSA"].(*rsa.PrivateKey)
	s, err := jws.NewSigner(&module{key.Public(), func(r io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
		return rsa.SignPSS(r, key, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: 20})
	}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(object{}, object{}); err == nil {
		t.Error("a salt of 20 bytes is not refused")
	}
}

// The signature is judged by the key that the Signer was made for, whatever the module says later.
func TestSignerWhoseKeyChanges(t *testing.T) {
	one, other := privateKeys()["P-256"], privateKeys()["Ed25519"]
	m := &module{one.Public(), one.Sign}
	s, err := jws.NewSigner(m, "")
	if err != nil {
		t.Fatal(err)
	}
	m.public, m.sign = other.Public(), other.Sign
	if _, err := s.Sign(object{}, object{}); err == nil {
		t.Error("a signature of another key is not refused")
	}
}

func TestSignerRefusesWhatIsNoJSON(t *testing.T) {
	s, err := jws.NewSigner(privateKeys()["Ed25519"], "")
	if err != nil {
		t.Fatal(err)
	}
	for _, parts := range [][2]any{{func() {}, object{}}, {object{}, make(chan int)}} {
		_, err := s.Sign(parts[0], parts[1])
		if _, ok := errors.AsType[*json.UnsupportedTypeError](err); !ok {
			t.Errorf("Sign: %v", err)
		}
	}
}
