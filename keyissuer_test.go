package bearer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

// Two tenants of Microsoft Entra ID, and the issuer of personal accounts. One key set has the keys
// of all.
const (
	contoso   = "https://login.microsoftonline.example/11111111-2222-4333-8444-555555555555/v2.0"
	fabrikam  = "https://login.microsoftonline.example/99999999-2222-4333-8444-555555555555/v2.0"
	personal  = "https://login.microsoftonline.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
	contosoV1 = "https://sts.windows.example/11111111-2222-4333-8444-555555555555/"

	// The member issuer of the keys for all organizations.
	anyTenant = "https://login.microsoftonline.example/{tenantid}/v2.0"

	commonSet = "https://login.microsoftonline.example/common/discovery/v2.0/keys"
	v1Set     = "https://login.microsoftonline.example/common/discovery/keys"
)

// boundJWK is a published key with this member issuer.
func boundJWK(key pair, kid string, issuer any) c {
	return merged(key.jwk, c{"kid": kid, "use": "sig", "issuer": issuer})
}

// withCommonSet trusts one issuer, whose keys are in the key set that the server publishes.
func withCommonSet(t *testing.T, iss string, server *keyServer) *bearer.Middleware {
	t.Helper()
	return mustNew(t, bearer.WithIssuer(iss, "api", bearer.JWKSURL(commonSet)),
		bearer.WithHTTPClient(server.client()), quiet())
}

// tenantToken is a token of an issuer, signed with a P-256 key.
func tenantToken(iss, kid string, key pair) string {
	claims := c{"iss": iss, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}
	return signedBy(c{"alg": "ES256", "typ": "JWT", "kid": kid}, claims, "ES256", key.private)
}

// The key set that all tenants share binds each key to issuers by its member issuer.
// Rules: key.issuer-member.
func TestKeyWithAnIssuerSignsForThatIssuerAlone(t *testing.T) {
	organizations, persons, unbound := pairs()[0], pairs()[1], pairs()[7]
	server := &keyServer{}
	server.publish(boundJWK(organizations, "org", anyTenant), boundJWK(persons, "msa", personal),
		merged(unbound.jwk, c{"kid": "v1"}))
	var last bearer.Event
	auth := mustNew(t,
		bearer.WithIssuer(contoso, "api", bearer.JWKSURL(commonSet)),
		bearer.WithIssuer(fabrikam, "api", bearer.JWKSURL(commonSet)),
		bearer.WithIssuer(contosoV1, "api", bearer.JWKSURL(v1Set)), // its keys have no member issuer
		bearer.WithHTTPClient(server.client()), quiet(), seen(&last))
	for range 2 { // the second time from the cache
		wantReason(t, auth, tenantToken(contoso, "org", organizations), "")
		wantReason(t, auth, tenantToken(fabrikam, "org", organizations), "")
		wantReason(t, auth, tenantToken(contosoV1, "v1", unbound), "")
	}
	for _, iss := range []string{contoso, fabrikam} {
		good := tenantToken(iss, "msa", persons)
		for name, token := range map[string]string{"signed": good, "forged": good[:len(good)-8] + "AAAAAAAA"} {
			wantReason(t, auth, token, bearer.ReasonUnknownKey) // so no signature was looked at
			if last.KeyID != "" || last.Cached {
				t.Errorf("%s, %s: event %+v", iss, name, last)
			}
		}
	}
	wantReason(t, auth, tenantToken(contosoV1, "org", organizations), bearer.ReasonUnknownKey)

	alone := withCommonSet(t, personal, server)
	wantReason(t, alone, tenantToken(personal, "msa", persons), "")
}

// The operator learns what the client must not learn: the key exists, for other issuers.
func TestKeyOfAnotherIssuerIsReportedToTheOperator(t *testing.T) {
	server := &keyServer{}
	server.publish(boundJWK(pairs()[1], "msa", personal))
	auth := withCommonSet(t, contoso, server)
	_, err := auth.Guard().Verify(t.Context(), tenantToken(contoso, "msa", pairs()[1]))
	if !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "names another issuer") {
		t.Errorf("%v", errors.Unwrap(err))
	}
	_, err = auth.Guard().Verify(t.Context(), tenantToken(contoso, "withdrawn", pairs()[1]))
	if !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "no published key has its kid") {
		t.Errorf("an unknown key: %v", errors.Unwrap(err))
	}
}

// A key id that is published for other issuers starts no search.
func TestKeyOfAnotherIssuerIsNotSearchedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		server.publish(boundJWK(pairs()[0], "org", anyTenant), boundJWK(pairs()[1], "msa", personal))
		auth := withCommonSet(t, contoso, server)
		wantReason(t, auth, tenantToken(contoso, "org", pairs()[0]), "")
		for i := range 100 {
			if i%10 == 0 {
				<-time.After(time.Second)
			}
			wantReason(t, auth, tenantToken(contoso, "msa", pairs()[1]), bearer.ReasonUnknownKey)
		}
		if n := server.count(); n != 1 {
			t.Errorf("%d fetches, want the first alone", n)
		}
	})
}

