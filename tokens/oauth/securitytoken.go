package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unique"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/callertoken"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

var (
	errEmpty      = errors.New("the token that was given for it is empty, or has a Type that is not a URI")
	errTokenSize  = fmt.Errorf("the token that was given for it is longer than %d bytes", accesstoken.MaxSize)
	errTokenEnded = errors.New("the token that was given for it has ended, by its Expiry")
)

// The types of a [SecurityToken] (RFC 8693 section 3).
const (
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt" // any JWT that is none of the above
)

// SecurityToken is a token that stands for a caller, in an exchange or as an assertion. It prints
// as "[secret]".
type SecurityToken struct {
	opaque

	Token tokens.Secret // it must not be empty, and not longer than 64 KiB
	Type  string        // one of the constants, or another URI of RFC 8693 section 3; "" is TypeAccessToken

	// Expiry is when it ends. No token that was obtained for it is handed out from then on, and it
	// is not sent. The zero time is an end that is not known: then a token lives as long as its
	// server says. Token is not read for it.
	Expiry time.Time
}

// callerTokens are the tokens that a grant needs of a caller.
type callerTokens []callerToken

// callerToken is the name of a form's parameter, and the function for its value.
type callerToken struct {
	name string
	get  func(context.Context, tokens.Key) (SecurityToken, error)
}

// provider returns what calls the functions, and judges what they return.
func (all callerTokens) provider() *callertoken.Provider {
	return &callertoken.Provider{Provide: func(ctx context.Context, key any) ([]callertoken.Token, error) {
		var got []callertoken.Token
		for _, one := range all {
			token, err := one.get(ctx, key.(tokens.Key))
			if err != nil {
				return nil, fmt.Errorf("oauth: the %s is not available: %w", one.name, err)
			}
			if token.Type == "" {
				token.Type = TypeAccessToken
			}
			text := token.Token.Reveal()
			switch {
			case text == "" || !oauthwire.IsURI(token.Type):
				return nil, oauthwire.BadRequest(errEmpty)
			case len(text) > accesstoken.MaxSize:
				return nil, oauthwire.BadRequest(errTokenSize)
			case !token.Expiry.IsZero() && !time.Now().Before(token.Expiry):
				return nil, oauthwire.BadRequest(errTokenEnded)
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
