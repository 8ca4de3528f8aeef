package bearer_test

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
)

// Each token that an RFC prints goes through the steps up to the signature, and through the whole
// pipeline.
func TestRFCTokensGetTheirAnswers(t *testing.T) {
	examples := readRFCExamples(t)
	const expired = bearer.ReasonExpired
	expectations := map[string]struct {
		algorithm string
		jws       bearer.Reason // up to the signature
		before    bearer.Reason // the whole, before 2011
		now       bearer.Reason // the whole, by the real clock
	}{
		"rfc7515-a1": {"HS256", "", "", expired},
		"rfc7515-a2": {"RS256", "", "", expired},
		"rfc7515-a3": {"ES256", "", "", expired},
		// Good signatures over what is no claims set.
		"rfc7515-a4": {"ES512", "", bearer.ReasonMalformedClaims, bearer.ReasonMalformedClaims},
		"rfc8037-a4": {"EdDSA", "", bearer.ReasonMalformedClaims, bearer.ReasonMalformedClaims},
		// Without a signature nothing else is looked at.
		"rfc7515-a5":   {"RS256", bearer.ReasonMalformedToken, bearer.ReasonMalformedToken, bearer.ReasonMalformedToken},
		"rfc7515-appE": {"RS256", bearer.ReasonMalformedToken, bearer.ReasonMalformedToken, bearer.ReasonMalformedToken},
		// A proof is no token (RFC 9449 section 4.2), and it has no issuer.
		"rfc9449-token":    {"ES256", bearer.ReasonType, bearer.ReasonMissingClaim, bearer.ReasonMissingClaim},
		"rfc9449-refresh":  {"ES256", bearer.ReasonType, bearer.ReasonMissingClaim, bearer.ReasonMissingClaim},
		"rfc9449-resource": {"ES256", bearer.ReasonType, bearer.ReasonMissingClaim, bearer.ReasonMissingClaim},
	}
	for _, example := range examples.JWS {
		t.Run(example.ID, func(t *testing.T) {
			want, ok := expectations[example.ID]
			if !ok {
				t.Fatal("nothing is expected of this example")
			}
			group := vectorGroup{Public: example.JWK}
			if string(example.JWK) == "null" { // unsecured: any key will do
				group.Public = examples.JWS[1].JWK
			}
			key := group.options(t, example.Token)[0] // the rest is the algorithm, of which these keys say nothing
			opts := []bearer.IssuerOption{key, bearer.Algorithms(want.algorithm), bearer.InsecureAnyAudience()}
			auth := mustNew(t, bearer.WithIssuer("joe", "", opts...))

			if got := reasonOf(t, auth.VerifySignature(t.Context(), "joe", example.Token)); got != want.jws {
				t.Errorf("up to the signature: reason %q, want %q", got, want.jws)
			}
			wantReason(t, auth, example.Token, want.now)
			synctest.Test(t, func(t *testing.T) { wantReason(t, auth, example.Token, want.before) })
		})
	}
}

// RFC 7515 appendices A.1 to A.3 sign the claims of RFC 7519 section 3.1.
func TestRFC7519ClaimsAreAccepted(t *testing.T) {
	example := readRFCExamples(t).JWS[0]
	synctest.Test(t, func(t *testing.T) {
		opts := append(vectorGroup{Public: example.JWK}.options(t, example.Token), bearer.InsecureAnyAudience())
		claims, err := mustNew(t, bearer.WithIssuer("joe", "", opts...)).Guard().Verify(t.Context(), example.Token)
		if err != nil {
			t.Fatal(err)
		}
		var custom struct {
			Root bool `json:"http://example.com/is_root"`
		}
		if err := claims.Decode(&custom); err != nil {
			t.Fatal(err)
		}
		if claims.Issuer() != "joe" || claims.Expiry().Unix() != 1300819380 || !custom.Root || claims.Algorithm() != "HS256" {
			t.Errorf("issuer %q, expiry %v, root %v, algorithm %q", claims.Issuer(), claims.Expiry(), custom.Root, claims.Algorithm())
		}
	})
}

