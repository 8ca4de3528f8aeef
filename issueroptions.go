package bearer

import (
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/jwks"
)

// An IssuerOption configures how the tokens of one issuer are judged; see [WithIssuer].
type IssuerOption func(*issuerConfig)

// issuerConfig is what [WithIssuer] and its options say.
type issuerConfig struct {
	name, audience string
	nils           []int // the positions of options that are nil

	audiences     [][]string // one list for each use
	audienceClaim optional.Value[string]
	jwksURL       optional.Value[string]
	metadataURL   optional.Value[string]
	source        optional.Value[jwks.Source]
	secret        optional.Value[[]byte]
	algorithms    optional.Value[[]string]
	types         optional.Value[[]string]
	rfc9068       optional.Value[struct{}]
	leeway        optional.Value[time.Duration]
	maxLifetime   optional.Value[time.Duration]
	scopeClaim    optional.Value[string]
	rolesClaim    optional.Value[string]

	anyAudience        optional.Value[struct{}]
	insecureHTTP       optional.Value[struct{}]
	withoutExpiry      optional.Value[struct{}]
	ignoreConfirmation optional.Value[struct{}]
}

// Audiences accepts further audiences beside the one given to [WithIssuer]. It may be repeated.
func Audiences(audiences ...string) IssuerOption {
	audiences = slices.Clone(audiences)
	return func(iss *issuerConfig) { iss.audiences = append(iss.audiences, audiences) }
}

// AudienceClaim names the claim that holds the audience, for issuers whose access tokens carry no
// aud: "client_id" for Amazon Cognito. Default: "aud". The claim is a string or an array of
// strings. A token that has an aud as well must name one of this service's audiences there too (RFC
// 7519 section 4.1.3).
func AudienceClaim(name string) IssuerOption {
	return func(iss *issuerConfig) { iss.audienceClaim.Set(name) }
}

// JWKSURL is the URL of the issuer's JWK Set, for issuers without discovery or to save the
// discovery. Default: discovery. The set may be that of several issuers, as Microsoft Entra ID has
// it. A key whose member issuer does not fit this issuer is not used ([jwks.Key.SignsFor]).
func JWKSURL(rawURL string) IssuerOption {
	return func(iss *issuerConfig) { iss.jwksURL.Set(rawURL) }
}

// MetadataURL is where the issuer's metadata is, for an issuer that publishes it elsewhere than
// OpenID Connect Discovery section 4 and RFC 8414 section 3 say, such as Azure AD B2C. Default: the
// places that follow from the issuer. No other place is asked then. It must be an https URL,
// without user name and fragment; an empty one is an error. The document must name the issuer as
// given to [WithIssuer], to the character. That may then be any text that the tokens have as iss.
func MetadataURL(rawURL string) IssuerOption {
	return func(iss *issuerConfig) { iss.metadataURL.Set(rawURL) }
}

// Keys says where the issuer's keys come from, when neither discovery nor [JWKSURL] will do:
// [jwks.PEM], [jwks.Static], [jwks.PublicKeys], [jwks.File], [jwks.Remote] and [jwks.Discover] with
// options of their own, or several of them with [jwks.AnyOf]. The Middleware makes a key set of its
// own from the source and closes it.
func Keys(source jwks.Source) IssuerOption {
	return func(iss *issuerConfig) { iss.source.Set(source) }
}

// Algorithms lists the signature algorithms that are accepted, by their registered names: RS256 to
// RS512, PS256 to PS512, ES256 to ES512, EdDSA, and under [HMACSecret] HS256 to HS512. Default:
// RS256, PS256, ES256 and EdDSA, and under HMACSecret HS256. "none" is not among them. Narrow the
// list to what the issuer uses.
func Algorithms(names ...string) IssuerOption {
	names = slices.Clone(names)
	return func(iss *issuerConfig) { iss.algorithms.Set(names) }
}

// TokenTypes lists the values of the header's typ that are accepted (RFC 7515 section 4.1.9),
// compared ASCII case-insensitively and without "application/". A token without typ counts as JWT
// (RFC 7519 section 5.1). Default: at+jwt and JWT. For an issuer that marks its access tokens, use
// TokenTypes("at+jwt") or [RFC9068].
func TokenTypes(types ...string) IssuerOption {
	types = slices.Clone(types)
	return func(iss *issuerConfig) { iss.types.Set(types) }
}

// RFC9068 requires the profile of RFC 9068: type at+jwt alone, and the claims iss, exp, aud, sub,
// client_id, iat and jti. Default: off, because many issuers do not follow it.
func RFC9068() IssuerOption {
	return func(iss *issuerConfig) { iss.rfc9068.Set(struct{}{}) }
}

// Leeway is how far the clocks of issuer and service may differ when exp, nbf and iat are checked.
// Default: 30 seconds. Zero means none, and more than 5 minutes is an error.
func Leeway(d time.Duration) IssuerOption {
	return func(iss *issuerConfig) { iss.leeway.Set(d) }
}

// MaxLifetime refuses tokens whose exp is more than d after their iat, and tokens without iat.
// Default: no limit. Zero and less are errors.
func MaxLifetime(d time.Duration) IssuerOption {
	return func(iss *issuerConfig) { iss.maxLifetime.Set(d) }
}

// ScopeClaim names the claim that holds the scopes, instead of the default: scope and scp together.
// It is a string of scopes separated by spaces, or an array of strings. A dot steps into a nested
// object unless a member has the whole name.
func ScopeClaim(path string) IssuerOption {
	return func(iss *issuerConfig) { iss.scopeClaim.Set(path) }
}

// RolesClaim names the claim that holds the roles: an array of strings, or one string. Default:
// "roles". A dot steps into a nested object unless a member has the whole name:
// "realm_access.roles" for Keycloak, "https://example.com/roles" for a namespaced claim.
func RolesClaim(path string) IssuerOption {
	return func(iss *issuerConfig) { iss.rolesClaim.Set(path) }
}

// HMACSecret verifies tokens with a secret shared with the issuer, at least as long as the hash: 32
// bytes for HS256 (RFC 7518 section 3.2). A service that can verify such tokens can also make them,
// so prefer public keys. It excludes every other source of keys and every other kind of algorithm.
// Default: none; tokens signed with HMAC are refused. The secret is copied at once.
func HMACSecret(secret []byte) IssuerOption {
	secret = slices.Clone(secret)
	return func(iss *issuerConfig) { iss.secret.Set(secret) }
}

// InsecureAnyAudience accepts tokens meant for any service, so that each service that has a token
// can replay it at every other (RFC 8725 section 3.9). The audience given to [WithIssuer] must then
// be "".
func InsecureAnyAudience() IssuerOption {
	return func(iss *issuerConfig) { iss.anyAudience.Set(struct{}{}) }
}

// InsecureHTTP allows http for discovery and keys off loopback. An attacker on the network can then
// replace the keys.
func InsecureHTTP() IssuerOption {
	return func(iss *issuerConfig) { iss.insecureHTTP.Set(struct{}{}) }
}

// InsecureNoExpiry accepts tokens without exp, which are valid until their key is withdrawn. An exp
// that is present is checked.
func InsecureNoExpiry() IssuerOption {
	return func(iss *issuerConfig) { iss.withoutExpiry.Set(struct{}{}) }
}

// InsecureIgnoreConfirmation accepts tokens bound to a client's key (cnf, RFC 7800) as if they were
// plain bearer tokens: a stolen one works for the thief.
func InsecureIgnoreConfirmation() IssuerOption {
	return func(iss *issuerConfig) { iss.ignoreConfirmation.Set(struct{}{}) }
}
