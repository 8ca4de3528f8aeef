package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// assertionKeys are one private key of each kind. RSA keys take a while to make.
var assertionKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys := map[string]crypto.Signer{"RSA": rsaKey, "Ed25519": edKey}
	for name, curve := range map[string]elliptic.Curve{
		"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
	} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	return keys
})

// assertionVerify judges a signature by the standard library alone.
func assertionVerify(public crypto.PublicKey, algorithm, signed string, signature []byte) bool {
	digest := func(hash crypto.Hash) []byte {
		h := hash.New()
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
	ec := func(hash crypto.Hash, size int) bool {
		if len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(public.(*ecdsa.PublicKey), digest(hash), r, s)
	}
	switch algorithm {
	case "RS256":
		return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest(crypto.SHA256), signature) == nil
	case "PS256":
		opts := &rsa.PSSOptions{SaltLength: 32}
		return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest(crypto.SHA256), signature, opts) == nil
	case "ES256":
		return ec(crypto.SHA256, 32)
	case "ES384":
		return ec(crypto.SHA384, 48)
	case "ES512":
		return ec(crypto.SHA512, 66)
	case "EdDSA":
		return ed25519.Verify(public.(ed25519.PublicKey), []byte(signed), signature)
	}
	return false
}

// assertionParts decodes an assertion.
func assertionParts(t testing.TB, assertion string) (header, claims map[string]any, signed string, signature []byte) {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	return header, claims, parts[0] + "." + parts[1], signature
}

func TestAssertionIsSignedAsTheKeyDecides(t *testing.T) {
	keys := assertionKeys()
	for name, tt := range map[string]struct {
		key       string
		keyID     string
		opts      []oauth.AssertionOption
		algorithm string
	}{
		"RSA":               {"RSA", "2026", nil, "PS256"},
		"RSA with RS256":    {"RSA", "2026", []oauth.AssertionOption{oauth.WithRS256()}, "RS256"},
		"P-256":             {"P-256", "2026", nil, "ES256"},
		"P-384":             {"P-384", "2026", nil, "ES384"},
		"P-521":             {"P-521", "2026", nil, "ES512"},
		"Ed25519":           {"Ed25519", "2026", nil, "EdDSA"},
		"without a key id":  {"P-256", "", nil, "ES256"},
		"a key id of spice": {"P-256", "\"\\ é<", nil, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				key := keys[tt.key]
				fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(key, tt.keyID, tt.opts...)).ClientCredentials()
				ids := make(map[any]bool)
				for range 20 { // an r or an s with a leading zero comes up in the ASN.1 of some
					if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
						t.Fatal(err)
					}
					requests := server.Seen("/token")
					got := requests[len(requests)-1]
					if got.Form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" ||
						got.Form.Get("client_id") != "orders" || len(got.Form) != 4 || got.Header.Get("Authorization") != "" {
						t.Fatalf("sent %q", got.Form)
					}
					header, claims, signed, signature := assertionParts(t, got.Form.Get("client_assertion"))
					wantHeader := map[string]any{"alg": tt.algorithm, "typ": "JWT"}
					if tt.keyID != "" {
						wantHeader["kid"] = tt.keyID
					}
					if !reflect.DeepEqual(header, wantHeader) {
						t.Errorf("header %v, want %v", header, wantHeader)
					}
					id, _ := claims["jti"].(string)
					if len(id) < 22 || ids[id] { // 128 bits take 22 characters of base64, and more of any smaller alphabet
						t.Errorf("jti %q", id)
					}
					ids[id] = true
					delete(claims, "jti")
					now := float64(time.Now().Unix())
					if want := map[string]any{
						"iss": "orders", "sub": "orders", "aud": tokenstest.Issuer, "iat": now, "exp": now + 60,
					}; !reflect.DeepEqual(claims, want) {
						t.Errorf("claims %v, want %v", claims, want)
					}
					if !assertionVerify(key.Public(), tt.algorithm, signed, signature) {
						t.Error("the signature is not right")
					}
				}
			})
		})
	}
}

// assertionSigner is a signer elsewhere, which may do anything.
type assertionSigner struct {
	public crypto.PublicKey
	sign   func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
}

func (s *assertionSigner) Public() crypto.PublicKey { return s.public }

func (s *assertionSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(random, digest, opts)
}

