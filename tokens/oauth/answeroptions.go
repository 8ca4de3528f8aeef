package oauth

import (
	"slices"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
)

// answerOptions are the options about what the server answers.
type answerOptions struct {
	tokenTypes optional.Value[[]string]
	lifetime   optional.Value[time.Duration]
	loginCodes optional.Value[[]string]
}

// WithTokenTypes accepts tokens of these types (token_type, RFC 6749 section 7.1) beside Bearer, as
// servers have them that mean nothing else by it: Slack says "bot". The types are compared without
// case. A [tokens.Transport] sends such a token as Bearer. By default a token of another type is
// refused, and one without a type counts as Bearer.
//
// "DPoP" and "PoP" are an error: a token that is bound to a key is worth nothing as a bearer token.
// With "N_A" (RFC 8693 section 2.2.1) what is no access token is sent as one.
func WithTokenTypes(types ...string) ClientOption {
	types = slices.Clone(types)
	return func(c *clientConfig) { c.tokenTypes.Set(types) }
}

// WithDefaultLifetime is how long a token is used whose server does not say: whose expires_in is
// absent, 0, negative, not a number, or above 100 years. It is 5 minutes by default; a time above
// zero, of at most 100 years. It is counted from the request, as expires_in is.
func WithDefaultLifetime(d time.Duration) ClientOption {
	return func(c *clientConfig) { c.lifetime.Set(d) }
}

// WithLoginRequiredCodes names error codes with which this server refuses a refresh token that has
// ended, beside invalid_grant and those that are known of GitHub, Slack and Atlassian. They mean
// [tokens.ErrLoginRequired] in the answer to a refresh, and nothing in other answers or with the
// status 408, 425, 429 or from 500. The session ends with such an answer: name no code that the
// server also uses for something else. invalid_client, server_error and temporarily_unavailable are
// an error.
func WithLoginRequiredCodes(codes ...string) ClientOption {
	codes = slices.Clone(codes)
	return func(c *clientConfig) { c.loginCodes.Set(codes) }
}

// judgeAnswers judges these options.
func (c *clientConfig) judgeAnswers() {
	optional.Once(&c.Mistakes, "WithTokenTypes", &c.tokenTypes, optional.Quoted)
	if c.tokenTypes.Given() && len(c.tokenTypes.Get()) == 0 {
		c.Add("WithTokenTypes", "", "there is no type; give one, or leave the option out")
	}
	for _, kind := range c.tokenTypes.Get() {
		switch lower := grammar.Lower(kind); {
		case !grammar.IsFieldVChar(kind):
			c.Add("WithTokenTypes", strconv.Quote(kind), "the type is empty or has a character that no type has; "+
				"give it as the server says it")
		case lower == "dpop" || lower == "pop":
			c.Add("WithTokenTypes", strconv.Quote(kind), "such a token is bound to a key and cannot be sent as a bearer token; "+
				"let the server give bearer tokens")
		}
	}
	optional.Once(&c.Mistakes, "WithDefaultLifetime", &c.lifetime, time.Duration.String)
	if d := c.lifetime.Get(); c.lifetime.Given() && (d <= 0 || d > oauthwire.MaxLifetime) {
		c.Add("WithDefaultLifetime", d.String(), "give a time above zero, of at most 100 years")
	}
	optional.Once(&c.Mistakes, "WithLoginRequiredCodes", &c.loginCodes, optional.Quoted)
	if c.loginCodes.Given() && len(c.loginCodes.Get()) == 0 {
		c.Add("WithLoginRequiredCodes", "", "there is no code; give one, or leave the option out")
	}
	for _, code := range c.loginCodes.Get() {
		switch {
		case !oauthwire.IsCode(code):
			c.Add("WithLoginRequiredCodes", strconv.Quote(code), "it is no error code; give one of at most %d letters, digits and \"-._\"",
				oauthwire.MaxCode)
		case code == "invalid_client" || code == "server_error" || code == "temporarily_unavailable":
			c.Add("WithLoginRequiredCodes", strconv.Quote(code), "it is not about the refresh token, and would end sessions that go on; leave it out")
		}
	}
}
