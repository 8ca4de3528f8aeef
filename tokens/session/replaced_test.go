package session_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// fallbackAnswer is an answer with this body, for "{sent}" the refresh token that was sent, and for
// "{form}" all that was.
func fallbackAnswer(w *sessionWire, status int, contentType, body string) *http.Response {
	sent := w.last()
	body = strings.NewReplacer("{sent}", sent.Get("refresh_token"), "{form}", sent.Encode()).Replace(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// sentRefreshTokens are those that came to the token endpoint.
func (w *sessionWire) sentRefreshTokens() (sent []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, form := range w.tokens {
		sent = append(sent, form.Get("refresh_token"))
	}
	return sent
}

// fallbackReply is what a test changes of an answer.
type fallbackReply struct {
	status      int
	contentType string
	body        string
}

// spoiled makes the token endpoint do what it does, and changes its answer.
func (w *sessionWire) spoiled(t *testing.T, spoil func(a *fallbackReply)) {
	t.Helper()
	w.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
		w.hook(nil)
		response, err := pass()
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		a := &fallbackReply{response.StatusCode, response.Header.Get("Content-Type"), string(body)}
		spoil(a)
		return fallbackAnswer(w, a.status, a.contentType, a.body), nil
	})
}

const fallbackLatin1 = "\"name\":\"Ren\xe9\"" // is not UTF-8

// toForm gives an answer the encoding that some servers have.
func (a *fallbackReply) toForm(t *testing.T) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Error(err)
	}
	form := url.Values{}
	for name, value := range members {
		form.Set(name, fmt.Sprint(value))
	}
	a.contentType, a.body = "application/x-www-form-urlencoded; charset=utf-8", form.Encode()
}

// The server has rotated the refresh token, whatever is wrong with its answer otherwise.
func TestRefreshTokenIsTakenFromEverySuccess(t *testing.T) {
	status := func(status int) func(*fallbackReply) { return func(a *fallbackReply) { a.status = status } }
	with := func(members string) func(*fallbackReply) {
		return func(a *fallbackReply) { a.body = "{" + members + "," + a.body[1:] }
	}
	typed := func(contentType string) func(*fallbackReply) {
		return func(a *fallbackReply) { a.contentType = contentType }
	}
	for name, tt := range map[string]struct {
		spoil  func(*fallbackReply)
		usable bool
	}{
		"201":                    {status(http.StatusCreated), true},
		"202":                    {status(http.StatusAccepted), true},
		"203":                    {status(http.StatusNonAuthoritativeInfo), true},
		"299":                    {status(299), true},
		"a Latin-1 byte":         {with(fallbackLatin1), false},
		"half a surrogate pair":  {with(`"name":"\ud800"`), false},
		"a doubled member":       {with(`"scope":"read"`), false},
		"two refresh tokens":     {with(`"refresh_token":"first"`), false},
		"a byte order mark":      {func(a *fallbackReply) { a.body = "\ufeff" + a.body }, false},
		"a form":                 {func(a *fallbackReply) { a.toForm(t) }, true},
		"a form of two":          {func(a *fallbackReply) { a.toForm(t); a.body += "&x=1&x=2" }, false},
		"JSON as text":           {typed("text/plain"), true},
		"JSON as a page":         {typed("text/html"), true},
		"JSON of no type":        {typed("nonsense;;"), true},
		"201 and a Latin-1 byte": {func(a *fallbackReply) { a.status = http.StatusCreated; with(fallbackLatin1)(a) }, false},
		"no access token":        {func(a *fallbackReply) { a.body = strings.Replace(a.body, `"access_token"`, `"token"`, 1) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				f := session.RefreshToken(w.client, w.store)
				w.wire.spoiled(t, tt.spoil)
				if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); (err == nil) != tt.usable {
					t.Errorf("usable %t, want %t: %v", err == nil, tt.usable, err)
				}
				old := w.wire.sentRefreshTokens()[0]
				if replaced := w.replaced(t); slices.Equal(replaced, []string{old}) == tt.usable || w.store.record(t)["refresh_token"] == old {
					t.Errorf("saved %v, sent %v", w.store.record(t), old)
				}
				key := sessionKey
				key.Scope = "read"
				mustFetch(t, f, tokens.Request{Key: key})
				if sent := w.wire.sentRefreshTokens(); w.issuer.Sessions() != 1 || len(sent) != 2 || sent[1] == old {
					t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
				}
				if w.store.record(t)["replaced_refresh_tokens"] != nil {
					t.Error("the old one is kept although the new one is good")
				}
			})
		})
	}
}

