package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

var errNoSuchToken = errors.New("there is no token to revoke: it is empty")

// Revoke tells the authorization server that a token is not to be used any more (RFC 7009). The
// hint says what it is, "refresh_token" or "access_token"; with "" the server finds out. A server
// that revokes a refresh token also ends the access tokens that came of it, if it can.
//
// A token that the server does not know counts as revoked (section 2.2). The error is
// [ErrNoRevocation] when the server has no endpoint for it, and else a [*tokens.Error]: with
// unsupported_token_type nothing helps, after another one try again.
func (c *Client) Revoke(ctx context.Context, token tokens.Secret, hint string) error {
	if token.Reveal() == "" {
		return &tokens.Error{Op: oauthwire.OpRevocation, Code: "invalid_request", Err: errNoSuchToken}
	}
	// A server whose token endpoint had to be given and that has no document is one that names
	// none.
	endpoint, err := c.wire.Endpoint(ctx, oauthwire.RevocationEndpoint)
	if e, ok := errors.AsType[*tokens.Error](err); ok && e.Status == http.StatusNotFound && c.wire.Given.Token != "" || err == nil && endpoint == "" {
		return ErrNoRevocation
	}
	if err != nil {
		return err
	}
	form := url.Values{"token": {token.Reveal()}}
	if hint != "" {
		form.Set("token_type_hint", hint)
	}
	err = c.wire.Send(ctx, oauthwire.Call{Op: oauthwire.OpRevocation, Form: form}, oauthwire.RevocationEndpoint)
	if e, ok := errors.AsType[*tokens.Error](err); ok && e.Code == "invalid_token" {
		return nil
	}
	return err
}
