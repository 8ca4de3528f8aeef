package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// seal seals a login that can be sealed.
func seal(t testing.TB, l *session.Login, keys session.SealKeys) string {
	t.Helper()
	text, err := l.Seal(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// openSealed opens a login that can be opened.
func openSealed(t testing.TB, c *oauth.Client, keys session.SealKeys, text string) *session.Login {
	t.Helper()
	l, err := session.OpenLogin(t.Context(), c, keys, text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantClosed checks that a text is not opened.
func wantClosed(t testing.TB, what string, c *oauth.Client, keys session.SealKeys, text string, says ...string) {
	t.Helper()
	l, err := session.OpenLogin(t.Context(), c, keys, text)
	if l != nil || !errors.Is(err, session.ErrCannotUnseal) || errors.Is(err, session.ErrLoginExpired) {
		t.Errorf("%s: the login is %v, error %v", what, l, err)
		return
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error %q does not say %q", what, err, part)
		}
	}
}

// plainClient is a client that asks no server.
func plainClient(t testing.TB, issuer, id string) *oauth.Client {
	t.Helper()
	c, err := oauth.NewClient(issuer, id, oauth.NoClientAuth(),
		oauth.WithTokenEndpoint(issuer+"/token"), oauth.WithAuthorizationEndpoint(issuer+"/authorize"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func plainLogin(t testing.TB, c *oauth.Client, opts ...session.LoginOption) *session.Login {
	t.Helper()
	l, err := session.NewLogin(t.Context(), c, sessionRedirect, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// otherProcess is another process of a session world.
func (w *sessionWorld) otherProcess(t *testing.T) *sessionWorld {
	t.Helper()
	return newSessionProcess(t, w.issuer, w.store)
}

// leaving are the ways of a login out of one process and into another.
var leaving = map[string]func(t *testing.T, l *session.Login, to *sessionWorld) *session.Login{
	"sealed": func(t *testing.T, l *session.Login, to *sessionWorld) *session.Login {
		return openSealed(t, to.client, storeKeys(1), seal(t, l, storeKeys(1)))
	},
	"in a Store": func(t *testing.T, l *session.Login, to *sessionWorld) *session.Login {
		store := session.NewMemoryStore()
		saveLogin(t, l, store, "browser")
		return mustLoadLogin(t, to.client, store, "browser", l.State())
	},
}

// All that matters for the exchange, and for what is judged, is there in the other process.
func TestLoginIsFinishedByAnotherProcess(t *testing.T) {
	for way, move := range leaving {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begins := newSessionWorld(t)
				ends := begins.otherProcess(t)
				l, err := begins.session.Login(t.Context(), sessionRedirect, session.WithScope("openid", "read"),
					session.WithResource("https://a.test", "https://b.test"), session.WithAudience("billing"), session.WithParameter("prompt", "login"))
				if err != nil {
					t.Fatal(err)
				}
				query := loginQuery(t, l)
				moved := move(t, l, ends)
				if moved.State() != query.Get("state") || moved.URL() != "" {
					t.Errorf("the URL is %q", moved.URL())
				}
				identity, err := ends.session.Finish(t.Context(), moved, begins.loginAnswer(t, l))
				if err != nil {
					t.Fatal(err)
				}
				if nonce := identity.Nonce(); nonce != query.Get("nonce") || nonce == "" {
					t.Errorf("the nonce of the ID token is %q", nonce)
				}
				form := ends.wire.last()
				verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
				if base64.RawURLEncoding.EncodeToString(verifier[:]) != query.Get("code_challenge") || form.Get("redirect_uri") != sessionRedirect ||
					form.Get("resource") != "https://a.test" || form.Get("audience") != "billing" || begins.wire.asked() != 0 {
					t.Errorf("sent %v", form)
				}
				if got := fmt.Sprint(ends.store.record(t)["resources"]); got != "[https://a.test https://b.test]" {
					t.Errorf("the session is for %s", got)
				}
				if !begins.loggedIn(t) {
					t.Error("the session is not that of the first process")
				}
			})
		})
	}
}

// Without a scope in the response the one that was asked for was granted (RFC 6749 section 5.1).
func TestLoginKeepsItsScopeElsewhere(t *testing.T) {
	for way, move := range leaving {
		t.Run(way, func(t *testing.T) {
			w := newSessionWorld(t)
			l, err := w.session.Login(t.Context(), sessionRedirect, session.WithScope("read", "write"))
			if err != nil {
				t.Fatal(err)
			}
			w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "r"})
			if _, err := w.session.Finish(t.Context(), move(t, l, w), w.loginAnswer(t, l)); err != nil {
				t.Fatal(err)
			}
			if got := w.store.record(t)["scope"]; got != "read write" {
				t.Errorf("the scope is %v", got)
			}
		})
	}
}

// The checks of an answer are those of the process that began the login.
func TestLoginJudgesAnswersElsewhere(t *testing.T) {
	for way, move := range leaving {
		for name, test := range map[string]struct {
			change func(url.Values)
			state  bool
		}{
			"another state": {func(v url.Values) { v.Set("state", "x") }, true},
			"no iss":        {func(v url.Values) { v.Del("iss") }, false},
			"another iss":   {func(v url.Values) { v.Set("iss", "https://other.test") }, false},
		} {
			t.Run(way+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newSessionWorld(t)
					l, back := w.startLogin(t)
					test.change(back)
					_, _, err := move(t, l, w.otherProcess(t)).Finish(t.Context(), back)
					if err == nil || errors.Is(err, session.ErrLoginState) != test.state || w.issuer.TokenRequests() != 0 {
						t.Errorf("error %v", err)
					}
				})
			})
		}
	}
}