func TestKeysThatCannotSignAssertions(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this toolchain makes no weak key:", err)
	}
	long := new(big.Int).Lsh(big.NewInt(1), 2047)
	keys := assertionKeys()
	var noECDSA *ecdsa.PrivateKey
	type options = []oauth.AssertionOption
	for name, tt := range map[string]struct {
		signer crypto.Signer
		keyID  string
		opts   options
		want   string
	}{
		"no signer":         {nil, "", nil, "the signer is nil"},
		"a nil key":         {noECDSA, "", nil, "the signer is nil"},
		"no Ed25519 key":    {ed25519.PrivateKey(nil), "", nil, "empty or cut short"},
		"a cut Ed25519 key": {ed25519.PrivateKey(make([]byte, 32)), "", nil, "empty or cut short"},
		"63 bytes of it":    {ed25519.PrivateKey(make([]byte, 63)), "", nil, "empty or cut short"},
		"64 bytes":          {ed25519.PrivateKey(make([]byte, 64)), "", nil, ""},
		"65 bytes":          {ed25519.PrivateKey(make([]byte, 65)), "", nil, "empty or cut short"},
		"a pointer to none": {new(ed25519.PrivateKey), "", nil, "empty or cut short"},
		"an empty RSA key":  {&rsa.PrivateKey{}, "", nil, "empty or cut short"},
		"an RSA key that is public": {
			&rsa.PrivateKey{PublicKey: rsa.PublicKey{N: long, E: 65537}}, "", nil, "empty or cut short",
		},
		"an empty ECDSA key": {&ecdsa.PrivateKey{}, "", nil, "empty or cut short"},
		"an ECDSA key that is public": {
			&ecdsa.PrivateKey{PublicKey: *keys["P-256"].Public().(*ecdsa.PublicKey)}, "", nil, "empty or cut short",
		},
		"a short RSA key": {weak, "", nil, "fewer than 2048 bits"},
		"an RSA key of 2047 bits": {
			&assertionSigner{public: &rsa.PublicKey{N: new(big.Int).Rsh(long, 1), E: 65537}}, "", nil, "fewer than 2048 bits",
		},
		"an RSA key of 2048 bits": {&assertionSigner{public: &rsa.PublicKey{N: long, E: 65537}}, "", nil, ""},
		"an RSA key of nothing":   {&assertionSigner{public: &rsa.PublicKey{}}, "", nil, "fewer than 2048 bits"},
		"a nil public RSA key":    {&assertionSigner{public: (*rsa.PublicKey)(nil)}, "", nil, "fewer than 2048 bits"},
		"a nil public ECDSA key":  {&assertionSigner{public: (*ecdsa.PublicKey)(nil)}, "", nil, "the key cannot be used"},
		"an ECDSA key of nothing": {&assertionSigner{public: &ecdsa.PublicKey{}}, "", nil, "the key cannot be used"},
		"a short Ed25519 key":     {&assertionSigner{public: ed25519.PublicKey{1}}, "", nil, "the key cannot be used"},
		"no public key":           {&assertionSigner{}, "", nil, "the key cannot be used"},
		"another curve":           {keys["P-224"], "", nil, "the key cannot be used"},
		"RS256 with another key":  {keys["P-256"], "", options{oauth.WithRS256()}, "WithRS256: it is for RSA keys"},
		"a nil option":            {keys["P-256"], "", options{nil}, "PrivateKeyJWT(nil): option 1 is nil"},
		"a key id that is no text": {
			keys["P-256"], "\xff", nil, "the key's identifier is not UTF-8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.PrivateKeyJWT(tt.signer, tt.keyID, tt.opts...))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewClient: %v, want %q", err, tt.want)
			}
		})
	}
	_, err = oauth.NewClient(tokenstest.Issuer, "orders", oauth.PrivateKeyJWT(nil, "\xff", nil))
	for _, want := range []string{"signer", "UTF-8", "option"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
}

func TestSignersThatFailOrGiveNonsense(t *testing.T) {
	errKMS := errors.New("the service for keys is down")
	const none = "returned no signature"
	for _, kind := range []string{"RSA", "P-256", "P-384", "P-521", "Ed25519"} {
		key := assertionKeys()[kind]
		for name, tt := range map[string]struct {
			sign func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
			want string
		}{
			"fails":            {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errKMS }, errKMS.Error()},
			"gives nothing":    {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }, none},
			"gives nonsense":   {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte("nonsense"), nil }, none},
			"gives zeros":      {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return make([]byte, 512), nil }, none},
			"gives empty ASN1": {func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte{0x30, 0}, nil }, none},
			"gives an ASN1 of negative numbers": {
				func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
					return []byte{0x30, 6, 2, 1, 0xff, 2, 1, 0xff}, nil
				}, none,
			},
			"signs something else": {func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				digest = append([]byte(nil), digest...)
				digest[0] ^= 1
				return key.Sign(r, digest, opts)
			}, none},
			"adds a byte": {func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				signature, err := key.Sign(r, digest, opts)
				return append(signature, 0), err
			}, none},
			"signs": {key.Sign, ""},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				server := tokenstest.NewServer()
				c := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(&assertionSigner{key.Public(), tt.sign}, "2026"))
				_, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
				if tt.want == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Op != "token" || e.Permanent() || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Fetch: %v, want %q", err, tt.want)
				}
				if tt.want == errKMS.Error() && !errors.Is(err, errKMS) {
					t.Error("the signer's error is not in it")
				}
				if len(server.Seen("/token")) != 0 {
					t.Error("a request went out without a signature")
				}
			})
		}
	}
}

// The salt of PS256 is as long as the hash (RFC 7518 section 3.5): another one verifies in many
// libraries and not here.
func TestSignerWithAnotherSaltIsRefused(t *testing.T) {
	key := assertionKeys()["RSA"].(*rsa.PrivateKey)
	server := tokenstest.NewServer()
	c := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(&assertionSigner{key.Public(), func(r io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
		return rsa.SignPSS(r, key, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: 20})
	}}, ""))
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
		t.Error("a salt of 20 bytes is sent")
	}
}

// Each request has its own assertion, also the second of one call.
func TestAssertionIsNotUsedTwice(t *testing.T) {
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.Gives(http.StatusNotFound, "text/html", "gone"))
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
	c := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(assertionKeys()["Ed25519"], ""))
	first := true
	server.On(tokenstest.OpenIDPath, func(r *http.Request, _ url.Values) (*http.Response, error) {
		endpoint := tokenstest.TokenURL
		if !first {
			endpoint = tokenstest.Issuer + "/token/v2"
		}
		first = false
		return tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": endpoint}))(r, nil)
	})
	server.On("/token/v2", tokenstest.JSON(http.StatusOK, tokenstest.Good))
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Fatal(err)
	}
	requests := server.Seen("/token")
	if len(requests) != 2 || requests[0].Form.Get("client_assertion") == requests[1].Form.Get("client_assertion") {
		t.Errorf("%d requests, or one assertion for both", len(requests))
	}
}
