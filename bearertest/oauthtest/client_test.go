package oauthtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

const assertionURN = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func TestClientProvesItselfInOneWay(t *testing.T) {
	const odd = `a b+c:d%/"&=`
	issuer := newServer(oauthtest.WithClient(odd, odd+odd), oauthtest.WithKeyClient("key", newECKey(t).Public()),
		oauthtest.WithCertificateClient("certificate", &x509.Certificate{Raw: []byte("x")}),
		oauthtest.WithPublicClient("twice"), oauthtest.WithClient("twice", "the later one"))
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", value) }
	}
	nothing := func(*http.Request) {}
	for _, test := range []struct {
		name string
		as   func(*http.Request)
		body []string
		want string
	}{
		{"Basic", asOrders, nil, "200"},
		{"Basic and the same client_id", asOrders, []string{"client_id", "orders"}, "200"},
		{"basic", header("bAsIc b3JkZXJzOnMzY3JldA=="), nil, "200"},
		{"Basic with characters to escape", basic(odd, odd+odd), nil, "200"},
		{"Basic with such characters as they are", func(r *http.Request) { r.SetBasicAuth(odd, odd+odd) }, nil, "401 invalid_client"},
		{"the body", nothing, []string{"client_id", "orders", "client_secret", "s3cret"}, "200"},
		{"the body with characters to escape", nothing, []string{"client_id", odd, "client_secret", odd + odd}, "200"},
		{"the later registration", basic("twice", "the later one"), nil, "200"},
		{"the earlier registration", nothing, []string{"client_id", "twice"}, "401 invalid_client"},

		{"no client", nothing, nil, "401 invalid_client"},
		{"an unknown client", basic("unknown", "s3cret"), nil, "401 invalid_client"},
		{"a wrong secret", basic("orders", "S3cret"), nil, "401 invalid_client"},
		{"another's secret", basic("orders", "another"), nil, "401 invalid_client"},
		{"no secret", nothing, []string{"client_id", "orders"}, "401 invalid_client"},
		{"an empty secret", basic("orders", ""), nil, "401 invalid_client"},
		{"a secret for everybody", nothing, []string{"client_secret", "s3cret"}, "401 invalid_client"},
		{"a wrong secret in the body", nothing, []string{"client_id", "orders", "client_secret", "x"}, "401 invalid_client"},
		{"a public client's secret", basic("spa", "x"), nil, "401 invalid_client"},
		{"a public client by Basic", basic("spa", ""), nil, "401 invalid_client"},
		{"a broken escape", func(r *http.Request) { r.SetBasicAuth("orders", "%zz") }, nil, "401 invalid_client"},
		{"Basic without base64", header("Basic !"), nil, "401 invalid_client"},
		{"another scheme", header("Bearer s3cret"), nil, "401 invalid_client"},
		{"a key client without its key", nothing, []string{"client_id", "key"}, "401 invalid_client"},
		{"a key client with a secret", basic("key", "x"), nil, "401 invalid_client"},
		{"a certificate client without TLS", nothing, []string{"client_id", "certificate"}, "401 invalid_client"},
		{"an assertion without a type", nothing, []string{"client_assertion", "x"}, "401 invalid_client"},
		{"a type without an assertion", nothing, []string{"client_id", "spa", "client_assertion_type", assertionURN}, "401 invalid_client"},

		{"Basic and the body", asOrders, []string{"client_id", "orders", "client_secret", "s3cret"}, "400 invalid_request"},
		{"Basic and a secret", asOrders, []string{"client_secret", "s3cret"}, "400 invalid_request"},
		{"Basic and another client_id", asOrders, []string{"client_id", "spa"}, "400 invalid_request"},
		{"Basic twice", func(r *http.Request) { asOrders(r); header(r.Header.Get("Authorization"))(r) }, nil, "400 invalid_request"},
		{"Basic and an assertion", asOrders, []string{"client_assertion", "x"}, "400 invalid_request"},
		{"a secret and an assertion", nothing, []string{"client_secret", "x", "client_assertion_type", assertionURN}, "400 invalid_request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := fields(append([]string{"grant_type", "client_credentials"}, test.body...)...)
			if got := post(t, issuer, "/token", form, test.as); got.outcome() != test.want {
				t.Errorf("it answers %s, want %s", got.outcome(), test.want)
			}
		})
	}
}

