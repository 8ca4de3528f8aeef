package tokens_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

const containSecret = "hunter2" // that a panic says

// containEnds are the ways in which code of the application does not return.
var containEnds = map[string]func(){"panics": func() { panic(containSecret) }, "exits": runtime.Goexit}

// containLog is a log that may be written and read at once.
type containLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *containLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// said judges what is logged of a panic: who, and where, and not what it said.
func (l *containLog) said(t *testing.T, who string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.text.String(); !strings.Contains(text, fmt.Sprintf("who=%q", who)) || !strings.Contains(text, "contain_test.go") ||
		strings.Contains(text, containSecret) {
		t.Errorf("the log is %.300q", text)
	}
}

// logDefault makes a log the default for a test.
func logDefault(t *testing.T) *containLog {
	before, log := slog.Default(), new(containLog)
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil))) //nolint:forbidigo // for where there is no Manager
	t.Cleanup(func() { slog.SetDefault(before) })            //nolint:forbidigo // as above
	return log
}

func TestDiscoveryOutlivesATransportThatPanics(t *testing.T) {
	for name, end := range containEnds {
		t.Run(name, func(t *testing.T) {
			log := logDefault(t)
			synctest.Test(t, func(t *testing.T) {
				server := newClientServer()
				server.on(clientOpenID, func(*http.Request, url.Values) (*http.Response, error) {
					end()
					return nil, io.EOF
				})
				_, err := server.fetch(t)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || strings.Contains(err.Error(), containSecret) {
					t.Errorf("Fetch: %v", err)
				}
			})
			if name == "panics" {
				log.said(t, "the transport")
			}
		})
	}
}

// What could not be saved is saved when the Store works again.
func TestFlushOutlivesAStoreThatPanics(t *testing.T) {
	for name, end := range containEnds {
		for where, change := range map[string]func(*sessionStore){
			"Save": func(s *sessionStore) {
				s.onSave = func(context.Context, func() (int64, error)) (int64, error) { end(); return 0, nil }
			},
			"Load": func(s *sessionStore) { s.onLoad = func(context.Context, string) error { end(); return nil } },
			"Lock": func(s *sessionStore) {
				s.onLock = func(context.Context, func() (func(), error)) (func(), error) { end(); return nil, nil }
			},
			"unlock": func(s *sessionStore) {
				s.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
					unlock, err := pass()
					return func() { unlock(); end() }, err
				}
				s.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }
			},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				log := logDefault(t)
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					before := w.store.record(t)["refresh_token"]
					w.store.fail(errDiskFull)
					w.mustToken(t)
					w.store.set(func() { change(w.store) })
					<-time.After(10 * time.Second)
					w.store.set(func() { w.store.onSave, w.store.onLoad, w.store.onLock = nil, nil, nil })
					<-time.After(2 * time.Minute)
					if w.store.record(t)["refresh_token"] == before {
						t.Error("it is not saved")
					}
				})
				if name == "panics" {
					log.said(t, "the Store")
				}
			})
		}
	}
}

// The keys of a sealed Store are the application's as well.
func TestFlushOutlivesSealKeysThatPanic(t *testing.T) {
	log := logDefault(t)
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		var panics sync.Map
		sealed, err := tokens.Sealed(w.store, func(context.Context) ([][]byte, error) {
			if _, now := panics.Load("now"); now {
				panic(containSecret)
			}
			return [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := tokens.NewSession(w.client, sealed, sessionName, tokens.Logger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice", "read"))); err != nil {
			t.Fatal(err)
		}
		w.store.fail(errDiskFull)
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.store.fail(nil)
		panics.Store("now", true)
		<-time.After(10 * time.Second)
		if _, ok := errors.AsType[*tokens.StoreError](s.Close()); !ok {
			t.Error("Close does not say that the refresh token is not saved")
		}
		panics.Clear()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	log.said(t, "the Store")
}

// containHandler is a log handler that does not return.
type containHandler struct {
	slog.Handler
	end func()
}

func (h containHandler) Handle(context.Context, slog.Record) error { h.end(); return nil }

// Tokens come, and nothing is stuck, whatever an Observer or a log handler does.
func TestManagerOutlivesAnObserverThatPanics(t *testing.T) {
	for name, end := range containEnds {
		for _, who := range []string{"the Observer", "the log handler"} {
			t.Run(who+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := new(containLog)
					opts := []tokens.Option{
						tokens.Logger(slog.New(slog.NewTextHandler(log, nil))),
						tokens.Observer(func(context.Context, tokens.Event) { end() }),
					}
					if who == "the log handler" {
						opts = []tokens.Option{tokens.Logger(slog.New(containHandler{slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}), end}))}
					}
					s := &server{err: errDown, grant: tokens.Response{ExpiresIn: time.Hour}}
					m, err := tokens.NewManager(s, opts...)
					if err != nil {
						t.Fatal(err)
					}
					source := m.Source(tokens.Key{})
					_ = wantUnavailable(t, source)
					if name == "panics" { // otherwise it ends the goroutine of the caller, as it says
						_ = wantUnavailable(t, source) // which is an event of the caller's goroutine
					}
					s.set(func() { s.err = nil })
					<-time.After(time.Minute)
					mustToken(t, source)

					// The event of a Fetch that is late comes from another goroutine.
					s.set(func() { s.delay = time.Minute })
					_ = wantUnavailable(t, m.Source(tokens.Key{Subject: "late"}))
					<-time.After(time.Minute)
					if err := m.Close(); err != nil {
						t.Error(err)
					}
					if name == "panics" && who == "the Observer" {
						log.said(t, who)
					}
				})
			})
		}
	}
}

