package bearer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

const (
	policyIssuer = "https://tenant.b2c.example/11111111-2222-4333-8444-555555555555/v2.0/"
	policyURL    = "https://tenant.b2c.example/tenant/b2c_1_susi/v2.0/.well-known/openid-configuration"
)

// pagesOf answers each URL with a body, and others with 404.
type pagesOf map[string]string

func (p pagesOf) RoundTrip(r *http.Request) (*http.Response, error) {
	body, found := p[r.URL.String()]
	server := &keyServer{}
	server.breaks(func() (int, string) {
		if !found {
			return http.StatusNotFound, ""
		}
		return http.StatusOK, body
	})
	return server.RoundTrip(r)
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// headerOf is the header of a token as JSON.
func headerOf(t *testing.T, token string) string {
	t.Helper()
	part, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// causeOfRefusal is what the operator learns of why a token is refused.
func causeOfRefusal(t *testing.T, auth *bearer.Middleware, token string, want bearer.Reason) string {
	t.Helper()
	_, err := auth.Guard().Verify(t.Context(), token)
	if got := reasonOf(t, err); got != want {
		t.Fatalf("reason %q, want %q", got, want)
	}
	cause := errors.Unwrap(err)
	if cause == nil {
		t.Fatal("there is no cause")
	}
	return cause.Error()
}

// MetadataURL changes the place of the issuer's metadata, and not the issuer that it must name.
// Rules: key.metadata.
func TestMetadataURLNamesThePlaceAndNotTheIssuer(t *testing.T) {
	key := pairs()[0]
	token := tenantToken(policyIssuer, "k", key)
	set := jsonText(c{"keys": []c{merged(key.jwk, c{"kid": "k"})}})
	trust := func(document string) *bearer.Middleware {
		web := pagesOf{policyURL: document, policyIssuer + "keys": set}
		return mustNew(t, bearer.WithIssuer(policyIssuer, "api", bearer.MetadataURL(policyURL)),
			bearer.WithHTTPClient(&http.Client{Transport: web}), quiet())
	}
	document := func(issuer string) string { return jsonText(c{"issuer": issuer, "jwks_uri": policyIssuer + "keys"}) }
	wantReason(t, trust(document(policyIssuer)), token, "")
	for _, issuer := range []string{"https://evil.example", strings.TrimSuffix(policyIssuer, "/"), ""} {
		cause := causeOfRefusal(t, trust(document(issuer)), token, bearer.ReasonKeysUnavailable)
		if !strings.Contains(cause, policyIssuer) || !strings.Contains(cause, "MetadataURL") || !strings.Contains(cause, policyURL) {
			t.Errorf("%q: %s", issuer, cause)
		}
	}
}

func TestMetadataURLThatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		issuer string
		opts   []bearer.IssuerOption
		says   string
	}{
		"empty":            {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL("")}, `MetadataURL("")`},
		"http":             {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL("http://a.example")}, "is not https"},
		"twice":            {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL(policyURL), bearer.MetadataURL(policyURL)}, "set more than once"},
		"with JWKSURL":     {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL(policyURL), bearer.JWKSURL(policyURL)}, "exclude each other"},
		"with Keys":        {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL(policyURL), bearer.Keys(jwks.Remote(policyURL))}, "exclude each other"},
		"with HMACSecret":  {policyIssuer, []bearer.IssuerOption{bearer.MetadataURL(policyURL), bearer.HMACSecret(make([]byte, 32))}, "exclude each other"},
		"without issuer":   {"", []bearer.IssuerOption{bearer.MetadataURL(policyURL)}, "issuer"},
		"an issuer of old": {"accounts.google.example", []bearer.IssuerOption{bearer.MetadataURL(policyURL)}, ""},
	} {
		_, err := bearer.New(bearer.WithIssuer(test.issuer, "api", test.opts...))
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// The header's x5t#S256 selects a key only without kid, never contradicts one, and is looked at on
// every hit of the cache.
// Rules: key.thumbprint.
func TestThumbprintOfTheHeaderSelectsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := pairs()[0], pairs()[1]
		sum1, sum2 := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
		x5t1, x5t2 := b64(string(sum1[:])), b64(string(sum2[:]))
		server := &keyServer{}
		server.publish(merged(one.jwk, c{"kid": "a", "x5t#S256": x5t1}), merged(two.jwk, c{"kid": "b", "x5t#S256": x5t2}))
		auth := withCommonSet(t, contoso, server)
		sign := func(header c) string {
			claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}
			return signedBy(merged(c{"alg": "ES256"}, header), claims, "ES256", one.private)
		}
		embedded := c{"kid": "a", "x5c": []string{"AAAA"}, "jwk": two.jwk, "x5t#S256": x5t1}
		tokens := map[string]bearer.Reason{
			sign(c{"x5t#S256": x5t1}):                                  "",
			sign(c{"x5t#S256": x5t1, "kid": "a"}):                      "",
			sign(c{"kid": "a"}):                                        "",
			sign(c{}):                                                  bearer.ReasonUnknownKey,
			sign(c{"x5t#S256": x5t2}):                                  bearer.ReasonSignature,
			sign(c{"x5t#S256": x5t2, "kid": "a"}):                      bearer.ReasonUnknownKey,
			sign(c{"x5t#S256": x5t1, "kid": "b"}):                      bearer.ReasonUnknownKey,
			sign(c{"x5t#S256": strings.Repeat("A", 43), "kid": "a"}):   bearer.ReasonUnknownKey,
			sign(c{"x5t#S256": strings.Repeat("x", 5000), "kid": "a"}): bearer.ReasonUnknownKey,
			sign(c{"x5t#S256": 1, "kid": "a"}):                         bearer.ReasonMalformedToken,
			sign(c{"x5t#S256": nil, "kid": "a"}):                       bearer.ReasonMalformedToken,
			sign(c{"x5t#S256": []string{x5t1}}):                        bearer.ReasonMalformedToken,
			sign(c{"x5t#S256": "", "kid": "a"}):                        "",
			sign(c{"x5t": x5t2, "kid": "a"}):                           "",
			sign(c{"x5t#s256": x5t2, "kid": "a"}):                      "",
			sign(embedded):                                             "",
		}
		for range 2 {
			for token, want := range tokens {
				wantReason(t, auth, token, want)
			}
		}
		server.publish(merged(one.jwk, c{"kid": "a", "x5t#S256": x5t2}), merged(two.jwk, c{"kid": "b", "x5t#S256": x5t1}))
		wantReason(t, auth, sign(c{"kid": "unknown"}), bearer.ReasonUnknownKey) // fetches the set again
		wantReason(t, auth, sign(c{"x5t#S256": x5t1}), bearer.ReasonSignature)
		for token, before := range tokens {
			if before != "" {
				continue
			}
			_, err := auth.Guard().Verify(t.Context(), token)
			if strings.Contains(headerOf(t, token), x5t1) != (err != nil) {
				t.Errorf("%s: %v", headerOf(t, token), err)
			}
		}
	})
}

