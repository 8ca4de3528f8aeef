package tokens_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// containHandler is a log handler that does not return.
type containHandler struct {
	slog.Handler
	end func()
}

func (h containHandler) Handle(context.Context, slog.Record) error { h.end(); return nil }

// Tokens come, and nothing is stuck, whatever an Observer or a log handler does.
func TestManagerOutlivesAnObserverThatPanics(t *testing.T) {
	for name, end := range tokenstest.Ends {
		for _, who := range []string{"the Observer", "the log handler"} {
			t.Run(who+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := new(tokenstest.Log)
					opts := []tokens.ManagerOption{
						tokens.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
						tokens.WithObserver(func(context.Context, tokens.Event) { end() }),
					}
					if who == "the log handler" {
						opts = []tokens.ManagerOption{tokens.WithLogger(slog.New(containHandler{slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}), end}))}
					}
					s := &server{err: tokenstest.ErrDown, grant: tokens.Response{ExpiresIn: time.Hour}}
					m, err := tokens.NewManager(s, opts...)
					if err != nil {
						t.Fatal(err)
					}
					source := m.Source(tokens.Key{})
					_ = tokenstest.WantUnavailable(t, source)
					if name == "panics" { // otherwise it ends the goroutine of the caller, as it says
						_ = tokenstest.WantUnavailable(t, source) // which is an event of the caller's goroutine
					}
					s.set(func() { s.err = nil })
					<-time.After(time.Minute)
					tokenstest.MustToken(t, source)

					// The event of a Fetch that is late comes from another goroutine.
					s.set(func() { s.delay = time.Minute })
					_ = tokenstest.WantUnavailable(t, m.Source(tokens.Key{Subject: "late"}))
					<-time.After(time.Minute)
					if err := m.Close(); err != nil {
						t.Error(err)
					}
					if name == "panics" && who == "the Observer" {
						log.Said(t, who)
					}
				})
			})
		}
	}
}

func TestCloseOutlivesACloserThatPanics(t *testing.T) {
	var log tokenstest.Log
	var c closeCounter
	bad := &containCloser{}
	m, err := tokens.NewManager(tokens.FetcherFunc(func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
		r.AtClose(bad)
		r.AtClose(&c)
		return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer"}, nil
	}), tokens.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	tokenstest.MustToken(t, m.Source(tokens.Key{}))
	if err := m.Close(); err == nil || strings.Contains(err.Error(), tokenstest.PanicText) || c.closed != 1 {
		t.Errorf("%v, the other is closed %d times", err, c.closed)
	}
	log.Said(t, "a Closer")
	bad.good = true
	if err := m.Close(); err != nil || c.closed != 1 {
		t.Errorf("%v, the other is closed %d times", err, c.closed)
	}
}

type containCloser struct{ good bool }

func (c *containCloser) Close() error {
	if !c.good {
		panic(tokenstest.PanicText)
	}
	return nil
}

// containBody is the body of an answer that panics.
type containBody struct{ read, close func() }

func (b containBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b containBody) Close() error             { b.close(); return nil }

// The rest of a refusal is read beside the request that is sent again.
func TestTransportOutlivesABodyThatPanics(t *testing.T) {
	nothing := func() {}
	for name, end := range tokenstest.Ends {
		for where, body := range map[string]containBody{"Read": {end, nothing}, "Close": {nothing, end}} {
			t.Run(where+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					transport := transportOverRefusal(t, body)
					if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
						t.Errorf("answer %v, error %v", reply, err)
					}
				})
			})
		}
	}
}