// A login that a session began is for that session, wherever it is finished; one that none began
// is for any.
func TestLoginRemembersItsSessionElsewhere(t *testing.T) {
	for way, move := range leaving {
		for begun, good := range map[string]bool{"alice": true, "bob": false, "": true, "alic": false, "a\xffb": false} {
			t.Run(fmt.Sprintf("%s, %q", way, begun), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newSessionWorld(t)
					finishes := func(l *session.Login, name string) error {
						s, err := session.New(w.client, w.store, name)
						if err != nil {
							t.Fatal(err)
						}
						defer s.Close()
						_, err = s.Finish(t.Context(), move(t, l, w), w.loginAnswer(t, l))
						return err
					}
					var l *session.Login
					if begun == "" {
						l = w.login(t)
					} else {
						s, err := session.New(w.client, w.store, begun)
						if err != nil {
							t.Fatal(err)
						}
						defer s.Close()
						if l, err = s.Login(t.Context(), sessionRedirect); err != nil {
							t.Fatal(err)
						}
					}
					if err := finishes(l, "alice"); (err == nil) != good {
						t.Errorf("alice's session: %v", err)
					}
					if begun != "" && !good {
						if err := finishes(l, begun); err != nil {
							t.Errorf("its own session: %v", err)
						}
					}
				})
			})
		}
	}
}

