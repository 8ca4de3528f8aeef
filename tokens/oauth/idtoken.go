package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
)

// idTokenLeeway is how far the clocks of server and client may differ when the times of an ID token
// are checked.
const idTokenLeeway = 30 * time.Second

// ErrIDToken means that an ID token is missing or breaks a rule of OpenID Connect: who logged in is
// not known. The text of the error says which rule, and nothing of the token.
var ErrIDToken = errors.New("the ID token is refused")

// An IDTokenOption says what else an ID token has to fit; see [Client.VerifyIDToken]. Each may be
// given once. An empty value is an error.
type IDTokenOption func(*idTokenChecks)

// idTokenChecks are what the options say, and what is wrong with it.
type idTokenChecks struct {
	optional.Mistakes

	accessToken optional.Value[tokens.Secret]
	maxAge      optional.Value[askedAge]
}

// askedAge is a max_age and when it was asked for.
type askedAge struct {
	age time.Duration
	at  time.Time
}

// WithAccessToken is the access token that came with the ID token. If the ID token has an at_hash,
// it must be the hash of that one (OpenID Connect Core section 3.1.3.8). Without this option
// at_hash is not looked at.
func WithAccessToken(token tokens.Secret) IDTokenOption {
	return func(c *idTokenChecks) { c.accessToken.Set(token) }
}

// WithMaxAge is the max_age that the login asked for, and when it did (OpenID Connect Core section
// 3.1.2.1). The ID token must have an auth_time then, and it must not be earlier than that time
// less the age and 30 seconds, by which clocks may differ. The age may be 0, which asks for a new
// proof.
func WithMaxAge(age time.Duration, asked time.Time) IDTokenOption {
	return func(c *idTokenChecks) { c.maxAge.Set(askedAge{age, asked}) }
}

// VerifyIDToken verifies an ID token of this client's server (OpenID Connect Core section 3.1.3.7)
// and returns who logged in. Package session does all of this at the end of a login; it is for ID
// tokens that come in another way.
//
// The nonce is the one that was sent with the login, and "" if none was: then the ID token must
// have none, or an empty one. The rules, none of which can be switched off:
//
//   - It is a JWT of at most 64 KiB, with typ absent or JWT, without crit, and strict JSON.
//   - It is signed with one of the server's keys, by an algorithm that the server's document names
//     and [WithIDTokenAlgorithms] allows, never "none" or HMAC. For one that it does not name the
//     document is read again, at most once an hour. The keys are those of the document's jwks_uri,
//     or of [WithKeySetURL]; package jwks keeps them, with its rules for outages and for keys that
//     are replaced, and logs to [slog.Default]. Keys in the token's header are not used.
//   - iss is the client's issuer. aud has the client's identifier; if it has others as well, there
//     is an azp. An azp is the client's identifier.
//   - sub is there. exp is in the future, and iat and nbf are not; iat is there. The clocks may
//     differ by 30 seconds.
//   - nonce is the one that was sent; at_hash and auth_time are as [WithAccessToken] and
//     [WithMaxAge] say. acr is for the caller to judge.
//   - No claim shows that it is another kind of token: events, or what Amazon Cognito (token_use)
//     and Keycloak (typ) mark as such.
//
// The error is a [*tokens.Error] whose Op is "login". It wraps [ErrIDToken] when the ID token is
// refused; [tokens.Error].Err says which rule it breaks, and quotes nothing. Otherwise it is not
// known whether the ID token is good: the keys, or the server's document (then Op is "discovery"),
// are not available, and RetryAfter says when to try again. Mistakes in the options are each a
// [*ConfigError].
func (c *Client) VerifyIDToken(ctx context.Context, idToken tokens.Secret, nonce string, opts ...IDTokenOption) (*Identity, error) {
	var checks idTokenChecks
	optional.Apply(&checks.Mistakes, "VerifyIDToken", opts, &checks)
	checks.judge()
	if err := configErrors(checks.All); err != nil {
		return nil, err
	}
	document, err := c.keys.document(ctx)
	if err != nil {
		return nil, keysError(oauthwire.OpLogin, err)
	}
	t, err := c.keys.verify(ctx, idToken.Reveal(), func(algorithm *jws.Algorithm) error {
		return c.keys.accept(ctx, document, algorithm)
	})
	if err != nil {
		return nil, jwtError(oauthwire.OpLogin, ErrIDToken, err)
	}
	found, err := t.identity()
	if err == nil {
		err = c.judgeIdentity(t, found, time.Now())
	}
	if err == nil {
		err = checks.compare(t, found, nonce)
	}
	if err != nil {
		return nil, jwtError(oauthwire.OpLogin, ErrIDToken, err)
	}
	return &Identity{hiddenIdentity: &hiddenIdentity{found}}, nil
}

