package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// Close ends what is under way and waits for it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: time.Hour}
		m := tokenstest.NewManager(t, s)
		ready := m.Source(tokens.Key{Subject: "ready"})
		s.set(func() { s.delay = 0 })
		tokenstest.MustToken(t, ready)
		s.set(func() { s.delay = time.Hour })
		waiting := m.Source(tokens.Key{Subject: "waiting"})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := tokenstest.WantUnavailable(t, waiting); !errors.Is(err, tokens.ErrClosed) || err.RetryAfter <= 0 && err.RetryAfter != 0 {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		for range 2 {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if time.Since(began) != 0 {
			t.Errorf("Close took %v", time.Since(began))
		}
		for _, source := range []*tokens.Source{ready, waiting, m.Source(tokens.Key{Subject: "new"})} {
			if err := tokenstest.WantUnavailable(t, source); !errors.Is(err, tokens.ErrClosed) || err.RetryAfter != 0 {
				t.Errorf("error %v, again in %v", err, err.RetryAfter)
			}
		}
		if s.count() != 2 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

// Beyond WithMaxKeys the key is forgotten that was not used for the longest time. Its Source can
// still be used, and is remembered then.
func TestManagerForgetsTheOldestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(3))
		key := func(subject string) tokens.Key { return tokens.Key{Subject: subject} }
		a, b, c := m.Source(key("a")), m.Source(key("b")), m.Source(key("c"))
		tokenstest.MustToken(t, a) // fetched
		m.Source(key("b"))
		d := m.Source(key("d")) // c is forgotten
		if m.Source(key("a")) != a || m.Source(key("b")) != b || m.Source(key("d")) != d {
			t.Error("one of those in use was forgotten")
		}
		if len(m.Stats()) != 3 {
			t.Errorf("%d keys", len(m.Stats()))
		}
		for _, stats := range m.Stats() {
			if stats.Key == c.Key() {
				t.Error("nothing was forgotten")
			}
		}
		tokenstest.MustToken(t, c) // in use after all: it is remembered, and a is forgotten
		var keys []tokens.Key
		for _, stats := range m.Stats() {
			keys = append(keys, stats.Key)
		}
		if !slices.Equal(keys, []tokens.Key{b.Key(), d.Key(), c.Key()}) {
			t.Errorf("a source in use is not remembered: %v", keys)
		}
		if s.perKey[key("c")] != 1 {
			t.Errorf("%d fetches", s.perKey[key("c")])
		}
	})
}

// Token and Close at once: there is a token, or ErrClosed.
func TestTokenDuringClose(t *testing.T) {
	for range 2000 {
		m := tokenstest.NewManager(t, &server{err: tokenstest.ErrDown})
		source := m.Source(tokens.Key{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = m.Close() })
		_, err := source.Token(t.Context())
		if unavailable, ok := errors.AsType[*tokens.UnavailableError](err); !ok || unavailable.Err == nil || unavailable.Error() == "" {
			t.Fatalf("error %v", err)
		}
		wg.Wait()
	}
}

// Every kind of event is told, once; a failure is logged once, and its end.
func TestEventsAndLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var events []tokens.Event
		var mu sync.Mutex
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, AccessToken: tokens.NewSecret("s3cret")}, delay: time.Second}
		m, err := tokens.NewManager(s,
			tokens.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))),
			tokens.WithObserver(func(_ context.Context, ev tokens.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, ev)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		source := m.Source(tokens.Key{Subject: "alice", Resource: "https://api:hunter2@api.example"})
		next := func(want string) tokens.Event {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(events) != 1 || events[0].Kind != want || events[0].Key != source.Key() {
				t.Fatalf("%+v, want one %s", events, want)
			}
			ev := events[0]
			events = nil
			return ev
		}
		tokenstest.MustToken(t, source)
		if ev := next("fetch"); ev.Duration != time.Second || ev.Err != nil {
			t.Errorf("%+v", ev)
		}
		tokenstest.Pass(52 * time.Minute)
		tokenstest.MustToken(t, source)
		tokenstest.Pass(time.Second)
		next("refresh")
		s.set(func() { s.grant.Reused = true })
		tokenstest.Pass(52 * time.Minute)
		tokenstest.MustToken(t, source)
		tokenstest.Pass(time.Second)
		next("reuse")
		s.set(func() { s.err = tokenstest.ErrDown })
		source.Reset()
		_ = tokenstest.WantUnavailable(t, source)
		if ev := next("failure"); ev.Err != tokenstest.ErrDown || ev.RetryAfter <= 0 {
			t.Errorf("%+v", ev)
		}
		_ = tokenstest.WantUnavailable(t, source)
		if ev := next("backoff"); !errors.Is(ev.Err, tokenstest.ErrDown) {
			t.Errorf("%+v", ev)
		}
		tokenstest.Pass(time.Second)
		_ = tokenstest.WantUnavailable(t, source)
		next("failure")
		tokenstest.Pass(2 * time.Second)
		s.set(func() { s.err = nil })
		tokenstest.MustToken(t, source)
		next("reuse")

		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "WARN") || !strings.Contains(lines[0], "503") || !strings.Contains(lines[1], "INFO") {
			t.Errorf("log:\n%s", log.String())
		}
		if strings.Contains(log.String(), "alice") || strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), "hunter2") {
			t.Errorf("log:\n%s", log.String())
		}
		stats := source.Stats()
		if stats.Fetches != 2 || stats.Reuses != 2 || stats.Failures != 2 || stats.TurnedAway != 1 || stats.LastError != nil || stats.Fetching {
			t.Errorf("%+v", stats)
		}
	})
}

func TestNewManagerReportsEveryMistake(t *testing.T) {
	if _, err := tokens.NewManager(tokens.FetcherFunc(nil)); err == nil {
		t.Error("a nil FetcherFunc")
	}
	_, err := tokens.NewManager(&server{}, tokens.WithMaxKeys(1), tokens.WithMaxKeys(2), tokens.WithFetchTimeout(1), tokens.WithFetchTimeout(1))
	if err == nil || !strings.Contains(err.Error(), "WithMaxKeys(2): set more than once") ||
		!strings.Contains(err.Error(), "WithFetchTimeout(1ns): set more than once") {
		t.Errorf("error %v", err)
	}
	_, err = tokens.NewManager(nil, nil, tokens.WithMaxKeys(0), tokens.WithFetchTimeout(0), tokens.WithLogger(nil), tokens.WithObserver(nil))
	for _, want := range []string{"the Fetcher is nil", "option 1 is nil", "MaxKeys(0)", "FetchTimeout(0s)", "Logger(nil)", "Observer(nil)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}
