package tokens_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// When a token becomes stale, and when it is over.
func TestTokenIsFreshThenStaleThenExpired(t *testing.T) {
	for name, test := range map[string]struct {
		grant               tokens.Response
		fresh, stale, gone  time.Duration // it is fresh at the first, stale at the second, and not handed out at the third
		expiry              time.Duration
		pastRequest, halted time.Duration // how long before Fetch returns the request was sent
	}{
		"an hour": {
			grant: tokens.Response{ExpiresIn: time.Hour}, fresh: 42*time.Minute - 1, stale: 51 * time.Minute,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"a minute: a tenth is less than ten seconds": {
			grant: tokens.Response{ExpiresIn: time.Minute}, fresh: 42*time.Second - 1, stale: 51 * time.Second,
			gone: 54 * time.Second, expiry: time.Minute,
		},
		"no word of it: five minutes": {
			fresh: 210*time.Second - 1, stale: 255 * time.Second, gone: 290 * time.Second, expiry: 5 * time.Minute,
		},
		"a year": {
			grant: tokens.Response{ExpiresIn: 365 * 24 * time.Hour}, fresh: 255 * 24 * time.Hour, stale: 311 * 24 * time.Hour,
			gone: 365*24*time.Hour - 10*time.Second, expiry: 365 * 24 * time.Hour,
		},
		"refresh_in": {
			grant: tokens.Response{ExpiresIn: time.Hour, RefreshIn: 30 * time.Minute}, fresh: 30*time.Minute - 1, stale: 33 * time.Minute,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"refresh_in late": {
			grant: tokens.Response{ExpiresIn: time.Hour, RefreshIn: 59 * time.Minute}, fresh: 59*time.Minute - 1, stale: 59*time.Minute + 5*time.Second,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"refresh_in at the end is no word of it": {
			grant: tokens.Response{ExpiresIn: time.Hour, RefreshIn: time.Hour - 10*time.Second}, fresh: 42*time.Minute - 1, stale: 51 * time.Minute,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"refresh_in before a tenth": {
			grant: tokens.Response{ExpiresIn: time.Hour, RefreshIn: 6*time.Minute - 1}, fresh: 6*time.Minute - 1, stale: 11*time.Minute + 30*time.Second,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"refresh_in after a tenth": {
			grant: tokens.Response{ExpiresIn: time.Hour, RefreshIn: 6*time.Minute + 1}, fresh: 6 * time.Minute, stale: 11*time.Minute + 30*time.Second,
			gone: time.Hour - 10*time.Second, expiry: time.Hour,
		},
		"refresh_in before ten seconds": {
			grant: tokens.Response{ExpiresIn: time.Minute, RefreshIn: 1}, fresh: 10*time.Second - 1, stale: 15 * time.Second,
			gone: 54 * time.Second, expiry: time.Minute,
		},
		"refresh_in of a token that is over in ten seconds is no word of it": {
			grant: tokens.Response{ExpiresIn: 11 * time.Second, RefreshIn: 1}, fresh: 7700*time.Millisecond - 1, stale: 9350 * time.Millisecond,
			gone: 9900 * time.Millisecond, expiry: 11 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // the refresh point is random
				synctest.Test(t, func(t *testing.T) {
					s := &server{grant: test.grant}
					source := tokenstest.NewManager(t, s).Source(tokens.Key{})
					began := time.Now()
					first := tokenstest.MustToken(t, source)
					if got := first.Expiry().Sub(began); got != test.expiry {
						t.Errorf("it ends after %v, want %v", got, test.expiry)
					}
					s.set(func() { s.err = tokenstest.ErrDown })
					tokenstest.Pass(test.fresh)
					wantToken(t, source, "token-1")
					synctest.Wait()
					if s.count() != 1 {
						t.Fatalf("fetched again after %v", time.Since(began))
					}
					tokenstest.Pass(test.stale - time.Since(began))
					wantToken(t, source, "token-1")
					synctest.Wait()
					if s.count() != 2 || s.seen[1].Previous != first {
						t.Fatalf("%d fetches after %v", s.count(), time.Since(began))
					}
					tokenstest.Pass(test.gone - 1 - time.Since(began))
					wantToken(t, source, "token-1")
					tokenstest.Pass(1)
					_ = tokenstest.WantUnavailable(t, source)
				})
			}
		})
	}
}

// A life begins when the request was sent, not when the answer came.
func TestTokenLifeBeginsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Minute}, delay: 5 * time.Second}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		began := time.Now()
		if got := tokenstest.MustToken(t, source).Expiry().Sub(began); got != time.Minute {
			t.Errorf("it ends %v after it was asked for", got)
		}
		earlier := began.Add(-20 * time.Second)
		s.set(func() { s.grant.Requested = earlier })
		source.Reset()
		if got := tokenstest.MustToken(t, source).Expiry().Sub(earlier); got != time.Minute {
			t.Errorf("it ends %v after Requested", got)
		}
	})
}

