package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	loginLifetime = 10 * time.Minute

	loginRandom  = 32      // bytes of each random value: RFC 7636 section 7.1
	maxLoginCode = 4 << 10 // bytes of a code
)

var (
	// ErrLoginState means that an answer does not belong to the [Login] that it was given to: its
	// state parameter is missing, is there twice, or is another. An attacker may have made it up;
	// the Login goes on waiting for its own.
	ErrLoginState = errors.New("session: login: the answer is not for this login, by its state; look up the login that the browser began")

	// ErrLoginUsed means that a [Login] or a [DeviceLogin] was finished before, or tried to be, or
	// that another caller is about to finish it.
	ErrLoginUsed = errors.New("session: login: it was finished already; begin a new one")

	// ErrLoginExpired means that a [Login] was begun more than 10 minutes ago.
	ErrLoginExpired = fmt.Errorf("session: login: it was begun more than %s ago; begin a new one", loginLifetime)
)

// Login is a person's way through the authorization server: the authorization code grant (RFC 6749
// section 4.1) with PKCE (RFC 7636, always S256). [NewLogin] begins one, the person's browser is
// sent to [Login.URL], and [Login.Finish] takes what it comes back with. It must come back within
// 10 minutes.
//
// A Login is in the memory of the process that made it. Where the browser may come back to another
// one, [Login.SetCookie] puts it into a cookie and [Login.Save] into a [Store]. It belongs to one
// browser: keep it where only that one leads to, such as under the id in a cookie, and never look
// it up by the state alone, or an attacker can make a person finish the attacker's login (RFC 9700
// section 4.7). With several authorization servers give each a redirect URI of its own, unless all
// of them name themselves in their answers (RFC 9207): otherwise one of them can have the code of
// another sent to it (RFC 9700 section 4.4). It holds secrets and prints as "[secret]". It is safe
// for concurrent use.
type Login struct {
	opaque
	*hiddenLogin
}

type hiddenLogin struct{ *loginState }

type loginState struct {
	client  *oauthwire.Client
	issuer  *oauth.Client // the same, for the ID token
	session string        // the name of the Session that began it; "" if none did
	key     tokens.Key    // what the first token will be for

	resources              []string // of all tokens; nil if that is the server's to say
	url, redirectURI       string
	state, verifier, nonce string
	issParameter           bool           // the server names itself in every answer
	formPost               bool           // the browser posts the answer
	maxAge                 *time.Duration // that was asked for; nil if none was
	end, endWall           time.Time
	used                   atomic.Bool
}

// NewLogin begins a login. The redirect URI is where the browser comes back to, as it is registered
// at the server: an https URL, an http URL to a loopback address (RFC 8252 section 7.3), or one
// with a private-use scheme that has a dot in it (section 7.1); no fragment. The context is for
// discovery, which is made once for an [oauth.Client].
//
// The server is asked only if nothing is wrong with the configuration. Otherwise the error is every
// mistake in it, each a [*ConfigError].
func NewLogin(ctx context.Context, client *oauth.Client, redirectURI string, opts ...LoginOption) (*Login, error) {
	wire := oauthwire.Of(client)
	c := configureLogin(wire, redirectURI, opts)
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	found, err := wire.LoginEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l := &Login{hiddenLogin: &hiddenLogin{&loginState{
		client: wire, issuer: client, key: c.key(), maxAge: c.askedMaxAge(), resources: c.resources.Get(),
		redirectURI: redirectURI, formPost: c.formPost.Get(),
		state: random(), verifier: random(), issParameter: found.IssParameter, end: now.Add(loginLifetime),
	}}}
	l.endWall = l.end.Round(0)
	if asksForIDToken(l.key.Scope) {
		l.nonce = random()
	}
	if l.url, err = l.location(found, c.extra); err != nil {
		return nil, &tokens.Error{Op: oauthwire.OpLogin, Err: err}
	}
	return l, nil
}

