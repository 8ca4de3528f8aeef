package oauthwire

import (
	"cmp"

	"github.com/bearer-go/bearer/tokens"
)

// useIDToken makes the ID token of an answer the access token, if there is no other. Such an answer
// need not have a token_type.
func useIDToken(r *tokens.Response) {
	if r.AccessToken.Reveal() == "" && r.IDToken.Reveal() != "" {
		r.AccessToken, r.TokenType = r.IDToken, cmp.Or(r.TokenType, "Bearer")
	}
}