// Keys for other issuers are skipped, also under the token's key id.
func TestKeysOfOtherIssuersWithTheSameKeyIDArePassedOver(t *testing.T) {
	first, second := pairs()[0], pairs()[1]
	for name, test := range map[string]struct {
		keys          []c
		first, second bearer.Reason // for contoso's tokens that were signed with them
	}{
		"the other one first": {[]c{boundJWK(first, "k", personal), boundJWK(second, "k", contoso)}, bearer.ReasonSignature, ""},
		"its own first":       {[]c{boundJWK(first, "k", contoso), boundJWK(second, "k", personal)}, "", bearer.ReasonSignature},
		"both":                {[]c{boundJWK(first, "k", contoso), boundJWK(second, "k", anyTenant)}, "", ""},
		"one unbound":         {[]c{boundJWK(first, "k", personal), merged(second.jwk, c{"kid": "k"})}, bearer.ReasonSignature, ""},
		"none":                {[]c{boundJWK(first, "k", personal), boundJWK(second, "k", fabrikam)}, bearer.ReasonUnknownKey, bearer.ReasonUnknownKey},
		"the same key twice":  {[]c{boundJWK(first, "k", personal), boundJWK(first, "k", contoso)}, "", bearer.ReasonSignature},
		"broken, and its own": {[]c{boundJWK(first, "k", 7), boundJWK(second, "k", contoso)}, bearer.ReasonSignature, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := &keyServer{}
			server.publish(test.keys...)
			auth := withCommonSet(t, contoso, server)
			wantReason(t, auth, tenantToken(contoso, "k", first), test.first)
			wantReason(t, auth, tenantToken(contoso, "k", second), test.second)
		})
	}
}

// A change of a key's member issuer takes effect on the next request with a cached token.
// Rules: key.issuer-member.
func TestCachedTokenIsCheckedForTheIssuerOfItsKey(t *testing.T) {
	key := pairs()[0]
	for name, test := range map[string]struct {
		issuer any
		want   bearer.Reason
		cached bool
	}{
		"the same":        {anyTenant, "", true},
		"its own":         {contoso, "", false},
		"another":         {personal, bearer.ReasonUnknownKey, false},
		"another's kind":  {"https://sts.windows.example/{tenantid}/", bearer.ReasonUnknownKey, false},
		"not a string":    {[]string{contoso}, bearer.ReasonUnknownKey, false},
		"any placeholder": {"https://login.microsoftonline.example/{a}/{b}", bearer.ReasonUnknownKey, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, last := &keyServer{}, &bearer.Event{}
				server.publish(boundJWK(key, "k", anyTenant))
				source := jwks.Remote(commonSet,
					jwks.WithHTTPClient(server.client()), jwks.WithLifetime(10*time.Minute, 10*time.Minute))
				auth := mustNew(t, bearer.WithIssuer(contoso, "api", bearer.Keys(source)), quiet(), seen(last))
				token := tenantToken(contoso, "k", key)
				for _, cached := range []bool{false, true} {
					if wantReason(t, auth, token, ""); last.Cached != cached {
						t.Errorf("cached: %v", last.Cached)
					}
				}
				server.publish(boundJWK(key, "k", test.issuer))
				<-time.After(11 * time.Minute)
				for i := range 3 {
					wantReason(t, auth, token, test.want)
					if cached := test.want == "" && (test.cached || i > 0); last.Cached != cached {
						t.Errorf("request %d, cached: %v", i, last.Cached)
					}
				}
				server.publish(boundJWK(key, "k", anyTenant))
				<-time.After(11 * time.Minute)
				wantReason(t, auth, token, "")
			})
		})
	}
}

// Keys for other issuers take no place from this issuer's keys: neither many keys under its key id,
// nor one key when the token names no key id.
func TestKeysOfOtherIssuersDoNotCountAsCandidates(t *testing.T) {
	own, other := pairs()[0], pairs()[1]
	var crowd []c
	for _, iss := range []string{fabrikam, personal, contosoV1, "https://a.example", "https://b.example"} {
		crowd = append(crowd, boundJWK(other, "k", iss))
	}
	unnamed := func(key pair, iss string) c { return merged(key.jwk, c{"issuer": iss}) }
	for name, test := range map[string]struct {
		keys []c
		kid  any
	}{
		"many of one key id": {append(crowd, boundJWK(own, "k", contoso)), "k"},
		"without a key id": {
			[]c{unnamed(other, fabrikam), unnamed(own, anyTenant), unnamed(other, personal)}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, last := &keyServer{}, &bearer.Event{}
			server.publish(test.keys...)
			auth := mustNew(t, bearer.WithIssuer(contoso, "api", bearer.JWKSURL(commonSet)),
				bearer.WithHTTPClient(server.client()), quiet(), seen(last))
			signed := func(key pair) string {
				claims := c{"iss": contoso, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
				header := c{"alg": "ES256", "typ": "JWT"}
				if test.kid != nil {
					header["kid"] = test.kid
				}
				return signedBy(header, claims, "ES256", key.private)
			}
			token := signed(own)
			for _, cached := range []bool{false, true} {
				if wantReason(t, auth, token, ""); last.Cached != cached {
					t.Errorf("cached: %v", last.Cached)
				}
			}
			wantReason(t, auth, signed(other), bearer.ReasonSignature)
		})
	}
}