func TestEndpointsRefuseAllWithoutClients(t *testing.T) {
	issuer := oauthtest.NewServer(bearertest.NewIssuer())
	if got := post(t, issuer, "/token", fields("grant_type", "client_credentials"), asOrders); got.outcome() != "401 invalid_client" {
		t.Errorf("the token endpoint answers %s", got.outcome())
	}
	if got := post(t, issuer, "/revoke", fields("token", "x"), asOrders); got.outcome() != "401 invalid_client" {
		t.Errorf("the revocation endpoint answers %s", got.outcome())
	}
	if status, _, _ := visit(t, issuer, loginForm().Encode()); status != http.StatusBadRequest {
		t.Errorf("the authorization endpoint answers %d", status)
	}
}

func newECKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// assert signs claims with golang-jwt, which shares no code with the issuer's signatures of
// assertions but the algorithms.
func assert(tb testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	tb.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// proof is the claims of a good assertion with some changed; nil takes one away.
func proof(changes jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": "key", "sub": "key", "aud": "https://issuer.test", "exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text(),
	}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func assertionForm(assertion string) url.Values {
	return fields("grant_type", "client_credentials", "client_assertion_type", assertionURN, "client_assertion", assertion)
}

func TestKeyClientSignsWithAnyAlgorithmOfItsKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{
		"R": rsaKey, "P": rsaKey, "ES256": curve(elliptic.P256()), "ES384": curve(elliptic.P384()), "ES512": curve(elliptic.P521()),
		"EdDSA": edKey,
	}
	for _, method := range []jwt.SigningMethod{
		jwt.SigningMethodRS256, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS384,
		jwt.SigningMethodES256, jwt.SigningMethodES384, jwt.SigningMethodES512, jwt.SigningMethodEdDSA,
	} {
		key := keys[method.Alg()]
		if key == nil {
			key = keys[method.Alg()[:1]]
		}
		if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
			pss.Options.SaltLength = rsa.PSSSaltLengthEqualsHash
		}
		issuer := newServer(oauthtest.WithKeyClient("key", key.Public()))
		_, claims := token(t, issuer, assertionForm(assert(t, method, key, proof(nil))))
		has(t, method.Alg(), claims, map[string]any{"sub": "key", "client_id": "key"})
	}
}