// What is in the way to a server may answer in its place. The server's own refresh token is still
// good then.
func TestAnswersOfOthersLeaveTheSession(t *testing.T) {
	const (
		asJSON = "application/json"
		asHTML = "text/html; charset=utf-8"
		form   = "application/x-www-form-urlencoded"
		evil   = `{"refresh_token":"evil"}`
		good   = `{"access_token":"a","token_type":"Bearer","refresh_token":"evil"}`
	)
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		asked             int // requests in all
	}{
		"a page":                         {200, asHTML, "<p>Blocked: {form}</p>", 2},
		"a page of JSON":                 {200, asHTML, evil, 2},
		"a page of XHTML":                {200, "application/xhtml+xml", evil, 2},
		"two types, one of a page":       {200, "application/json, text/html", evil, 2},
		"a page without a type":          {200, "", "<p>Blocked: {form}</p>", 2},
		"a page that says that it is":    {200, asJSON, "<p>Blocked: {form}</p>", 2},
		"JSON that quotes the form":      {200, asJSON, `{"blocked":"{form}"}`, 2},
		"JSON that holds the form":       {200, asJSON, `{"blocked":{"refresh_token":"evil"}}`, 2},
		"JSON in a list":                 {200, asJSON, "[" + evil + "]", 2},
		"JSON that repeats the form":     {200, asJSON, `{"grant_type":"refresh_token","refresh_token":"{sent}"}`, 2},
		"the form":                       {200, form, "{form}", 2},
		"a form of two":                  {200, form, "refresh_token=evil&refresh_token=evil2", 2},
		"a form with an error":           {200, form, "refresh_token=evil&error=server_error", 2},
		"a form that is called JSON":     {200, asJSON, "refresh_token=evil", 2},
		"JSON that is called a form":     {200, form, evil, 2},
		"JSON with an error":             {200, asJSON, `{"error":"server_error",` + good[1:], 2},
		"JSON with an error of its own":  {200, asJSON, `{"error":{"code":7},` + good[1:], 2},
		"JSON that is cut":               {200, asJSON, evil[:len(evil)-1], 2},
		"JSON that is cut in the middle": {200, asJSON, evil + `{"`, 2},
		"no content":                     {204, asJSON, good, 2},
		"reset content":                  {205, asJSON, good, 2},
		"a part":                         {206, asJSON, good, 2},
		"a redirect":                     {302, asJSON, good, 2},
		"not modified":                   {304, asJSON, good, 2},
		"a refusal":                      {400, asJSON, good, 2},
		"forbidden":                      {403, asJSON, good, 2},
		"a failure":                      {500, asJSON, good, 2},

		// Here the new one counts, and is tried.
		"JSON with a mask":    {200, asJSON, `{"grant_type":"***","refresh_token":"***"}`, 3},
		"JSON with two":       {200, asJSON, `{"refresh_token":"evil","refresh_token":"evil2"}`, 3},
		"a form with another": {200, form, "refresh_token=evil", 3},
	} {
		for _, scope := range []string{"", "read"} {
			t.Run(fmt.Sprintf("%s, scope %q", name, scope), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					f := session.RefreshToken(w.client, w.store)
					w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
						w.wire.hook(nil)
						return fallbackAnswer(w.wire, tt.status, tt.contentType, tt.body), nil
					})
					key := sessionKey
					key.Scope = scope
					if g, err := f.Fetch(t.Context(), tokens.Request{Key: key}); err == nil || errors.Is(err, tokens.ErrLoginRequired) {
						t.Errorf("%v, %v", g, err)
					}
					mustFetch(t, f, tokens.Request{Key: key})
					asked := tt.asked
					if asked == 3 && scope != "" {
						asked++ // whether it is the scope that was refused
					}
					if sent := w.wire.sentRefreshTokens(); w.issuer.Sessions() != 1 || len(sent) != asked || sent[0] != sent[asked-1] {
						t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
					}
					if w.store.record(t)["replaced_refresh_tokens"] != nil {
						t.Error("the other one is kept")
					}
				})
			})
		}
	}
}

