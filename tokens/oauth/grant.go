package oauth

import (
	"context"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens"
)

// grant is the Fetcher of a grant. It prints as "[secret]".
type grant struct {
	opaque
	*hiddenGrant
}

type hiddenGrant struct{ *grantState }

type grantState struct {
	grantConfig

	wire  *oauthwire.Client
	fetch func(ctx context.Context, r tokens.Request) (*tokens.Response, error)
}

// newGrant returns the Fetcher of a method of the client, which is a token exchange or is not. The
// caller adds what it does, and the mistakes that are left.
func (c *Client) newGrant(method string, exchange bool, opts []GrantOption) grant {
	g := grant{hiddenGrant: &hiddenGrant{&grantState{wire: c.wire}}}
	g.judge(method, exchange, opts, c.wire.Parameters)
	return g
}

// Fetch implements [tokens.Fetcher]. A mistake in the options is an error for good.
func (g grant) Fetch(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
	if err := configErrors(g.All); err != nil {
		return nil, oauthwire.BadRequest(err)
	}
	return g.fetch(ctx, r)
}

// ConfigErrors implements [optional.Reporter], for [tokens.NewManager].
func (g grant) ConfigErrors() []error { return optional.Errors(g.All, asConfigError) }

// send asks for a token, with what the options say.
func (g grant) send(ctx context.Context, q oauthwire.Call) (response *tokens.Response, issued string, err error) {
	q.Op, q.IDToken = oauthwire.OpToken, g.idToken.Given()
	for name, values := range g.extra {
		q.Form[name] = values
	}
	return g.wire.Exchange(ctx, q)
}
