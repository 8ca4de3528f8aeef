package jwks_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/jwks"
)

// Rules: key.https.
func TestURLsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ url, says string }{
		"empty":                    {"", "is "}, // is empty, or is no URL
		"no URL":                   {"issuer", "is not an absolute https URL"},
		"not a URL":                {"https://issuer.test/%zz", "is not an absolute https URL"},
		"a line break":             {"https://issuer.test\n", "is not an absolute https URL"},
		"without a host":           {"https:///x", "is not an absolute https URL"},
		"a port alone":             {"https://:443", "is not an absolute https URL"},
		"without slashes":          {"https:issuer.test", "is not an absolute https URL"},
		"another scheme":           {"ftp://issuer.test", "is not an absolute https URL"},
		"relative to a scheme":     {"//issuer.test", "is not an absolute https URL"},
		"a fragment":               {"https://issuer.test/#a", "fragment"},
		"an empty fragment":        {"https://issuer.test/#", "fragment"},
		"a user name":              {"https://user@issuer.test", "user name"},
		"a user name and password": {"https://user:pass@issuer.test", "user name"},
		"http":                     {"http://issuer.test", "is not https"},
		"http to a private host":   {"http://10.0.0.1", "is not https"},
		"http to a near miss":      {"http://localhost.evil.test", "is not https"},
		"http to 128.0.0.1":        {"http://128.0.0.1", "is not https"},
		"http to any address":      {"http://0.0.0.0", "is not https"},
		"http to 127.1":            {"http://127.1", "is not https"},
	} {
		t.Run(name, func(t *testing.T) {
			for option, source := range map[string]jwks.Source{
				"Discover": jwks.Discover(test.url), "Remote": jwks.Remote(test.url),
			} {
				set, err := jwks.New(source)
				if set != nil || err == nil || !strings.Contains(err.Error(), test.says) ||
					!strings.HasPrefix(err.Error(), "jwks: "+option) || !strings.Contains(err.Error(), "; give ") {
					t.Errorf("%s: %v, want an error with %q, the option and what to do", option, err, test.says)
				}
			}
		})
	}
	for _, issuer := range []string{"https://issuer.test?p=policy", "https://issuer.test?"} {
		if _, err := jwks.New(jwks.Discover(issuer)); err == nil || !strings.Contains(err.Error(), "query") {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

func TestURLsThatAreTaken(t *testing.T) {
	for _, url := range []string{
		"https://issuer.test", "https://issuer.test/", "https://issuer.test:8443/realms/one", "HTTPS://issuer.test",
		"http://localhost:8080", "http://LOCALHOST", "http://127.0.0.1", "http://127.9.9.9:80/x", "http://[::1]:8080",
	} {
		for option, source := range map[string]jwks.Source{"Discover": jwks.Discover(url), "Remote": jwks.Remote(url)} {
			if _, err := jwks.New(source); err != nil {
				t.Errorf("%s: %v", option, err)
			}
		}
	}
	if _, err := jwks.New(jwks.Remote("https://issuer.test/keys?p=policy")); err != nil {
		t.Errorf("Remote with a query: %v", err)
	}
	for _, source := range []jwks.Source{
		jwks.Discover("http://issuer.test", jwks.InsecureHTTP()), jwks.Remote("http://10.0.0.1/keys", jwks.InsecureHTTP()),
	} {
		if _, err := jwks.New(source); err != nil {
			t.Error(err)
		}
	}
	if _, err := jwks.New(jwks.Remote("http://issuer.test"), jwks.InsecureHTTP()); err != nil {
		t.Errorf("InsecureHTTP as a default: %v", err)
	}
}

func TestAllConfigurationErrorsAtOnce(t *testing.T) {
	_, err := jwks.New(
		jwks.Discover("http://issuer.test", jwks.WithHTTPClient(http.DefaultClient), jwks.WithHTTPClient(http.DefaultClient), nil),
		jwks.WithLogger(nil), jwks.WithHTTPClient(nil),
	)
	for _, says := range []string{
		`Discover("http://issuer.test"): the issuer is not https`, "WithHTTPClient: set more than once", "option 3 is nil", "WithLogger(nil)",
		"WithHTTPClient(nil)",
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is missing in: %v", says, err)
		}
	}
	_, err = jwks.New(jwks.PublicKeys(), jwks.WithLogger(slog.Default()), jwks.WithLogger(slog.Default()))
	if err == nil || !strings.Contains(err.Error(), "WithLogger: set more than once") || !strings.Contains(err.Error(), "no key") {
		t.Errorf("got %v", err)
	}
}

func TestZeroSourceIsAnError(t *testing.T) {
	set, err := jwks.New(jwks.Source{})
	if set != nil || err == nil || !strings.Contains(err.Error(), "make one with Discover") {
		t.Errorf("got %v, %v", set, err)
	}
}

func TestOptionsOfTheSourceWinOverTheDefaults(t *testing.T) {
	var own, fallback logs
	w, other := issuer(jwk{"kty": "X"}, edJWK("a")), newWeb()
	set, err := jwks.New(
		jwks.Discover(issuerURL, jwks.WithHTTPClient(w.client()), jwks.WithLogger(own.logger())),
		jwks.WithHTTPClient(other.client()), jwks.WithLogger(fallback.logger()),
	)
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "found")
	_ = set.Close()
	if len(own.lines("")) != 1 || len(fallback.lines("")) != 0 {
		t.Errorf("logged %q and %q", own.lines(""), fallback.lines(""))
	}
}