func TestSealedLoginShowsNothing(t *testing.T) {
	w := newSessionWorld(t)
	l, err := w.session.Login(t.Context(), sessionRedirect, session.WithScope("openid", "read"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := seal(t, l, storeKeys(1)), seal(t, l, storeKeys(1))
	if first == second {
		t.Error("two texts are equal")
	}
	if len(first) > 700 {
		t.Errorf("a usual login has %d characters", len(first))
	}
	for _, text := range []string{first, second} {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{sessionName, "alice", l.State(), loginQuery(t, l).Get("nonce"), "read", "callback", sessionClientID + `"`, `{"`} {
			if bytes.Contains(decoded, []byte(part)) || strings.Contains(text, part) {
				t.Errorf("the text shows %q", part)
			}
		}
	}
}

func TestSealedLoginRefusesWhatWasChanged(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	good := seal(t, plainLogin(t, c), storeKeys(1))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for n := range good {
		next := letters[(strings.IndexByte(letters, good[n])+1)%len(letters)]
		wantClosed(t, fmt.Sprintf("character %d changed", n), c, storeKeys(1), good[:n]+string(next)+good[n+1:])
		wantClosed(t, fmt.Sprintf("cut to %d characters", n), c, storeKeys(1), good[:n])
	}
	sealed, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[n] ^= 1 << bit
			wantClosed(t, fmt.Sprintf("bit %d of byte %d changed", bit, n), c, storeKeys(1), base64.RawURLEncoding.EncodeToString(changed))
		}
	}
	for what, text := range map[string]string{
		"a character more": good + "A", "three more": good + "AAA", "padding": good + "=", "a line end": good + "\n",
		"a line end within": good[:20] + "\r\n" + good[20:], "a space": " " + good, "twice": good + good,
		"the other base64": strings.Repeat("+/", 40), "a value of JSON": `{"state":"x"}`, "a quoted one": `"` + good + `"`,
	} {
		wantClosed(t, what, c, storeKeys(1), text)
	}
	openSealed(t, c, storeKeys(1), good)
}

// With one key for all of them, a login is no record and a record is no login.
func TestSealedLoginIsNoRecord(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	keys, name := storeKeys(1), session.SealedLoginName(c)
	l := plainLogin(t, c)
	text := seal(t, l, keys)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	memory, dir := session.NewMemoryStore(), t.TempDir()
	storeSave(t, memory, name, string(sealed), 0)
	storeWantSealed(t, storeSealed(t, memory, keys), name, "a login as a record")
	files := storeInFiles(t, dir, keys)
	storeSave(t, files, name, "a record", 0)
	fromFile := storeRead(t, storeRecord(dir, name))
	storeWrite(t, storeRecord(dir, name), sealed)
	storeWantSealed(t, files, name, "a login as a file")

	inner := session.NewMemoryStore()
	store := storeSealed(t, inner, keys)
	saveLogin(t, l, &renamedStore{store, name}, "browser") // the same bytes, under the name that is sealed with them
	record, _ := storeRaw(t, inner, name)
	wantClosed(t, "a record", c, keys, base64.RawURLEncoding.EncodeToString(record), "has been changed")
	wantClosed(t, "a file", c, keys, base64.RawURLEncoding.EncodeToString(fromFile))
	openSealed(t, c, keys, text)
}

// renamedStore saves everything under one name.
type renamedStore struct {
	session.Store
	name string
}

func (s *renamedStore) Save(ctx context.Context, _ string, data []byte, version int64) (int64, error) {
	return s.Store.Save(ctx, s.name, data, version)
}

func TestSealedLoginIsItsClients(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	text := seal(t, plainLogin(t, c), storeKeys(1))
	for what, other := range map[string]*oauth.Client{
		"another client id": plainClient(t, "https://login.test", "app2"),
		"another issuer":    plainClient(t, "https://login2.test", "app"),
		"shifted":           plainClient(t, "https://login.test/a", "pp"),
	} {
		wantClosed(t, what, other, storeKeys(1), text, "a login of another client")
	}
	openSealed(t, plainClient(t, "https://login.test", "app"), storeKeys(1), text)
}

