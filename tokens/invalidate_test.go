package tokens_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// A server that refuses the token gets another one, once in half a minute whatever it does.
func TestInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		first := tokenstest.MustToken(t, source)
		for range 3 { // three requests that were refused at once
			if !source.Invalidate(first) {
				t.Error("no renewal")
			}
		}
		wantToken(t, source, "token-2")
		second := tokenstest.MustToken(t, source)
		if s.seen[1].Previous != first || s.count() != 2 {
			t.Errorf("%d fetches, the second %+v", s.count(), s.seen[1])
		}
		if !source.Invalidate(first) {
			t.Error("there is another token, and Invalidate denies it")
		}
		wantToken(t, source, "token-2")
		if source.Invalidate(nil) {
			t.Error("nil was a token")
		}
		tokenstest.Pass(30*time.Second - 1)
		if source.Invalidate(second) {
			t.Error("a second renewal within 30 s")
		}
		wantToken(t, source, "token-2")
		tokenstest.Pass(1)
		if !source.Invalidate(second) {
			t.Error("no renewal after 30 s")
		}
		wantToken(t, source, "token-3")
		if stats := source.Stats(); stats.Refused || stats.Fetches != 3 {
			t.Errorf("%+v", stats)
		}
	})
}

// A server that refuses tokens for ever causes two renewals a minute at most.
func TestInvalidateByAServerThatRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		for range 10 * 60 {
			source.Invalidate(tokenstest.MustToken(t, source))
			tokenstest.Pass(time.Second)
		}
		if n := s.count() - 1; n < 19 || n > 20 {
			t.Errorf("%d renewals in 10 minutes", n)
		}
	})
}

// One server that refuses a token must not keep it from the others: if no other token is available,
// it stays in use.
func TestRefusedTokenWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		first := tokenstest.MustToken(t, source)
		s.set(func() { s.err = tokenstest.ErrDown })
		if !source.Invalidate(first) {
			t.Error("no renewal")
		}
		wantToken(t, source, "token-1") // after an attempt
		if s.count() != 2 {
			t.Errorf("%d fetches", s.count())
		}
		wantToken(t, source, "token-1") // in the pause
		if source.Invalidate(first) {
			t.Error("a renewal in the pause")
		}
		if s.count() != 2 {
			t.Errorf("%d fetches in the pause", s.count())
		}
		s.set(func() { s.err = nil })
		tokenstest.Pass(time.Second)
		wantToken(t, source, "token-1") // while another is asked for: it is not waited for twice
		synctest.Wait()
		wantToken(t, source, "token-3")
	})
}

// What only repeats the failure of one request does not take a token from those who can use it.
func TestRefusedTokenWhileTheIssuerMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		first := tokenstest.MustToken(t, source)
		s.set(func() { s.err = &tokens.Error{Status: 400, Code: "invalid_request"} })
		source.Invalidate(first)
		wantToken(t, source, "token-1")
	})
}

// An issuer that hangs delays a caller whose token some server refused for at most a second.
func TestRefusedTokenWhileTheIssuerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 4 * time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		first := tokenstest.MustToken(t, source)
		s.set(func() { s.delay = time.Hour })
		source.Invalidate(first)
		for range 3600 {
			began := time.Now()
			wantToken(t, source, "token-1")
			if waited := time.Since(began); waited > time.Second {
				t.Fatalf("waited %v", waited)
			}
			tokenstest.Pass(time.Second)
		}
	})
}

// A caller who has to log in again learns that, and not that some server refuses the token.
func TestRefusedTokenWhoseLoginIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		first := tokenstest.MustToken(t, source)
		s.set(func() { s.err = tokens.ErrLoginRequired })
		source.Invalidate(first)
		for range 2 {
			if err := tokenstest.WantUnavailable(t, source); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// After Reset nothing is left of what was, and what is under way brings nothing.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: 2 * time.Second}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, source, "token-2") }) // it waits again
		tokenstest.Pass(time.Second)
		source.Reset()
		wg.Wait()
		tokenstest.Pass(time.Minute)
		wantToken(t, source, "token-2")

		s.set(func() { s.err = tokens.ErrLoginRequired })
		source.Reset()
		_ = tokenstest.WantUnavailable(t, source)
		s.set(func() { s.err = nil })
		source.Reset()
		wantToken(t, source, "token-4")
	})
}

// However often it is reset, a waiting caller gets a token in the end: only calls that are late
// count against the Fetcher.
func TestResetAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: 5 * time.Second}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, source, "token-6") })
		for range 5 {
			tokenstest.Pass(100 * time.Millisecond)
			source.Reset()
		}
		wg.Wait()
	})
}
