package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// keyPEM is a private key as PKCS #8.
func keyPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// keyJWK is a private key as a JWK, with members added.
func keyJWK(t testing.TB, key crypto.Signer, more string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","d":%q,"x":%q%s}`, encode(key.Seed()), encode(key.Public().(ed25519.PublicKey)), more)
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		scalar, err := key.Bytes()
		if err != nil || key.Curve != elliptic.P256() {
			t.Fatal("not for this key: ", err)
		}
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","d":%q,"x":%q,"y":%q%s}`, encode(scalar), encode(point[1:33]), encode(point[33:]), more)
	}
	t.Fatalf("a %T", key)
	return ""
}

// rsaJWK is the RSA key of assertionKeys as a JWK, with members added.
func rsaJWK(t testing.TB, more string) string {
	t.Helper()
	key := assertionKeys()["RSA"].(*rsa.PrivateKey)
	encode := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q%s}`,
		encode(key.N), encode(key.D), encode(key.Primes[0]), encode(key.Primes[1]), more)
}

// wantSigned judges the last assertion that came to a server.
func wantSigned(t testing.TB, server *tokenstest.Server, public crypto.PublicKey, algorithm, keyID string) {
	t.Helper()
	header, _, signed, signature := assertionParts(t, lastSent(t, server).Get("client_assertion"))
	got, _ := header["kid"].(string)
	if header["alg"] != algorithm || got != keyID || !assertionVerify(public, algorithm, signed, signature) {
		t.Errorf("header %v, want %s by the key %q", header, algorithm, keyID)
	}
}

func TestKeyOfAFunctionIsAskedForEachRequest(t *testing.T) {
	t.Parallel()
	keys := assertionKeys()
	var now crypto.Signer
	var keyID string
	var broken error
	server := tokenstest.NewServer()
	fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFunc(func(context.Context) (crypto.Signer, string, error) {
		return now, keyID, broken
	})).ClientCredentials()
	for i, kind := range []string{"P-256", "Ed25519", "RSA"} {
		now, keyID = keys[kind], fmt.Sprint(i)
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Fatal(err)
		}
		wantSigned(t, server, now.Public(), []string{"ES256", "EdDSA", "PS256"}[i], keyID)
	}
	requests, errVault := len(server.Seen("/token")), errors.New("the vault is sealed")
	for _, tt := range []struct {
		key    crypto.Signer
		keyID  string
		broken error
		want   string
	}{
		{nil, "", errVault, "the vault is sealed"},
		{nil, "", nil, "the signer is nil"},
		{keys["P-224"], "", nil, "the key cannot be used"},
		{keys["P-256"], "\xff", nil, "the key's identifier is not UTF-8"},
	} {
		now, keyID, broken = tt.key, tt.keyID, tt.broken
		_, err := fetcher.Fetch(t.Context(), tokens.Request{})
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Op != "token" || e.Permanent() || !strings.Contains(err.Error(), "the client's key is not available: "+tt.want) ||
			tt.broken != nil && !errors.Is(err, tt.broken) {
			t.Errorf("Fetch: %v, want %q", err, tt.want)
		}
	}
	if n := len(server.Seen("/token")) - requests; n != 0 {
		t.Errorf("%d requests without a key", n)
	}
}

// Where the key is replaced, the options are judged at each request.
func TestRS256OfAKeyThatIsReplaced(t *testing.T) {
	t.Parallel()
	now := assertionKeys()["RSA"]
	server := tokenstest.NewServer()
	fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFunc(func(context.Context) (crypto.Signer, string, error) {
		return now, "", nil
	}, oauth.WithRS256())).ClientCredentials()
	if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Fatal(err)
	}
	wantSigned(t, server, now.Public(), "RS256", "")
	now = assertionKeys()["P-256"]
	if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil || !strings.Contains(err.Error(), "WithRS256 is for RSA keys") {
		t.Errorf("Fetch: %v", err)
	}
}

func TestKeyOfAFile(t *testing.T) {
	t.Parallel()
	keys := assertionKeys()
	for name, tt := range map[string]struct {
		key, text, keyID string
		opts             []oauth.AssertionOption
		algorithm, kid   string
	}{
		"PEM":                     {"RSA", keyPEM(t, keys["RSA"]), "2026", nil, "PS256", "2026"},
		"PEM without an id":       {"P-384", keyPEM(t, keys["P-384"]), "", nil, "ES384", ""},
		"PEM with RS256":          {"RSA", keyPEM(t, keys["RSA"]), "", []oauth.AssertionOption{oauth.WithRS256()}, "RS256", ""},
		"a JWK":                   {"P-256", keyJWK(t, keys["P-256"], ""), "2026", nil, "ES256", "2026"},
		"a JWK with its own id":   {"P-256", keyJWK(t, keys["P-256"], `,"kid":"of the key"`), "", nil, "ES256", "of the key"},
		"a JWK with another id":   {"Ed25519", keyJWK(t, keys["Ed25519"], `,"kid":"of the key"`), "2026", nil, "EdDSA", "2026"},
		"a JWK and white space":   {"Ed25519", "\n" + keyJWK(t, keys["Ed25519"], "") + "\n", "", nil, "EdDSA", ""},
		"a JWK with an alg":       {"RSA", rsaJWK(t, `,"alg":"RS256"`), "", nil, "RS256", ""},
		"the same and the option": {"RSA", rsaJWK(t, `,"alg":"RS256"`), "", []oauth.AssertionOption{oauth.WithRS256()}, "RS256", ""},
		"no alg and the option":   {"RSA", rsaJWK(t, ""), "", []oauth.AssertionOption{oauth.WithRS256()}, "RS256", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			writeFile(t, path, tt.text)
			server := tokenstest.NewServer()
			fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFile(path, tt.keyID, tt.opts...)).ClientCredentials()
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
				t.Fatal(err)
			}
			wantSigned(t, server, keys[tt.key].Public(), tt.algorithm, tt.kid)
		})
	}
}

func TestKeyFileIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	server := tokenstest.NewServer()
	fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFile(path, "")).ClientCredentials()
	if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is one: %v", err)
	}
	for range 3 {
		key := clientKey(t)
		writeFile(t, path, keyPEM(t, key))
		for range 2 {
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
				t.Fatal(err)
			}
			wantSigned(t, server, key.Public(), "ES256", "")
		}
	}
	requests := len(server.Seen("/token"))
	for text, want := range map[string]string{
		"":        "there is no PEM block",
		"hunter2": "there is no PEM block",
		keyPEM(t, clientKey(t)) + keyPEM(t, clientKey(t)): "several private keys",
		strings.Repeat("\n", 16<<10+1):                    "longer than 16384 bytes",
		rsaJWK(t, `,"use":"enc"`):                         "not for signatures",
	} {
		writeFile(t, path, text)
		_, err := fetcher.Fetch(t.Context(), tokens.Request{})
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Permanent() || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "the client's key is not available: the file "+path+" cannot be used: ") ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Fetch: %v, want %q", err, want)
		}
	}
	if n := len(server.Seen("/token")) - requests; n != 0 {
		t.Errorf("%d requests without a key", n)
	}
}

func TestKeyFileAndItsOptionsMustAgree(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		rsaJWK(t, `,"alg":"PS256"`):       "its alg is another than that of WithRS256",
		keyPEM(t, clientKey(t)):           "WithRS256 is for RSA keys",
		keyJWK(t, clientKey(t), ""):       "WithRS256 is for RSA keys",
		keyJWK(t, clientKey(t), `,"a":1`): "WithRS256 is for RSA keys",
	} {
		path := filepath.Join(t.TempDir(), "key")
		writeFile(t, path, text)
		auth := oauth.PrivateKeyJWTFile(path, "", oauth.WithRS256())
		_, err := tokenstest.NewClient(t, tokenstest.NewServer(), auth).ClientCredentials().Fetch(t.Context(), tokens.Request{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Fetch: %v, want %q", err, want)
		}
	}
}

func TestMistakesInOptionsOfAssertions(t *testing.T) {
	t.Parallel()
	key := assertionKeys()["RSA"]
	certificate := clientCertificate(t, key)
	type options = []oauth.AssertionOption
	both := func(opts ...oauth.AssertionOption) options { return append(opts, opts...) }
	for name, tt := range map[string]struct {
		auth oauth.ClientAuth
		want string
	}{
		"no function":            {oauth.PrivateKeyJWTFunc(nil), "PrivateKeyJWTFunc(nil): the function is nil"},
		"no path":                {oauth.PrivateKeyJWTFile("", ""), `PrivateKeyJWTFile(""): the path is empty`},
		"a key id that is none":  {oauth.PrivateKeyJWTFile("path", "\xff"), "PrivateKeyJWTFile: the key's identifier is not UTF-8"},
		"a nil option":           {oauth.PrivateKeyJWTFile("path", "", nil), "PrivateKeyJWTFile(nil): option 1 is nil"},
		"a nil option, too":      {oauth.PrivateKeyJWTFunc(nil, nil), "PrivateKeyJWTFunc(nil): option 1 is nil"},
		"RS256 twice":            {oauth.PrivateKeyJWT(key, "", both(oauth.WithRS256())...), "WithRS256: set more than once"},
		"the endpoint twice":     {oauth.PrivateKeyJWT(key, "", both(oauth.WithEndpointAudience())...), "WithEndpointAudience: set more than once"},
		"the audience twice":     {oauth.PrivateKeyJWT(key, "", both(oauth.WithAssertionAudience("a"))...), `WithAssertionAudience("a"): set more than once`},
		"an empty audience":      {oauth.PrivateKeyJWT(key, "", oauth.WithAssertionAudience("")), `WithAssertionAudience(""): the audience is empty`},
		"an audience of control": {oauth.PrivateKeyJWT(key, "", oauth.WithAssertionAudience("a\n")), `WithAssertionAudience("a\n"): the audience is empty, has a control`},
		"two audiences": {
			oauth.PrivateKeyJWT(key, "", oauth.WithAssertionAudience("a"), oauth.WithEndpointAudience()),
			"WithEndpointAudience: WithAssertionAudience gives another audience",
		},
		"a second key id": {
			oauth.PrivateKeyJWT(key, "2026", oauth.WithAssertionKeyID("2027")),
			`WithAssertionKeyID("2027"): it is for CertificateJWT; give the identifier as the keyID of PrivateKeyJWT`,
		},
		"no certificate function": {oauth.CertificateJWTFunc(nil), "CertificateJWTFunc(nil): the function is nil"},
		"an empty key id":         {oauth.CertificateJWT(certificate, oauth.WithAssertionKeyID("")), `WithAssertionKeyID(""): the key's identifier is empty`},
		"a key id of control":     {oauth.CertificateJWT(certificate, oauth.WithAssertionKeyID("\x00")), `WithAssertionKeyID("\x00"): the key's identifier is empty, has a control`},
		"a key id twice":          {oauth.CertificateJWT(certificate, both(oauth.WithAssertionKeyID("a"))...), `WithAssertionKeyID("a"): set more than once`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := oauth.NewClient(tokenstest.Issuer, "orders", tt.auth); err == nil || !strings.Contains(err.Error(), "oauth: "+tt.want) {
				t.Errorf("NewClient: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSignersOfPEMAndJWK(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"P-256", "Ed25519"} {
		key := assertionKeys()[kind]
		equal := func(signer crypto.Signer) bool {
			return signer != nil && signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public())
		}
		signer, err := oauth.SignerFromPEM([]byte(keyPEM(t, key)))
		if err != nil || !equal(signer) {
			t.Errorf("%s: PEM: %T, error %v", kind, signer, err)
		}
		signer, keyID, err := oauth.SignerFromJWK([]byte(keyJWK(t, key, `,"kid":"2026"`)))
		if err != nil || !equal(signer) || keyID != "2026" {
			t.Errorf("%s: JWK: %T %q, error %v", kind, signer, keyID, err)
		}
		if signer, err := oauth.SignerFromPEM([]byte(keyJWK(t, key, ""))); signer != nil || err == nil ||
			!strings.HasPrefix(err.Error(), "oauth: the PEM cannot be used: ") {
			t.Errorf("%s: PEM: %T, error %v", kind, signer, err)
		}
		signer, keyID, err = oauth.SignerFromJWK([]byte(keyPEM(t, key)))
		if signer != nil || keyID != "" || err == nil || !strings.HasPrefix(err.Error(), "oauth: the JWK cannot be used: ") {
			t.Errorf("%s: JWK: %T %q, error %v", kind, signer, keyID, err)
		}
	}
}