func TestStaticPinsAKeySet(t *testing.T) {
	var log logs
	set, err := jwks.New(jwks.Static([]byte(keySet(edJWK("a"), jwk{"kty": "X", "kid": "b"}))), jwks.WithLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "found")
	want(t, set, "b", "EdDSA", "not found")
	want(t, set, "c", "EdDSA", "not found")
	if err := set.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(log.lines("a published key is not used", "Static", `"kid":"b"`)); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
}

func TestStaticSetsThatAreRefused(t *testing.T) {
	unnamed := make([]jwk, 5)
	for i := range unnamed {
		unnamed[i] = edJWK("")
	}
	p521 := func(alg any) jwk { return newJWK("", newECKey(elliptic.P521()).Public()).with(jwk{"alg": alg}) }
	private := newJWK("a", edKey.Public()).with(jwk{"d": b64(edKey.Seed())})
	for name, test := range map[string]struct{ json, says string }{
		"empty":              {"", "not a JWK Set"},
		"null":               {"null", "not a JWK Set"},
		"no keys":            {`{"keys":[]}`, "an empty array of keys"},
		"one key, not a set": {mustJSON(edJWK("a")), "no array of keys"},
		"a name twice":       {`{"keys":[],"keys":[]}`, "twice"},
		"nothing usable":     {keySet(jwk{"kty": "X"}, private), "key 2: it has members of a private or symmetric key"},
		"five without a kid": {keySet(unnamed...), "5 keys have no kid"},
		"two costly ones":    {keySet(p521(nil), edJWK(""), p521("ES512")), "2 keys without a kid, for one algorithm, are on P-521"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwks.New(jwks.Static([]byte(test.json)))
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "jwks: Static: ") {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), b64(edKey.Seed())) {
				t.Error("the error has the private key in it")
			}
		})
	}
}

func block(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkix(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	return block("PUBLIC KEY", der, err)
}

func certificate(key crypto.Signer) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)} // it was valid in the year 1
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return block("CERTIFICATE", der, err)
}

func TestPEMPinsItsKeys(t *testing.T) {
	for name, test := range map[string]struct{ pem, algs string }{
		"RSA":               {pkix(rsaKey.Public()), "RS256 PS256"},
		"RSA by itself":     {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil), "RS256 PS256"},
		"P-256":             {pkix(p256Key.Public()), "ES256"},
		"P-384":             {pkix(p384Key.Public()), "ES384"},
		"P-521":             {pkix(p521Key.Public()), "ES512"},
		"Ed25519":           {pkix(edKey.Public()), "EdDSA Ed25519"},
		"a certificate":     {certificate(edKey), "EdDSA"},
		"an RSA one":        {certificate(rsaKey), "RS512"},
		"several":           {pkix(rsaKey.Public()) + pkix(p256Key.Public()) + certificate(edKey), "RS256 ES256 EdDSA"},
		"with empty lines":  {"\n\n" + pkix(rsaKey.Public()) + "\r\n \n" + pkix(edKey.Public()) + "\n\n", "RS256 EdDSA"},
		"with CRLF":         {strings.ReplaceAll(pkix(edKey.Public()), "\n", "\r\n"), "EdDSA"},
		"without a last LF": {strings.TrimSpace(pkix(edKey.Public())), "EdDSA"},
		"the same twice":    {pkix(edKey.Public()) + certificate(edKey), "EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.New(jwks.PEM([]byte(test.pem)))
			if err != nil {
				t.Fatal(err)
			}
			for _, alg := range strings.Fields(test.algs) {
				want(t, set, "", alg, "found")
				want(t, set, "any", alg, "found")
			}
			want(t, set, "any", "HS256", "not found")
		})
	}
}

