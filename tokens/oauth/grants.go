package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/bearer-go/bearer/internal/callertoken"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

// The grant types (RFC 6749 section 4.4.2, RFC 8693 section 2.1, RFC 7523 section 2.1).
const (
	grantClientCredentials = "client_credentials"
	grantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

var (
	errPublic = errors.New("a client without authentication has no token of its own (RFC 6749 section 4.4)")
	errIssued = errors.New("the issued_token_type is missing, or neither an access token nor a JWT (RFC 8693 section 2.2.1)")
)

// ClientCredentials obtains tokens for the client itself (RFC 6749 section 4.4). The key's Scope,
// Resource and Audience are sent; it must have no Subject.
func (c *Client) ClientCredentials(opts ...GrantOption) tokens.Fetcher {
	g := c.newGrant("ClientCredentials", false, opts)
	g.fetch = func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		if err := c.wire.CheckKey(r.Key, false); err != nil {
			return nil, err
		}
		if c.wire.Auth.Public {
			return nil, &tokens.Error{Op: oauthwire.OpToken, Code: "unauthorized_client", Err: errPublic}
		}
		response, _, err := g.send(ctx, oauthwire.Call{Form: oauthwire.KeyForm(grantClientCredentials, r.Key)})
		return response, err
	}
	return g
}

// JWTBearer obtains tokens for an assertion, a JWT by an issuer that the server trusts (RFC 7523
// section 2.1). The function returns the assertion that stands for the caller; its Type is not
// sent. It is called by each [tokens.Source.Token], with the Source's key and the caller's context,
// and a token is shared by those callers whose keys and whose assertions are equal, and not handed
// out after the assertion's end: see [Client.Exchange], which is the same in this. So a function
// that signs a new assertion each time causes a request each time; see [Client.JWTBearerPerKey].
//
// The key's Subject is whatever the function makes of it, and may be "". An assertion has at most
// 64 KiB. The client authenticates as well, unless it has [NoClientAuth]. The function's error is
// in that of Token, and the next call calls the function again.
//
// With the token of the request that is being served as the assertion, and with
// WithParameter("requested_token_use", "on_behalf_of"), this is the on-behalf-of flow of Microsoft
// Entra ID.
func (c *Client) JWTBearer(
	assertion func(ctx context.Context, key tokens.Key) (SecurityToken, error), opts ...GrantOption,
) tokens.Fetcher {
	return c.jwtBearer("JWTBearer", assertion, false, opts)
}

// JWTBearerPerKey is [Client.JWTBearer] for an assertion that depends on the [tokens.Key] and on
// nothing in the context, as that of a service that signs its assertions itself. The function is
// called when a token is fetched, and not by each [tokens.Source.Token], and equal keys share one
// token, whatever the assertions are. An assertion is for one request, so that its end is not the
// token's.
func (c *Client) JWTBearerPerKey(
	assertion func(ctx context.Context, key tokens.Key) (tokens.Secret, error), opts ...GrantOption,
) tokens.Fetcher {
	if assertion == nil {
		return c.jwtBearer("JWTBearerPerKey", nil, true, opts)
	}
	return c.jwtBearer("JWTBearerPerKey", func(ctx context.Context, key tokens.Key) (SecurityToken, error) {
		signed, err := assertion(ctx, key)
		return SecurityToken{Token: signed}, err
	}, true, opts)
}