func TestAssertionIsRefusedForAnyMistake(t *testing.T) {
	key, other := newECKey(t), newECKey(t)
	es := jwt.SigningMethodES256
	sign := func(claims jwt.MapClaims) func(testing.TB) url.Values {
		return func(tb testing.TB) url.Values {
			tb.Helper()
			return assertionForm(assert(tb, es, key, proof(claims)))
		}
	}
	// The times are said when the test runs: they are those of its bubble.
	later := func(name string, d time.Duration) func(testing.TB) url.Values {
		return func(tb testing.TB) url.Values {
			tb.Helper()
			return sign(jwt.MapClaims{name: time.Now().Add(d).Unix()})(tb)
		}
	}
	for _, test := range []struct {
		name string
		form func(testing.TB) url.Values
		want string
	}{
		{"as it should be", sign(nil), "200"},
		{"the same client_id", func(tb testing.TB) url.Values { tb.Helper(); return with(sign(nil)(tb), "client_id", "key") }, "200"},
		{"exp in a second", later("exp", time.Second), "200"},
		{"exp in five minutes", later("exp", 5*time.Minute), "200"},
		{"nbf now", later("nbf", 0), "200"},

		{"exp now", later("exp", 0), "401 invalid_client"},
		{"exp in more than five minutes", later("exp", 5*time.Minute+time.Second), "401 invalid_client"},
		{"no exp", sign(jwt.MapClaims{"exp": nil}), "401 invalid_client"},
		{"exp as a text", sign(jwt.MapClaims{"exp": "946684860"}), "401 invalid_client"},
		{"nbf in a second", later("nbf", time.Second), "401 invalid_client"},
		{"nbf as a text", sign(jwt.MapClaims{"nbf": "0"}), "401 invalid_client"},
		{"another iss", sign(jwt.MapClaims{"iss": "orders"}), "401 invalid_client"},
		{"no iss", sign(jwt.MapClaims{"iss": nil}), "401 invalid_client"},
		{"another sub", sign(jwt.MapClaims{"sub": "orders"}), "401 invalid_client"},
		{"no sub", sign(jwt.MapClaims{"sub": nil}), "401 invalid_client"},
		{"no jti", sign(jwt.MapClaims{"jti": nil}), "401 invalid_client"},
		{"an empty jti", sign(jwt.MapClaims{"jti": ""}), "401 invalid_client"},
		{"no aud", sign(jwt.MapClaims{"aud": nil}), "401 invalid_client"},
		{"aud with a slash", sign(jwt.MapClaims{"aud": "https://issuer.test/"}), "401 invalid_client"},
		{"aud as a list", sign(jwt.MapClaims{"aud": []string{"https://issuer.test"}}), "401 invalid_client"},
		{"aud as the token endpoint", sign(jwt.MapClaims{"aud": "https://issuer.test/token"}), "401 invalid_client"},
		{"another client_id", func(tb testing.TB) url.Values {
			tb.Helper()
			return with(sign(nil)(tb), "client_id", "orders")
		}, "401 invalid_client"},
		{"another type", func(tb testing.TB) url.Values {
			tb.Helper()
			return with(sign(nil)(tb), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, "401 invalid_client"},
		{"another key", func(tb testing.TB) url.Values {
			tb.Helper()
			return assertionForm(assert(tb, es, other, proof(nil)))
		}, "401 invalid_client"},
		{"no signature", func(tb testing.TB) url.Values {
			tb.Helper()
			return assertionForm(assert(tb, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, proof(nil)))
		}, "401 invalid_client"},
		{"the public key for a secret", func(tb testing.TB) url.Values {
			tb.Helper()
			public, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				tb.Fatal(err)
			}
			return assertionForm(assert(tb, jwt.SigningMethodHS256, public, proof(nil)))
		}, "401 invalid_client"},
		{"a fourth part", func(tb testing.TB) url.Values {
			tb.Helper()
			form := sign(nil)(tb)
			return with(form, "client_assertion", form.Get("client_assertion")+".x")
		}, "401 invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newServer(oauthtest.WithKeyClient("key", key.Public()))
				if got := post(t, issuer, "/token", test.form(t)); got.outcome() != test.want {
					t.Errorf("it answers %s, want %s", got.outcome(), test.want)
				}
			})
		})
	}
}

func TestAssertionIsGoodForOneRequest(t *testing.T) {
	key := newECKey(t)
	issuer := newServer(oauthtest.WithKeyClient("key", key.Public()), oauthtest.WithKeyClient("key2", key.Public()))
	form := assertionForm(assert(t, jwt.SigningMethodES256, key, proof(jwt.MapClaims{"jti": "1"})))
	if got := post(t, issuer, "/token", with(form, "grant_type", "x")); got.outcome() != "400 unsupported_grant_type" {
		t.Errorf("it answers %s", got.outcome()) // the client is known by then, and its assertion used
	}
	if got := post(t, issuer, "/token", form); got.outcome() != "401 invalid_client" {
		t.Errorf("a second use answers %s", got.outcome())
	}
	token(t, issuer, assertionForm(assert(t, jwt.SigningMethodES256, key, proof(jwt.MapClaims{"jti": "2"}))))
	token(t, issuer, assertionForm(assert(t, jwt.SigningMethodES256, key, proof(jwt.MapClaims{"jti": "1", "iss": "key2", "sub": "key2"}))))
}

