// Package beareroauth2 joins package tokens and golang.org/x/oauth2, both ways: [TokenSource] is
// for a library that takes an
// [oauth2.TokenSource], and [Fetcher] puts a [tokens.Manager] in front of what obtains tokens with
// package oauth2.
//
//	client := oauth2.NewClient(ctx, beareroauth2.TokenSource(ctx, source))
//
//	manager, err := tokens.NewManager(beareroauth2.Fetcher(
//		func(ctx context.Context, key tokens.Key) (*oauth2.Token, error) {
//			config, ok := configs[key] // a clientcredentials.Config for each service
//			if !ok {
//				return nil, &tokens.Error{Op: "token", Code: "invalid_request"}
//			}
//			return config.Token(ctx)
//		}))
//
// Where there is a choice, a Client of package tokens/oauth and a [tokens.Transport] do more: they
// honour the context of each request, are given, and send a token nowhere but where it belongs. An
// [oauth2.Transport] sends it wherever the request goes, also to another host after a redirect. And
// an [oauth2.Token] prints as what it is: keep it out of logs.
package beareroauth2

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/bearer-go/bearer/tokens"
)

const (
	keptFor    = time.Second      // by a cache around a TokenSource
	early      = 10 * time.Second // before a token's Expiry, when package oauth2 counts it as expired
	maxSeconds = math.MaxInt32    // that refresh_in may say: what package oauth2 has as its bound of expires_in

	maxAskedPause = time.Hour // that Retry-After may ask for, as in every tokens.Error
)

// TokenSource returns a source of the tokens of s. The context is for every call, because those of
// package oauth2 have none of their own: each waits until that context ends, or until the fetch it
// waits for has ended ([tokens.WithFetchTimeout]). It panics when s is nil.
//
// The Expiry of what it returns is not when the token ends but when to ask again: 11 seconds ahead,
// or the token's end if that is sooner. An [oauth2.ReuseTokenSource], which [oauth2.NewClient] puts
// around every source, keeps a token until 10 seconds before its Expiry; had it the real one, it
// would not ask before the token is over, nothing would be renewed ahead, and a token that was
// invalidated would stay in use. Asking costs next to nothing. [tokens.Token.Expiry] has the real
// one.
//
// The error is that of [tokens.Source.Token].
func TokenSource(ctx context.Context, s *tokens.Source) oauth2.TokenSource {
	if s == nil {
		panic("beareroauth2: TokenSource: the tokens.Source is nil; give what Manager.Source returns")
	}
	return tokenSource(func() (*oauth2.Token, error) {
		t, err := s.Token(ctx)
		if err != nil {
			return nil, err
		}
		expiry := time.Now().Add(early + keptFor).Round(0)
		if t.Expiry().Before(expiry) {
			expiry = t.Expiry()
		}
		return &oauth2.Token{AccessToken: t.AccessToken(), TokenType: "Bearer", Expiry: expiry}, nil
	})
}

// tokenSource is a function, so that it prints as an address: of a struct package fmt would read
// the fields of the context.
type tokenSource func() (*oauth2.Token, error)

func (f tokenSource) Token() (*oauth2.Token, error) { return f() }

var (
	errNoToken  = errors.New("the function returned neither a token nor an error")
	errOver     = errors.New("the token's life was over when it came")
	errScope    = errors.New("the scope of the answer has a character that no scope has")
	errRedirect = errors.New("the endpoint redirects, which is not followed: what is sent to it is secret; name the right URL")
)