// random returns a text that cannot be guessed, made of characters that need no escape anywhere.
func random() string {
	var b [loginRandom]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

var (
	errNoAuthorization = errors.New("the server names no authorization_endpoint; give oauth.WithAuthorizationEndpoint")
	errNoS256          = errors.New("the server says that it has no PKCE with S256, without which a code is not safe")
	errRepeated        = errors.New("the authorization endpoint's URL has a parameter in it that this login sends, too")
)

// location returns the URL for the browser (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
func (l *Login) location(found oauthwire.Endpoints, extra url.Values) (string, error) {
	switch {
	case found.Authorization == "":
		return "", errNoAuthorization
	case found.S256Said && !found.S256:
		return "", errNoS256
	}
	u, err := url.Parse(found.Authorization)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(l.verifier))
	for name, value := range map[string]string{
		"response_type": "code", "client_id": l.client.ID, "redirect_uri": l.redirectURI, "state": l.state,
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
	if l.formPost {
		extra.Set("response_mode", "form_post")
	}
	query := u.Query() // RFC 6749 section 3.1: what is there stays, and nothing is sent twice
	for name, values := range extra {
		if oauthwire.HasParameter(query, name) {
			return "", errRepeated
		}
		query[name] = values
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// URL returns where to send the browser. It holds the state, so it is for that browser alone. It is
// "" for a login that [OpenLogin] or [LoadLogin] returned.
func (l *Login) URL() string { return l.url }

// State returns the state parameter that the answer has (RFC 6749 section 4.1.1): 43 letters,
// digits, "-" and "_" that no other login has. It tells the logins of one browser apart, one in
// each tab. It does not show whose login it is, because an attacker has one, too.
func (l *Login) State() string { return l.state }

// Finish takes what the browser came back with, see [Login.Answer], and exchanges the code in it
// for tokens: the query of the redirect URI, and with [WithFormPost] the form in the body, but
// never the Form of a request, in which both are mixed. With "openid" in the scope it also verifies
// the ID token, as [oauth.Client.VerifyIDToken] does, and returns who logged in; otherwise that is
// nil, and an ID token that came is the caller's to judge. It may be called once; only an answer
// that is not for this login, [ErrLoginState], leaves it as it was, because otherwise any person
// could end it. Of two calls at once one has [ErrLoginUsed].
//
// It may be called again with the same answer after an error that came before the code was sent:
// the context had ended, discovery failed, the keys for the ID token or the client's secret were
// not available, the server had refused the client and would do so again before
// [tokens.Error].RetryAfter is over, or there was no connection to the token endpoint, as when it
// is down or the client's certificate is not available. [ErrLoginUsed] says that the code was sent,
// or may have been.
//
// A code ends soon and can be used once. So a pause that the token endpoint has asked for with
// Retry-After, which holds all other requests back, does not hold it back: it is sent, once. If the
// answer asks for a pause again, the person has to log in again.
//
// A refusal of the server, such as access_denied, and an answer that is not as it should be are a
// [*tokens.Error] whose Op is "login"; so is one that names another server than the client's, or
// none although the server always does (RFC 9207 section 2.4), and so is [oauth.ErrIDToken], that
// the ID token is refused, or missing although the scope has "openid". Then what came is revoked.
// So it is when the server has begun to sign with a new key since its keys were fetched, and they
// cannot be fetched again within 5 seconds, or do not have that key yet: then it is looked for
// again after 10 seconds at the earliest, and until then refused. What comes of the exchange is a
// [*tokens.Error] whose Op is "token"; a refresh token in an answer that cannot be used is revoked.
//
// The context is for what comes before the code is sent. It can be used once, so that the answer is
// waited for even if the context ends, for 10 seconds at most.
func (l *Login) Finish(ctx context.Context, back url.Values) (*tokens.Response, *oauth.Identity, error) {
	now := time.Now()
	if state := back["state"]; len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(l.state)) != 1 {
		return nil, nil, ErrLoginState
	}
	if l.used.Swap(true) {
		return nil, nil, ErrLoginUsed
	}
	if l.over(now) {
		return nil, nil, ErrLoginExpired
	}
	code, err := l.read(back)
	if err != nil {
		return nil, nil, err
	}
	// The scope was settled with the code (RFC 6749 section 4.1.3).
	form := oauthwire.KeyForm("authorization_code", tokens.Key{Resource: l.key.Resource, Audience: l.key.Audience})
	form.Set("code", code)
	form.Set("redirect_uri", l.redirectURI)
	form.Set("code_verifier", l.verifier)
	sent := false
	defer func() { // also when a function of the application panics
		if !sent {
			l.used.Store(false)
		}
	}()
	if err := l.identifier().ready(ctx); err != nil {
		return nil, nil, err
	}
	response, _, err := l.client.Exchange(ctx, oauthwire.Call{
		Op: oauthwire.OpToken, Form: form, Lasting: true, Outside: true, Once: true,
		Ready: func() error { sent = true; return nil },
	})
	if err != nil {
		sent = sent && !oauthwire.IsUnsent(err)
		l.identifier().revokeRefused(ctx, err)
		return nil, nil, err
	}
	identity, err := l.identifier().identify(ctx, response)
	if err != nil {
		return nil, nil, err
	}
	return response, identity, nil
}

// over reports whether it is too late to finish the login. The monotonic clock stands still while a
// machine is suspended.
func (l *Login) over(now time.Time) bool { return !now.Before(l.end) || !now.Before(l.endWall) }

// read judges an answer whose state is right, and returns the code (RFC 6749 section 4.1.2).
func (l *Login) read(back url.Values) (code string, err error) {
	for _, name := range []string{"iss", "error", "error_description", "code"} {
		if len(back[name]) > 1 {
			return "", &tokens.Error{Op: oauthwire.OpLogin, Err: fmt.Errorf("the answer has the parameter %s more than once", name)}
		}
	}
	switch {
	case back.Has("iss") && back.Get("iss") != l.client.Issuer:
		return "", &tokens.Error{Op: oauthwire.OpLogin, Err: errors.New("the answer is of another server, by its iss (RFC 9207)")}
	case l.issParameter && !back.Has("iss"):
		return "", &tokens.Error{Op: oauthwire.OpLogin, Err: errors.New("the answer has no iss, which this server says that it always sends (RFC 9207)")}
	case back.Has("error"):
		return "", oauthwire.LoginError(back.Get("error"), back.Get("error_description"), l.state, l.verifier)
	}
	code = back.Get("code")
	if len(code) > maxLoginCode || !grammar.IsVSCHAR(code) {
		return "", &tokens.Error{Op: oauthwire.OpLogin, Err: errors.New("the answer has no code that could be exchanged")}
	}
	return code, nil
}