func TestSealedLoginLifetime(t *testing.T) {
	for _, test := range []struct {
		age, later time.Duration // when it is opened, and how much later it is finished
		opens      bool
		finishes   bool
	}{
		{10*time.Minute - time.Millisecond, 0, true, true},
		{10 * time.Minute, 0, false, false},
		{5 * time.Minute, 5*time.Minute - time.Millisecond, true, true},
		{5 * time.Minute, 5 * time.Minute, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newSessionWorld(t)
			l := w.login(t)
			text := seal(t, l, storeKeys(1))
			<-time.After(test.age)
			opened, err := session.OpenLogin(t.Context(), w.client, storeKeys(1), text)
			if (err == nil) != test.opens || err != nil && !errors.Is(err, session.ErrLoginExpired) {
				t.Fatalf("opened after %s: %v", test.age, err)
			}
			if _, err := l.Seal(t.Context(), storeKeys(1)); (err == nil) != test.opens || err != nil && !errors.Is(err, session.ErrLoginExpired) {
				t.Fatalf("sealed after %s: %v", test.age, err)
			}
			if !test.opens {
				return
			}
			<-time.After(max(1, test.later))
			if _, _, err := opened.Finish(t.Context(), w.loginAnswer(t, l)); (err == nil) != test.finishes ||
				err != nil && (!errors.Is(err, session.ErrLoginExpired) || w.wire.asked() != 0) {
				t.Errorf("finished %s later: %v", test.later, err)
			}
		})
	}
}

// A wall clock that is set back while the login is open makes it no longer.
func TestOpenedLoginEndsByTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		opened := openSealed(t, w.client, storeKeys(1), seal(t, l, storeKeys(1)))
		session.SetLoginWallBack(opened)
		<-time.After(10 * time.Minute)
		if _, _, err := opened.Finish(t.Context(), w.loginAnswer(t, l)); !errors.Is(err, session.ErrLoginExpired) || w.wire.asked() != 0 {
			t.Errorf("error %v", err)
		}
	})
}

// The wall clock counts after a suspension, here as in the process that began the login.
func TestOpenedLoginEndsByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		opened := openSealed(t, w.client, storeKeys(1), seal(t, l, storeKeys(1)))
		session.ForwardLogin(opened)
		if _, _, err := opened.Finish(t.Context(), w.loginAnswer(t, l)); !errors.Is(err, session.ErrLoginExpired) || w.wire.asked() != 0 {
			t.Errorf("error %v", err)
		}
	})
}

// loginData is the data of a login that ends then.
func loginData(end time.Time, more string) []byte {
	return fmt.Appendf(nil, `{"v":1,"end":%d,"redirect_uri":"%s","state":"s","verifier":"v"%s}`,
		end.UnixMilli(), base64.StdEncoding.EncodeToString([]byte(sessionRedirect)), more)
}

// The clock of the process that began a login may be up to a minute ahead of this one's.
func TestSealedLoginAndAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plainClient(t, "https://login.test", "app")
		text := func(ahead time.Duration) string {
			text, err := session.SealLoginData(c, storeKeys(1), loginData(time.Now().Add(10*time.Minute+ahead), ""))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		openSealed(t, c, storeKeys(1), text(time.Minute))
		openSealed(t, c, storeKeys(1), text(-10*time.Minute+time.Millisecond))
		wantClosed(t, "more ahead", c, storeKeys(1), text(time.Minute+time.Millisecond), "the clocks of the processes")
		wantClosed(t, "years ahead", c, storeKeys(1), text(1000000*time.Hour), "the clocks of the processes")
	})
}

