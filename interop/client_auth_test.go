package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// clientCase is a client by one method of client authentication.
type clientCase struct {
	clientMetadata
	auth   oauth.ClientAuth
	wrong  oauth.ClientAuth // another client's, by the same method
	opts   []oauth.ClientOption
	proven string // how the provider says it was proven
}

// Secrets and identifiers may have any character of VSCHAR (RFC 6749 appendix A.2), and these are
// the ones that forms and HTTP have a use for.
const (
	oddID     = "an odd client: 1+1=2 & 100%25"
	oddSecret = `a secret+with %20 : / ? & = # " \ ~ and 64 bytes or more, as oidc-provider wants of one`
)

// A token by client credentials, and its revocation, with each method of client authentication that
// oidc-provider and a Client share, but for "none", which is for people's logins. What a Client
// does not have is client_secret_jwt.
func TestEachClientAuthentication(t *testing.T) {
	ca := newAuthority(t)
	cases := []clientCase{
		{
			clientMetadata: clientMetadata{ID: oddID, Secret: oddSecret, AuthMethod: "client_secret_basic"},
			auth:           oauth.ClientSecretBasic(tokens.NewSecret(oddSecret)), wrong: oauth.ClientSecretBasic(tokens.NewSecret(oddSecret + " ")), proven: "Basic",
		},
		{
			clientMetadata: clientMetadata{ID: "post", Secret: oddSecret, AuthMethod: "client_secret_post"},
			auth:           oauth.ClientSecretPost(tokens.NewSecret(oddSecret)), wrong: oauth.ClientSecretPost(tokens.NewSecret("another")), proven: "client_secret",
		},
		mutualTLSCase(t, ca, "tls_client_auth"),
		mutualTLSCase(t, ca, "self_signed_tls_client_auth"),
	}
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		cases = append(cases, assertionCase(t, algorithm))
	}
	config := providerConfig{TLS: ca.server(t)}
	for i := range cases {
		c := &cases[i]
		c.GrantTypes, c.ResponseTypes, c.RedirectURIs = []string{"client_credentials"}, []string{}, []string{}
		config.Clients = append(config.Clients, c.clientMetadata)
	}
	issuer := startProviderWith(t, config)
	api := httptest.NewServer(mountNetHTTP(newMiddleware(t, issuer)))
	t.Cleanup(api.Close)

	for _, c := range cases {
		name := c.AuthMethod
		if c.SigningAlg != "" {
			name += "/" + c.SigningAlg
		}
		t.Run(name, func(t *testing.T) {
			key := tokens.Key{Resource: orders, Scope: "orders:read"}
			for range 2 { // An assertion is good for one use, and a connection may be kept.
				token, err := tokenOf(t, c.client(t, issuer, c.auth), key)
				if err != nil {
					t.Fatal(err)
				}
				if got := expect(t, name, api.URL+"/orders", token.AccessToken(), http.StatusOK); got.Subject != c.ID {
					t.Errorf("the token is for %q, want %q", got.Subject, c.ID)
				}
			}
			if got := reportOf(t, issuer).Proofs[c.ID]; got != c.proven {
				t.Errorf("the client was proven by %q, want %q", got, c.proven)
			}

			_, err := tokenOf(t, c.client(t, issuer, c.wrong), key)
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_client" || !e.Permanent() {
				t.Errorf("another's authentication: %v, want a permanent invalid_client", err)
			}
			key.Resource = "https://elsewhere.example.com/"
			_, err = tokenOf(t, c.client(t, issuer, c.auth), key)
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_target" || !e.Permanent() {
				t.Errorf("a resource that the provider does not know: %v, want a permanent invalid_target", err)
			}

			// A token without a resource is no JWT here, so that it can be revoked.
			before := reportOf(t, issuer).Revoked
			opaque, err := tokenOf(t, c.client(t, issuer, c.auth), tokens.Key{})
			if err != nil {
				t.Fatal(err)
			}
			revoke := func(by oauth.ClientAuth) error {
				return c.client(t, issuer, by).Revoke(t.Context(), tokens.NewSecret(opaque.AccessToken()), "access_token")
			}
			err = revoke(c.wrong)
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "revocation" || e.Code != "invalid_client" {
				t.Errorf("revocation with another's authentication: %v, want invalid_client", err)
			}
			for range 2 { // The second finds no such token, which is no error (RFC 7009 section 2.2).
				if err := revoke(c.auth); err != nil {
					t.Errorf("revocation: %v", err)
				}
			}
			if got := reportOf(t, issuer).Revoked - before; got != 1 {
				t.Errorf("%d tokens were revoked, want 1", got)
			}
		})
	}
}

