package bearer

import (
	"context"
	"net/http"
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
	audienceFunc  optional.Value[func(*http.Request) string]
	template      optional.Value[templateConfig]
	jwksURL       optional.Value[string]
	metadataURL   optional.Value[string]
	source        optional.Value[jwks.Source]
	secrets       optional.Value[[][]byte] // of HMACSecret
	secretsBeside optional.Value[[][]byte] // of HMACSecretBesideKeys
	algorithms    optional.Value[[]string]
	types         optional.Value[[]string]
	rfc9068       optional.Value[struct{}]
	leeway        optional.Value[time.Duration]
	maxLifetime   optional.Value[time.Duration]
	clientIDClaim optional.Value[[]string]
	scopeClaim    optional.Value[[]string]
	rolesClaim    optional.Value[[]string]
	anyClaim      optional.Value[[]string]

	rolesFromMembers       optional.Value[struct{}]
	rolesSeparatedBySpaces optional.Value[struct{}]

	anyAudience        optional.Value[struct{}]
	insecureHTTP       optional.Value[struct{}]
	withoutExpiry      optional.Value[struct{}]
	ignoreConfirmation optional.Value[struct{}]
	withoutIssuer      optional.Value[struct{}]
	idTokens           optional.Value[struct{}]
}

// templateConfig is what [IssuerTemplate] says.
type templateConfig struct {
	claim  string
	accept func(ctx context.Context, value string) error
}

// describeIssuer records what was said of an issuer.
func describeIssuer(name, audience string, opts []IssuerOption) *issuerConfig {
	iss := &issuerConfig{name: name, audience: audience}
	for i, opt := range opts {
		if opt == nil {
			iss.nils = append(iss.nils, i+1)
			continue
		}
		opt(iss)
	}
	return iss
}

// IssuerTemplate makes the name given to [WithIssuer] that of a family of issuers, which share
// their keys and differ in one segment of the path, such as the tenants of Microsoft Entra ID:
//
//	bearer.WithIssuer("https://login.microsoftonline.com/{tenantid}/v2.0", "api://orders",
//		bearer.IssuerTemplate("tid", isCustomer),
//		bearer.MetadataURL("https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"))
//
// The name has one placeholder in braces, which is a whole segment of the path and never in the
// host. It stands for 1 to 64 letters, digits and the characters "-", "." and "_", and not for "."
// or "..". The claim named here must be a string that equals its value, so that the tenant's own
// claim cannot say anything else. A dot in the path of the claim steps into a nested object.
//
// Anyone can become a tenant of such a service, and its keys sign for all of them. So accept
// decides which values are trusted, and has no default. It runs on every request, cached or not, on
// each pass of a nested guard, and under [Guard.Verify], after the token was verified and with the
// request's context. So it should answer from memory. nil accepts. An error that matches
// [ErrUnavailable] is 503, and any other is 401 with [ReasonUnknownIssuer]. The text of the error
// is for the log and is never sent.
//
// The keys come from [MetadataURL], [JWKSURL] or [Keys], since a template has no discovery of its
// own. The document at MetadataURL must name the template as its issuer, to the character. A key
// whose member issuer does not fit the token's own iss is not used. [Claims.Issuer] is the token's
// own iss, and [Event.Issuer] and [KeyStats.Issuer] are the name with the placeholder.
//
// An issuer that has a [WithIssuer] of its own is judged by that alone. Two templates that an iss
// could both fit are a mistake.
func IssuerTemplate(claim string, accept func(ctx context.Context, value string) error) IssuerOption {
	return func(iss *issuerConfig) { iss.template.Set(templateConfig{claim, accept}) }
}