func TestSealedLoginOfAnotherVersion(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	end := time.Now().Add(time.Minute)
	for what, data := range map[string]string{
		"another format": strings.Replace(string(loginData(end, "")), `"v":1`, `"v":2`, 1),
		"no format":      strings.Replace(string(loginData(end, "")), `"v":1,`, ``, 1),
		"no state":       strings.Replace(string(loginData(end, "")), `"state":"s",`, ``, 1),
		"no verifier":    strings.Replace(string(loginData(end, "")), `,"verifier":"v"`, ``, 1),
		"a member twice": string(loginData(end, `,"state":"t"`)),
		"no JSON":        "x",
		"nothing":        "",
	} {
		text, err := session.SealLoginData(c, storeKeys(1), []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		wantClosed(t, what, c, storeKeys(1), text, "by this version of the library")
	}
	text, err := session.SealLoginData(c, storeKeys(1), loginData(end, `,"unknown":true`))
	if err != nil {
		t.Fatal(err)
	}
	openSealed(t, c, storeKeys(1), text)
}

// Every tab has a login, and a name for it.
func TestSealedLoginsOfSeveralTabs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		type tab struct {
			text string
			back url.Values
		}
		tabs := make(map[string]tab)
		for range 5 {
			l := w.login(t)
			if len(l.State()) != 43 || l.State() != loginQuery(t, l).Get("state") {
				t.Errorf("State %q", l.State())
			}
			tabs[l.State()] = tab{seal(t, l, storeKeys(1)), w.loginAnswer(t, l)}
		}
		if len(tabs) != 5 {
			t.Fatalf("%d names for 5 tabs", len(tabs))
		}
		for state, tab := range tabs {
			for other, of := range tabs {
				if other != state {
					if _, _, err := openSealed(t, w.client, storeKeys(1), of.text).Finish(t.Context(), tab.back); !errors.Is(err, session.ErrLoginState) {
						t.Errorf("the login of another tab: %v", err)
					}
				}
			}
			if _, _, err := openSealed(t, w.client, storeKeys(1), tab.text).Finish(t.Context(), tab.back); err != nil {
				t.Error(err)
			}
		}
	})
}

// A text can be opened again. It is the server that takes a code once.
func TestSealedLoginIsReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		back, text := w.loginAnswer(t, l), seal(t, l, storeKeys(1))
		first, second := openSealed(t, w.client, storeKeys(1), text), openSealed(t, w.client, storeKeys(1), text)
		if _, _, err := first.Finish(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		if _, _, err := first.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("the same login: %v", err)
		}
		if _, err := first.Seal(t.Context(), storeKeys(1)); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("sealed once more: %v", err)
		}
		if err := first.Save(t.Context(), session.NewMemoryStore(), "browser"); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("saved: %v", err)
		}
		_, _, err := second.Finish(t.Context(), back)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" || w.wire.asked() != 2 {
			t.Errorf("the second login: %v, %d requests", err, w.wire.asked())
		}
	})
}

// A code that was not sent can be, by the next process that opens the text.
func TestSealedLoginWhoseCodeWasNotSentIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		back, text := w.loginAnswer(t, l), seal(t, l, storeKeys(1))
		opened := openSealed(t, w.client, storeKeys(1), text)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := opened.Finish(ended, back); !errors.Is(err, context.Canceled) || w.wire.asked() != 0 {
			t.Fatalf("error %v", err)
		}
		if _, _, err := openSealed(t, w.otherProcess(t).client, storeKeys(1), text).Finish(t.Context(), back); err != nil {
			t.Error(err)
		}
	})
}

func TestSealedLoginKeysRotate(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l := plainLogin(t, c)
	old, next := seal(t, l, storeKeys(1)), seal(t, l, storeKeys(2, 1))
	const unknown = "none of the keys is the one it was sealed with"
	openSealed(t, c, storeKeys(3, 2, 1), old)
	openSealed(t, c, storeKeys(1, 2), next)
	openSealed(t, c, storeKeys(2), next)
	wantClosed(t, "without the old key", c, storeKeys(2), old, unknown)
	wantClosed(t, "without the new key", c, storeKeys(1), next, unknown)
}

func TestSealedLoginWithoutAKey(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l := plainLogin(t, c)
	text := seal(t, l, storeKeys(1))
	down := errors.New("the keyring is locked")
	for what, keys := range map[string]session.SealKeys{
		"an error":    func(context.Context) ([][]byte, error) { return nil, down },
		"no key":      storeKeys(),
		"a short key": func(context.Context) ([][]byte, error) { return [][]byte{make([]byte, 16)}, nil },
	} {
		_, sealErr := l.Seal(t.Context(), keys)
		_, openErr := session.OpenLogin(t.Context(), c, keys, text)
		for _, err := range []error{sealErr, openErr} {
			if err == nil || errors.Is(err, session.ErrCannotUnseal) || errors.Is(err, down) != (what == "an error") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := l.Seal(t.Context(), nil); err == nil {
		t.Error("a login is sealed without keys")
	}
	_, err := session.OpenLogin(t.Context(), nil, nil, text)
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "OpenLogin", Value: "nil"}, session.ConfigError{Option: "OpenLogin", Value: "nil"})
}