// A dead source of keys refuses no token of another source, and no token is invalid that the dead
// one's keys may verify.
// Rules: key.sources.
func TestTokensOfOneSourceOutliveAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, foreign := pairs()[0], pairs()[1], pairs()[7]
		east, west := &keyServer{}, &keyServer{}
		east.publish(merged(one.jwk, c{"kid": "1"}))
		west.publish(merged(two.jwk, c{"kid": "1"}), merged(two.jwk, c{"kid": "2"}))
		auth := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
			jwks.Remote("https://east.example/keys", jwks.WithHTTPClient(east.client())),
			jwks.Remote("https://west.example/keys", jwks.WithHTTPClient(west.client())),
		))), bearer.WithIssuer(fabrikam, "api", bearer.Keys(jwks.Remote("https://other.example/keys", jwks.WithHTTPClient(east.client())))))
		west.breaks(func() (int, string) { return http.StatusServiceUnavailable, "" })
		for range 2 {
			wantReason(t, auth, tenantToken(contoso, "1", one), "")
			wantReason(t, auth, tenantToken(contoso, "2", two), bearer.ReasonKeysUnavailable)
			wantReason(t, auth, tenantToken(contoso, "1", two), bearer.ReasonKeysUnavailable) // the kid of both
			wantReason(t, auth, tenantToken(fabrikam, "2", two), bearer.ReasonUnknownKey)     // another issuer's keys
		}
		west.breaks(nil)
		<-time.After(time.Minute)
		wantReason(t, auth, tenantToken(contoso, "2", two), "")
		wantReason(t, auth, tenantToken(contoso, "1", two), "")
		wantReason(t, auth, tenantToken(contoso, "1", foreign), bearer.ReasonSignature)
		wantReason(t, auth, tenantToken(fabrikam, "2", two), bearer.ReasonUnknownKey)
		if err := auth.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		stats := auth.Stats().Issuers
		if len(stats) != 3 || stats[0].Issuer != contoso || stats[1].Issuer != contoso || stats[1].Source != "https://west.example/keys" || stats[1].Failures == 0 {
			t.Errorf("%+v", stats)
		}
	})
}

