package oauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
)

// UserInfo is what the userinfo endpoint says of a person (OpenID Connect Core section 5.3). It
// does not change, is safe for concurrent use, and prints as "[secret]". The methods of a nil
// *UserInfo panic.
type UserInfo struct {
	opaque
	*hiddenUserInfo
}

type hiddenUserInfo struct{ *userInfoState }

type userInfoState struct{ subject, payload string }

// Subject returns sub, which is the one that was asked for.
func (u *UserInfo) Subject() string { return u.subject }

// Decode unmarshals the claims into v; see [Identity.Decode].
func (u *UserInfo) Decode(v any) error { return decodeClaims(u.payload, v) }

// WithUserInfoEndpoint is where to ask who logged in (OpenID Connect Core section 5.3), instead of
// what discovery says; see [WithTokenEndpoint].
func WithUserInfoEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.userInfo.Set(url) }
}

var (
	errNoSubject      = errors.New("there is no subject to ask about: give that of the ID token")
	errUserInfoJSON   = errors.New("the answer is not one JSON object in UTF-8 without repeated names")
	errOtherPerson    = errors.New("sub is missing, or another person than was asked about (OpenID Connect Core section 5.3.2)")
	errUserInfoSigned = errors.New("the signed answer is refused")
)

// UserInfo asks the userinfo endpoint about the person whom an access token is for (OpenID Connect
// Core section 5.3). The subject is that of the ID token ([Identity.Subject]); an answer about
// another is refused (section 5.3.2), because the access token may have been exchanged on its way.
// It must not be empty.
//
// The answer is strict JSON, at most 1 MiB. One that is signed (application/jwt) is verified with
// the keys of ID tokens: its iss must be the client's issuer, its aud must have the client, and an
// exp must not have passed; any asymmetric algorithm that [WithIDTokenAlgorithms] allows will do.
// An encrypted one is refused. Redirects are not followed.
//
// The error is a [*tokens.Error] whose Op is "userinfo", or "discovery". With the status 401 the
// access token is not accepted any more.
func (c *Client) UserInfo(ctx context.Context, accessToken tokens.Secret, subject string) (*UserInfo, error) {
	if subject == "" {
		return nil, &tokens.Error{Op: oauthwire.OpUserInfo, Err: errNoSubject}
	}
	body, signed, err := c.wire.UserInfo(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if signed {
		if body, err = c.signedUserInfo(ctx, strings.TrimSpace(body)); err != nil {
			return nil, jwtError(oauthwire.OpUserInfo, errUserInfoSigned, err)
		}
	}
	members, err := strictjson.Object(body)
	switch {
	case err != nil:
		return nil, userInfoError(errUserInfoJSON)
	case !strictjson.Spells(members.Value("sub"), subject):
		return nil, userInfoError(errOtherPerson)
	}
	return &UserInfo{hiddenUserInfo: &hiddenUserInfo{&userInfoState{subject, body}}}, nil
}

func userInfoError(err error) error {
	return &tokens.Error{Op: oauthwire.OpUserInfo, Status: http.StatusOK, Err: err}
}

// signedUserInfo verifies an answer that is a JWT, and returns its claims. What the server's
// document says of algorithms is about ID tokens.
func (c *Client) signedUserInfo(ctx context.Context, text string) (string, error) {
	t, err := c.keys.verify(ctx, text, func(algorithm *jws.Algorithm) error {
		if !slices.Contains(c.keys.allowed, algorithm) {
			return refusedAlgorithm
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	audience, err := t.audience()
	if err != nil {
		return "", err
	}
	expiry, err := t.time("exp")
	switch {
	case err != nil:
		return "", err
	case !strictjson.Spells(t.claims.Value("iss"), c.wire.Issuer):
		return "", refusal("iss is missing, or another issuer than the client's")
	case !slices.Contains(audience, c.wire.ID):
		return "", refusal("aud is missing, or the client is not in it")
	case !expiry.IsZero() && !time.Now().Before(expiry.Add(idTokenLeeway)):
		return "", refusal("exp has passed")
	}
	return t.payload, t.judgeKind()
}