// A cookie has room for 3584 characters, and a login has them or fewer.
func TestSealedLoginSize(t *testing.T) {
	const most = 3584
	c := plainClient(t, "https://login.test", "app")
	longest := 0
	for scope := 1000; scope < most; scope++ {
		text, err := plainLogin(t, c, session.WithScope(strings.Repeat("s", scope))).Seal(t.Context(), storeKeys(1))
		if err != nil {
			for _, part := range []string{"3584", "fewer scopes", "Login.Save"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not say %q", err, part)
				}
			}
			break
		}
		longest = len(text)
		if scope == 1000 || longest > most-8 {
			openSealed(t, c, storeKeys(1), text)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q does not fit a cookie", text)
		}
		if text != (&http.Cookie{Value: text}).Value || !strings.HasSuffix((&http.Cookie{Name: "a", Value: text}).String(), "="+text) {
			t.Fatal("a cookie changes the text")
		}
	}
	if longest != most {
		t.Errorf("the longest text has %d characters, want %d", longest, most)
	}
	wantClosed(t, "too long", c, storeKeys(1), strings.Repeat("A", most+1), "longer than 3584 characters")
	wantClosed(t, "not too long", c, storeKeys(1), strings.Repeat("A", most), "not of the form")
}

func TestOpenedLoginPrintsNothing(t *testing.T) {
	for way, move := range leaving {
		t.Run(way, func(t *testing.T) {
			w := newSessionWorld(t, oauthtest.WithRefreshIn(time.Minute))
			l := w.login(t, session.WithScope("openid"))
			opened := move(t, l, w)
			printed := sessionPrinted(opened) + sessionPrinted(*opened)
			if !strings.Contains(printed, "[secret]") {
				t.Error("it does not print")
			}
			if _, _, err := opened.Finish(t.Context(), w.loginAnswer(t, l)); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{l.State(), loginQuery(t, l).Get("nonce"), w.wire.last().Get("code_verifier"), sessionRedirect} {
				if strings.Contains(printed, secret) {
					t.Errorf("%s is printed", secret)
				}
			}
		})
	}
}

// Nothing but what was sealed is opened, and nothing panics.
func FuzzOpenLogin(f *testing.F) {
	c := plainClient(f, "https://login.test", "app")
	good := seal(f, plainLogin(f, c), storeKeys(1))
	for _, text := range []string{"", "A", good, good[:len(good)-1], strings.Repeat("A", 3584), "AQ", base64.RawURLEncoding.EncodeToString([]byte{1})} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := session.OpenLogin(t.Context(), c, storeKeys(1), text)
		if (l == nil) == (err == nil) || err != nil && text == good && !errors.Is(err, session.ErrLoginExpired) {
			t.Errorf("%q: %v", text, err)
		}
		if l == nil {
			return
		}
		// It is that of this process, or of another one that fuzzes: whole, and as it was sealed.
		if _, err := session.OpenLogin(t.Context(), c, storeKeys(2), text); err == nil || len(l.State()) != len(plainLogin(t, c).State()) {
			t.Errorf("%q is opened with another key, or has the state %q", text, l.State())
		}
		if _, err := session.OpenLogin(t.Context(), c, storeKeys(1), text[:len(text)-4]+"AAAA"); err == nil && !strings.HasSuffix(text, "AAAA") {
			t.Errorf("%q is opened with another end", text)
		}
	})
}