// A key that was refused is not used again for a while, and nothing is signed to find out. Another
// key, and the same one by another name, are used at once.
func TestAnotherKeyIsTriedAtOnce(t *testing.T) {
	keys := assertionKeys()
	synctest.Test(t, func(t *testing.T) {
		signatures := 0
		counted := &assertionSigner{public: keys["P-256"].Public()}
		counted.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			signatures++
			return keys["P-256"].Sign(r, digest, opts)
		}
		now, keyID := crypto.Signer(counted), "old"
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if header, _, _, _ := assertionParts(t, form.Get("client_assertion")); header["kid"] != "good" {
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFunc(func(context.Context) (crypto.Signer, string, error) {
			return now, keyID, nil
		}))
		fetch := func() error {
			_, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{})
			return err
		}
		for range 5 {
			if e, ok := errors.AsType[*tokens.Error](fetch()); !ok || e.Code != "invalid_client" {
				t.Fatal("no invalid_client")
			}
		}
		if n := len(server.Seen("/token")); n != 1 || signatures != 1 {
			t.Errorf("%d requests and %d signatures with a key that was refused", n, signatures)
		}
		now = keys["Ed25519"]
		if _, n := fetch(), len(server.Seen("/token")); n != 2 {
			t.Errorf("%d requests after another key", n)
		}
		keyID = "good"
		if err := fetch(); err != nil {
			t.Errorf("the key by another name: %v", err)
		}
	})
}

// A key that the server refused for its algorithm is used at once when the file names another.
func TestKeyWithAnotherAlgorithmIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
	path := filepath.Join(t.TempDir(), "key.jwk")
	fetcher := tokenstest.NewClient(t, server, oauth.PrivateKeyJWTFile(path, "")).ClientCredentials()
	for i, more := range []string{"", `,"alg":"PS256"`, `,"alg":"RS256"`} {
		writeFile(t, path, rsaJWK(t, more))
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil {
			t.Fatal("no error")
		}
		if n, want := len(server.Seen("/token")), []int{1, 1, 2}[i]; n != want {
			t.Errorf("%q: %d requests, want %d", more, n, want)
		}
	}
}