func (c *idTokenChecks) judge() {
	optional.Once(&c.Mistakes, "WithAccessToken", &c.accessToken, nil)
	if c.accessToken.Given() && c.accessToken.Get().Reveal() == "" {
		c.Add("WithAccessToken", "", "the token is empty; give the one that came with the ID token, or leave the option out")
	}
	optional.Once(&c.Mistakes, "WithMaxAge", &c.maxAge, nil)
	if asked := c.maxAge.Get(); c.maxAge.Given() && (asked.age < 0 || asked.at.IsZero()) {
		c.Add("WithMaxAge", asked.age.String(), "the age is negative, or the time is zero; give the max_age of the login, and when it began")
	}
}

// identity reads the claims. One that a decision rests on is refused when it has the wrong type;
// acr, amr and auth_time then count as absent.
func (t *verifiedJWT) identity() (*identityState, error) {
	i := &identityState{payload: t.payload}
	for _, claim := range []struct {
		name string
		text *string
	}{{"iss", &i.issuer}, {"sub", &i.subject}, {"nonce", &i.nonce}} {
		var err error
		if *claim.text, err = t.text(claim.name); err != nil {
			return nil, err
		}
	}
	var err error
	if i.audience, err = t.audience(); err != nil {
		return nil, err
	}
	if i.expiry, err = t.time("exp"); err != nil {
		return nil, err
	}
	if i.issuedAt, err = t.time("iat"); err != nil {
		return nil, err
	}
	i.acr = t.claims.Text("acr")
	i.amr, _ = strictjson.AppendStrings(nil, t.claims.Value("amr"))
	i.authTime, _ = jws.NumericDate(t.claims.Value("auth_time"))
	return i, nil
}

// time returns a claim that is a NumericDate. Without it, it is the zero time.
func (t *verifiedJWT) time(name string) (time.Time, error) {
	value := t.claims.Value(name)
	if value == "" {
		return time.Time{}, nil
	}
	at, ok := jws.NumericDate(value)
	if !ok {
		return time.Time{}, refusal(name + " is not a number of seconds since 1970")
	}
	return at, nil
}

// judgeIdentity applies the rules that need nothing but the client and the clock.
func (c *Client) judgeIdentity(t *verifiedJWT, i *identityState, now time.Time) error {
	notBefore, err := t.time("nbf")
	if err != nil {
		return err
	}
	switch {
	case i.issuer != c.wire.Issuer:
		return refusal("iss is missing, or another issuer than the client's")
	case i.subject == "":
		return refusal("sub is missing or empty")
	case !slices.Contains(i.audience, c.wire.ID):
		return refusal("aud is missing, or the client is not in it")
	case t.claims.Value("azp") == "" && len(i.audience) > 1:
		return refusal("aud has others than the client, and there is no azp")
	case t.claims.Value("azp") != "" && !strictjson.Spells(t.claims.Value("azp"), c.wire.ID):
		return refusal("azp is another client")
	case i.expiry.IsZero():
		return refusal("exp is missing")
	case !now.Before(i.expiry.Add(idTokenLeeway)):
		return refusal("exp has passed")
	case i.issuedAt.IsZero():
		return refusal("iat is missing")
	case now.Add(idTokenLeeway).Before(i.issuedAt):
		return refusal("iat is in the future; compare the clocks of server and client")
	case now.Add(idTokenLeeway).Before(notBefore):
		return refusal("nbf is in the future; compare the clocks of server and client")
	}
	return t.judgeKind()
}

// otherKinds are the values of a claim typ with which Keycloak marks tokens that are no ID tokens,
// in lower case.
var otherKinds = []string{"bearer", "refresh", "offline", "logout"}

// judgeKind refuses what says that it is another kind of token (RFC 8725 section 3.12).
func (t *verifiedJWT) judgeKind() error {
	use := t.claims.Value("token_use")
	switch {
	case t.claims.Value("events") != "":
		return refusal("it has events, which marks a logout token or a security event")
	case use != "" && !strictjson.Spells(use, "id"):
		return refusal("its token_use is not id")
	case slices.Contains(otherKinds, strings.ToLower(t.claims.Text("typ"))):
		return refusal("its claim typ is that of another kind of token")
	}
	return nil
}

// compare compares an ID token with what was sent and came with it.
func (c *idTokenChecks) compare(t *verifiedJWT, i *identityState, nonce string) error {
	switch {
	case nonce == "" && i.nonce != "": // Slack has an empty one then
		return refusal("it has a nonce, and none was sent")
	case subtle.ConstantTimeCompare([]byte(i.nonce), []byte(nonce)) != 1:
		return refusal("nonce is missing, or not the one that was sent: it is of another login")
	}
	if hash := t.claims.Value("at_hash"); hash != "" && c.accessToken.Given() &&
		!strictjson.Spells(hash, t.algorithm.HalfHash(c.accessToken.Get().Reveal())) {
		return refusal("at_hash is not that of the access token")
	}
	if !c.maxAge.Given() {
		return nil
	}
	asked := c.maxAge.Get()
	switch {
	case i.authTime.IsZero():
		return refusal("auth_time is missing or no number, although max_age was asked for")
	case i.authTime.Before(asked.at.Add(-asked.age - idTokenLeeway)):
		return refusal("auth_time is longer ago than max_age allows")
	}
	return nil
}