func TestCloseOutlivesACloserThatPanics(t *testing.T) {
	var log containLog
	var c closeCounter
	bad := &containCloser{}
	m, err := tokens.NewManager(tokens.FetcherFunc(func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
		r.AtClose(bad)
		r.AtClose(&c)
		return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer"}, nil
	}), tokens.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, m.Source(tokens.Key{}))
	if err := m.Close(); err == nil || strings.Contains(err.Error(), containSecret) || c.closed != 1 {
		t.Errorf("%v, the other is closed %d times", err, c.closed)
	}
	log.said(t, "a Closer")
	bad.good = true
	if err := m.Close(); err != nil || c.closed != 1 {
		t.Errorf("%v, the other is closed %d times", err, c.closed)
	}
}

type containCloser struct{ good bool }

func (c *containCloser) Close() error {
	if !c.good {
		panic(containSecret)
	}
	return nil
}

// Package net/http asks for a certificate in a goroutine of its own.
func TestRequestOutlivesACertificateFunctionThatPanics(t *testing.T) {
	log := logDefault(t)
	var shown []*x509.Certificate
	server := clientTLS(t, &shown, nil)
	auth := tokens.TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic(containSecret) })
	c, err := tokens.NewClient(server.URL, "orders", auth, tokens.HTTPClient(server.Client()), tokens.TokenEndpoint(server.URL+"/mtls"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil || strings.Contains(err.Error(), containSecret) {
		t.Errorf("Fetch: %v", err)
	}
	log.said(t, "the function")
}

// containBody is the body of an answer that panics.
type containBody struct{ read, close func() }

func (b containBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b containBody) Close() error             { b.close(); return nil }

// The rest of a refusal is read beside the request that is sent again.
func TestTransportOutlivesABodyThatPanics(t *testing.T) {
	nothing := func() {}
	for name, end := range containEnds {
		for where, body := range map[string]containBody{"Read": {end, nothing}, "Close": {nothing, end}} {
			t.Run(where+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent := 0
					transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
						if sent++; sent > 1 {
							return transportAnswer(r, http.StatusOK), nil
						}
						answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
						answer.Body = body
						return answer, nil
					}))
					if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
						t.Errorf("answer %v, error %v", reply, err)
					}
				})
			})
		}
	}
}

// Every goroutine of the package runs what it runs by contain, or runs nothing of the application.
func TestEveryGoroutineContainsPanics(t *testing.T) {
	own := map[string]bool{ // what runs no code of the application
		"cancel":       true, // of a context
		"leave":        true, // of a place among the requests
		"release":      true, // of a lock
		"s.run":        true, // which calls contain.Call
		"contain.Call": true,
		"contain.Tell": true,
		"d.land":       true,
		"f.flush":      true, // whose settle calls contain.Call
		"s.finish":     true, // whose log and report call contain.Tell
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			var run ast.Node
			switch n := n.(type) {
			case *ast.GoStmt:
				run = n.Call.Fun
			case *ast.CallExpr:
				if name := nameOf(n.Fun); name != "time.AfterFunc" && name != "context.AfterFunc" {
					return true
				}
				run = n.Args[1]
			default:
				return true
			}
			found++
			contained := own[nameOf(run)]
			ast.Inspect(run, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				contained = contained || ok && own[nameOf(call.Fun)] && nameOf(call.Fun) != "cancel"
				return true
			})
			if !contained {
				t.Errorf("%s: a goroutine begins that does not call contain", set.Position(n.Pos()))
			}
			return true
		})
	}
	if found < 6 {
		t.Errorf("%d goroutines were found", found)
	}
}

func nameOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return nameOf(n.X) + "." + n.Sel.Name
	}
	return ""
}