// An answer that refuses the refresh token brings none, although it is a form as well. Otherwise
// one fetch would send one after the other, as long as such answers come.
func TestRefusalThatIsAlsoAFormBringsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			sent := len(w.wire.sentRefreshTokens())
			if sent > 9 {
				return nil, errDiskFull
			}
			body := fmt.Sprintf(`{"error":"invalid_grant","x":"&refresh_token=%d&"}`, sent)
			return fallbackAnswer(w.wire, 200, "application/x-www-form-urlencoded", body), nil
		})
		_, err := w.fetch(sessionKey, nil)
		if sent := w.wire.sentRefreshTokens(); !errors.Is(err, tokens.ErrLoginRequired) || len(sent) != 1 {
			t.Errorf("error %v, sent %q", err, sent)
		}
	})
}

// A body that ends before its end brings nothing, however much of it came.
func TestRefreshTokenIsNotTakenFromACutBody(t *testing.T) {
	const body = `{"refresh_token":"evil"}`
	for name, answer := range map[string]string{
		"a length that is longer":  "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n" + body,
		"no end of the chunks":     "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" + body + "\r\n",
		"half of the JSON":         "Content-Type: application/json\r\n\r\n" + body[:len(body)-1],
		"a form without an end":    "Content-Type: application/x-www-form-urlencoded\r\n\r\nrefresh_token=evil",
		"a form that is not whole": "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\nrefresh_token=evil",
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				connection, buffered, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n" + answer)
				_ = buffered.Flush()
				_ = connection.(interface{ CloseWrite() error }).CloseWrite()
				_, _ = io.Copy(io.Discard, connection)
				_ = connection.Close()
			}))
			defer server.Close()
			store := newSessionStore()
			c, err := oauth.NewClient(server.URL, sessionClientID, oauth.NoClientAuth(), oauth.WithTokenEndpoint(server.URL))
			if err != nil {
				t.Fatal(err)
			}
			s, err := session.New(c, store, sessionName)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Adopt(t.Context(), tokens.NewSecret("old")); err != nil {
				t.Fatal(err)
			}
			_, err = session.RefreshToken(c, store).Fetch(t.Context(), tokens.Request{Key: sessionKey})
			if record := store.record(t); err == nil || record["refresh_token"] != "old" || record["replaced_refresh_tokens"] != nil {
				t.Errorf("error %v, record %v", err, record)
			}
		})
	}
}

// replaced are the refresh tokens in the record that were replaced.
func (w *sessionWorld) replaced(t *testing.T) (replaced []string) {
	t.Helper()
	all, _ := w.store.record(t)["replaced_refresh_tokens"].([]any)
	for _, token := range all {
		replaced = append(replaced, token.(string))
	}
	return replaced
}

// doubtedWorld is one in whose record there are two refresh tokens, of which the new one is none
// or, if good, is that of the server.
func doubtedWorld(t *testing.T, good bool, opts ...oauthtest.Option) *sessionWorld {
	t.Helper()
	w := adoptedWorld(t, opts...)
	if good {
		w.wire.spoiled(t, func(a *fallbackReply) { a.body = "{" + fallbackLatin1 + "," + a.body[1:] })
	} else {
		w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			return fallbackAnswer(w.wire, 200, "application/json", `{"refresh_token":"mask"}`), nil
		})
	}
	if _, err := w.fetch(sessionKey, nil); err == nil {
		t.Fatal("the answer was not refused")
	}
	w.wire.hook(nil)
	if record := w.store.record(t); record["refresh_token"] == nil || record["replaced_refresh_tokens"] == nil {
		t.Fatalf("the record is %v", record)
	}
	return w
}

func TestReplacedRefreshTokenIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := doubtedWorld(t, false)
		w.issuer.EndSessions()
		_, err := w.fetch(sessionKey, nil)
		sent := w.wire.sentRefreshTokens()
		if !errors.Is(err, tokens.ErrLoginRequired) || !slices.Equal(sent[1:], []string{"mask", sent[0]}) {
			t.Errorf("%v, sent %q", err, sent)
		}
		if record := w.store.record(t); record["ended"] != true || record["refresh_token"] != nil || record["replaced_refresh_tokens"] != nil {
			t.Errorf("the record is %v", record)
		}
		if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) || len(w.wire.sentRefreshTokens()) != 3 {
			t.Errorf("%v, sent %q", err, w.wire.sentRefreshTokens())
		}
	})
}