// AudienceFunc has a function of the request say which audience a token must name, for services
// with one host or path for each tenant. The audience given to [WithIssuer] is then "", and neither
// [Audiences] nor [InsecureAnyAudience] can be given. Default: the audience of WithIssuer.
//
// The function runs on every request with a token of the issuer, on every route, cached or not, and
// on each pass of a nested guard, with the request as that guard gets it. It must not change the
// request. The token must name exactly what it returns in the audience claim. "" refuses the
// request: it has no audience. [Guard.Verify] refuses every token of the issuer, since there is no
// request.
//
// Host, X-Forwarded-Host and the path are the client's words. A function that returns a part of
// them as it stands lets the client choose the audience, and with it accepts a token that was meant
// for any service. Look the value up in the list of your own hosts, and return "" for any other.
func AudienceFunc(f func(r *http.Request) string) IssuerOption {
	return func(iss *issuerConfig) { iss.audienceFunc.Set(f) }
}

// Audiences accepts further audiences beside the one given to [WithIssuer]. It may be repeated.
func Audiences(audiences ...string) IssuerOption {
	audiences = slices.Clone(audiences)
	return func(iss *issuerConfig) { iss.audiences = append(iss.audiences, audiences) }
}

// AudienceClaim names the claim that holds the audience, for issuers whose access tokens carry no
// aud: "client_id" for Amazon Cognito. Default: "aud". The claim is a string or an array of
// strings. A token that has an aud as well must name one of this service's audiences there too (RFC
// 7519 section 4.1.3); an empty array counts as no aud.
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
// RS512, PS256 to PS512, ES256 to ES512, EdDSA, and under [HMACSecret] and [HMACSecretBesideKeys]
// HS256 to HS512. Default: RS256, PS256, ES256, ES384, ES512 and EdDSA; under HMACSecret HS256
// alone; under HMACSecretBesideKeys all of these. "none" is not among them. Narrow the list to what
// the issuer uses.
func Algorithms(names ...string) IssuerOption {
	names = slices.Clone(names)
	return func(iss *issuerConfig) { iss.algorithms.Set(names) }
}

// TokenTypes lists the values of the header's typ that are accepted, compared ASCII
// case-insensitively. "application/" may be left out, in the list as in a token, where no other
// slash follows (RFC 7515 section 4.1.9): "application/at+jwt" is "at+jwt", and "text/at+jwt" is a
// type of its own. A token without typ counts as JWT (RFC 7519 section 5.1). Default: at+jwt and
// JWT. For an issuer that marks its access tokens, use TokenTypes("at+jwt") or [RFC9068].
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

// ClientIDClaim names the claims that hold the OAuth client's id, for [Claims.ClientID]: "cid" for
// Okta, "appid" for Microsoft Entra ID in version 1. The first that is there and not empty counts.
// Default: client_id, and azp if there is none. A claim that is named here is a string, or the
// token is refused. No name and an empty one are errors.
func ClientIDClaim(names ...string) IssuerOption {
	names = slices.Clone(names)
	return func(iss *issuerConfig) { iss.clientIDClaim.Set(names) }
}

// ScopeClaim names the claims that hold the scopes, whose values are merged, instead of the
// default: scope and scp. Each is a string of scopes separated by spaces, or an array of strings. A
// dot steps into a nested object unless a member has the whole name. No path and an empty one are
// errors.
func ScopeClaim(paths ...string) IssuerOption {
	paths = slices.Clone(paths)
	return func(iss *issuerConfig) { iss.scopeClaim.Set(paths) }
}

// RolesClaim names the claims that hold the roles, whose values are merged: each an array of
// strings, or one string. Default: "roles". A dot steps into a nested object unless a member has
// the whole name: "realm_access.roles" for Keycloak, "https://example.com/roles" for a namespaced
// claim. No path and an empty one are errors. See [RolesFromMembers] and [RolesSeparatedBySpaces]
// for other shapes.
func RolesClaim(paths ...string) IssuerOption {
	paths = slices.Clone(paths)
	return func(iss *issuerConfig) { iss.rolesClaim.Set(paths) }
}