// Fetcher returns a [tokens.Fetcher] that asks a function for tokens, such as one that calls the
// method Token of a clientcredentials.Config. It panics when the function is nil.
//
// The function has to serve the key as it is, or to refuse it with an error: one that passes over
// the key's Resource or Scope gets the token of one service for another. It must ask the server
// each time: an [oauth2.ReuseTokenSource] gives the token that is to be replaced, so that nothing
// is renewed ahead. A server may repeat its token until that ends. Set the configuration's
// AuthStyle, or package oauth2 asks twice whenever it fails.
//
// Its context has a deadline, and an HTTP client that follows no redirect, which could take the
// client's secret along. For another client add it in the function, with [oauth2.HTTPClient]; one
// in the context of who needs the token is not used, because all share what comes of the fetch.
//
// The life of the token is what is left until its Expiry, counted from when the function was
// called; a zero Expiry means that the server did not say. From [oauth2.Token.Extra] come
// refresh_in and scope. A refresh token is NOT kept: this is no way to keep a login, for which
// there is package tokens/session.
//
// An [oauth2.RetrieveError] becomes a [*tokens.Error] with the status, the code and Retry-After, so
// that the Manager knows when to ask again, and without the body, in which a server may quote what
// was sent to it, as it may in a code: only well-known ones are kept. An error with a
// [*tokens.Error] of the function's own stays as it is, with its text. The text of any other is
// shown only if it is of the network or of TLS. Such an error cannot be unwrapped, but [errors.Is]
// and [errors.As] find what is in it.
func Fetcher(token func(ctx context.Context, key tokens.Key) (*oauth2.Token, error)) tokens.Fetcher {
	if token == nil {
		panic("beareroauth2: Fetcher: the function is nil; give one that obtains a token")
	}
	return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		t, err := token(context.WithValue(ctx, oauth2.HTTPClient, asker), r.Key)
		if err != nil {
			return nil, failure(err)
		}
		response, err := responseOf(t)
		if err != nil {
			return nil, &tokens.Error{Op: opToken, Err: err}
		}
		return response, nil
	})
}

const opToken = "token"

// asker follows no redirect: one with the status 307 or 308 would take the whole request along.
var asker = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// responseOf takes over what a Manager has a use for, and leaves it to the Manager to judge the
// token itself.
func responseOf(t *oauth2.Token) (*tokens.Response, error) {
	if t == nil {
		return nil, errNoToken
	}
	response := &tokens.Response{
		AccessToken: tokens.NewSecret(t.AccessToken),
		TokenType:   t.Type(),
		RefreshIn:   seconds(t.Extra("refresh_in")),
	}
	if !t.Expiry.IsZero() {
		// Package oauth2 counts from when the answer came, a Manager from when it asked: the time
		// between is no part of the life.
		if response.ExpiresIn = time.Until(t.Expiry); response.ExpiresIn <= 0 { // 0 would mean that the server did not say
			return nil, errOver
		}
	}
	response.Scope, _ = t.Extra("scope").(string) // some servers have a list, which is none (RFC 6749 section 5.1)
	if strings.ContainsFunc(response.Scope, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return nil, errScope
	}
	return response, nil
}

// seconds reads a number as package oauth2 has it from JSON or from a form. Nonsense is 0.
func seconds(value any) time.Duration {
	var n float64
	switch value := value.(type) {
	case float64:
		n = value
	case int64:
		n = float64(value)
	case string:
		return digits(value)
	}
	if n > 0 && n <= maxSeconds { // not so for NaN
		return time.Duration(n * float64(time.Second))
	}
	return 0
}

// digits reads a whole number of seconds, of which more than maxSeconds are maxSeconds. Nonsense is
// 0.
func digits(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(n) * time.Second
}

// retryAfter reads the header of that name, a number of seconds or a date (RFC 9110 section
// 10.2.3). What is longer than maxAskedPause is that. Nonsense is 0.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), maxAskedPause)
	}
	return min(digits(text), maxAskedPause)
}

// failure is the error that a Manager gets.
func failure(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return refusal(e)
	}
	if _, ok := errors.AsType[*tokens.Error](err); ok {
		return err
	}
	return &tokens.Error{Op: opToken, Err: quiet(err)}
}

// refusal is what an answer said, but for its texts.
func refusal(e *oauth2.RetrieveError) *tokens.Error {
	out := &tokens.Error{Op: opToken}
	if isKnown(e.ErrorCode) {
		out.Code = e.ErrorCode
	}
	if e.Response == nil {
		return out
	}
	out.Status = e.Response.StatusCode
	if 300 <= out.Status && out.Status < 400 {
		out.Err = errRedirect
	}
	out.RetryAfter = retryAfter(e.Response.Header)
	return out
}

// isKnown reports whether a code is a registered one, and so not something that was sent to the
// server.
func isKnown(code string) bool {
	switch code {
	case "temporarily_unavailable", "server_error", // RFC 6749 section 4.1.2.1
		"slow_down", "authorization_pending", // RFC 8628 section 3.5
		"login_required", "consent_required", "interaction_required": // OpenID Connect Core section 3.1.2.6
		return true
	}
	return (&tokens.Error{Code: code}).Permanent()
}
