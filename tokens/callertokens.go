package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unique"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/callertoken"
)

var (
	errEmpty      = errors.New("the token that was given for it is empty, or has a Type that is not a URI")
	errTokenSize  = fmt.Errorf("the token that was given for it is longer than %d bytes", accesstoken.MaxSize)
	errTokenEnded = errors.New("the token that was given for it has ended, by its Expiry")
)

// callerTokens are the tokens that a grant needs of a caller.
type callerTokens []callerToken

// callerToken is the name of a form's parameter, and the function for its value.
type callerToken struct {
	name string
	get  func(context.Context, Key) (SecurityToken, error)
}

// provider returns what calls the functions, and judges what they return.
func (all callerTokens) provider() *callertoken.Provider {
	return &callertoken.Provider{Provide: func(ctx context.Context, key any) ([]callertoken.Token, error) {
		var got []callertoken.Token
		for _, one := range all {
			token, err := one.get(ctx, key.(Key))
			if err != nil {
				return nil, fmt.Errorf("tokens: the %s is not available: %w", one.name, err)
			}
			if token.Type == "" {
				token.Type = TypeAccessToken
			}
			text := token.Token.Reveal()
			switch {
			case text == "" || !isURI(token.Type):
				return nil, badRequest(errEmpty)
			case len(text) > accesstoken.MaxSize:
				return nil, badRequest(errTokenSize)
			case !token.Expiry.IsZero() && !time.Now().Before(token.Expiry):
				return nil, badRequest(errTokenEnded)
			}
			got = append(got, callertoken.Token{Text: unique.Make(text), Type: token.Type, Expiry: token.Expiry})
		}
		return got, nil
	}}
}

// fill puts the tokens into a form.
func (all callerTokens) fill(form url.Values, given callertoken.Set) {
	for i, one := range all {
		form.Set(one.name, given.Tokens[i].Text.Value())
	}
}

// fillTypes puts their types there (RFC 8693 section 2.1).
func (all callerTokens) fillTypes(form url.Values, given callertoken.Set) {
	for i, one := range all {
		form.Set(one.name+"_type", given.Tokens[i].Type)
	}
}