// RolesFromMembers takes the names of an object's members as roles where a roles claim is an
// object, as Zitadel writes it: {"admin":{"168":"acme.example"}} has the role admin. A member that
// is false or null gives none; any other value is not looked at. Default: an object has no roles.
func RolesFromMembers() IssuerOption {
	return func(iss *issuerConfig) { iss.rolesFromMembers.Set(struct{}{}) }
}

// RolesSeparatedBySpaces takes the words of a string as roles where a roles claim is a string. They
// are separated by U+0020 alone, as scopes are. The elements of an array stay whole. Default: a
// string is one role.
func RolesSeparatedBySpaces() IssuerOption {
	return func(iss *issuerConfig) { iss.rolesSeparatedBySpaces.Set(struct{}{}) }
}

// AnyClaimPresent refuses tokens that have none of these claims, with the reason
// not_an_access_token. It is for issuers whose ID tokens carry no mark (RFC 8725 section 2.8): name
// what every access token has and no ID token, such as "scp" and "roles" for Microsoft Entra ID. A
// claim that is null counts as absent; any other value is not looked at. Names are compared
// case-exactly, and a dot is part of the name. Default: none has to be present. No name and an
// empty one are errors.
func AnyClaimPresent(names ...string) IssuerOption {
	names = slices.Clone(names)
	return func(iss *issuerConfig) { iss.anyClaim.Set(names) }
}

// HMACSecret verifies tokens with a secret shared with the issuer, at least as long as the hash: 32
// bytes for HS256 (RFC 7518 section 3.2). While the secret is replaced, give the new one and the
// old one, up to 4; each token is tried with all of them. A service that can verify such tokens can
// also make them, so prefer public keys. It excludes every other source of keys and every other
// kind of algorithm. Default: none; tokens signed with HMAC are refused. The secrets are copied at
// once. No secret, an empty one, the same one twice and a key in PEM are errors.
func HMACSecret(secrets ...[]byte) IssuerOption {
	secrets = cloneAll(secrets)
	return func(iss *issuerConfig) { iss.secrets.Set(secrets) }
}

// HMACSecretBesideKeys is [HMACSecret] for an issuer that moves from a secret to keys, as Supabase
// does, for as long as its old tokens live: the secrets verify HS256 to HS512 alone, and the keys
// everything else. A public key is never used as a secret. [Algorithms] then lists algorithms of
// both kinds. Default: those of an issuer with keys, and HS256. It excludes HMACSecret. Drop the
// option when the last of the old tokens has expired: until then, anyone with the secret can
// make tokens.
func HMACSecretBesideKeys(secrets ...[]byte) IssuerOption {
	secrets = cloneAll(secrets)
	return func(iss *issuerConfig) { iss.secretsBeside.Set(secrets) }
}

func cloneAll(secrets [][]byte) [][]byte {
	own := make([][]byte, len(secrets))
	for i, secret := range secrets {
		own[i] = slices.Clone(secret)
	}
	return own
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

// InsecureNoIssuer accepts tokens without a member iss as this issuer's, as SPIRE and PingFederate
// can make them, if this issuer's keys verify them. One issuer of a Middleware can have it. A token
// with an iss goes by that, as ever: with "", null or another value it never counts as this
// issuer's. RFC 8725 section 3.8 asks for the check, because an issuer's keys may sign for others.
// It contradicts [RFC9068], which requires iss.
func InsecureNoIssuer() IssuerOption {
	return func(iss *issuerConfig) { iss.withoutIssuer.Set(struct{}{}) }
}

// InsecureIDTokens accepts what the marks of ID tokens show: at_hash, c_hash, s_hash, token_use
// "id" and Keycloak's typ "ID". It is for issuers whose access tokens have these marks, such as
// Dex, and for clients that send ID tokens on purpose. An ID token tells a client who logged in; a
// party that gets one can then use it here, if its audience is this service's (RFC 8725 section
// 2.8). Logout tokens, security events and refresh tokens stay refused. It contradicts [RFC9068].
func InsecureIDTokens() IssuerOption {
	return func(iss *issuerConfig) { iss.idTokens.Set(struct{}{}) }
}