// Other failures than invalid_grant say nothing about either.
func TestReplacedRefreshTokenStaysDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := doubtedWorld(t, false)
		before := fmt.Sprint(w.store.record(t))
		w.issuer.SetFault(bearertest.Down)
		if _, err := w.fetch(sessionKey, nil); err == nil || errors.Is(err, tokens.ErrLoginRequired) || fmt.Sprint(w.store.record(t)) != before {
			t.Errorf("%v, record %v", err, w.store.record(t))
		}
		w.issuer.SetFault(bearertest.NoFault)
		if _, err := w.fetch(sessionKey, nil); err != nil || w.issuer.Sessions() != 1 {
			t.Errorf("%v, %d sessions", err, w.issuer.Sessions())
		}
	})
}

// A Store that cannot save which one is to be tried stops it, and no more.
func TestReplacedRefreshTokenIsNotSentBeforeItIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := doubtedWorld(t, false)
		w.store.fail(errDiskFull)
		_, err := w.fetch(sessionKey, nil)
		if _, ok := errors.AsType[*session.StoreError](err); !ok || len(w.wire.sentRefreshTokens()) != 2 {
			t.Errorf("%v, sent %q", err, w.wire.sentRefreshTokens())
		}
		w.store.fail(nil)
		if _, err := w.fetch(sessionKey, nil); err != nil || w.issuer.Sessions() != 1 {
			t.Errorf("%v, %d sessions", err, w.issuer.Sessions())
		}
	})
}

// A server that refuses a scope as invalid_grant has not refused the refresh token, of which the
// new one is good.
func TestRefusalOfAKeyDropsNoRefreshToken(t *testing.T) {
	refusesWrite := func(w *sessionWorld) {
		w.wire.hook(func(r *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			if w.wire.last().Get("scope") == "write" {
				return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
			}
			return pass()
		})
	}
	key := sessionKey
	key.Scope = "write"
	for name, tt := range map[string]struct {
		good  bool
		down  bool
		login bool // ErrLoginRequired for the key
	}{
		"the new one is good":         {good: true, login: true},
		"it is none":                  {good: false, login: true},
		"the server fails in between": {good: true, down: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := doubtedWorld(t, tt.good)
				refusesWrite(w)
				if tt.down {
					w.issuer.SetFault(bearertest.Down)
				}
				if _, err := w.fetch(key, nil); err == nil || errors.Is(err, tokens.ErrLoginRequired) != tt.login {
					t.Errorf("error %v", err)
				}
				w.issuer.SetFault(bearertest.NoFault)
				if _, err := w.fetch(sessionKey, nil); err != nil || w.issuer.Sessions() != 1 {
					t.Errorf("%v, %d sessions, sent %q", err, w.issuer.Sessions(), w.wire.sentRefreshTokens())
				}
			})
		})
	}
}

// It is not known which one the server accepts.
func TestLogoutRevokesBothRefreshTokens(t *testing.T) {
	for _, good := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := doubtedWorld(t, good)
			want := append([]string{w.store.record(t)["refresh_token"].(string)}, w.replaced(t)...)
			err := w.session.Logout(t.Context())
			if err != nil ||
				!slices.Equal(w.wire.revoked(), want) || w.issuer.Sessions() != 0 {
				t.Errorf("%v, revoked %q, %d sessions", err, w.wire.revoked(), w.issuer.Sessions())
			}
		})
	}
}