// The unsecured examples fail by their shape. With a signature added, the algorithm and the
// extension are refused.
func TestRFCUnsecuredHeadersAreRefusedWithASignature(t *testing.T) {
	auth := mustNew(t, bearer.WithIssuer("joe", aud, bearer.HMACSecret(bytes.Repeat([]byte("k"), 32))))
	for id, want := range map[string]bearer.Reason{
		"rfc7515-a5":   bearer.ReasonAlgorithm,
		"rfc7515-appE": bearer.ReasonUnsupportedHeader,
	} {
		found := false
		for _, example := range readRFCExamples(t).JWS {
			if example.ID == id {
				found = true
				wantReason(t, auth, example.Token+"AAAA", want)
			}
		}
		if !found {
			t.Errorf("no example %s", id)
		}
	}
}

// with returns a copy of claims with one more, or with one less when the value is nil.
func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return claims
}

// RFC 9068 section 3 prints the claims set and the header of an access token, with typ as at+JWT, in mixed case.
func TestRFC9068ExampleIsAccepted(t *testing.T) {
	example := readRFCExamples(t).RFC9068
	s := newRFCSigner(t, "RjEwOwOA")
	const issuer, resource, issued, expires = "https://authorization-server.example.com/", "https://rs.example.com/", 1618354090, 1639528912
	token := s.sign(t, example.Header, example.Claims)
	synctest.Test(t, func(t *testing.T) {
		auth := mustNew(t, bearer.WithIssuer(issuer, resource, bearer.RFC9068(), bearer.Leeway(0), s.source()))
		wantReason(t, auth, token, bearer.ReasonIssuedInFuture)
		advanceTo(issued)
		wantReason(t, auth, token, "", bearer.Scopes("openid", "profile", "reademail"))
		advanceTo(expires - 1)
		wantReason(t, auth, token, "")

		claims, err := auth.Guard().Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(claims.Issuer(), claims.Subject(), claims.Audience(), claims.ClientID(), claims.ID(), claims.Scopes(), claims.KeyID())
		want := fmt.Sprint(issuer, "5ba552d67", []string{resource}, "s6BhdRkqt3", "dbe39bf3a3ba4238a513f51d6e1691c4",
			[]string{"openid", "profile", "reademail"}, "RjEwOwOA")
		if got != want {
			t.Errorf("claims %s\nwant   %s", got, want)
		}

		for _, name := range []string{"exp", "aud", "sub", "client_id", "iat", "jti"} { // section 2.2, all required
			wantReason(t, auth, s.sign(t, example.Header, with(example.Claims, name, nil)), bearer.ReasonMissingClaim)
		}
		wantReason(t, auth, s.sign(t, with(example.Header, "typ", "JWT"), example.Claims), bearer.ReasonType)
		wantReason(t, auth, s.sign(t, with(example.Header, "typ", "dpop+jwt"), example.Claims), bearer.ReasonType)

		advanceTo(expires)
		wantReason(t, auth, token, bearer.ReasonExpired)
	})
}

// Tokens bound to a key (RFC 9449 section 6.1) or to a certificate (RFC 8705 section 3.1) are not
// bearer tokens.
func TestRFCBoundTokensAreRefused(t *testing.T) {
	examples := readRFCExamples(t)
	s := newRFCSigner(t, "k")
	header := map[string]any{"alg": "RS256", "kid": "k", "typ": "at+jwt"}
	const issuer, notBefore, expires = "https://server.example.com", 1562262611, 1562266216
	if len(examples.MTLS.CNF) == 0 || examples.RFC9449.Claims["cnf"] == nil {
		t.Fatal("the examples have no cnf")
	}
	bound := map[string]string{
		"RFC 9449": s.sign(t, header, examples.RFC9449.Claims),
		"RFC 8705": s.sign(t, header, with(examples.RFC9449.Claims, "cnf", examples.MTLS.CNF)),
	}
	plain := s.sign(t, header, with(examples.RFC9449.Claims, "cnf", nil))
	synctest.Test(t, func(t *testing.T) {
		opts := []bearer.IssuerOption{bearer.InsecureAnyAudience(), bearer.Leeway(0), s.source()}
		auth := mustNew(t, bearer.WithIssuer(issuer, "", opts...))
		ignoring := mustNew(t, bearer.WithIssuer(issuer, "", append(opts, bearer.InsecureIgnoreConfirmation())...))
		wantReason(t, auth, plain, bearer.ReasonNotYetValid)
		advanceTo(notBefore)
		wantReason(t, auth, plain, "")
		for name, token := range bound {
			t.Log(name)
			wantReason(t, auth, token, bearer.ReasonSenderConstrained)
			wantReason(t, ignoring, token, "")
		}
		advanceTo(expires)
		wantReason(t, auth, plain, bearer.ReasonExpired)
	})
}