// Either clock can say that a token is over: the monotonic one stands still while a machine is
// suspended, and the wall clock can be set back.
func TestTokenEndsByEitherClock(t *testing.T) {
	for name, forward := range map[string]func(*tokens.Token){"wall": tokens.ForwardWall, "monotonic": tokens.ForwardMonotonic} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
				source := tokenstest.NewManager(t, s).Source(tokens.Key{})
				forward(tokenstest.MustToken(t, source))
				wantToken(t, source, "token-2")
			})
		})
	}
}

// Every fetch of a fleet has its own moment.
func TestRefreshPointIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 1000 * time.Second}}
		m := tokenstest.NewManager(t, s)
		var tenths [15]int
		for i := range 1500 {
			source := m.Source(tokens.Key{Subject: fmt.Sprint(i)})
			tokenstest.MustToken(t, source)
			point := time.Until(source.Stats().Refresh)
			if point < 700*time.Second || point >= 850*time.Second {
				t.Fatalf("refresh point after %v", point)
			}
			tenths[int(point/time.Second-700)/10]++
		}
		for i, n := range tenths {
			if n < 50 || n > 160 {
				t.Errorf("%d of 1500 in part %d of 15", n, i)
			}
		}
	})
}

// An access token is opaque to a client: what it says of its own times is not read.
func TestTimesWithinATokenAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// {"alg":"none"} . {"exp":1}
		s := &server{grant: tokens.Response{AccessToken: tokens.NewSecret("eyJhbGciOiJub25lIn0.eyJleHAiOjF9."), ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		tokenstest.MustToken(t, source)
		tokenstest.Pass(time.Minute)
		tokenstest.MustToken(t, source)
		if s.count() != 1 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

// The times of a token out of a Store are those of a wall clock, and perhaps of another machine's.
func TestRequestedTimeFromAnotherMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Requested: time.Now().Add(1000 * time.Hour).Round(0)}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		if life := time.Until(tokenstest.MustToken(t, source).Expiry()); life > time.Hour {
			t.Errorf("a life of %v", life)
		}
	})
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Requested: time.Now().Add(-time.Minute).Round(0)}}
	if !tokens.HasMonotonic(tokenstest.MustToken(t, tokenstest.NewManager(t, s).Source(tokens.Key{}))) { // there is none in a bubble
		t.Error("the monotonic clock has no say")
	}
}

// The zero Token cannot be used and does no harm.
func TestZeroToken(t *testing.T) {
	var token tokens.Token
	source := tokenstest.NewManager(t, &server{}).Source(tokens.Key{})
	tokenstest.MustToken(t, source)
	if token.AccessToken() != "" || token.Authorization() != "" || !source.Invalidate(&token) {
		t.Error("the zero Token is the current one")
	}
}

// However short the lives are that a server gives, it is not asked more than twice a second.
func TestTokensWithShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 600 * time.Millisecond}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		for range 100 * 60 {
			tokenstest.MustToken(t, source)
			tokenstest.Pass(10 * time.Millisecond)
		}
		if n := s.count(); n < 110 || n > 121 {
			t.Errorf("%d fetches in a minute", n)
		}
		s.set(func() { s.grant = tokens.Response{ExpiresIn: 100 * time.Millisecond} })
		source.Reset()
		for range 100 {
			tokenstest.MustToken(t, source)
			tokenstest.Pass(10 * time.Millisecond)
		}
	})
}

// A server that names the next moment is not asked all day: a token of a day is renewed ten times.
func TestRefreshInHasAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 24 * time.Hour, RefreshIn: time.Microsecond}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		for range 24 * 60 {
			tokenstest.MustToken(t, source)
			tokenstest.Pass(time.Minute)
		}
		if n := s.count(); n > 11 {
			t.Errorf("%d fetches in a day", n)
		}
	})
}
