package bearertest

import (
	"net/http"

	"github.com/bearer-go/bearer"
)

// rule is one rule of a guard and the ways to break it.
type rule struct {
	name     string // its id in docs/rules.md
	want     answer // to its variants, unless they say otherwise
	variants []variant
}

// variant is one way to break a rule: a token that is forged, or a good one that is put elsewhere.
type variant struct {
	name  string
	forge func(k *kit) string                 // the token; "" when the issuer's keys do not allow it; nil for a good one
	put   func(r *http.Request, token string) // how it is sent; nil for in the header
	want  answer                              // zero: the rule's
	from  bearer.TokenLocation                // the place that put puts it into, if a handler may take tokens from there

	// stray is for requests that are not the route's own, and so may be answered by something else.
	// It reports whether the answer is that of the protected handler.
	stray func(got *response) bool
}

// The ids of the rules, as docs/rules.md has them.
const (
	ruleSingleCredential = "request.single-credential"
	ruleSize             = "jws.size"
	ruleCompact          = "jws.compact"
	ruleOneSpelling      = "jws.one-spelling"
	ruleHeader           = "jws.header"
	ruleCrit             = "jws.crit"
	ruleEmbeddedKeys     = "jws.embedded-keys"
	ruleIssuer           = "claims.iss"
	ruleAlgorithm        = "jws.alg-allowed"
	ruleType             = "jws.typ-allowed"
	ruleAccessToken      = "claims.access-token"
	ruleKeyID            = "key.kid"
	ruleSignature        = "jws.signature"
	ruleClaims           = "claims.json"
	ruleClaimTypes       = "claims.types"
	ruleExpiry           = "claims.exp"
	ruleNotBefore        = "claims.nbf"
	ruleIssuedAt         = "claims.iat"
	ruleAudience         = "claims.aud"
	ruleConfirmation     = "claims.cnf"
	ruleScope            = "route.scope"

	ruleForeignIssuer = "service.foreign-issuer"
	ruleMethods       = "service.methods"
	ruleHeaders       = "service.headers"
	rulePaths         = "service.paths"
	ruleTokenEnd      = "service.token-end"
	rulePartnerKeys   = "service.partner-keys"
	ruleSubject       = "service.subject"
	ruleNoKeys        = "service.no-keys"
)

func rules() []rule {
	return []rule{
		{ruleSingleCredential, badRequest, credentialVariants},
		{ruleSize, invalidToken, sizeVariants},
		{ruleCompact, invalidToken, shapeVariants},
		{ruleOneSpelling, invalidToken, spellingVariants},
		{ruleHeader, invalidToken, headerVariants},
		{ruleCrit, invalidToken, extensionVariants},
		{ruleEmbeddedKeys, invalidToken, embeddedKeyVariants},
		{ruleIssuer, invalidToken, issuerVariants},
		{ruleAlgorithm, invalidToken, algorithmVariants},
		{ruleType, invalidToken, typeVariants},
		{ruleAccessToken, invalidToken, otherTokenVariants},
		{ruleKeyID, invalidToken, keyVariants},
		{ruleSignature, invalidToken, signatureVariants},
		{ruleClaims, invalidToken, claimsVariants},
		{ruleClaimTypes, invalidToken, claimTypeVariants},
		{ruleExpiry, invalidToken, expiryVariants},
		{ruleNotBefore, invalidToken, notBeforeVariants},
		{ruleIssuedAt, invalidToken, issuedAtVariants},
		{ruleAudience, invalidToken, audienceVariants},
		{ruleConfirmation, invalidToken, confirmationVariants},
		{ruleScope, insufficientScope, scopeVariants},
	}
}