func (c *Client) jwtBearer(
	method string, assertion func(context.Context, tokens.Key) (SecurityToken, error), perKey bool, opts []GrantOption,
) tokens.Fetcher {
	brought := callerTokens{{"assertion", func(ctx context.Context, key tokens.Key) (SecurityToken, error) {
		signed, err := assertion(ctx, key)
		signed.Type = TypeJWT // whatever the function says: it is not sent, and so tells no callers apart
		return signed, err
	}}}
	provider := brought.provider()
	g := c.newGrant(method, false, opts)
	g.judgeFunction(method, assertion == nil)
	g.fetch = func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		if err := c.wire.CheckKey(r.Key, r.Key.Subject != ""); err != nil {
			return nil, err
		}
		var given callertoken.Set
		var err error
		if perKey {
			given, err = callertoken.Ask(ctx, provider, r.Key)
		} else {
			given, err = callertoken.Of(ctx, r, provider)
		}
		if err != nil {
			return nil, err
		}
		form := oauthwire.KeyForm(grantJWTBearer, r.Key)
		brought.fill(form, given)
		response, _, err := g.send(ctx, oauthwire.Call{Form: form, Outside: !perKey})
		if err == nil && !perKey {
			callertoken.Mark(response, r, given)
		}
		return response, err
	}
	return g
}

// Exchange obtains tokens in exchange for others (RFC 8693): the function returns the one that
// stands for the caller, such as the token of the request that is being served. Each
// [tokens.Source.Token] calls it, with the Source's key and the caller's context, before anything
// is looked up. It should be quick: what it returns is most often in the context.
//
// A token is kept for the key and for the very tokens that it was obtained for, by a keyed hash of
// them. Two callers share a token if their keys are equal and their tokens are too, so that a
// person with two tokens, one of which allows more, never gets with one what the other allows. Also
// the refusal of a token counts for that token alone. What is obtained for a token is not handed
// out after that token's end, as far as [SecurityToken].Expiry says when that is.
//
// The key must have a Subject, which is not sent: the name of the person, or one name for a
// [tokens.Source] that serves many. An access token is asked for, and an answer with another type
// of token is refused. The function's error is in that of Token, and the next call calls it again.
//
// All of this also holds through a Fetcher that wraps this one and passes the [tokens.Request] on;
// see [tokens.ErrAskCaller]. If it passes another Key on, a token is requested for that one, and
// the function is still called with the Source's. Without a [tokens.Manager], Fetch calls the
// function each time, with the Request's. With the context of another Manager's fetch,
// [tokens.Source.Token] is an error: what that fetch brings is handed to others.
func (c *Client) Exchange(
	subject func(ctx context.Context, key tokens.Key) (SecurityToken, error), opts ...GrantOption,
) tokens.Fetcher {
	return c.exchange("Exchange", callerTokens{{"subject_token", subject}}, opts)
}

// ExchangeWithActor is [Client.Exchange] with a second function for who acts for the subject
// (actor_token, RFC 8693 section 2.1). It is called when and as the one for the subject is.
func (c *Client) ExchangeWithActor(
	subject, actor func(ctx context.Context, key tokens.Key) (SecurityToken, error), opts ...GrantOption,
) tokens.Fetcher {
	return c.exchange("ExchangeWithActor", callerTokens{{"subject_token", subject}, {"actor_token", actor}}, opts)
}

func (c *Client) exchange(method string, brought callerTokens, opts []GrantOption) tokens.Fetcher {
	provider := brought.provider()
	g := c.newGrant(method, true, opts)
	for _, one := range brought {
		g.judgeFunction(method, one.get == nil)
	}
	g.fetch = func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		if err := c.wire.CheckKey(r.Key, true); err != nil {
			return nil, err
		}
		given, err := callertoken.Of(ctx, r, provider)
		if err != nil {
			return nil, err
		}
		form := oauthwire.KeyForm(grantExchange, r.Key)
		if !g.noRequestedType.Given() {
			form.Set("requested_token_type", TypeAccessToken)
		}
		brought.fill(form, given)
		brought.fillTypes(form, given)
		response, issued, err := g.send(ctx, oauthwire.Call{Form: form, Outside: true})
		if err != nil {
			return nil, err
		}
		if issued != TypeAccessToken && issued != TypeJWT {
			return nil, &tokens.Error{Op: oauthwire.OpToken, Status: http.StatusOK, Err: errIssued}
		}
		callertoken.Mark(response, r, given)
		return response, nil
	}
	return g
}
