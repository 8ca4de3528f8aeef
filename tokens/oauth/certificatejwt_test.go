package oauth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// certificateFor is a self-signed certificate for a key, valid between two times.
func certificateFor(t testing.TB, key crypto.Signer, from, to time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "orders"}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificateIsNamedByItsThumbprints(t *testing.T) {
	for name, tt := range map[string]struct {
		kind, algorithm string
		opts            []oauth.AssertionOption
		keyID           any
	}{
		"RSA":            {"RSA", "PS256", nil, nil},
		"RSA with RS256": {"RSA", "RS256", []oauth.AssertionOption{oauth.WithRS256()}, nil},
		"P-256":          {"P-256", "ES256", nil, nil},
		"Ed25519":        {"Ed25519", "EdDSA", nil, nil},
		"with a kid":     {"P-256", "ES256", []oauth.AssertionOption{oauth.WithAssertionKeyID("2026")}, "2026"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := assertionKeys()[tt.kind]
				certificate := certificateFor(t, key, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
				leaf := certificate.Certificate[0]
				certificate.Certificate = append(certificate.Certificate, []byte("an authority"))
				sum1, sum256 := sha1.Sum(leaf), sha256.Sum256(leaf)
				want := map[string]any{
					"alg": tt.algorithm, "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(sum1[:]),
					"x5t#S256": base64.RawURLEncoding.EncodeToString(sum256[:]),
				}
				if tt.keyID != nil {
					want["kid"] = tt.keyID
				}
				for _, auth := range []oauth.ClientAuth{
					oauth.CertificateJWT(certificate, tt.opts...),
					oauth.CertificateJWTFunc(func(context.Context) (*tls.Certificate, error) { return &certificate, nil }, tt.opts...),
				} {
					server := tokenstest.NewServer()
					if _, err := tokenstest.NewClient(t, server, auth).ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
						t.Fatal(err)
					}
					header, claims, signed, signature := assertionParts(t, lastSent(t, server).Get("client_assertion"))
					if !reflect.DeepEqual(header, want) {
						t.Errorf("header %v, want %v", header, want)
					}
					if !assertionVerify(key.Public(), tt.algorithm, signed, signature) {
						t.Error("the signature is not right")
					}
					delete(claims, "jti")
					now := float64(time.Now().Unix())
					if want := map[string]any{
						"iss": "orders", "sub": "orders", "aud": tokenstest.Issuer, "iat": now, "nbf": now, "exp": now + 60,
					}; !reflect.DeepEqual(claims, want) {
						t.Errorf("claims %v, want %v", claims, want)
					}
				}
			})
		})
	}
}

// notASigner is a private key that can decrypt alone.
type notASigner struct{}

func TestCertificatesThatCannotSignAssertions(t *testing.T) {
	t.Parallel()
	keys := assertionKeys()
	good := clientCertificate(t, keys["P-256"])
	with := func(key crypto.PrivateKey) tls.Certificate {
		return tls.Certificate{Certificate: good.Certificate, PrivateKey: key}
	}
	for name, tt := range map[string]struct {
		certificate tls.Certificate
		opts        []oauth.AssertionOption
		want        string
	}{
		"none":               {tls.Certificate{}, nil, "there is no certificate"},
		"no private key":     {with(nil), nil, "there is no certificate, or none with its private key"},
		"a key for others":   {with(notASigner{}), nil, "cannot sign"},
		"another key":        {with(clientKey(t)), nil, "the private key is not that of the certificate"},
		"a key of else":      {with(keys["Ed25519"]), nil, "the private key is not that of the certificate"},
		"no certificate":     {tls.Certificate{Certificate: [][]byte{{1}}, PrivateKey: keys["P-256"]}, nil, "the certificate cannot be read"},
		"an unusable key":    {clientCertificate(t, keys["P-224"]), nil, "the key cannot be used"},
		"RS256 without RSA":  {good, []oauth.AssertionOption{oauth.WithRS256()}, "WithRS256"},
		"one that is usable": {good, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			fetcher := tokenstest.NewClient(t, server, oauth.CertificateJWTFunc(func(context.Context) (*tls.Certificate, error) {
				return &tt.certificate, nil
			}, tt.opts...)).ClientCredentials()
			_, first := oauth.NewClient(tokenstest.Issuer, "orders", oauth.CertificateJWT(tt.certificate, tt.opts...))
			_, second := fetcher.Fetch(t.Context(), tokens.Request{})
			for _, err := range []error{first, second} {
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			}
			if tt.want != "" && len(server.Seen("/token")) != 0 {
				t.Error("a request was sent")
			}
		})
	}
	errVault := errors.New("the vault is sealed")
	for want, certificate := range map[string]func(context.Context) (*tls.Certificate, error){
		"the client's certificate is not available: the vault is sealed":     func(context.Context) (*tls.Certificate, error) { return nil, errVault },
		"the client's certificate is not available: there is no certificate": func(context.Context) (*tls.Certificate, error) { return nil, nil },
	} {
		_, err := tokenstest.NewClient(t, tokenstest.NewServer(), oauth.CertificateJWTFunc(certificate)).ClientCredentials().Fetch(t.Context(), tokens.Request{})
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Permanent() || !strings.Contains(err.Error(), want) {
			t.Errorf("Fetch: %v, want %q", err, want)
		}
	}
}

// A certificate is used from its first second to its last one.
func TestCertificateIsUsedWhileItIsValid(t *testing.T) {
	key := assertionKeys()["P-256"]
	synctest.Test(t, func(t *testing.T) {
		from := time.Now().Add(time.Hour)
		to := from.Add(time.Hour)
		server := tokenstest.NewServer()
		fetcher := tokenstest.NewClient(t, server, oauth.CertificateJWT(certificateFor(t, key, from, to))).ClientCredentials()
		for _, tt := range []struct {
			at   time.Time
			want string
		}{
			{from.Add(-1), "it is not valid before 2000-01-01T01:00:00Z"},
			{from, ""},
			{to, ""},
			{to.Add(1), "it has expired at 2000-01-01T02:00:00Z"},
		} {
			<-time.After(max(1, time.Until(tt.at)))
			before := len(server.Seen("/token"))
			_, err := fetcher.Fetch(t.Context(), tokens.Request{})
			if tt.want == "" {
				if err != nil {
					t.Errorf("at %s: %v", tt.at, err)
				}
				continue
			}
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Permanent() || !strings.Contains(err.Error(), "the client's certificate is not available: "+tt.want) ||
				len(server.Seen("/token")) != before {
				t.Errorf("at %s: %v, want %q", tt.at, err, tt.want)
			}
		}
	})
}

// A new certificate for the same key is another one.
func TestAnotherCertificateIsTriedAtOnce(t *testing.T) {
	key := assertionKeys()["P-256"]
	synctest.Test(t, func(t *testing.T) {
		old := certificateFor(t, key, time.Now(), time.Now().Add(time.Hour))
		renewed := certificateFor(t, key, time.Now(), time.Now().Add(2*time.Hour))
		sum := sha256.Sum256(renewed.Certificate[0])
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			header, _, _, _ := assertionParts(t, form.Get("client_assertion"))
			if header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		now := &old
		fetcher := tokenstest.NewClient(t, server, oauth.CertificateJWTFunc(func(context.Context) (*tls.Certificate, error) {
			return now, nil
		})).ClientCredentials()
		for range 3 {
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil {
				t.Fatal("no error")
			}
		}
		if n := len(server.Seen("/token")); n != 1 {
			t.Errorf("%d requests with a certificate that was refused", n)
		}
		now = &renewed
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Error(err)
		}
	})
}