// The cause of a refusal for want of a key says what was looked for, names a kid only if it is
// published, and costs no memory, because anyone can cause it.
// Rules: guard.quiet-log.
func TestRefusalsForWantOfAKeySayWhy(t *testing.T) {
	one, two, foreign := pairs()[0], pairs()[1], pairs()[7]
	control := strings.Repeat("\x1b[2J\n", 200)
	server := &keyServer{}
	server.publish(merged(one.jwk, c{"kid": "a"}), merged(two.jwk, c{"kid": "a"}), merged(two.jwk, c{"kid": "b"}), merged(one.jwk, c{"kid": "enc", "use": "enc"}))
	auth := withCommonSet(t, contoso, server)
	for _, test := range []struct {
		kid    any
		key    pair
		reason bearer.Reason
		says   string
	}{
		{"a", foreign, bearer.ReasonSignature, `none of the 2 keys that fit, the first of them "a"`},
		{"b", foreign, bearer.ReasonSignature, `does not verify with the one key that fits, "b"`},
		{"enc", one, bearer.ReasonUnknownKey, `the key with its kid, "enc", is published and cannot be used: it is for encryption`},
		{nil, one, bearer.ReasonUnknownKey, "it has no kid, and several keys are for its algorithm"},
		{"zz-unknown", one, bearer.ReasonUnknownKey, "no published key has its kid"},
		{control[:1000], one, bearer.ReasonUnknownKey, "no published key has its kid"},
	} {
		header := c{"alg": "ES256"}
		if test.kid != nil {
			header["kid"] = test.kid
		}
		token := signedBy(header, c{"iss": contoso, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}, "ES256", test.key.private)
		cause := causeOfRefusal(t, auth, token, test.reason)
		if !strings.Contains(cause, test.says) || strings.ContainsAny(cause, "\x1b\n") || strings.Contains(cause, "zz-") {
			t.Errorf("%.20q: %q, want %q", test.kid, cause, test.says)
		}
		_, first := auth.Guard().Verify(t.Context(), token)
		if _, second := auth.Guard().Verify(t.Context(), token); first != second {
			t.Errorf("%.20q: the refusal is made for each token", test.kid)
		}
	}
	pinned := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.PublicKeys(
		one.private.Public(), two.private.Public(), foreign.private.Public(), pairs()[8].private.Public(),
	))))
	token := signedBy(c{"alg": "ES256"}, c{"iss": contoso, "aud": "api"}, "ES256", pairs()[8].private)
	if cause := causeOfRefusal(t, pinned, token[:len(token)-8]+"AAAAAAAA", bearer.ReasonSignature); !strings.Contains(cause, "none of the 4 keys that fit") {
		t.Error(cause)
	}
}