func TestPEMThatIsRefused(t *testing.T) {
	good := pkix(edKey.Public())
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edKey)
	private := block("PRIVATE KEY", pkcs8, err)
	sec1, err := x509.MarshalECPrivateKey(p256Key)
	x25519, _ := ecdh.X25519().GenerateKey(rand.Reader)
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	five := ""
	for range 5 {
		five += pkix(newEdKey().Public())
	}
	for name, test := range map[string]struct{ pem, says string }{
		"nothing":               {"", "no PEM block"},
		"white space":           {" \n", "no PEM block"},
		"garbage":               {"ssh-ed25519 AAAA", "block 1"},
		"garbage before":        {"subject=x\n" + good, "block 1"},
		"garbage between":       {good + "subject=x\n" + good, "block 2"},
		"garbage behind":        {good + "x", "block 2"},
		"a truncated block":     {good[:60], "block 1"},
		"a truncated second":    {good + good[:60], "block 2"},
		"a broken first":        {strings.Replace(good, "END", "EDN", 1) + good, "block 1"},
		"a type that differs":   {strings.Replace(good, "END PUBLIC", "END PRIVATE", 1), "block 1"},
		"a private key":         {private, "private key; give only the public"},
		"a private key behind":  {good + private, `block 2, "PRIVATE KEY", is a private key`},
		"an EC private key":     {block("EC PRIVATE KEY", sec1, err), "is a private key"},
		"an RSA private key":    {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "is a private key"},
		"an encrypted one":      {block("ENCRYPTED PRIVATE KEY", []byte{1}, nil), "is a private key"},
		"an unknown type":       {block("CERTIFICATE REQUEST", []byte{1}, nil), "is not a public key"},
		"a public key, broken":  {block("PUBLIC KEY", []byte{1}, nil), "cannot be read"},
		"an RSA key, broken":    {block("RSA PUBLIC KEY", []byte{1}, nil), "cannot be read"},
		"a certificate, broken": {block("CERTIFICATE", []byte{1}, nil), "cannot be read"},
		"RSA of 1024 bits":      {pkix(small.Public()), "modulus"},
		"RSA with ROCA":         {pkix(&rsa.PublicKey{N: rocaModulus(), E: 65537}), "CVE-2017-15361"},
		"P-224":                 {pkix(newECKey(elliptic.P224()).Public()), "curve"},
		"X25519":                {pkix(x25519.PublicKey()), "not an RSA, ECDSA or Ed25519"},
		"Ed25519 small order":   {pkix(ed25519.PublicKey(make([]byte, 32))), "small order"},
		"five keys":             {five, "5 keys have no kid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwks.New(jwks.PEM([]byte(test.pem)))
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "jwks: PEM: ") {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
		})
	}
}

func TestPublicKeysArePinned(t *testing.T) {
	set, err := jwks.New(jwks.PublicKeys(rsaKey.Public(), p256Key.Public(), edKey.Public(), edKey.Public()))
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS256", "PS384", "ES256", "EdDSA", "Ed25519"} {
		want(t, set, "", alg, "found")
		want(t, set, "any", alg, "found")
	}
	want(t, set, "", "ES384", "not found")
	if err := set.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}

