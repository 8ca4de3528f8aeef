package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/weburl"
)

// LoginLifetime is how long a [Login] can be finished after it was made.
const LoginLifetime = 10 * time.Minute

const (
	opLogin = "login" // of an Error

	loginRandom  = 32      // bytes of each random value: RFC 7636 section 7.1
	maxLoginCode = 4 << 10 // bytes of a code
)

var (
	// ErrLoginState means that an answer does not belong to the [Login] that it was given to: its state parameter is missing, is
	// there twice, or is another. Somebody may have made it up; the Login goes on waiting for its own.
	ErrLoginState = errors.New("tokens: login: the answer is not for this login, by its state; look up the login that the browser began")

	// ErrLoginUsed means that a [Login] was finished before, or tried to be.
	ErrLoginUsed = errors.New("tokens: login: it was finished already; begin a new one")

	// ErrLoginExpired means that a [Login] is older than [LoginLifetime].
	ErrLoginExpired = fmt.Errorf("tokens: login: it was begun more than %s ago; begin a new one", LoginLifetime)
)

// Login is a person's way through the authorization server: the authorization code grant (RFC 6749 section 4.1) with PKCE (RFC 7636,
// always S256). [Client.NewLogin] begins one, the person's browser is sent to [Login.URL], and [Login.Finish] takes what it comes
// back with.
//
// A Login is in the memory of the process that made it, which must be the one that the browser comes back to. It belongs to one
// browser: keep it where only that one leads to, such as under the id in a cookie, and never look it up by the state alone, or
// somebody can be made to finish another's login (RFC 9700 section 4.7). With several authorization servers give each a redirect
// URI of its own, unless all of them name themselves in their answers (RFC 9207): otherwise one of them can have the code of another
// sent to it (RFC 9700 section 4.4). It holds secrets and prints as "[secret]". It is safe for
// concurrent use.
type Login struct {
	opaque
	*hiddenLogin
}

type hiddenLogin struct{ *loginState }

type loginState struct {
	client  *Client
	session string // the name of the Session that began it; "" if none did
	key     Key    // what the first token will be for

	resources              []string // of all tokens; nil if that is the server's to say
	url, redirectURI       string
	state, verifier, nonce string
	issParameter           bool // the server names itself in every answer
	end, endWall           time.Time
	used                   atomic.Bool
}

// A LoginOption says what a [Login] asks for. Each but LoginParameter may be given once, and an empty value is an error.
type LoginOption func(*loginConfig)

type loginConfig struct {
	key       Key // its Resource is the first of those below
	resources []string
	extra     url.Values
	errs      []error
}

func (c *loginConfig) wrong(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("tokens: "+format, args...))
}

// LoginScope says what the tokens shall allow (RFC 6749 section 3.3). Servers have scopes of their own for a refresh token, such as
// "offline_access"; with "openid" there is an ID token. The default is the server's.
func LoginScope(scopes ...string) LoginOption {
	return func(c *loginConfig) { c.set("LoginScope", &c.key.Scope, Scopes(scopes...)) }
}

// LoginResource says for which services the tokens are (RFC 8707 section 2): absolute URIs without a fragment, as [Key].Resource
// names them. The first access token is for the first of them, and those of a [Session] can be for each, and for no other. The default
// is the server's.
func LoginResource(uris ...string) LoginOption {
	return func(c *loginConfig) {
		if len(uris) == 0 || len(uris) > maxResources {
			c.wrong("LoginResource: %d resources; name 1 to %d, or leave the option out", len(uris), maxResources)
			return
		}
		c.set("LoginResource", &c.key.Resource, uris[0])
		for i, uri := range uris[1:] {
			switch {
			case uri == "":
				c.wrong("LoginResource: a value is empty; leave it out")
			case slices.Contains(uris[:i+1], uri):
				c.wrong("LoginResource: a value is there twice; leave one out")
			}
		}
		c.resources = slices.Clone(uris)
	}
}

// LoginAudience is the name that some servers use instead of [LoginResource]. It is that of [Key].Audience.
func LoginAudience(name string) LoginOption {
	return func(c *loginConfig) { c.set("LoginAudience", &c.key.Audience, name) }
}

func (c *loginConfig) set(option string, field *string, value string) {
	switch {
	case value == "":
		c.wrong("%s: the value is empty; give one, or leave the option out", option)
	case *field != "":
		c.wrong("%s: given twice; keep one", option)
	}
	*field = value
}