// Pinned keys are tried for a token without a kid.
// Rules: key.no-kid.
func TestPinnedKeysVerifyTokensWithoutKeyID(t *testing.T) {
	issuer := bearertest.NewIssuer()
	old := issuer.Sign(bearertest.Claims{"kid": nil})
	issuer.Rotate()
	for name, source := range map[string]jwks.Source{
		"PublicKeys": jwks.PublicKeys(issuer.PublicKeys()...), "Static": jwks.Static(issuer.KeySet()),
	} {
		auth := newTuple(t, issuer, bearer.Keys(source))
		for range 2 { // the second time from the cache
			wantReason(t, auth, old, "")
			wantReason(t, auth, issuer.Sign(bearertest.Claims{"kid": nil}), "")
			wantReason(t, auth, issuer.Token(), "")
		}
		if t.Failed() {
			t.Error(name)
		}
	}
}

// Pinned keys without a key id answer to every key id. They keep no key of another source from
// being waited for and looked for, and their own tokens wait for none.
// Rules: key.sources.
func TestPinnedKeysHideNoKeyOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pinned, first, third := pairs()[0], pairs()[1], pairs()[7]
		server := &keyServer{}
		server.publish(merged(first.jwk, c{"kid": "first"}))
		auth := mustNew(t, bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
			jwks.PublicKeys(pairs()[8].private.Public(), pinned.private.Public()),
			jwks.Remote("https://keys.test/"),
		))), bearer.WithHTTPClient(&http.Client{Transport: server}), quiet())
		wantReason(t, auth, tenantToken(contoso, "first", first), "") // the first fetch
		wantReason(t, auth, tenantToken(contoso, "any", pinned), "")

		server.publish(merged(third.jwk, c{"kid": "third"}))
		wantReason(t, auth, tenantToken(contoso, "third", third), "")
		wantReason(t, auth, tenantToken(contoso, "first", first), bearer.ReasonSignature)
		wantReason(t, auth, tenantToken(contoso, "made-up", first), bearer.ReasonSignature)

		server.breaks(func() (int, string) { return http.StatusInternalServerError, "" })
		wantReason(t, auth, tenantToken(contoso, "other", first), bearer.ReasonKeysUnavailable)
		wantReason(t, auth, tenantToken(contoso, "another", pinned), "")
		wantReason(t, auth, tenantToken(contoso, "third", third), "")
	})
}

// The same holds for a token that names a certificate instead of a key id.
// Rules: key.sources, key.thumbprint.
func TestPinnedKeysHideNoCertificateOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pinned, first, third := pairs()[0], pairs()[1], pairs()[7]
		chosen := []crypto.PublicKey{pinned.private.Public()}
		for range 3 {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			chosen = append(chosen, key.Public())
		}
		certificate := func(name string) string {
			sum := sha256.Sum256([]byte(name))
			return b64(string(sum[:]))
		}
		token := func(name string, key pair) string {
			claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}
			return signedBy(c{"alg": "ES256", "x5t#S256": certificate(name)}, claims, "ES256", key.private)
		}
		server := &keyServer{}
		server.publish(merged(first.jwk, c{"x5t#S256": certificate("first")}))
		auth := mustNew(t, bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
			jwks.PublicKeys(chosen...), jwks.Remote("https://keys.test/"),
		))), bearer.WithHTTPClient(&http.Client{Transport: server}), quiet())
		if err := auth.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		server.publish(merged(third.jwk, c{"x5t#S256": certificate("third")}))
		for range 2 { // the second time from the cache
			wantReason(t, auth, token("any", pinned), "")
			wantReason(t, auth, token("third", third), "")
		}
		wantReason(t, auth, token("third", pinned), bearer.ReasonSignature)
		wantReason(t, auth, token("made-up", first), bearer.ReasonSignature)

		server.breaks(func() (int, string) { return http.StatusInternalServerError, "" })
		wantReason(t, auth, token("other", first), bearer.ReasonKeysUnavailable)
		wantReason(t, auth, token("another", pinned), "")
		wantReason(t, auth, token("third", third), "")
	})
}

