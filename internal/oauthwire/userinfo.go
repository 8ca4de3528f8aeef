package oauthwire

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
)

var (
	errNoUserInfo      = errors.New("the server names no userinfo_endpoint; give WithUserInfoEndpoint if there is one")
	errNoTokenToSend   = errors.New("there is no access token that could be sent")
	errUserInfoMissing = errors.New("the answer is empty")
)

// UserInfo asks the userinfo endpoint who an access token is for (OpenID Connect Core section 5.3).
// Signed says that the answer is a JWT, and not JSON. Nothing of it was judged.
func (c *Client) UserInfo(ctx context.Context, accessToken tokens.Secret) (body string, signed bool, err error) {
	failed := func(err error) error { return &tokens.Error{Op: OpUserInfo, Err: err} }
	if !accesstoken.IsSendable(accessToken.Reveal()) {
		return "", false, failed(errNoTokenToSend)
	}
	endpoint, err := c.Endpoint(ctx, UserInfoEndpoint)
	if err != nil {
		return "", false, err
	}
	if endpoint == "" {
		return "", false, failed(errNoUserInfo)
	}
	if c.Given.UserInfo == "" {
		if err := c.checkPublished(endpoint); err != nil {
			return "", false, failed(fmt.Errorf("the userinfo_endpoint of the server's document %w", err))
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, RequestTimeout, errNoAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return "", false, failed(quiet(ctx, err))
	}
	if c.Auth.Certificate != nil && request.URL.Scheme != "https" {
		return "", false, failed(errPlainMTLS)
	}
	request.Header.Set("Accept", "application/json, application/jwt")
	request.Header.Set("Authorization", "Bearer "+accessToken.Reveal())
	a := &answer{sent: time.Now(), endpoint: endpoint, secrets: []string{accessToken.Reveal()}}
	response, err := webclient.Do(c.TokenClient, request)
	if err != nil {
		return "", false, failed(quiet(ctx, err))
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if a.body, err = webclient.Body(response); err != nil {
		return "", false, a.failure(OpUserInfo, quiet(ctx, err))
	}
	switch {
	case a.status != http.StatusOK:
		return "", false, a.failure(OpUserInfo, nil)
	case a.body == "":
		return "", false, a.failure(OpUserInfo, errUserInfoMissing)
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return a.body, kind == "application/jwt", nil
}
