package oauth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// clientCertificate is a self-signed certificate for a key.
func clientCertificate(t testing.TB, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "orders"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestEachMethodSendsItsParametersAndNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		id            string
		auth          oauth.ClientAuth
		authorization string
		form          url.Values
	}{
		"basic, RFC 6749 section 2.3.1": {
			"s6BhdRkqt3", oauth.ClientSecretBasic(tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw")),
			"Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
			url.Values{},
		},
		"basic, RFC 6749 section 4.4.2": {
			"s6BhdRkqt3", oauth.ClientSecretBasic(tokens.NewSecret("gX1fBat3bV")), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW", url.Values{},
		},
		"basic, encoded as in a form first": {
			"my orders:1", oauth.ClientSecretBasic(tokens.NewSecret(`p+q r:s%/&=~"\`)),
			"Basic " + base64.StdEncoding.EncodeToString([]byte(`my+orders%3A1:p%2Bq+r%3As%25%2F%26%3D~%22%5C`)),
			url.Values{},
		},
		"basic, not encoded": {
			"my orders/1", oauth.ClientSecretBasic(tokens.NewSecret(`p+q r:s%/&=~"\`), oauth.WithoutFormEncoding()),
			"Basic " + base64.StdEncoding.EncodeToString([]byte(`my orders/1:p+q r:s%/&=~"\`)),
			url.Values{},
		},
		"basic, not encoded, by a function": {
			"my orders/1", oauth.ClientSecretBasicFunc(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret("a%b"), nil },
				oauth.WithoutFormEncoding()),
			"Basic " + base64.StdEncoding.EncodeToString([]byte(`my orders/1:a%b`)),
			url.Values{},
		},
		"basic, by a function": {
			"s6BhdRkqt3", oauth.ClientSecretBasicFunc(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret("gX1fBat3bV"), nil }),
			"Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW",
			url.Values{},
		},
		"post, RFC 6749 section 2.3.1": {
			"s6BhdRkqt3", oauth.ClientSecretPost(tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw")), "",
			url.Values{"client_id": {"s6BhdRkqt3"}, "client_secret": {"7Fjfp0ZBr1KtDRbnfVdmIw"}},
		},
		"post, of odd characters": {
			"my orders:1", oauth.ClientSecretPost(tokens.NewSecret(`p+q r:s%/&=~"\`)), "",
			url.Values{"client_id": {"my orders:1"}, "client_secret": {`p+q r:s%/&=~"\`}},
		},
		"none": {"s6BhdRkqt3", oauth.NoClientAuth(), "", url.Values{"client_id": {"s6BhdRkqt3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			c, err := oauth.NewClient(tokenstest.Issuer, tt.id, tt.auth, oauth.WithHTTPClient(&http.Client{Transport: server}))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Revoke(t.Context(), tokens.NewSecret("45ghiukldjahdnhzdauz"), "refresh_token"); err != nil {
				t.Fatal(err)
			}
			got := server.Seen("/revoke")[0]
			tt.form.Set("token", "45ghiukldjahdnhzdauz")
			tt.form.Set("token_type_hint", "refresh_token")
			if got.Form.Encode() != tt.form.Encode() || strings.Join(got.Header.Values("Authorization"), "|") != tt.authorization {
				t.Errorf("sent %q and %q, want %q and %q", got.Header.Values("Authorization"), got.Form, tt.authorization, tt.form)
			}
		})
	}
}

func TestMistakesInOptionsOfBasic(t *testing.T) {
	t.Parallel()
	secret := tokens.NewSecret("gX1fBat3bV")
	bare := oauth.WithoutFormEncoding()
	for name, tt := range map[string]struct {
		id   string
		auth oauth.ClientAuth
		want string
	}{
		"a colon":              {"my:orders", oauth.ClientSecretBasic(secret, bare), "WithoutFormEncoding: the client's identifier has a colon"},
		"a colon, encoded":     {"my:orders", oauth.ClientSecretBasic(secret), ""},
		"a colon, by post":     {"my:orders", oauth.ClientSecretPost(secret), ""},
		"a colon in a secret":  {"orders", oauth.ClientSecretBasic(tokens.NewSecret("a:b"), bare), ""},
		"twice":                {"orders", oauth.ClientSecretBasic(secret, bare, bare), "WithoutFormEncoding: set more than once"},
		"a nil option":         {"orders", oauth.ClientSecretBasic(secret, nil), "ClientSecretBasic(nil): option 1 is nil"},
		"a nil option of Func": {"orders", oauth.ClientSecretBasicFunc(nil, nil), "ClientSecretBasicFunc(nil): option 1 is nil"},
		"an empty secret":      {"orders", oauth.ClientSecretBasic(tokens.NewSecret(""), bare), "ClientSecretBasic: the secret is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oauth.NewClient(tokenstest.Issuer, tt.id, tt.auth)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), "oauth: "+tt.want) {
				t.Errorf("NewClient: %v, want %q", err, tt.want)
			}
		})
	}
}

// basicFunc is ClientSecretBasicFunc without options.
func basicFunc(secret func(context.Context) (tokens.Secret, error)) oauth.ClientAuth {
	return oauth.ClientSecretBasicFunc(secret)
}

func TestSecretIsReadForEachRequest(t *testing.T) {
	for name, auth := range map[string]func(func(context.Context) (tokens.Secret, error)) oauth.ClientAuth{
		"basic": basicFunc,
		"post":  oauth.ClientSecretPostFunc,
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			now, broken := tokens.NewSecret("first-secret-of-this-client"), error(nil)
			fetcher := tokenstest.NewClient(t, server, auth(func(context.Context) (tokens.Secret, error) { return now, broken })).ClientCredentials()
			sent := func() string {
				requests := server.Seen("/token")
				last := requests[len(requests)-1]
				_, secret, _ := (&http.Request{Header: last.Header}).BasicAuth()
				return secret + last.Form.Get("client_secret")
			}
			for _, now = range []tokens.Secret{now, tokens.NewSecret("second-secret-of-this-client")} {
				if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil || sent() != now.Reveal() {
					t.Fatalf("sent %q, %v; want %q", sent(), err, now.Reveal())
				}
			}
			requests := len(server.Seen("/token"))
			errVault := errors.New("the vault is sealed")
			now, broken = tokens.NewSecret(""), errVault
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); !errors.Is(err, errVault) ||
				!strings.Contains(err.Error(), "secret is not available") {
				t.Errorf("a function that fails: %v", err)
			}
			for _, now = range []tokens.Secret{tokens.NewSecret(""), tokens.NewSecret("with a newline\n")} {
				broken = nil
				_, err := fetcher.Fetch(t.Context(), tokens.Request{})
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "token" || e.Permanent() ||
					strings.Contains(err.Error(), "with a") {
					t.Errorf("a secret of %q: %v", now.Reveal(), err)
				}
			}
			if n := len(server.Seen("/token")) - requests; n != 0 {
				t.Errorf("%d requests without a secret", n)
			}
		})
	}
}

// clientTLS is an authorization server that asks for certificates and notes which it got.
func clientTLS(t *testing.T, shown *[]*x509.Certificate, authorities *x509.CertPool) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == tokenstest.OpenIDPath {
			_, _ = w.Write([]byte(`{"issuer":"` + server.URL + `","token_endpoint":"` + server.URL + `/plain",` +
				`"mtls_endpoint_aliases":{"token_endpoint":"` + server.URL + `/mtls"}}`))
			return
		}
		*shown = append(*shown, r.TLS.PeerCertificates...)
		if r.URL.Path != "/mtls" || r.PostFormValue("client_id") != "orders" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(tokenstest.Good))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: authorities, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestCertificateIsShownAtTheAlias(t *testing.T) {
	certificate := clientCertificate(t, clientKey(t))
	other := clientCertificate(t, clientKey(t))
	authority, err := x509.ParseCertificate(other.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool() // of which the client's certificate is not
	authorities.AddCert(authority)
	for name, auth := range map[string]oauth.ClientAuth{
		"tls_client_auth": oauth.TLSClientAuth(certificate),
		"a function": oauth.TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var shown []*x509.Certificate
			server := clientTLS(t, &shown, authorities)
			given := server.Client()
			before := given.Transport.(*http.Transport).TLSClientConfig.Clone()
			c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithHTTPClient(given))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Fatal(err)
				}
			}
			if len(shown) != 2 || string(shown[0].Raw) != string(certificate.Certificate[0]) {
				t.Errorf("%d certificates were shown", len(shown))
			}
			if after := given.Transport.(*http.Transport).TLSClientConfig; after.GetClientCertificate != nil ||
				before.GetClientCertificate != nil {
				t.Error("the transport that was given is changed")
			}
		})
	}
}

// The next connection shows the next certificate, so each request has one of its own.
func TestCertificateChangesWithTheFunction(t *testing.T) {
	certificates := []tls.Certificate{clientCertificate(t, clientKey(t)), clientCertificate(t, clientKey(t))}
	calls := 0
	auth := oauth.TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		calls++
		return &certificates[calls-1], nil
	})
	var shown []*x509.Certificate
	server := clientTLS(t, &shown, nil)
	given := server.Client()
	config := given.Transport.(*http.Transport).TLSClientConfig
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0) // a session that is resumed has the certificate that it began with
	c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithHTTPClient(given), oauth.WithTokenEndpoint(server.URL+"/mtls"))
	if err != nil {
		t.Fatal(err)
	}
	for range certificates {
		if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(shown) != 2 || string(shown[1].Raw) != string(certificates[1].Certificate[0]) {
		t.Errorf("%d certificates were shown, or the first one twice", len(shown))
	}
	if config.ClientSessionCache == nil {
		t.Error("the transport that was given is changed")
	}
}

func TestOtherMethodsDoNotGoToTheAlias(t *testing.T) {
	server := tokenstest.NewServer()
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{
		"mtls_endpoint_aliases": map[string]string{"token_endpoint": tokenstest.Issuer + "/mtls"},
	})))
	if _, err := fetchFrom(t, server); err != nil || len(server.Seen("/mtls")) != 0 {
		t.Error("asked at the alias:", err)
	}
}

func TestCertificateThatCannotBeShown(t *testing.T) {
	errVault := errors.New("the vault is sealed")
	for name, certificate := range map[string]func() (*tls.Certificate, error){
		"an error":           func() (*tls.Certificate, error) { return nil, errVault },
		"nil":                func() (*tls.Certificate, error) { return nil, nil },
		"an empty one":       func() (*tls.Certificate, error) { return &tls.Certificate{}, nil },
		"one without a key":  func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: [][]byte{{1}}}, nil },
		"one that is no X.5": func() (*tls.Certificate, error) { return &tls.Certificate{PrivateKey: clientKey(t)}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			var shown []*x509.Certificate
			server := clientTLS(t, &shown, nil)
			server.Config.ErrorLog = nil
			auth := oauth.TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate() })
			c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithHTTPClient(server.Client()),
				oauth.WithTokenEndpoint(server.URL+"/mtls"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
			if err == nil || !strings.Contains(err.Error(), "certificate is not available") || name == "an error" &&
				!errors.Is(err, errVault) {
				t.Errorf("Fetch: %v", err)
			}
		})
	}
}

func TestCertificateNeedsATransportForIt(t *testing.T) {
	certificate := clientCertificate(t, clientKey(t))
	const cannot = "cannot be given the client's certificate"
	for name, tt := range map[string]struct {
		auth oauth.ClientAuth
		http *http.Client // nil: none is given
		want string
	}{
		"no client":                     {oauth.TLSClientAuth(certificate), nil, ""},
		"a client without a transport":  {oauth.TLSClientAuth(certificate), &http.Client{}, ""},
		"a transport":                   {oauth.TLSClientAuth(certificate), &http.Client{Transport: &http.Transport{}}, ""},
		"a transport of another kind":   {oauth.TLSClientAuth(certificate), &http.Client{Transport: tokenstest.NewServer()}, cannot},
		"no certificate":                {oauth.TLSClientAuth(tls.Certificate{}), nil, "TLSClientAuth: there is no certificate"},
		"no function":                   {oauth.TLSClientAuthFunc(nil), nil, "the function is nil"},
		"a certificate without its key": {oauth.TLSClientAuth(tls.Certificate{Certificate: [][]byte{{1}}}), nil, "private key"},
		"a transport that dials TLS": {
			oauth.TLSClientAuth(certificate), &http.Client{Transport: &http.Transport{
				DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") },
			}}, cannot,
		},
		"a transport that dials TLS in the old way": {
			oauth.TLSClientAuth(certificate), &http.Client{Transport: &http.Transport{
				//nolint:staticcheck // deprecated, but a transport uses it
				DialTLS: func(string, string) (net.Conn, error) { return nil, errors.New("no") },
			}}, cannot,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []oauth.ClientOption
			if tt.http != nil {
				opts = append(opts, oauth.WithHTTPClient(tt.http))
			}
			_, err := oauth.NewClient(tokenstest.Issuer, "orders", tt.auth, opts...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewClient: %v, want %q", err, tt.want)
			}
		})
	}
}

// Without TLS nothing would prove who asks.
func TestCertificateIsNotForPlainHTTP(t *testing.T) {
	var asked bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	auth := oauth.TLSClientAuth(clientCertificate(t, clientKey(t)))
	c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithTokenEndpoint(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil ||
		!strings.Contains(err.Error(), "https URL only") || asked {
		t.Errorf("Fetch: %v, asked %v", err, asked)
	}
}
