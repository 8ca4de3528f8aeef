package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
)

// apiServer publishes the keys of an issuer to requests with the pod's token.
type apiServer struct {
	*httptest.Server
	cluster cluster // with the files of the pod
	issuer  *bearertest.Issuer

	mu          sync.Mutex
	certificate *tls.Certificate
	token       string
	refused     int // requests without the token
	kept        int // requests on a connection that the client wants to keep
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{issuer: bearertest.NewIssuer(
		bearertest.WithURL("https://kubernetes.default.svc.cluster.local"),
		bearertest.WithAudience("orders"),
		bearertest.WithAlgorithm("RS256"),
		bearertest.WithDefaultClaims(bearertest.Claims{
			"sub": "system:serviceaccount:shop:web", "client_id": nil,
			"kubernetes.io": map[string]any{"namespace": "shop", "pod": map[string]any{"name": "web-1"}},
		}),
	)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.Config.ErrorLog = log.New(t.Output(), "", 0) // of handshakes that fail, as they should
	s.Listener = tls.NewListener(s.Listener, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.certificate, nil
	}})
	s.cluster = cluster{dir: t.TempDir()}
	s.mount(t, s.renewCertificate(t), s.renewToken("first"))
	s.Start()
	t.Cleanup(s.Close)
	s.cluster.host = s.Listener.Addr().String()
	return s
}

func (s *apiServer) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	known := r.Header.Get("Authorization") == "Bearer "+s.token
	if !known {
		s.refused++
	}
	if !r.Close {
		s.kept++
	}
	s.mu.Unlock()
	switch {
	case !known:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case r.URL.Path != "/openid/v1/jwks":
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(s.issuer.KeySet())
	}
}

// renewCertificate gives the server a certificate of a new authority, and returns that.
func (s *apiServer) renewCertificate(t *testing.T) (ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificate = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// renewToken has the server take another token of the pod, and returns it.
func (s *apiServer) renewToken(token string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
	return []byte(token + "\n")
}

// mount writes the files of the pod.
func (s *apiServer) mount(t *testing.T, ca, token []byte) {
	t.Helper()
	for name, content := range map[string][]byte{"ca.crt": ca, "token": token} {
		if err := os.WriteFile(filepath.Join(s.cluster.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newService(t *testing.T, s *apiServer) http.Handler {
	t.Helper()
	auth, err := newAuth(s.issuer.URL(), s.cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return newHandler(auth)
}

func get(service http.Handler, token string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/orders", nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response := httptest.NewRecorder()
	service.ServeHTTP(response, request)
	return response
}

func TestServiceAdmitsThePodsItNames(t *testing.T) {
	server := newAPIServer(t)
	service := newService(t, server)
	issuer := server.issuer
	for _, test := range []struct {
		name, token string
		status      int
		body        string // a part of it
	}{
		{"the service account", issuer.Token(), http.StatusOK, "espresso machine, for pod web-1"},
		{"none", "", http.StatusUnauthorized, "missing_token"},
		{"an expired token", issuer.Token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)}), http.StatusUnauthorized, "token_expired"},
		{"a token for the API server", issuer.Token(bearertest.Claims{"aud": []string{issuer.URL()}}), http.StatusUnauthorized, "wrong_audience"},
		{"another service account", issuer.Token(bearertest.Claims{"sub": "system:serviceaccount:shop:cron"}), http.StatusForbidden, "claim_mismatch"},
		{"one of the same name elsewhere", issuer.Token(bearertest.Claims{"sub": "system:serviceaccount:test:web"}), http.StatusForbidden, "claim_mismatch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := get(service, test.token)
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
				t.Errorf("status %d, want %d with %q: %s", response.Code, test.status, test.body, response.Body)
			}
		})
	}
}

// The authority and the pod's token are renewed while the program runs. The next fetch uses what the
// files then hold.
func TestFilesAreReadAgain(t *testing.T) {
	server := newAPIServer(t)
	service := newService(t, server)
	if response := get(service, server.issuer.Token()); response.Code != http.StatusOK {
		t.Fatalf("status %d: %s", response.Code, response.Body)
	}
	server.mount(t, server.renewCertificate(t), server.renewToken("second"))
	server.issuer.RotateWithoutOverlap() // so that there is a fetch
	if response := get(service, server.issuer.Token()); response.Code != http.StatusOK {
		t.Errorf("status %d: %s", response.Code, response.Body)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.refused != 0 || server.kept != 0 {
		t.Errorf("%d requests had an old token, %d keep their connection", server.refused, server.kept)
	}
}

// When the API server does not take the pod's token or its certificate is another authority's, or a
// file is missing, callers get 503 and not 401.
func TestAPIServerOutOfReach(t *testing.T) {
	for name, breakIt := range map[string]func(s *apiServer){
		"another token":          func(s *apiServer) { s.renewToken("second") },
		"another authority":      func(s *apiServer) { s.renewCertificate(t) },
		"no token file":          func(s *apiServer) { _ = os.Remove(filepath.Join(s.cluster.dir, "token")) },
		"no certificate in it":   func(s *apiServer) { _ = os.WriteFile(filepath.Join(s.cluster.dir, "ca.crt"), nil, 0o600) },
		"no authority file":      func(s *apiServer) { _ = os.Remove(filepath.Join(s.cluster.dir, "ca.crt")) },
		"the API server is down": func(s *apiServer) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			server := newAPIServer(t)
			breakIt(server)
			response := get(newService(t, server), server.issuer.Token())
			if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
				t.Errorf("status %d: %s", response.Code, response.Body)
			}
		})
	}
}

// The pod's token goes to no other host.
func TestTokenStaysInTheCluster(t *testing.T) {
	server := newAPIServer(t)
	for _, url := range []string{"https://elsewhere.example/openid/v1/jwks", "http://" + server.cluster.host + "/openid/v1/jwks"} {
		response, err := server.cluster.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
		if err == nil {
			response.Body.Close()
			t.Errorf("%s was asked", url)
		}
	}
}
