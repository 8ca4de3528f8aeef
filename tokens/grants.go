package tokens

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/callertoken"
)

// The grant types (RFC 6749 section 4.4.2, RFC 8693 section 2.1, RFC 7523 section 2.1).
const (
	grantClientCredentials = "client_credentials"
	grantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// The types of a [SecurityToken] (RFC 8693 section 3).
const (
	TypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TypeSAML1        = "urn:ietf:params:oauth:token-type:saml1"
	TypeSAML2        = "urn:ietf:params:oauth:token-type:saml2"
	TypeJWT          = "urn:ietf:params:oauth:token-type:jwt" // any JWT that is none of the above
)

// SecurityToken is a token that stands for a caller in an exchange. It prints as "[secret]".
type SecurityToken struct {
	opaque

	Token Secret // it must not be empty, and not longer than 64 KiB
	Type  string // one of the constants, or another URI; "" is TypeAccessToken

	// Expiry is when it ends. No token that was obtained for it is handed out from then on, and it is
	// not sent. The zero time is an end that is not known: then a token lives as long as its server
	// says. Token is not read for it.
	Expiry time.Time
}

var (
	errIssuer   = errors.New("the key's Issuer is another than the client's; leave it empty")
	errClientID = errors.New("the key's Client is another than this one; leave it empty")
	errSubject  = errors.New("the key has a Subject, but this grant is for the client itself; leave it empty")
	errNobody   = errors.New("the key has no Subject, so that all would share one token; name whom it is for")
	errResource = errors.New("the key's Resource is not an absolute URI without a user name and a fragment (RFC 8707 section 2)")
	errAudience = errors.New("the key's Audience has a control character, or is not UTF-8")
	errScopes   = errors.New("the key's Scope is not made of scopes with one space between them; make it with Scopes")
	errPublic   = errors.New("a client without authentication has no token of its own (RFC 6749 section 4.4)")
	errNilFunc  = errors.New("a function that is to be asked for a token is nil, or given twice")
	errIssued   = errors.New("the issued_token_type is missing, or neither an access token nor a JWT (RFC 8693 section 2.2.1)")
)

// ClientCredentials obtains tokens for the client itself (RFC 6749 section 4.4). The key's Scope, Resource and Audience are
// sent; it must have no Subject.
func (c *Client) ClientCredentials() Fetcher {
	return FetcherFunc(func(ctx context.Context, r Request) (*Response, error) {
		if err := c.checkKey(r.Key, false); err != nil {
			return nil, err
		}
		if c.auth.public {
			return nil, &Error{Op: opToken, Code: "unauthorized_client", Err: errPublic}
		}
		return c.token(ctx, c.keyForm(grantClientCredentials, r.Key))
	})
}

// A JWTBearerOption changes what [Client.JWTBearer] does.
type JWTBearerOption func(*jwtBearer)

type jwtBearer struct{ perKey bool }

// AssertionPerKey says that an assertion depends on the [Key] and on nothing in the context, as that
// of a service that signs its assertions itself. The function is then called when a token is fetched,
// and not by each [Source.Token], and equal keys share one token, whatever the assertions are.
func AssertionPerKey() JWTBearerOption { return func(j *jwtBearer) { j.perKey = true } }

// JWTBearer obtains tokens for an assertion, a JWT that somebody has signed whom the server trusts (RFC 7523 section 2.1).
// The function returns the assertion that stands for the caller. It is called by each [Source.Token],
// with the Source's key and the caller's context, and a token is shared by those callers whose keys
// and whose assertions are equal: see [Client.Exchange], which is the same in this. So a function that
// signs a new assertion each time causes a request each time; see [AssertionPerKey].
//
// The key's Subject is whatever the function makes of it, and may be "". An assertion has at most
// 64 KiB. The client authenticates as well, but for [NoClientAuth]. The function's error is in that
// of [Source.Token], and the next call calls the function again.
func (c *Client) JWTBearer(
	assertion func(ctx context.Context, key Key) (Secret, error), opts ...JWTBearerOption,
) Fetcher {
	var j jwtBearer
	errOption := error(nil)
	for _, opt := range opts {
		if opt == nil {
			errOption = errNilFunc
			continue
		}
		opt(&j)
	}
	brought := callerTokens{{"assertion", func(ctx context.Context, key Key) (SecurityToken, error) {
		signed, err := assertion(ctx, key)
		return SecurityToken{Token: signed, Type: TypeJWT}, err
	}}}
	provider := brought.provider()
	return FetcherFunc(func(ctx context.Context, r Request) (*Response, error) {
		if assertion == nil || errOption != nil {
			return nil, badRequest(errNilFunc)
		}
		if err := c.checkKey(r.Key, r.Key.Subject != ""); err != nil {
			return nil, err
		}
		ask := callertoken.Of
		if j.perKey {
			ask = func(ctx context.Context, _ any, p *callertoken.Provider) (callertoken.Set, error) {
				return callertoken.Ask(ctx, p, r.Key)
			}
		}
		given, err := ask(ctx, r, provider)
		if err != nil {
			return nil, err
		}
		form := c.keyForm(grantJWTBearer, r.Key)
		brought.fill(form, given)
		response, _, err := c.exchange(ctx, call{op: opToken, form: form, outside: !j.perKey})
		if err == nil && !j.perKey {
			callertoken.Mark(response, r, given)
		}
		return response, err
	})
}

// An ExchangeOption changes what [Client.Exchange] asks for.
type ExchangeOption func(*exchange)

type exchange struct {
	subject, actor func(ctx context.Context, key Key) (SecurityToken, error)
	err            error
}

// Actor names who acts for the subject (actor_token, RFC 8693 section 2.1). It is called when and as the function for the
// subject is.
func Actor(actor func(ctx context.Context, key Key) (SecurityToken, error)) ExchangeOption {
	return func(e *exchange) {
		if actor == nil || e.actor != nil {
			e.err = errNilFunc
		}
		e.actor = actor
	}
}

// Exchange obtains tokens in exchange for others (RFC 8693): the function returns the one that stands
// for the caller, such as the token of the request that is being served. Each [Source.Token] calls
// it, and that of [Actor], with the Source's key and the caller's context, before anything is looked
// up. They should be quick: what they return is most often in the context.
//
// A token is kept for the key and for the very tokens that it was obtained for, by a keyed hash of
// them. Two callers share a token if their keys are equal and their tokens are too, so that a person
// with two tokens, one of which allows more, never gets with one what the other allows. Also the
// refusal of a token counts for that token alone. What is obtained for a token is not handed out
// after that token's end, as far as [SecurityToken].Expiry says when that is.
//
// The key must have a Subject, which is not sent: the name of the person, or one name for a [Source]
// that serves many. An access token is asked for, and an answer with another type of token is
// refused. A function's error is in that of [Source.Token], and the next call calls it again.
//
// All of this also holds through a Fetcher that wraps this one and passes the [Request] on; see
// [ErrAskCaller]. If it passes another Key on, a token is asked for by that one, and the functions
// are called with the Source's all the same. Without a [Manager], Fetch calls them each time, with
// the Request's.
func (c *Client) Exchange(
	subject func(ctx context.Context, key Key) (SecurityToken, error), opts ...ExchangeOption,
) Fetcher {
	e := exchange{subject: subject}
	if subject == nil || slices.ContainsFunc(opts, func(opt ExchangeOption) bool { return opt == nil }) {
		e.err = errNilFunc
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&e)
		}
	}
	brought := callerTokens{{"subject_token", e.subject}}
	if e.actor != nil {
		brought = append(brought, callerToken{"actor_token", e.actor})
	}
	provider := brought.provider()
	return FetcherFunc(func(ctx context.Context, r Request) (*Response, error) {
		if e.err != nil {
			return nil, badRequest(e.err)
		}
		if err := c.checkKey(r.Key, true); err != nil {
			return nil, err
		}
		given, err := callertoken.Of(ctx, r, provider)
		if err != nil {
			return nil, err
		}
		form := c.keyForm(grantExchange, r.Key)
		form.Set("requested_token_type", TypeAccessToken)
		brought.fill(form, given)
		brought.fillTypes(form, given)
		response, issued, err := c.exchange(ctx, call{op: opToken, form: form, outside: true})
		if err != nil {
			return nil, err
		}
		if issued != TypeAccessToken && issued != TypeJWT {
			return nil, &Error{Op: opToken, Status: http.StatusOK, Err: errIssued}
		}
		callertoken.Mark(response, r, given)
		return response, nil
	})
}