// reserved are the parameters that are not for LoginParameter: what this package sends and judges, what has an option of its own,
// and what would replace all of it or change the way of the answer (RFC 9101, OAuth 2.0 Multiple Response Type Encoding).
var reserved = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "resource", "audience", "request", "request_uri", "client_secret", "client_assertion",
	"client_assertion_type", "code", "code_verifier", "iss", "error", "registration",
}

// LoginParameter adds a parameter to the URL, such as prompt, login_hint, acr_values or max_age of OpenID Connect Core section
// 3.1.2.1. Each name may be given once. Those that this package sends, or that would replace them, are refused. Names that
// differ in case only count as one.
func LoginParameter(name, value string) LoginOption {
	return func(c *loginConfig) {
		switch {
		case !isParameterName(name):
			c.wrong("LoginParameter(%q): a name has letters, digits and \"-._\" (RFC 6749 section 8.2)", name)
		case slices.ContainsFunc(reserved, func(other string) bool { return strings.EqualFold(other, name) }):
			c.wrong("LoginParameter(%q): this parameter is not to be set; leave it out", name)
		case hasParameter(c.extra, name):
			c.wrong("LoginParameter(%q): given twice; keep one (RFC 6749 section 3.1)", name)
		case value == "":
			c.wrong("LoginParameter(%q): the value is empty; give one, or leave the option out", name)
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

// NewLogin begins a login. The redirect URI is where the browser comes back to, as it is registered at the server: an https URL,
// an http URL to a loopback address (RFC 8252 section 7.3), or one with a private-use scheme that has a dot in it (section 7.1); no
// fragment. The context is for discovery, which is made once for a [Client].
//
// When several arguments are wrong the error says all of them, and the server is not asked.
func (c *Client) NewLogin(ctx context.Context, redirectURI string, opts ...LoginOption) (*Login, error) {
	config := loginConfig{extra: make(url.Values)}
	if err := checkRedirectURI(redirectURI); err != nil {
		config.wrong("NewLogin: the redirect URI %w; give the one that is registered at the server", err)
	}
	for _, opt := range opts {
		if opt == nil {
			config.wrong("NewLogin: an option is nil; leave it out")
			continue
		}
		opt(&config)
	}
	config.errs = append(config.errs, c.checkKey(config.key, false))
	for _, uri := range config.resources[min(1, len(config.resources)):] {
		config.errs = append(config.errs, c.checkKey(Key{Resource: uri}, false))
	}
	if err := errors.Join(config.errs...); err != nil {
		return nil, err
	}
	found, err := c.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l := &Login{hiddenLogin: &hiddenLogin{&loginState{
		client: c, key: config.key, resources: config.resources, redirectURI: redirectURI,
		state: random(), verifier: random(), issParameter: found.issParameter, end: now.Add(LoginLifetime),
	}}}
	l.endWall = l.end.Round(0)
	if slices.Contains(strings.Fields(config.key.Scope), "openid") {
		l.nonce = random()
	}
	if l.url, err = l.location(found, config.extra); err != nil {
		return nil, &Error{Op: opLogin, Err: err}
	}
	return l, nil
}

// random returns a text that nobody guesses, made of characters that need no escape anywhere.
func random() string {
	var b [loginRandom]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

var (
	errNoAuthorization = errors.New("the server names no authorization_endpoint; give AuthorizationEndpoint")
	errNoS256          = errors.New("the server says that it has no PKCE with S256, without which a code is not safe")
	errRepeated        = errors.New("the authorization endpoint's URL has a parameter in it that this login sends, too")
)

// location returns the URL for the browser (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
func (l *Login) location(found endpoints, extra url.Values) (string, error) {
	switch {
	case found.authorization == "":
		return "", errNoAuthorization
	case found.s256Said && !found.s256:
		return "", errNoS256
	}
	u, err := url.Parse(found.authorization)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(l.verifier))
	for name, value := range map[string]string{
		"response_type": "code", "client_id": l.client.id, "redirect_uri": l.redirectURI, "state": l.state,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
		"scope": l.key.Scope, "audience": l.key.Audience, "nonce": l.nonce,
	} {
		if value != "" {
			extra.Set(name, value)
		}
	}
	if l.resources != nil {
		extra["resource"] = l.resources
	}
	query := u.Query() // RFC 6749 section 3.1: what is there stays, and nothing is sent twice
	for name, values := range extra {
		if hasParameter(query, name) {
			return "", errRepeated
		}
		query[name] = values
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// URL returns where to send the browser. It holds the state, so it is for that browser alone.
func (l *Login) URL() string { return l.url }

// Nonce returns what an ID token of this login must have as its nonce (OpenID Connect Core section 3.1.3.7), and "" when the scope
// has no "openid". It is for whoever verifies the ID token, which this package does not.
func (l *Login) Nonce() string { return l.nonce }

// Finish takes what the browser came back with, which is the query of the redirect URI, and exchanges the code in it for tokens.
// It may be called once; only an answer that is not for this login, [ErrLoginState], leaves it as it was, for otherwise
// anybody could end it. Of two calls at once one has [ErrLoginUsed].
//
// It may be called again with the same answer after an error that came before the code was sent: the
// context had ended, discovery failed, the client's secret was not available, or the token endpoint
// had asked for a pause, for which see [Error].RetryAfter. [ErrLoginUsed] says that the code was sent.
//
// A refusal of the server, such as access_denied, and an answer that is not as it should be are an [*Error] whose Op is
// "login"; so is one that names another server than the client's, or none although the server always does (RFC 9207 section
// 2.4). What comes of the exchange is an [*Error] whose Op is "token".
//
// The context is for what comes before the code is sent. It can be used once, so that the answer is waited for even if the
// context ends, for 10 seconds at most.
//
// The ID token is not verified, and nothing is concluded from it: who logged in is not known by it. Verify [Response].IDToken, and
// compare its nonce with [Login.Nonce], before it is used.
func (l *Login) Finish(ctx context.Context, back url.Values) (*Response, error) {
	now := time.Now()
	if state := back["state"]; len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(l.state)) != 1 {
		return nil, ErrLoginState
	}
	if l.used.Swap(true) {
		return nil, ErrLoginUsed
	}
	if !now.Before(l.end) || !now.Before(l.endWall) { // the monotonic clock stands still while a machine is suspended
		return nil, ErrLoginExpired
	}
	code, err := l.read(back)
	if err != nil {
		return nil, err
	}
	// The scope was settled with the code (RFC 6749 section 4.1.3).
	form := l.client.keyForm("authorization_code", Key{Resource: l.key.Resource, Audience: l.key.Audience})
	form.Set("code", code)
	form.Set("redirect_uri", l.redirectURI)
	form.Set("code_verifier", l.verifier)
	sent := false
	defer func() { // also when a function of the application panics
		if !sent {
			l.used.Store(false)
		}
	}()
	response, _, err := l.client.exchange(ctx, call{
		op: opToken, form: form, lasting: true, outside: true, ready: func() error { sent = true; return nil },
	})
	return response, err
}

// read judges an answer whose state is right, and returns the code (RFC 6749 section 4.1.2).
func (l *Login) read(back url.Values) (code string, err error) {
	for _, name := range []string{"iss", "error", "error_description", "code"} {
		if len(back[name]) > 1 {
			return "", &Error{Op: opLogin, Err: fmt.Errorf("the answer has the parameter %s more than once", name)}
		}
	}
	switch {
	case back.Has("iss") && back.Get("iss") != l.client.issuer:
		return "", &Error{Op: opLogin, Err: errors.New("the answer is of another server, by its iss (RFC 9207)")}
	case l.issParameter && !back.Has("iss"):
		return "", &Error{Op: opLogin, Err: errors.New("the answer has no iss, which this server says that it always sends (RFC 9207)")}
	case back.Has("error"):
		return "", l.refusal(back)
	}
	code = back.Get("code")
	if code == "" || len(code) > maxLoginCode || !isPrintable(code) {
		return "", &Error{Op: opLogin, Err: errors.New("the answer has no code that could be exchanged")}
	}
	return code, nil
}

// refusal is the error that an answer names (RFC 6749 section 4.1.2.1). It came by way of the browser, but with the right state.
func (l *Login) refusal(back url.Values) *Error {
	secrets := &answer{secrets: []string{l.state, l.verifier}}
	e := &Error{Op: opLogin}
	if code := back.Get("error"); secrets.showsCode(code) {
		e.Code = strings.Clone(code)
	}
	if e.Code == "" {
		e.Err = errors.New("the answer is an error, with a code that is none (RFC 6749 section 4.1.2.1)")
	}
	e.Description = secrets.description(back.Get("error_description"))
	return e
}