// In each situation for which an RFC prints a challenge, ours has the same parameters.
func TestRFCChallengesHaveTheSameParameters(t *testing.T) {
	s := newRFCSigner(t, "k")
	tuple := bearer.WithIssuer(iss, aud, s.source())
	token := func(name string, value any) string {
		claims := map[string]any{"iss": iss, "aud": aud, "sub": "alice", "exp": time.Now().Unix() + 60}
		return s.sign(t, map[string]any{"alg": "RS256", "kid": "k"}, with(claims, name, value))
	}
	realm := bearer.WithRealm("example")
	metadata := bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://resource.example.com"})
	tests := []struct {
		ref, when     string
		opts          []bearer.Option
		authorization string
		reqs          []bearer.RouteOption
		differs       map[string]string // parameter: our value instead of the RFC's; "-" for none
	}{
		{ref: "RFC 6750 §3", when: "no credentials", opts: []bearer.Option{realm}},
		{
			ref: "RFC 6750 §3", when: "expired token", opts: []bearer.Option{realm},
			authorization: "Bearer " + token("exp", time.Now().Unix()-3600),
		},
		{
			ref: "RFC 6750 §3.1", when: "insufficient scope", opts: []bearer.Option{realm},
			authorization: "Bearer " + token("scope", "b"), reqs: []bearer.RouteOption{bearer.Scopes("a", "b")},
			// The RFC leaves out the scopes, and its optional description.
			differs: map[string]string{"scope": "a b", "error_description": "The access token lacks a required scope"},
		},
		{
			ref: "RFC 6750 §3.1", when: "malformed request", opts: []bearer.Option{realm},
			authorization: "Bearer",
			differs:       map[string]string{"error_description": "The credential is malformed"},
		},
		{
			// The scheme is Bearer, which has no algs: this service takes no proofs.
			ref: "RFC 9449 §7.1", when: "no credentials, DPoP", authorization: "DPoP " + token("x", 1),
			differs: map[string]string{"algs": "-"},
		},
		{
			ref: "RFC 9449 §7.1", when: "bad key binding", authorization: "Bearer " + token("cnf", map[string]any{"jkt": "x"}),
			differs: map[string]string{"algs": "-", "error_description": "The access token is bound to a key that was not proven"},
		},
		{
			ref: "RFC 9470 §3", when: "step-up", authorization: "Bearer " + token("acr", "other"),
			reqs: []bearer.RouteOption{bearer.ACR("myACR")},
		},
		{ref: "RFC 9728 §5.1", when: "resource metadata", opts: []bearer.Option{metadata}},
	}
	examples := readRFCExamples(t).Challenges
	for i, tt := range tests {
		t.Run(tt.when, func(t *testing.T) {
			example := examples[i]
			if example.Ref != tt.ref || example.When != tt.when {
				t.Fatalf("the example is %s, %s", example.Ref, example.When)
			}
			w, _ := serve(t, mustNew(t, append(tt.opts, tuple)...), get(tt.authorization), tt.reqs...)
			_, want := challengeParams(t, example.Value)
			for name, value := range tt.differs {
				if want[name] = value; value == "-" {
					delete(want, name)
				}
			}
			scheme, got := challengeParams(t, w.Header().Get("WWW-Authenticate"))
			if scheme != "Bearer" || !maps.Equal(got, want) || w.Code != example.Status {
				t.Errorf("%d %s %q\nwant %d Bearer %q", w.Code, scheme, got, example.Status, want)
			}
		})
	}
	if len(tests) != len(examples) {
		t.Errorf("%d situations for %d examples", len(tests), len(examples))
	}
}