func TestAssertionGetsATokenOfItsSubject(t *testing.T) {
	key := newECKey(t)
	es := jwt.SigningMethodES256
	form := func(assertion string) url.Values { return fields("grant_type", assertionGrant, "assertion", assertion) }
	user := func(changes jwt.MapClaims) string {
		claims := proof(jwt.MapClaims{"sub": "bob"})
		for name, value := range proof(changes) {
			if _, changed := changes[name]; changed {
				claims[name] = value
			}
		}
		for name, value := range changes {
			if value == nil {
				delete(claims, name)
			}
		}
		return assert(t, es, key, claims)
	}
	issuer := newServer(oauthtest.WithKeyClient("key", key.Public()))
	own := func() string { return issuer.Token(bearertest.Claims{"aud": issuer.URL(), "sub": "bob"}) }
	noClient := func(*http.Request) {}
	for _, test := range []struct {
		name, assertion string
		as              func(*http.Request)
		client          string
	}{
		{"from a client with a key", user(nil), asOrders, "orders"},
		{"from that client itself", user(nil), noClient, "key"},
		{"from this issuer", own(), asOrders, "orders"},
		{"for the token endpoint", user(jwt.MapClaims{"aud": "https://issuer.test/token"}), asOrders, "orders"},
		{"for several", user(jwt.MapClaims{"aud": []string{"x", "https://issuer.test"}}), asOrders, "orders"},
		{"without a jti", user(jwt.MapClaims{"jti": nil}), asOrders, "orders"},
	} {
		got, claims := token(t, issuer, with(form(test.assertion), "scope", "a"), test.as)
		has(t, test.name, claims, map[string]any{"sub": "bob", "client_id": test.client, "scope": "a"})
		has(t, test.name, got.members, map[string]any{"refresh_token": nil, "scope": "a"})
	}
	used := user(nil)
	token(t, issuer, form(used), asOrders)
	for name, test := range map[string]struct {
		assertion string
		as        func(*http.Request)
		want      string
	}{
		"a second time":           {used, asOrders, "400 invalid_grant"},
		"no subject":              {user(jwt.MapClaims{"sub": nil}), asOrders, "400 invalid_grant"},
		"for another":             {user(jwt.MapClaims{"aud": "https://api.test"}), asOrders, "400 invalid_grant"},
		"for others":              {user(jwt.MapClaims{"aud": []string{"x", "y"}}), asOrders, "400 invalid_grant"},
		"for no audience":         {user(jwt.MapClaims{"aud": nil}), asOrders, "400 invalid_grant"},
		"expired":                 {user(jwt.MapClaims{"exp": time.Now().Unix()}), asOrders, "400 invalid_grant"},
		"without an end":          {user(jwt.MapClaims{"exp": nil}), asOrders, "400 invalid_grant"},
		"too far ahead":           {user(jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}), asOrders, "400 invalid_grant"},
		"from a client with none": {user(jwt.MapClaims{"iss": "orders"}), asOrders, "400 invalid_grant"},
		"by another key":          {assert(t, es, newECKey(t), proof(jwt.MapClaims{"sub": "bob"})), asOrders, "400 invalid_grant"},
		"by another issuer":       {newServer().Token(bearertest.Claims{"aud": issuer.URL()}), asOrders, "400 invalid_grant"},
		"from no client":          {own(), noClient, "401 invalid_client"},
		"from a bad client":       {user(nil), basic("orders", "x"), "401 invalid_client"},
	} {
		if got := post(t, issuer, "/token", form(test.assertion), test.as); got.outcome() != test.want {
			t.Errorf("%s: it answers %s, want %s", name, got.outcome(), test.want)
		}
	}
}

