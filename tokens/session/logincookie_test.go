package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// setLoginCookie returns the cookie of a login as a browser gets it.
func setLoginCookie(t testing.TB, l *session.Login, keys session.SealKeys) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := l.SetCookie(t.Context(), w, keys); err != nil {
		t.Fatal(err)
	}
	return onlyCookie(t, w)
}

func onlyCookie(t testing.TB, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	return cookies[0]
}

// withCookies is a request that brings cookies.
func withCookies(r *http.Request, cookies ...*http.Cookie) *http.Request {
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func TestLoginFromCookieInAnotherProcess(t *testing.T) {
	for mode, opts := range map[http.SameSite][]session.LoginOption{
		http.SameSiteLaxMode: nil, http.SameSiteNoneMode: {session.WithFormPost()},
	} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			w := newSessionWorld(t)
			other := w.otherProcess(t)
			l, err := w.session.Login(t.Context(), sessionRedirect, opts...)
			if err != nil {
				t.Fatal(err)
			}
			cookie := setLoginCookie(t, l, storeKeys(1))
			var r *http.Request
			if opts == nil {
				r = answerRequest("GET", w.loginAnswer(t, l).Encode(), "", "")
			} else {
				r = w.postedAnswer(t, l)
			}
			login, back, err := session.LoginFromCookie(withCookies(r, cookie), other.client, storeKeys(2, 1))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.session.Finish(t.Context(), login, back); err != nil {
				t.Fatal(err)
			}

			cleared := httptest.NewRecorder()
			login.ClearCookie(cleared)
			if got := onlyCookie(t, cleared); got.Name != cookie.Name || got.MaxAge >= 0 || got.Value != "" || got.Path != cookie.Path ||
				!got.Secure || got.SameSite != mode {
				t.Errorf("it is cleared by %v", got)
			}
			if err := login.SetCookie(t.Context(), cleared, storeKeys(1)); !errors.Is(err, session.ErrLoginUsed) || len(cleared.Result().Cookies()) != 1 {
				t.Errorf("it is set once more: %v", err)
			}
		})
	}
}

func TestLoginCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plainClient(t, "https://login.test", "app")
		l := plainLogin(t, c)
		got := setLoginCookie(t, l, storeKeys(1))
		if got.Name != "__Host-login-"+l.State() || got.Path != "/" || got.Domain != "" || !got.Secure || !got.HttpOnly ||
			got.SameSite != http.SameSiteLaxMode || got.MaxAge != 600 || got.Valid() != nil {
			t.Errorf("the cookie is %v", got)
		}
		<-time.After(9*time.Minute + 59500*time.Millisecond)
		if got := setLoginCookie(t, l, storeKeys(1)); got.MaxAge != 1 {
			t.Errorf("half a second before the end it is %v", got)
		}
		<-time.After(time.Second)
		w := httptest.NewRecorder()
		if err := l.SetCookie(t.Context(), w, storeKeys(1)); !errors.Is(err, session.ErrLoginExpired) || len(w.Result().Cookies()) != 0 {
			t.Errorf("after the end: %v", err)
		}
	})
}

// The longest login fits a cookie of 4096 bytes, with all that is around it.
func TestLoginCookieSize(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	longest := 0
	for scope := 2000; ; scope++ {
		w := httptest.NewRecorder()
		if err := plainLogin(t, c, session.WithScope(strings.Repeat("s", scope)), session.WithFormPost()).SetCookie(t.Context(), w, storeKeys(1)); err != nil {
			break
		}
		longest = len(w.Header().Get("Set-Cookie"))
	}
	if longest < 3584 || longest > 4096 {
		t.Errorf("the longest cookie has %d bytes", longest)
	}
}

func TestLoginFromCookieRefusesRequests(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l, other, posted := plainLogin(t, c), plainLogin(t, c), plainLogin(t, c, session.WithFormPost())
	cookie, of, post := setLoginCookie(t, l, storeKeys(1)), setLoginCookie(t, other, storeKeys(1)), setLoginCookie(t, posted, storeKeys(1))
	expired, err := session.SealLoginData(c, storeKeys(1), loginData(time.Now(), ""))
	if err != nil {
		t.Fatal(err)
	}
	get := func(state string, cookies ...*http.Cookie) *http.Request {
		return withCookies(answerRequest("GET", "code=c&state="+state, "", ""), cookies...)
	}
	isLogin := func(err error) bool {
		e, ok := errors.AsType[*tokens.Error](err)
		return ok && e.Op == "login"
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, test := range map[string]struct {
		r    *http.Request
		want func(error) bool
	}{
		"no cookie":               {get(l.State()), is(session.ErrNotFound)},
		"another browser's state": {get(l.State(), of), is(session.ErrNotFound)},
		"no state":                {get("", cookie), is(session.ErrNotFound)},
		"odd state":               {get("%0d%0a%3b=", cookie), is(session.ErrNotFound)},
		"two cookies":             {get(l.State(), cookie, cookie), is(session.ErrNotFound)},
		"no text":                 {get(l.State(), &http.Cookie{Name: cookie.Name}), is(session.ErrCannotUnseal)},
		"another text":            {get(l.State(), &http.Cookie{Name: cookie.Name, Value: cookie.Value[1:]}), is(session.ErrCannotUnseal)},
		"expired":                 {get("s", &http.Cookie{Name: "__Host-login-s", Value: expired}), is(session.ErrLoginExpired)},
		"HEAD":                    {withCookies(answerRequest("HEAD", "code=c&state="+l.State(), "", ""), cookie), isLogin},
		"a form, unasked":         {withCookies(answerRequest("POST", "", formType, "code=c&state="+l.State()), cookie), isLogin},
		"a query, unasked":        {get(posted.State(), post), isLogin},
		"the state in the query":  {withCookies(answerRequest("POST", "state="+posted.State(), formType, "code=c"), post), is(session.ErrNotFound)},
	} {
		login, back, err := session.LoginFromCookie(test.r, c, storeKeys(1))
		if login != nil || back != nil || !test.want(err) {
			t.Errorf("%s: the login is %v, the answer %v, error %v", name, login, back, err)
		}
	}
	login, back, err := session.LoginFromCookie(get(l.State(), cookie, of, post), c, storeKeys(1))
	if err != nil || login.State() != l.State() || back.Get("code") != "c" {
		t.Errorf("among others: %v", err)
	}

	// The login of one tab under the name of another is not for that one's answer.
	moved := &http.Cookie{Name: cookie.Name, Value: of.Value}
	login, back, err = session.LoginFromCookie(get(l.State(), moved), c, storeKeys(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := login.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginState) {
		t.Errorf("moved: %v", err)
	}
}
