package oauth

import (
	"net/url"

	"github.com/bearer-go/bearer/internal/optional"
)

// A GrantOption changes what a grant sends, and what it takes for a token. Each but WithParameter
// may be given once. A mistake in one is an error of [tokens.NewManager], each a [*ConfigError];
// behind a Fetcher that wraps the grant, and without a Manager, it is one of each Fetch, and
// [tokens.Error.Permanent].
type GrantOption func(*grantConfig)

// grantConfig is what the options say, and what is wrong with it.
type grantConfig struct {
	optional.Mistakes

	parameters      []parameter
	noRequestedType optional.Value[struct{}]
	idToken         optional.Value[struct{}]

	extra url.Values // the parameters, as they are sent
}

// WithoutRequestedTokenType makes [Client.Exchange] and [Client.ExchangeWithActor] leave out
// requested_token_type, for a server that refuses it. It is optional (RFC 8693 section 2.1). The
// type of what comes is checked as ever.
func WithoutRequestedTokenType() GrantOption {
	return func(c *grantConfig) { c.noRequestedType.Set(struct{}{}) }
}

// WithIDTokenAsToken uses the ID token of an answer that has no access token: it is what
// [tokens.Source.Token] hands out and what a Transport attaches. It is for services that take ID
// tokens of their own audience, as those on Google Cloud Run do: Google's token endpoint answers an
// assertion with the claim target_audience so. Its life is expires_in, and without that the one of
// a token whose server does not say. The ID token is not verified, because it is for the service
// that it is sent to. An answer with an access token is used as ever.
//
// It is not for exchanges, where issued_token_type says what the token is (RFC 8693 section 2.2.1).
func WithIDTokenAsToken() GrantOption {
	return func(c *grantConfig) { c.idToken.Set(struct{}{}) }
}

// judge takes the options of a method, and judges them. The client's own parameters are not the
// method's to set.
func (c *grantConfig) judge(method string, exchange bool, opts []GrantOption, ofClient url.Values) {
	optional.Apply(&c.Mistakes, method, opts, c)
	c.extra = judgeParameters(&c.Mistakes, "WithParameter", c.parameters, ofClient)
	optional.Once(&c.Mistakes, "WithoutRequestedTokenType", &c.noRequestedType, nil)
	if c.noRequestedType.Given() && !exchange {
		c.Add("WithoutRequestedTokenType", "", "%s sends none; leave the option out", method)
	}
	optional.Once(&c.Mistakes, "WithIDTokenAsToken", &c.idToken, nil)
	if c.idToken.Given() && exchange {
		c.Add("WithIDTokenAsToken", "", "an exchange says in issued_token_type what its token is; leave the option out")
	}
}

// judgeFunction adds a mistake for a function that is nil.
func (c *grantConfig) judgeFunction(method string, isNil bool) {
	if isNil {
		c.Add(method, "nil", "a function that is to be asked is nil; give one")
	}
}
