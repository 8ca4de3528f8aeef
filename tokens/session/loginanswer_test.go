package session_test

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

const formType = "application/x-www-form-urlencoded"

// answerRequest is a request to the redirect URI.
func answerRequest(method, query, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, "/callback?"+query, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// The answer is taken from where it was asked for, and from nowhere else.
func TestLoginAnswer(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	query, form := plainLogin(t, c), plainLogin(t, c, session.WithFormPost())
	for name, test := range map[string]struct {
		login *session.Login
		r     *http.Request
		code  string // "" for an error
	}{
		"query":                 {query, answerRequest("GET", "code=q", "", ""), "q"},
		"query and a body":      {query, answerRequest("GET", "code=q", formType, "code=f"), "q"},
		"HEAD":                  {query, answerRequest("HEAD", "code=q", "", ""), ""},
		"a form, unasked":       {query, answerRequest("POST", "code=q", formType, "code=f"), ""},
		"a query, malformed":    {query, answerRequest("GET", "code=q&a=%zz", "", ""), ""},
		"form":                  {form, answerRequest("POST", "", formType, "code=f"), "f"},
		"form, with a charset":  {form, answerRequest("POST", "", formType+"; charset=UTF-8", "code=f"), "f"},
		"form and a query":      {form, answerRequest("POST", "code=q&state=s", formType, "code=f"), "f"},
		"a query, unasked":      {form, answerRequest("GET", "code=q", "", ""), ""},
		"a query and no form":   {form, answerRequest("GET", "code=q", formType, "code=f"), ""},
		"PUT":                   {form, answerRequest("PUT", "", formType, "code=f"), ""},
		"no content type":       {form, answerRequest("POST", "", "", "code=f"), ""},
		"another content type":  {form, answerRequest("POST", "", "text/plain", "code=f"), ""},
		"a form in parts":       {form, answerRequest("POST", "", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nf\r\n--x--\r\n"), ""},
		"a malformed form":      {form, answerRequest("POST", "", formType, "code=%zz"), ""},
		"an empty form":         {form, answerRequest("POST", "code=q", formType, ""), "none"},
		"a form that breaks":    {form, httptest.NewRequest("POST", "/callback", iotest.ErrReader(errDiskFull)), ""},
		"a form of 64 KiB":      {form, answerRequest("POST", "", formType, "code=f&a="+strings.Repeat("a", 64<<10-9)), "f"},
		"a form that is longer": {form, answerRequest("POST", "", formType, "code=f&a="+strings.Repeat("a", 64<<10-8)), ""},
	} {
		if test.r.Header.Get("Content-Type") == "" && strings.HasPrefix(name, "a form that") {
			test.r.Header.Set("Content-Type", formType)
		}
		back, err := test.login.Answer(test.r)
		if test.code == "" {
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" || back != nil || strings.Contains(err.Error(), "zz") {
				t.Errorf("%s: %v, error %v", name, back, err)
			}
			continue
		}
		want := []string{test.code}
		if test.code == "none" {
			want = nil
		}
		if err != nil || len(back["code"]) != len(want) || len(want) > 0 && back.Get("code") != want[0] {
			t.Errorf("%s: %v, error %v", name, back, err)
		}
	}
}

// A handler needs the state before it has the login.
func TestLoginAnswerAfterTheFormWasRead(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l := plainLogin(t, c, session.WithFormPost())
	r := answerRequest("POST", "state=q", formType, "code=f&state=f")
	if got := r.FormValue("state"); got != "f" {
		t.Errorf("the state is %q", got)
	}
	if back, err := l.Answer(r); err != nil || back.Get("code") != "f" || len(back["state"]) != 1 {
		t.Errorf("%v, error %v", back, err)
	}
}

// What Answer refuses leaves the login as it was.
func TestLoginAnswerThatIsRefusedUsesNothing(t *testing.T) {
	w := newSessionWorld(t)
	l := w.login(t)
	back := w.loginAnswer(t, l)
	if _, err := l.Answer(answerRequest("HEAD", back.Encode(), "", "")); err == nil {
		t.Error("no error")
	}
	values, err := l.Answer(answerRequest("GET", back.Encode(), "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Finish(t.Context(), values); err != nil {
		t.Error(err)
	}
}

// postedAnswer sends the browser along, and returns the request that it comes back with.
func (w *sessionWorld) postedAnswer(t *testing.T, l *session.Login) *http.Request {
	t.Helper()
	response, err := w.issuer.Client().Get(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), `action="`+sessionRedirect+`"`) {
		t.Fatalf("status %d, error %v: %s", response.StatusCode, err, page)
	}
	form := url.Values{}
	for _, input := range regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		form.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return answerRequest("POST", "", formType, form.Encode())
}

// A login with response_mode=form_post is finished by what the browser posts, in any process.
func TestFormPost(t *testing.T) {
	for way, move := range leaving {
		t.Run(way, func(t *testing.T) {
			w := newSessionWorld(t)
			other := w.otherProcess(t)
			l, err := w.session.Login(t.Context(), sessionRedirect, session.WithFormPost())
			if err != nil {
				t.Fatal(err)
			}
			if query := loginQuery(t, l); query.Get("response_mode") != "form_post" {
				t.Errorf("the URL has %v", query)
			}
			moved, r := move(t, l, other), w.postedAnswer(t, l)
			if _, err := moved.Answer(answerRequest("GET", "state="+l.State()+"&code=c", "", "")); err == nil {
				t.Error("the answer may be a GET elsewhere")
			}
			back, err := moved.Answer(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.session.Finish(t.Context(), moved, back); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormPostIsAskedFor(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	if query := loginQuery(t, plainLogin(t, c)); query.Has("response_mode") {
		t.Errorf("the URL has %v without the option", query)
	}
	for redirect, good := range map[string]bool{
		"https://app.test/callback": true, "http://127.0.0.1:1234/callback": true, "https://app.test/a.b:c": true, "com.example.app:/callback": false,
	} {
		if _, err := session.NewLogin(t.Context(), c, redirect, session.WithFormPost()); (err == nil) != good {
			t.Errorf("%s: %v", redirect, err)
		}
	}
	_, err := session.NewLogin(t.Context(), c, "com.example.app:/callback", session.WithFormPost(), session.WithFormPost())
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "WithFormPost"}, session.ConfigError{Option: "WithFormPost"})
}