// Nor do more of them than a token is tried with.
// Rules: key.sources, key.thumbprint.
func TestManyPinnedKeysHideNoCertificateOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pinned := func(kids ...string) jwks.Source {
			keys := []c{}
			for _, kid := range kids {
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				point, err := key.PublicKey.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, c{
					"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(string(point[1:33])), "y": b64(string(point[33:])),
				})
			}
			return jwks.Static([]byte(jsonText(c{"keys": keys})))
		}
		certificate := func(name string) string {
			sum := sha256.Sum256([]byte(name))
			return b64(string(sum[:]))
		}
		token := func(name string, key pair) string {
			claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}
			return signedBy(c{"alg": "ES256", "x5t#S256": certificate(name)}, claims, "ES256", key.private)
		}
		first, second := pairs()[0], pairs()[1]
		server := &keyServer{delay: 100 * time.Millisecond}
		server.publish(merged(first.jwk, c{"x5t#S256": certificate("first")}))
		auth := mustNew(t, bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
			pinned("a", "b", "c"), pinned("d", "e"), jwks.Remote("https://keys.test/"),
		))), bearer.WithHTTPClient(&http.Client{Transport: server}), quiet())
		wantReason(t, auth, token("first", first), "") // the first fetch
		<-time.After(time.Minute)
		server.publish(merged(second.jwk, c{"x5t#S256": certificate("second")}))
		wantReason(t, auth, token("second", second), "")
		wantReason(t, auth, token("first", first), bearer.ReasonUnknownKey)
		cause := causeOfRefusal(t, auth, token("made-up", second), bearer.ReasonUnknownKey)
		if !strings.Contains(cause, "more than 4 keys") {
			t.Error(cause)
		}
		<-time.After(time.Minute)
		server.breaks(func() (int, string) { return http.StatusInternalServerError, "" })
		wantReason(t, auth, token("other", first), bearer.ReasonKeysUnavailable)
		wantReason(t, auth, token("second", second), "")
	})
}

// A token that names no key waits for the sources without fresh keys, but only if no other source
// has its key.
// Rules: key.sources, key.no-kid.
func TestTokenWithoutKeyIDWaitsForTheSourceOfItsKey(t *testing.T) {
	const east, west = "https://east.example/keys", "https://west.example/keys"
	sign := func(key pair) string {
		claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}
		return signedBy(c{"alg": "ES256"}, claims, "ES256", key.private)
	}
	wantAfter := func(t *testing.T, auth *bearer.Middleware, key pair, want bearer.Reason, wait time.Duration) {
		t.Helper()
		began := time.Now()
		wantReason(t, auth, sign(key), want)
		if waited := time.Since(began); waited != wait {
			t.Errorf("waited %s, want %s", waited, wait)
		}
	}
	pinned, old, renewed, foreign := pairs()[0], pairs()[1], pairs()[7], pairs()[8]
	for name, sources := range map[string]func(remote, other *keyServer) []jwks.Source{
		"beside a pinned key": func(remote, _ *keyServer) []jwks.Source {
			return []jwks.Source{
				jwks.PublicKeys(pinned.private.Public()), jwks.Remote(east, jwks.WithHTTPClient(remote.client())),
			}
		},
		"before one": func(remote, _ *keyServer) []jwks.Source {
			return []jwks.Source{
				jwks.Remote(east, jwks.WithHTTPClient(remote.client())), jwks.PublicKeys(pinned.private.Public()),
			}
		},
		"beside a faster source": func(remote, other *keyServer) []jwks.Source {
			return []jwks.Source{
				jwks.Remote(east, jwks.WithHTTPClient(remote.client())), jwks.Remote(west, jwks.WithHTTPClient(other.client())),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				remote, other := &keyServer{delay: 100 * time.Millisecond}, &keyServer{}
				remote.publish(old.jwk)
				other.publish(pinned.jwk)
				auth := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api",
					bearer.Keys(jwks.AnyOf(sources(remote, other)...))))
				wantAfter(t, auth, old, "", 100*time.Millisecond) // the first fetch
				wantAfter(t, auth, pinned, "", 0)
				wantAfter(t, auth, foreign, bearer.ReasonSignature, 0)

				<-time.After(8 * time.Hour)
				remote.publish(renewed.jwk)
				wantAfter(t, auth, pinned, "", 0)
				wantAfter(t, auth, renewed, "", 100*time.Millisecond)
				wantAfter(t, auth, old, bearer.ReasonSignature, 0)

				<-time.After(8 * time.Hour)
				remote.breaks(func() (int, string) { return http.StatusInternalServerError, "" })
				wantAfter(t, auth, pinned, "", 0)
				wantAfter(t, auth, renewed, "", 0)
				wantAfter(t, auth, foreign, bearer.ReasonSignature, 100*time.Millisecond)
				wantAfter(t, auth, foreign, bearer.ReasonSignature, 0)
			})
		})
	}
}