// One expensive key of each kind can be pinned without a key id, and any number with one.
func TestPinnedKeysHaveOneCostlyKeyPerAlgorithm(t *testing.T) {
	large := func(different int64) *rsa.PublicKey {
		n := new(big.Int).SetBytes(odd(4097))
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(22*different)), E: 65537}
	}
	one := newJWK("", large(1))
	for name, test := range map[string]struct {
		source jwks.Source
		good   bool
	}{
		"one of each":           {jwks.PublicKeys(large(1), p521Key.Public(), rsaKey.Public()), true},
		"the same twice":        {jwks.PublicKeys(large(1), large(1)), true},
		"two large":             {jwks.PublicKeys(large(1), large(2)), false},
		"two large as PEM":      {jwks.PEM([]byte(pkix(large(1)) + pkix(large(2)))), false},
		"two for one algorithm": {jwks.Static([]byte(keySet(one, newJWK("", large(2)).with(jwk{"alg": "RS256"})))), false},
		"two for two algorithms": {jwks.Static([]byte(keySet(
			one.with(jwk{"alg": "PS256"}), newJWK("", large(2)).with(jwk{"alg": "RS256"}),
		))), true},
		"two with a kid": {jwks.Static([]byte(keySet(newJWK("a", large(1)), newJWK("b", large(2))))), true},
	} {
		if _, err := jwks.New(test.source); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublicKeysThatAreRefused(t *testing.T) {
	off := ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // to break it
	var noRSA *rsa.PublicKey
	var noECDSA *ecdsa.PublicKey
	for name, test := range map[string]struct {
		key  crypto.PublicKey
		says string
	}{
		"nil":                {nil, "nil or incomplete"},
		"nil RSA":            {noRSA, "nil or incomplete"},
		"empty RSA":          {&rsa.PublicKey{}, "nil or incomplete"},
		"RSA by value":       {rsaKey.PublicKey, "not an RSA, ECDSA or Ed25519"},
		"RSA private":        {rsaKey, "not an RSA, ECDSA or Ed25519"},
		"RSA small":          {&rsa.PublicKey{N: new(big.Int).SetBytes(odd(2047)), E: 65537}, "modulus"},
		"RSA large":          {&rsa.PublicKey{N: new(big.Int).SetBytes(odd(8193)), E: 65537}, "modulus"},
		"RSA negative":       {&rsa.PublicKey{N: new(big.Int).Neg(rsaKey.N), E: 65537}, "modulus"},
		"RSA e 1":            {&rsa.PublicKey{N: rsaKey.N, E: 1}, "exponent"},
		"RSA e negative":     {&rsa.PublicKey{N: rsaKey.N, E: -3}, "exponent"},
		"RSA ROCA":           {&rsa.PublicKey{N: rocaModulus(), E: 65537}, "CVE-2017-15361"},
		"nil ECDSA":          {noECDSA, "nil or incomplete"},
		"empty ECDSA":        {&ecdsa.PublicKey{}, "curve"},
		"ECDSA, no point":    {&ecdsa.PublicKey{Curve: elliptic.P256()}, "missing or broken"},
		"ECDSA on P-224":     {newECKey(elliptic.P224()).Public(), "curve"},
		"ECDSA off it":       {&off, "not on its curve"},
		"ECDSA private":      {p256Key, "not an RSA, ECDSA or Ed25519"},
		"Ed25519 nil":        {ed25519.PublicKey(nil), "nil or incomplete"},
		"Ed25519 short":      {ed25519.PublicKey(make([]byte, 31)), "nil or incomplete"},
		"Ed25519 private":    {edKey, "not an RSA, ECDSA or Ed25519"},
		"Ed25519 weak":       {ed25519.PublicKey(make([]byte, 32)), "small order"},
		"an HMAC secret":     {[]byte("secret-secret-secret-secret-secret"), "not an RSA, ECDSA or Ed25519"},
		"a string":           {"-----BEGIN PUBLIC KEY-----", "not an RSA, ECDSA or Ed25519"},
		"a slice of nothing": {[]crypto.PublicKey{}, "not an RSA, ECDSA or Ed25519"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwks.New(jwks.PublicKeys(edKey.Public(), test.key))
			if err == nil || !strings.Contains(err.Error(), test.says) ||
				!strings.HasPrefix(err.Error(), "jwks: PublicKeys: key 2, ") || strings.Contains(err.Error(), "secret-") {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
		})
	}
	if _, err := jwks.New(jwks.PublicKeys()); err == nil {
		t.Error("no keys are no error")
	}
}

func TestPinnedKeysAreCopies(t *testing.T) {
	public := append(ed25519.PublicKey(nil), edKey.Public().(ed25519.PublicKey)...)
	rs := &rsa.PublicKey{N: new(big.Int).Set(rsaKey.N), E: rsaKey.E}
	set, err := jwks.New(jwks.PublicKeys(public, rs))
	if err != nil {
		t.Fatal(err)
	}
	clear(public)
	rs.N.SetInt64(15)
	for alg, original := range map[string]interface{ Equal(crypto.PublicKey) bool }{
		"EdDSA": edKey.Public().(ed25519.PublicKey), "RS256": &rsaKey.PublicKey,
	} {
		keys, err := set.Keys(t.Context(), "", alg)
		if err != nil || !original.Equal(keys[0].Public()) {
			t.Errorf("%s: the owner of the key changed the set: %v", alg, err)
		}
	}
}