func (c *clientCase) client(t *testing.T, issuer string, auth oauth.ClientAuth) *oauth.Client {
	t.Helper()
	client, err := oauth.NewClient(issuer, c.ID, auth, c.opts...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// tokenOf gets a new token by client credentials.
func tokenOf(t *testing.T, client *oauth.Client, key tokens.Key) (*tokens.Token, error) {
	t.Helper()
	manager, err := tokens.NewManager(client.ClientCredentials(), tokens.WithLogger(testLog(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	return manager.Source(key).Token(t.Context())
}

// assertionCase is a client that signs assertions.
func assertionCase(t *testing.T, algorithm string) clientCase {
	t.Helper()
	c := clientCase{
		clientMetadata: clientMetadata{
			ID: "assertion-" + algorithm, AuthMethod: "private_key_jwt", SigningAlg: algorithm, JWKS: &jwks{},
		},
		proven: "client_assertion",
	}
	var opts []oauth.AssertionOption
	if algorithm == "RS256" {
		opts = append(opts, oauth.WithRS256())
	}
	signer := newSigner(t, algorithm)
	c.JWKS.Keys = []map[string]any{publicJWK(t, signer.Public())}
	c.auth = oauth.PrivateKeyJWT(signer, "", opts...)
	c.wrong = oauth.PrivateKeyJWT(newSigner(t, algorithm), "", opts...)
	return c
}

func newSigner(t *testing.T, algorithm string) (signer crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "RS256", "PS256":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("there is no key for %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// publicJWK returns a public key as RFC 7517 has it.
func publicJWK(t *testing.T, public crypto.PublicKey) map[string]any {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch key := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x and y
		if err != nil {
			t.Fatal(err)
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1 : 1+half]), "y": encode(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(key)}
	}
	t.Fatalf("there is no JWK of a %T", public)
	return nil
}

// mutualTLSCase is a client that shows a certificate: one by the authority, which the provider
// knows by its name (RFC 8705 section 2.1), or one that no authority signed, which it knows by
// itself (section 2.2).
func mutualTLSCase(t *testing.T, ca *authority, method string) clientCase {
	t.Helper()
	c := clientCase{clientMetadata: clientMetadata{ID: method, AuthMethod: method}, proven: "certificate"}
	const name = "client.example.com"
	if method == "tls_client_auth" {
		c.SANDNS = name
		c.auth = oauth.TLSClientAuth(ca.issue(t, &x509.Certificate{DNSNames: []string{name}}))
		c.wrong = oauth.TLSClientAuth(ca.issue(t, &x509.Certificate{DNSNames: []string{"another.example.com"}}))
	} else {
		certificate := selfSigned(t, name)
		jwk := publicJWK(t, certificate.Leaf.PublicKey)
		jwk["x5c"] = []string{base64.StdEncoding.EncodeToString(certificate.Certificate[0])}
		c.JWKS = &jwks{Keys: []map[string]any{jwk}}
		c.auth = oauth.TLSClientAuth(certificate)
		c.wrong = oauth.TLSClientAuth(selfSigned(t, name))
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	c.opts = append(c.opts, oauth.WithHTTPClient(&http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}},
	}))
	return c
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	root := selfSigned(t, "")
	return &authority{root.Leaf, root.PrivateKey.(crypto.Signer)}
}

// issue makes a certificate by this authority.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	return newCertificate(t, template, a)
}

// server returns what a server on this machine needs, which trusts the clients of this authority.
func (a *authority) server(t *testing.T) *providerTLS {
	t.Helper()
	certificate := a.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return &providerTLS{
		Key:  text("PRIVATE KEY", key),
		Cert: text("CERTIFICATE", certificate.Certificate[0]),
		CA:   text("CERTIFICATE", a.certificate.Raw),
	}
}

// selfSigned makes a certificate of this DNS name, signed by itself. One without a name is an
// authority's.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	if name == "" {
		return newCertificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	}
	return newCertificate(t, &x509.Certificate{DNSNames: []string{name}}, nil)
}

func newCertificate(t *testing.T, template *x509.Certificate, by *authority) tls.Certificate {
	t.Helper()
	key := newSigner(t, "ES256")
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.Subject.CommonName = "bearer interop " + rand.Text()
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// testLog logs to a test's output.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