// checkKey refuses a key that the client cannot serve. With subject it must have a Subject, without it must have none.
func (c *Client) checkKey(key Key, subject bool) error {
	var errs []error
	refuse := func(when bool, err error) {
		if when {
			errs = append(errs, err)
		}
	}
	refuse(key.Issuer != "" && key.Issuer != c.issuer, errIssuer)
	refuse(key.Client != "" && key.Client != c.id, errClientID)
	refuse(!subject && key.Subject != "", errSubject)
	refuse(subject && key.Subject == "", errNobody)
	refuse(key.Resource != "" && !isURI(key.Resource), errResource)
	refuse(!isText(key.Audience), errAudience)
	refuse(key.Scope != "" && !isScopeList(key.Scope), errScopes)
	if len(errs) > 0 {
		return badRequest(errors.Join(errs...))
	}
	return nil
}

// keyForm is the form of a request for a key.
func (c *Client) keyForm(grantType string, key Key) url.Values {
	form := url.Values{"grant_type": {grantType}}
	for name, value := range map[string]string{"scope": key.Scope, "resource": key.Resource, "audience": key.Audience} {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// isURI reports that a text is an absolute URI without a user name and a fragment.
func isURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && u.User == nil && u.Host+u.Opaque+u.Path != "" && isPrintable(text) && !strings.ContainsAny(text, " #")
}

// isText reports that a text is UTF-8 without control characters.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// isScopeList reports that a text is what RFC 6749 section 3.3 has for scope.
func isScopeList(text string) bool {
	return isScope(text) && !slices.Contains(strings.Split(text, " "), "")
}
