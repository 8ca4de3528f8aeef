package session

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/tokens"
)

const maxResources = 16 // that a login can be for

// A LoginOption says what a [Login] asks for. Each but WithParameter may be given once, and an
// empty value is an error.
type LoginOption func(*loginConfig)

type loginConfig struct {
	key       tokens.Key // its Resource is the first of those below
	resources []string
	extra     url.Values
	errs      []error
}

func (c *loginConfig) addError(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("session: "+format, args...))
}

// WithScope says what the tokens allow (RFC 6749 section 3.3). Servers have scopes of their own for
// a refresh token, such as "offline_access"; with "openid" there is an ID token. The default is the
// server's.
func WithScope(scopes ...string) LoginOption {
	return func(c *loginConfig) { c.set("WithScope", &c.key.Scope, strings.Join(scopes, " ")) }
}

// WithResource says for which services the tokens are (RFC 8707 section 2): absolute URIs without a
// fragment, as [tokens.Key].Resource names them. The first access token is for the first of them,
// and those of a [Session] can be for each, and for no other. The default is the server's.
func WithResource(uris ...string) LoginOption {
	return func(c *loginConfig) {
		if len(uris) == 0 || len(uris) > maxResources {
			c.addError("WithResource: %d resources; name 1 to %d, or leave the option out", len(uris), maxResources)
			return
		}
		c.set("WithResource", &c.key.Resource, uris[0])
		for i, uri := range uris[1:] {
			switch {
			case uri == "":
				c.addError("WithResource: a value is empty; leave it out")
			case slices.Contains(uris[:i+1], uri):
				c.addError("WithResource: a value is there twice; leave one out")
			}
		}
		c.resources = slices.Clone(uris)
	}
}

// WithAudience is the name that some servers use instead of [WithResource]. It is that of
// [tokens.Key].Audience.
func WithAudience(name string) LoginOption {
	return func(c *loginConfig) { c.set("WithAudience", &c.key.Audience, name) }
}

func (c *loginConfig) set(option string, field *string, value string) {
	switch {
	case value == "":
		c.addError("%s: the value is empty; give one, or leave the option out", option)
	case *field != "":
		c.addError("%s: given twice; keep one", option)
	}
	*field = value
}

// reserved are the parameters that are not for WithParameter: what this package sends and judges,
// what has an option of its own, and what would replace all of it or change the way of the answer
// (RFC 9101, OAuth 2.0 Multiple Response Type Encoding).
var reserved = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "resource", "audience", "request", "request_uri", "client_secret", "client_assertion",
	"client_assertion_type", "code", "code_verifier", "iss", "error", "registration",
}

// WithParameter adds a parameter to the URL, such as prompt, login_hint, acr_values or max_age of
// OpenID Connect Core section 3.1.2.1. Each name may be given once. Those that this package sends,
// or that would replace them, are refused. Names that differ in case only count as one.
func WithParameter(name, value string) LoginOption {
	return func(c *loginConfig) {
		switch {
		case !isParameterName(name):
			c.addError("WithParameter(%q): a name has letters, digits and \"-._\" (RFC 6749 section 8.2)", name)
		case slices.ContainsFunc(reserved, func(other string) bool { return strings.EqualFold(other, name) }):
			c.addError("WithParameter(%q): this parameter is not to be set; leave it out", name)
		case hasParameter(c.extra, name):
			c.addError("WithParameter(%q): given twice; keep one (RFC 6749 section 3.1)", name)
		case value == "":
			c.addError("WithParameter(%q): the value is empty; give one, or leave the option out", name)
		default:
			c.extra.Set(name, value)
		}
	}
}

// hasParameter reports whether a query has a parameter, in whatever case: some servers do not tell
// them apart by it.
func hasParameter(query url.Values, name string) bool {
	for other := range query {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

func isParameterName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	})
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
			return errors.New("has a scheme that is neither https nor a domain name of one's own in reverse (RFC 8252 section 7.1)")
		}
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Scheme == "http" && !weburl.Loopback(u.Hostname()):
		return errors.New("is not https: anyone on the way could read the code")
	}
	return nil
}