// selfSigned makes a certificate and the key that is for it.
func selfSigned(tb testing.TB) tls.Certificate {
	tb.Helper()
	key := newECKey(tb)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestCertificateClientIsKnownByItsCertificate(t *testing.T) {
	certificate := selfSigned(t)
	issuer := oauthtest.NewServer(bearertest.NewTLSServer(t), oauthtest.WithCertificateClient("orders", certificate.Leaf), oauthtest.WithClient("billing", "another"))
	if !strings.HasPrefix(issuer.URL(), "https://127.0.0.1:") {
		t.Errorf("the URL is %s", issuer.URL())
	}
	if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
		t.Error(err)
	}
	form := fields("grant_type", "client_credentials", "client_id", "orders")
	for _, test := range []struct {
		name  string
		shown []tls.Certificate
		form  url.Values
		want  string
	}{
		{"its own", []tls.Certificate{certificate}, form, "200"},
		{"another", []tls.Certificate{selfSigned(t)}, form, "401 invalid_client"},
		{"none", nil, form, "401 invalid_client"},
		{"its own, for another client", []tls.Certificate{certificate}, with(form, "client_id", "billing"), "401 invalid_client"},
		{"its own, and a secret", []tls.Certificate{certificate}, with(form, "client_secret", "x"), "401 invalid_client"},
		{"not needed", nil, with(form, "client_id", "billing", "client_secret", "another"), "200"},
	} {
		transport := issuer.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = test.shown
		got, err := issuertest.Exchange(&http.Client{Transport: transport}, formRequest(t.Context(), issuer.URL()+"/token", test.form.Encode()))
		transport.CloseIdleConnections()
		if err != nil {
			t.Fatal(err)
		}
		if outcome := read(t, got).outcome(); outcome != test.want {
			t.Errorf("%s: it answers %s, want %s", test.name, outcome, test.want)
		}
	}
	var document struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	_, _, body := get(t, issuer.Client(), issuer.URL()+discoveryPath)
	if err := json.Unmarshal(body, &document); err != nil || !slices.Contains(document.Methods, "self_signed_tls_client_auth") {
		t.Errorf("the methods are %q, %v", document.Methods, err)
	}
}

func TestServerMisusePanicsWithAClearText(t *testing.T) {
	good := newECKey(t).Public()
	for name, misuse := range map[string]func(){
		`WithClient("")`:             func() { oauthtest.WithClient("", "x") },
		`WithClient("\n")`:           func() { oauthtest.WithClient("\n", "x") },
		`WithClient("a")`:            func() { oauthtest.WithClient("a", "") },
		`WithClient("b")`:            func() { oauthtest.WithClient("b", "\x7f") },
		`WithClient("c")`:            func() { oauthtest.WithClient("c", "x", "/callback") },
		`WithClient("d")`:            func() { oauthtest.WithClient("d", "x", "https://app.test/#a") },
		`WithPublicClient("\u00e4")`: func() { oauthtest.WithPublicClient("\u00e4") },
		`WithPublicClient("a")`:      func() { oauthtest.WithPublicClient("a", "") },
		`WithKeyClient("")`:          func() { oauthtest.WithKeyClient("", good) },
		`WithKeyClient("a")`:         func() { oauthtest.WithKeyClient("a", nil) },
		`WithKeyClient("b")`:         func() { oauthtest.WithKeyClient("b", newECKey(t)) },
		`WithKeyClient("c")`:         func() { oauthtest.WithKeyClient("c", []byte("secret")) },
		`WithKeyClient("d")`: func() {
			oauthtest.WithKeyClient("d", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2046), E: 65537})
		},
		`WithCertificateClient("a")`: func() { oauthtest.WithCertificateClient("a", nil) },
		`WithTokenLifetime(0s)`:      func() { oauthtest.WithTokenLifetime(0) },
		`WithTokenLifetime(1.5s)`:    func() { oauthtest.WithTokenLifetime(1500 * time.Millisecond) },
		`WithRefreshIn(-1s)`:         func() { oauthtest.WithRefreshIn(-time.Second) },
		`NewSession("a", "alice")`:   func() { newServer().NewSession("a", "alice") },
		`NewSession("orders", "")`:   func() { newServer().NewSession("orders", "") },
		`Refuse("a\nb")`:             func() { newServer().Refuse("a\nb") },
		`Refuse("a\\")`:              func() { newServer().Refuse(`a\`) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				want := strings.ReplaceAll(name, `\u00e4`, "\u00e4")
				if !strings.HasPrefix(text, "oauthtest: "+want) {
					t.Errorf("the panic says %q", text)
				}
			}()
			misuse()
		})
	}
}