// Two that are very long do not fit into a record. The one that an answer with nothing wrong
// brought stays.
func TestReplacedRefreshTokenGivesNoWay(t *testing.T) {
	for name, tt := range map[string]struct {
		old, next string
		both      bool
	}{
		"both fit":                {strings.Repeat("a", 30<<10), strings.Repeat("b", 30<<10), true},
		"the new one is too long": {"a", strings.Repeat("b", 65480), false},
		"as JSON":                 {"a", strings.Repeat("<", 12<<10), false},
		"both are too long":       {strings.Repeat("a", 40<<10), strings.Repeat("b", 40<<10), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				if err := w.session.Adopt(t.Context(), tokens.NewSecret(tt.old)); err != nil {
					t.Fatal(err)
				}
				w.wire.answer(200, map[string]any{"refresh_token": tt.next})
				if _, err := w.fetch(sessionKey, nil); err == nil {
					t.Error("the answer was not refused")
				}
				want, replaced := tt.old, []string(nil)
				if tt.both {
					want, replaced = tt.next, []string{tt.old}
				}
				kept := w.store.record(t)["refresh_token"]
				if kept != want || !slices.Equal(w.replaced(t), replaced) {
					t.Errorf("%d refresh tokens were replaced, want %d", len(w.replaced(t)), len(replaced))
				}
			})
		})
	}
}

// Whatever several answers in a row bring that cannot be used, the server's refresh token is found:
// also the one before all of them, and one that came between two others.
func TestSeveralAnswersOfOthersLeaveTheSession(t *testing.T) {
	const rotate = "" // the server's own answer, with a byte that is not UTF-8
	for name, tt := range map[string]struct {
		brought []string
		want    []string // what is sent then, the server's refresh tokens being old and new
	}{
		"two masks":           {[]string{"1", "2"}, []string{"2", "1", "old"}},
		"a mask of each":      {strings.Split("123456789", ""), append(strings.Split("9876543", ""), "old")},
		"one mask twice":      {[]string{"1", "2", "1"}, []string{"1", "2", "old"}},
		"the old one again":   {[]string{"1", "old"}, []string{"old"}},
		"a mask of a new one": {[]string{rotate, "1"}, []string{"1", "new"}},
		"two of a new one":    {[]string{rotate, "1", "2"}, []string{"2", "1", "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				names := map[string]string{w.store.record(t)["refresh_token"].(string): "old"}
				for _, brought := range tt.brought {
					if brought == rotate {
						w.wire.spoiled(t, func(a *fallbackReply) { a.body = "{" + fallbackLatin1 + "," + a.body[1:] })
					} else {
						for token, name := range names {
							if name == brought {
								brought = token
							}
						}
						w.wire.answer(200, map[string]any{"refresh_token": brought})
					}
					if _, err := w.fetch(sessionKey, nil); err == nil || errors.Is(err, tokens.ErrLoginRequired) {
						t.Errorf("error %v", err)
					}
					if brought == rotate {
						names[w.store.record(t)["refresh_token"].(string)] = "new"
					}
				}
				w.wire.hook(nil)
				before := len(w.wire.sentRefreshTokens())
				if _, err := w.fetch(sessionKey, nil); err != nil {
					t.Errorf("error %v", err)
				}
				sent := w.wire.sentRefreshTokens()[before:]
				for n, token := range sent {
					sent[n] = cmp.Or(names[token], token)
				}
				if w.issuer.Sessions() != 1 || !slices.Equal(sent, tt.want) || w.replaced(t) != nil {
					t.Errorf("%d sessions, sent %q, want %q, kept %q", w.issuer.Sessions(), sent, tt.want, w.replaced(t))
				}
			})
		})
	}
}

// A Store that does not come back from Save has not saved it.
func TestRefreshOutlivesAStoreThatPanics(t *testing.T) {
	for name, end := range map[string]func(){"panics": func() { panic("a bug in a Store") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				m := tokenstest.NewManager(t, session.RefreshToken(w.client, w.store))
				w.store.set(func() {
					w.store.onSave = func(context.Context, func() (int64, error)) (int64, error) {
						w.store.fail(nil)
						end()
						return 0, nil
					}
				})
				if _, err := m.Source(sessionKey).Token(t.Context()); err == nil {
					t.Error("no error")
				}
				<-time.After(time.Minute)
				tokenstest.MustToken(t, m.Source(sessionKey)) // out of the record
				other := sessionKey
				other.Scope = "read"
				tokenstest.MustToken(t, m.Source(other))
				if w.issuer.Sessions() != 1 || w.wire.asked() != 2 {
					t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), w.wire.sentRefreshTokens())
				}
			})
		})
	}
}
