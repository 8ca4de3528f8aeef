package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	// verifyTime is how long the end of a login waits for the server's keys to be fetched again,
	// when it has begun to use another one. That they do not have it is an answer.
	verifyTime = 5 * time.Second

	minVerifyPause = 100 * time.Millisecond // between two looks for that key
)

// identifier finds out who logged in, by the ID token that comes with the tokens.
type identifier struct {
	issuer *oauth.Client
	wanted bool   // the login asked for it
	nonce  string // "" for a login that cannot have one
	checks []oauth.IDTokenOption
}

func (l *Login) identifier() identifier {
	i := identifier{issuer: l.issuer, wanted: l.nonce != "", nonce: l.nonce}
	if l.maxAge != nil {
		i.checks = append(i.checks, oauth.WithMaxAge(*l.maxAge, l.endWall.Add(-loginLifetime)))
	}
	return i
}

// identifier has no nonce: RFC 8628 has no place for one. The ID token comes from the server
// itself, with the tokens.
func (d *DeviceLogin) identifier() identifier {
	return identifier{issuer: d.issuer, wanted: asksForIDToken(d.key.Scope)}
}

// ready waits for what the ID token is verified with. The code is not sent before: it can be used
// once, and a login whose ID token cannot be verified is lost.
func (i identifier) ready(ctx context.Context) error {
	if !i.wanted {
		return nil
	}
	return i.issuer.ReadyForIDTokens(ctx)
}

// identify returns who logged in, or nil if the login did not ask. The context does not count: the
// code was sent. If it is not known who logged in, what came is revoked.
func (i identifier) identify(ctx context.Context, response *tokens.Response) (*oauth.Identity, error) {
	if !i.wanted {
		return nil, nil
	}
	ctx = context.WithoutCancel(ctx)
	verifying, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	identity, err := i.verify(verifying, response)
	if err != nil {
		i.revoke(ctx, response)
		return nil, err
	}
	return identity, nil
}

func (i identifier) verify(ctx context.Context, response *tokens.Response) (*oauth.Identity, error) {
	if response.IDToken.Reveal() == "" {
		return nil, &tokens.Error{Op: oauthwire.OpLogin, Err: fmt.Errorf("%w: the answer has none, although the scope has openid", oauth.ErrIDToken)}
	}
	checks := append([]oauth.IDTokenOption{oauth.WithAccessToken(response.AccessToken)}, i.checks...)
	for {
		identity, err := i.issuer.VerifyIDToken(ctx, response.IDToken, i.nonce, checks...)
		// A request with a token can be made again, and so waits for the key for less time than this.
		if pause := retryAfter(err); pause == 0 || !sleepWithin(ctx, max(pause, minVerifyPause)) {
			return identity, err
		}
	}
}

// retryAfter is when it may be known whether an ID token is good, or 0 when there is nothing to
// wait for.
func retryAfter(err error) time.Duration {
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok || errors.Is(err, oauth.ErrIDToken) {
		return 0
	}
	return e.RetryAfter
}

// sleepWithin sleeps, unless the context ends before that.
func sleepWithin(ctx context.Context, pause time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return false
	}
	return flight.Sleep(ctx, pause, nil)
}

// revoke revokes what came of a login that failed.
func (i identifier) revoke(ctx context.Context, response *tokens.Response) {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	token, hint := revocable(response)
	_ = i.issuer.Revoke(ctx, tokens.NewSecret(token), hint)
}

// revokeRefused revokes the refresh token of an answer that cannot be used, if the error is about
// one.
func (i identifier) revokeRefused(ctx context.Context, err error) {
	if e, ok := errors.AsType[*oauthwire.RefusedAnswer](err); ok && e.RefreshToken.Reveal() != "" {
		i.revoke(context.WithoutCancel(ctx), &tokens.Response{RefreshToken: e.RefreshToken})
	}
}
