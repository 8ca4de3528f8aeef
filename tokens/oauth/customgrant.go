package oauth

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

// grantsElsewhere are the grant types that have a function of their own, and its name. A refresh
// token would be lost with some of them, and a check would be left out with others.
var grantsElsewhere = map[string]string{
	grantClientCredentials: "ClientCredentials",
	grantExchange:          "Exchange",
	grantJWTBearer:         "JWTBearer",
	"authorization_code":   "session.NewLogin",
	"refresh_token":        "session.RefreshToken",
	"urn:ietf:params:oauth:grant-type:device_code": "session.NewDeviceLogin",
}

// CustomGrant obtains tokens with any other grant type (RFC 6749 section 4.5): an absolute URI, or
// a name of letters, digits and "-._". One that has a function of its own here or in package
// session is a mistake.
//
// The function returns the parameters of the grant, and may return none. It is called when a token
// is fetched, with the key, and equal keys share one token, whatever the parameters are: a token
// that depends on the caller is for [Client.Exchange] or [Client.JWTBearer]. The key's Scope,
// Resource and Audience are sent as with other grants, and its Subject is whatever the function
// makes of it. A parameter may have several values, none of them empty. Its name is made of
// letters, digits and "-._", and it is none that the client, the key, an option or a login sends.
// All values are taken for secrets: no error quotes them. The function's error is in that of
// [tokens.Source.Token]. A refresh token in the answer is not used.
//
// So this is also the way to the resource owner password credentials grant (RFC 6749 section 4.3),
// with the type "password" and the parameters username and password, which are sent for each token.
// It is obsolete, and RFC 9700 section 2.4 forbids it; let people log in with package session.
func (c *Client) CustomGrant(
	grantType string, parameters func(ctx context.Context, key tokens.Key) (url.Values, error), opts ...GrantOption,
) tokens.Fetcher {
	g := c.newGrant("CustomGrant", false, opts)
	g.judgeFunction("CustomGrant", parameters == nil)
	g.judgeType(grantType)
	g.fetch = func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		if err := c.wire.CheckKey(r.Key, r.Key.Subject != ""); err != nil {
			return nil, err
		}
		own, err := parameters(ctx, r.Key)
		if err != nil {
			return nil, fmt.Errorf("oauth: the parameters of the grant are not available: %w", err)
		}
		form := oauthwire.KeyForm(grantType, r.Key)
		secrets, err := g.fill(form, own)
		if err != nil {
			return nil, oauthwire.BadRequest(err)
		}
		response, _, err := g.send(ctx, oauthwire.Call{Form: form, Secrets: secrets})
		return response, err
	}
	return g
}

// judgeType judges the grant type (RFC 6749 appendix A.10).
func (c *grantConfig) judgeType(grantType string) {
	if !grammar.IsParameterName(grantType) && !oauthwire.IsURI(grantType) {
		c.Add("CustomGrant", strconv.Quote(grantType), "the grant type is neither an absolute URI nor a name; "+
			"give it as the server's documentation does")
		return
	}
	for other, function := range grantsElsewhere {
		if strings.EqualFold(other, grantType) {
			c.Add("CustomGrant", strconv.Quote(grantType), "this grant has a function of its own; use %s", function)
		}
	}
}

// fill puts the parameters of a custom grant into its form, and returns their values, which its
// errors do not quote.
func (g grant) fill(form, own url.Values) (secrets []string, err error) {
	taken := maps.Clone(g.extra)
	maps.Copy(taken, g.wire.Parameters)
	names := slices.Concat(reserved, reservedOfLogins)
	for name, values := range own {
		values = slices.Clone(values) // the function may keep them, and change them while the request waits
		value := strings.Join(values, "")
		if slices.Contains(values, "") {
			value = ""
		}
		if problem := oauthwire.ParameterProblem(name, value, names, taken); problem != "" {
			return nil, fmt.Errorf("the parameter %q of the function: %s", name, problem)
		}
		taken[name], form[name] = values, values
		secrets = append(secrets, values...)
	}
	return secrets, nil
}
