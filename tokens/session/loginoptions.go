package session

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/tokens"
)

const maxResources = 16 // that a login can be for

// A LoginOption says what a [Login] or a [DeviceLogin] asks for. Each but WithParameter may be
// given once, and an empty value is an error.
type LoginOption func(*loginConfig)

// loginConfig is what the options say, and what is wrong with it.
type loginConfig struct {
	optional.Mistakes

	scope      optional.Value[string]
	resources  optional.Value[[]string]
	audience   optional.Value[string]
	maxAge     optional.Value[time.Duration]
	parameters []parameter
	formPost   optional.Value[bool]

	extra url.Values // the parameters, as they are sent
}

type parameter struct{ name, value string }

// WithScope says what the tokens allow (RFC 6749 section 3.3). Servers have scopes of their own for
// a refresh token, such as "offline_access"; with "openid" there is an ID token. The default is the
// server's.
func WithScope(scopes ...string) LoginOption {
	return func(c *loginConfig) { c.scope.Set(strings.Join(scopes, " ")) }
}

// WithResource says for which services the tokens are (RFC 8707 section 2): absolute URIs without a
// fragment, as [tokens.Key].Resource names them. The first access token is for the first of them,
// and those of a [Session] can be for each, and for no other. The default is the server's.
func WithResource(uris ...string) LoginOption {
	uris = slices.Clone(uris)
	return func(c *loginConfig) { c.resources.Set(uris) }
}

// WithAudience is the name that some servers use instead of [WithResource]. It is that of
// [tokens.Key].Audience.
func WithAudience(name string) LoginOption {
	return func(c *loginConfig) { c.audience.Set(name) }
}

// reserved are the parameters that are not for WithParameter: what this package sends and judges,
// what has an option of its own, and what would replace all of it or change the way of the answer
// (RFC 9101, OAuth 2.0 Multiple Response Type Encoding).
var reserved = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "resource", "audience", "request", "request_uri", "client_secret", "client_assertion",
	"client_assertion_type", "code", "code_verifier", "iss", "error", "registration", "max_age",
	"grant_type", "device_code",
}

// WithParameter adds a parameter to the URL, such as prompt, login_hint or acr_values of OpenID
// Connect Core section 3.1.2.1. Each name may be given once. Those that this package sends,
// or that would replace them, are refused. Names that differ in case only count as one.
func WithParameter(name, value string) LoginOption {
	return func(c *loginConfig) { c.parameters = append(c.parameters, parameter{name, value}) }
}

// WithFormPost has the browser bring the answer in the body of a POST, and not in the query, where
// logs and histories keep it (response_mode=form_post of OAuth 2.0 Form Post Response Mode). Some
// servers demand it for some scopes, such as Apple's. The redirect URI is an https or http URL. The
// POST comes from the server's site, so that a browser sends only cookies with it that are
// SameSite=None and Secure; those of the application's own session are often not there. See
// [Login.Answer] for what to give to [Login.Finish]. The default is the query.
func WithFormPost() LoginOption { return func(c *loginConfig) { c.formPost.Set(true) } }

// configureLogin collects what the options say, and judges it all. The client may be nil.
func configureLogin(client *oauthwire.Client, redirectURI string, opts []LoginOption) *loginConfig {
	c := &loginConfig{extra: make(url.Values)}
	if client == nil {
		c.Add("NewLogin", "nil", "the Client is nil; make one with oauth.NewClient")
	}
	if err := checkRedirectURI(redirectURI); err != nil {
		c.Add("NewLogin", strconv.Quote(weburl.Redacted(redirectURI)),
			"the redirect URI %v; give the one that is registered at the server", err)
	}
	optional.Apply(&c.Mistakes, "NewLogin", opts, c)
	c.judgeTexts()
	c.judgeResources()
	c.judgeMaxAge()
	optional.Once(&c.Mistakes, "WithFormPost", &c.formPost, nil)
	if scheme, _, _ := strings.Cut(redirectURI, ":"); c.formPost.Given() && strings.Contains(scheme, ".") {
		c.Add("WithFormPost", "", "a browser does not post to a redirect URI with a private-use scheme; leave the option out")
	}
	for _, p := range c.parameters {
		c.judgeParameter(p)
	}
	return c
}

func (c *loginConfig) judgeTexts() {
	optional.Once(&c.Mistakes, "WithScope", &c.scope, strconv.Quote)
	switch scope := c.scope.Get(); {
	case !c.scope.Given():
	case scope == "":
		c.Add("WithScope", `""`, "the value is empty; give one, or leave the option out")
	case !oauthwire.IsScopeList(scope):
		c.Add("WithScope", strconv.Quote(scope), "it is not made of scopes (RFC 6749 section 3.3)")
	}
	optional.Once(&c.Mistakes, "WithAudience", &c.audience, strconv.Quote)
	switch name := c.audience.Get(); {
	case !c.audience.Given():
	case name == "":
		c.Add("WithAudience", `""`, "the value is empty; give one, or leave the option out")
	case !oauthwire.IsText(name):
		c.Add("WithAudience", strconv.Quote(name), "it has a control character, or is not UTF-8")
	}
}

func (c *loginConfig) judgeResources() {
	optional.Once(&c.Mistakes, "WithResource", &c.resources, nil)
	uris := c.resources.Get()
	if c.resources.Given() && (len(uris) == 0 || len(uris) > maxResources) {
		c.Add("WithResource", "", "%d resources; name 1 to %d, or leave the option out", len(uris), maxResources)
		return
	}
	for i, uri := range uris {
		shown := strconv.Quote(weburl.Redacted(uri))
		switch {
		case uri == "":
			c.Add("WithResource", shown, "a value is empty; leave it out")
		case !oauthwire.IsURI(uri):
			c.Add("WithResource", shown, "it is not an absolute URI without a user name and a fragment (RFC 8707 section 2)")
		case slices.Contains(uris[:i], uri):
			c.Add("WithResource", shown, "a value is there twice; leave one out")
		}
	}
}

// judgeParameter takes a parameter over if it can be sent.
func (c *loginConfig) judgeParameter(p parameter) {
	if problem := oauthwire.ParameterProblem(p.name, p.value, reserved, c.extra); problem != "" {
		c.Add("WithParameter", strconv.Quote(p.name), "%s", problem) // the value may be a person's
		return
	}
	c.extra.Set(p.name, p.value)
}

// key is what the first token will be for.
func (c *loginConfig) key() tokens.Key {
	key := tokens.Key{Scope: c.scope.Get(), Audience: c.audience.Get()}
	if uris := c.resources.Get(); len(uris) > 0 {
		key.Resource = uris[0]
	}
	return key
}

// checkRedirectURI judges where the browser is to come back to.
func checkRedirectURI(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, !u.IsAbs():
		return errors.New("is not an absolute URL")
	case u.User != nil:
		return errors.New("has a user name in it, which would end up in logs")
	case strings.Contains(text, "#"):
		return errors.New("has a fragment (RFC 6749 section 3.1.2)")
	case u.Scheme != "http" && u.Scheme != "https":
		if !strings.Contains(u.Scheme, ".") {
			return errors.New("has a scheme that is neither https nor a domain name of yours in reverse (RFC 8252 section 7.1)")
		}
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Scheme == "http" && !weburl.Loopback(u.Hostname()):
		return errors.New("is not https: anyone on the way could read the code")
	}
	return nil
}
