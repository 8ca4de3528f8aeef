package tokens

import (
	"context"

	"github.com/bearer-go/bearer/internal/accesstoken"
)

// What a server says of a login, for the tests of discovery.
type LoginFacts struct {
	Authorization, Revocation string

	IssParameter, S256, S256Said bool
}

// FactsOf returns it for a client.
func FactsOf(ctx context.Context, c *Client) (LoginFacts, error) {
	e, err := c.endpoints(ctx)
	return LoginFacts{e.authorization, e.revocation, e.issParameter, e.s256, e.s256Said}, err
}

// MaxToken is the size of the largest token, in bytes.
const MaxToken = accesstoken.MaxSize
