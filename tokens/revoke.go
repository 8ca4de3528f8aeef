package tokens

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Revoke tells the authorization server that a token is not to be used any more (RFC 7009). The hint says what it is,
// "refresh_token" or "access_token"; with "" the server finds out. A server that revokes a refresh token also ends the
// access tokens that came of it, if it can.
//
// A token that the server does not know counts as revoked (section 2.2). The error is [ErrNoRevocation] when the server has
// no endpoint for it, and else an [*Error]: with unsupported_token_type nothing helps, after another one try again.
func (c *Client) Revoke(ctx context.Context, token Secret, hint string) error {
	if token.Reveal() == "" {
		return &Error{Op: opRevocation, Code: "invalid_request", Err: errNoSuchToken}
	}
	// A server whose token endpoint had to be given and that has no document is one that names none.
	endpoint, err := c.endpoint(ctx, revocationEndpoint)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound && c.given.token != "" || err == nil && endpoint == "" {
		return ErrNoRevocation
	}
	if err != nil {
		return err
	}
	form := url.Values{"token": {token.Reveal()}}
	if hint != "" {
		form.Set("token_type_hint", hint)
	}
	_, err = c.ask(ctx, call{op: opRevocation, form: form}, revocationEndpoint)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "invalid_token" {
		return nil
	}
	return err
}

var errNoSuchToken = errors.New("there is no token to revoke: it is empty")
