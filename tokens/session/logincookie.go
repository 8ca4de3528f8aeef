package session

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/bearer-go/bearer/tokens/oauth"
)

// loginCookie is what the name of a login's cookie begins with, before the state. A browser takes a
// cookie whose name begins with __Host- only from the host itself, by https and for all its paths.
const loginCookie = "__Host-login-"

// SetCookie puts the login into a cookie of the browser that it belongs to, sealed by [Login.Seal],
// so that any process that has the keys can go on with it; see [LoginFromCookie]. Call it before
// the browser is sent to [Login.URL]:
//
//	login, err := session.NewLogin(ctx, client, "https://app.example.com/callback")
//	err = login.SetCookie(ctx, w, keys)
//	http.Redirect(w, r, login.URL(), http.StatusFound)
//
// The name of the cookie has the login's state in it, so that each tab has one. It is for this host
// alone, "__Host-", so that no other site below the same domain can plant a login, and HttpOnly,
// Secure, and Path=/. It is SameSite=Lax, and None for [WithFormPost]: a browser sends no other
// cookie with a POST from another site. It goes when the login ends, 10 minutes after it was begun.
// A login with a few scopes has some 500 characters. Chromium keeps such a cookie from
// http://localhost, and other browsers may not: use Seal there, with a cookie of your own.
//
// A login that is begun and not finished leaves its cookie for those 10 minutes, and 16 of them are
// as much as many servers take in a header. So begin one where a person opens a page, and answer a
// request of a script or for an image with 401: its Sec-Fetch-Mode is not navigate.
//
// The errors are those of Seal. No cookie is set then.
func (l *Login) SetCookie(ctx context.Context, w http.ResponseWriter, keys SealKeys) error {
	text, err := l.Seal(ctx, keys)
	if err != nil {
		return err
	}
	l.setCookie(w, text, max(1, int(time.Until(l.endWall)/time.Second)))
	return nil
}

// ClearCookie deletes the cookie of [Login.SetCookie]. Call it when the login is finished, before
// anything else is written: a page that is loaded again does not send the code again then. After an
// error of Finish the cookie may stay, so that a code which was not sent can be.
func (l *Login) ClearCookie(w http.ResponseWriter) { l.setCookie(w, "", -1) }

func (l *Login) setCookie(w http.ResponseWriter, text string, age int) {
	c := &http.Cookie{
		Name: loginCookie + l.state, Value: text, MaxAge: age,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if l.formPost {
		c.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
}

// LoginFromCookie returns the login that [Login.SetCookie] has put into a cookie, and what the
// browser came back with, as [Login.Answer] does. The request is the one to the redirect URI:
//
//	login, back, err := session.LoginFromCookie(r, client, keys)
//	identity, err := s.Finish(r.Context(), login, back)
//	login.ClearCookie(w)
//
// The errors are those of Answer and [OpenLogin], and [ErrNotFound] when the browser has no such
// login: another browser began it, or it ended, or was finished.
func LoginFromCookie(r *http.Request, client *oauth.Client, keys SealKeys) (login *Login, back url.Values, err error) {
	a, err := readAnswer(r)
	if err != nil {
		return nil, nil, err
	}
	cookies := r.CookiesNamed(loginCookie + a.values.Get("state"))
	if len(cookies) != 1 { // a browser that knows the prefix has one
		return nil, nil, errNoLogin
	}
	login, err = OpenLogin(r.Context(), client, keys, cookies[0].Value)
	if err != nil {
		return nil, nil, err
	}
	if back, err = a.to(login); err != nil {
		return nil, nil, err
	}
	return login, back, nil
}
