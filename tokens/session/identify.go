package session

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// verifyTime is how long the end of a login waits for a key that the server has begun to use since
// its keys were fetched.
const verifyTime = 5 * time.Second

// readyForIdentity waits for what the ID token is verified with. The code is not sent before: it can
// be used once, and a login whose ID token cannot be verified is lost.
func (l *Login) readyForIdentity(ctx context.Context) error {
	if l.nonce == "" {
		return nil
	}
	return l.issuer.ReadyForIDTokens(ctx)
}

// identify returns who logged in, or nil if the login did not ask. The context does not count: the
// code was sent. If it is not known who logged in, what came is revoked.
func (l *Login) identify(ctx context.Context, response *tokens.Response) (*oauth.Identity, error) {
	if l.nonce == "" {
		return nil, nil
	}
	ctx = context.WithoutCancel(ctx)
	verifying, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	identity, err := l.verify(verifying, response)
	if err != nil {
		l.revoke(ctx, response)
		return nil, err
	}
	return identity, nil
}

func (l *Login) verify(ctx context.Context, response *tokens.Response) (*oauth.Identity, error) {
	if response.IDToken.Reveal() == "" {
		return nil, &tokens.Error{Op: oauthwire.OpLogin, Err: fmt.Errorf("%w: the answer has none, although the scope has openid", oauth.ErrIDToken)}
	}
	checks := []oauth.IDTokenOption{oauth.WithAccessToken(response.AccessToken)}
	if l.maxAge != nil {
		checks = append(checks, oauth.WithMaxAge(*l.maxAge, l.endWall.Add(-loginLifetime)))
	}
	return l.issuer.VerifyIDToken(ctx, response.IDToken, l.nonce, checks...)
}

// revoke revokes what came of a login that failed: the refresh token, with which servers end the
// access token as well, or that if there is no other.
func (l *Login) revoke(ctx context.Context, response *tokens.Response) {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	hint := hintRefreshToken
	if response.RefreshToken.Reveal() == "" {
		hint = hintAccessToken
	}
	_ = l.issuer.Revoke(ctx, cmp.Or(response.RefreshToken, response.AccessToken), hint)
}