// A token whose key may be that of several sources waits for all of them together no longer than
// for one.
// Rules: key.sources.
func TestSlowSourcesMakeATokenWaitOnce(t *testing.T) {
	first, second, foreign := pairs()[0], pairs()[1], pairs()[7]
	for name, header := range map[string]c{
		"no key id": {}, "a certificate": {"x5t#S256": strings.Repeat("A", 43)},
	} {
		synctest.Test(t, func(t *testing.T) {
			east, west := &keyServer{delay: 4900 * time.Millisecond}, &keyServer{delay: 9 * time.Second}
			east.publish(first.jwk)
			west.publish(second.jwk)
			patience := jwks.WithFetchTimeout(time.Minute)
			auth := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
				jwks.Remote("https://east.example/keys", jwks.WithHTTPClient(east.client()), patience),
				jwks.Remote("https://west.example/keys", jwks.WithHTTPClient(west.client()), patience),
			))))
			claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
			began := time.Now()
			token := signedBy(merged(header, c{"alg": "ES256"}), claims, "ES256", foreign.private)
			cause := causeOfRefusal(t, auth, token, bearer.ReasonKeysUnavailable)
			if waited := time.Since(began); waited != 5*time.Second || !strings.Contains(cause, "still being fetched") {
				t.Errorf("%s: waited %s: %s", name, waited, cause)
			}
		})
	}
}

// A key of a file is looked for in the file as it is now, also where the token names a key id and
// all chosen keys have none.
// Rules: key.sources.
func TestPinnedKeysHideNoKeyOfAFile(t *testing.T) {
	pinned, old, renewed := pairs()[0], pairs()[1], pairs()[7]
	path := filepath.Join(t.TempDir(), "keys.pem")
	write := func(key pair) {
		t.Helper()
		der, err := x509.MarshalPKIXPublicKey(key.private.Public())
		if err != nil {
			t.Fatal(err)
		}
		content := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(old)
	synctest.Test(t, func(t *testing.T) {
		auth := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
			jwks.PublicKeys(pinned.private.Public()), jwks.File(path),
		))))
		wantReason(t, auth, tenantToken(contoso, "any", old), "")
		wantReason(t, auth, tenantToken(contoso, "any", pinned), "")
		write(renewed)
		<-time.After(time.Hour)
		wantReason(t, auth, tenantToken(contoso, "any", renewed), "")
		wantReason(t, auth, tenantToken(contoso, "any", pinned), "")
		wantReason(t, auth, tenantToken(contoso, "any", old), bearer.ReasonSignature)
	})
}

// Where a source has more keys than a token without a key id is tried with, the cause says so, also
// if another source has one that was tried.
// Rules: key.no-kid.
func TestTokenWithoutKeyIDIsNotCalledForgedForWantOfATry(t *testing.T) {
	pinned, one, two := pairs()[0], pairs()[1], pairs()[7]
	server := &keyServer{}
	server.publish(merged(one.jwk, c{"kid": "1"}), merged(two.jwk, c{"kid": "2"}))
	auth := mustNew(t, quiet(), bearer.WithIssuer(contoso, "api", bearer.Keys(jwks.AnyOf(
		jwks.PublicKeys(pinned.private.Public()), jwks.Remote("https://keys.test/", jwks.WithHTTPClient(server.client())),
	))))
	wantReason(t, auth, tenantToken(contoso, "1", one), "")
	sign := func(key pair) string {
		claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
		return signedBy(c{"alg": "ES256"}, claims, "ES256", key.private)
	}
	wantReason(t, auth, sign(pinned), "")
	cause := causeOfRefusal(t, auth, sign(one), bearer.ReasonUnknownKey)
	if !strings.Contains(cause, "it has no kid, and several keys are for its algorithm") {
		t.Error(cause)
	}
}
