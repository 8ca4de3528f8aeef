package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// server is a Fetcher that does as it is told.
type server struct {
	mu      sync.Mutex
	calls   int
	delay   time.Duration
	err     error
	grant   tokens.Response // laid under each answer
	seen    []tokens.Request
	starts  []time.Time
	perKey  map[tokens.Key]int
	running map[tokens.Key]int
	overlap bool // two calls for one key at once
}

func (s *server) Fetch(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
	s.mu.Lock()
	if s.perKey == nil {
		s.perKey, s.running = make(map[tokens.Key]int), make(map[tokens.Key]int)
	}
	s.calls++
	s.perKey[r.Key]++
	s.running[r.Key]++
	s.overlap = s.overlap || s.running[r.Key] > 1
	s.seen, s.starts = append(s.seen, r), append(s.starts, time.Now())
	grant, err, delay := s.grant, s.err, s.delay
	if grant.AccessToken.Reveal() == "" {
		grant.AccessToken = tokens.NewSecret(fmt.Sprintf("token-%d", s.calls))
	}
	if grant.TokenType == "" {
		grant.TokenType = "Bearer"
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running[r.Key]--
		s.mu.Unlock()
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return &grant, nil
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func newManager(t testing.TB, fetcher tokens.Fetcher, opts ...tokens.Option) *tokens.Manager {
	t.Helper()
	m, err := tokens.NewManager(fetcher, append([]tokens.Option{tokens.Logger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func mustToken(t testing.TB, s *tokens.Source) *tokens.Token {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatalf("Token: %v", err)
	}
	return token
}

func wantToken(t testing.TB, s *tokens.Source, want string) {
	t.Helper()
	if got := mustToken(t, s).AccessToken(); got != want {
		t.Fatalf("token %q, want %q", got, want)
	}
}

func wantUnavailable(t testing.TB, s *tokens.Source) *tokens.UnavailableError {
	t.Helper()
	token, err := s.Token(t.Context())
	unavailable, ok := errors.AsType[*tokens.UnavailableError](err)
	if !ok || token != nil {
		t.Fatalf("token %v and error %v, want an UnavailableError", token, err)
	}
	return unavailable
}

var errDown = &tokens.Error{Op: "token", Status: http.StatusServiceUnavailable}

func pass(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// The first to ask causes a fetch, and everybody after that gets what came of it, without another.
func TestATokenIsFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Scope: "a b"}, delay: 200 * time.Millisecond}
		m := newManager(t, s)
		key := tokens.Key{Resource: "https://api.example", Scope: "a b c"}
		source := m.Source(key)
		if m.Source(key) != source || m.Source(tokens.Key{}) == source {
			t.Error("a key has not one source of its own")
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantToken(t, source, "token-1") })
		}
		wg.Wait()
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		token := mustToken(t, source)
		if token.Authorization() != "Bearer token-1" || strings.Join(token.Scopes(), " ") != "a b" || !token.Expiry().Equal(began.Add(time.Hour)) {
			t.Errorf("token %q, %q, until %v", token.Authorization(), token.Scopes(), token.Expiry())
		}
		if s.count() != 1 || s.seen[0].Key != key || s.seen[0].Previous != nil {
			t.Errorf("%d fetches, the first %+v", s.count(), s.seen[0])
		}
	})
}

// A token that is at hand costs no allocation and no lock.
func TestAllocationsOfAFreshToken(t *testing.T) {
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
	source := newManager(t, s).Source(tokens.Key{})
	mustToken(t, source)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = source.Token(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The herd: an issuer that answers 503 after 200 ms, and 20 callers with 10 s of patience. One call, its failure is everybody's; and
// soon after the issuer recovers so does the service.
func TestTheHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{err: errDown, delay: 200 * time.Millisecond}
		source := newManager(t, s).Source(tokens.Key{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := source.Token(ctx)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e != errDown {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took != 200*time.Millisecond {
					t.Errorf("waited %v", took)
				}
			})
		}
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d calls, want 1", s.count())
		}
		unavailable := wantUnavailable(t, source)
		if s.count() != 1 {
			t.Error("a call in the pause")
		}
		if unavailable.RetryAfter <= 0 || unavailable.RetryAfter > 500*time.Millisecond {
			t.Errorf("the next attempt is in %v", unavailable.RetryAfter)
		}
		s.set(func() { s.err = nil })
		pass(unavailable.RetryAfter)
		wantToken(t, source, "token-2")
	})
}

// A day of 1,000 users of tokens that live five minutes: nobody waits after the first fetch, and each life costs one fetch.
func TestADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Minute
		s := &server{grant: tokens.Response{ExpiresIn: life}, delay: 3 * time.Second}
		source := newManager(t, s).Source(tokens.Key{})
		mustToken(t, source)
		var waited atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				pass(time.Duration(i) * 293 * time.Millisecond)
				for time.Since(began) < 24*time.Hour {
					before := time.Now()
					token, err := source.Token(t.Context())
					if err != nil || !time.Now().Before(token.Expiry()) {
						t.Errorf("token %v, error %v", token, err)
						return
					}
					if time.Since(before) > 0 {
						waited.Add(1)
					}
					pass(293 * time.Second)
				}
			})
		}
		wg.Wait()
		if waited.Load() != 0 {
			t.Errorf("%d waited", waited.Load())
		}
		// A life ends at 70 to 85 % of five minutes.
		if n, least, most := s.count(), int(24*time.Hour/(life*86/100)), int(24*time.Hour/(life*70/100))+1; n < least || n > most {
			t.Errorf("%d fetches in a day, want %d to %d", n, least, most)
		}
		if s.overlap {
			t.Error("two fetches at once")
		}
	})
}

// An outage that is shorter than what is left of the token's life is invisible, and the issuer is left in peace meanwhile.
func TestAnOutageIsInvisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		wantToken(t, source, "token-1")
		pass(40 * time.Minute)
		s.set(func() { s.err, s.delay = errDown, time.Second })
		for range 19 * 60 {
			wantToken(t, source, "token-1")
			pass(time.Second)
		}
		// From 51 minutes at the latest until 59: every half minute at most once it has failed a few times, and on average every quarter.
		if n := s.count() - 1; n < 8*2 || n > 19*8 {
			t.Errorf("%d attempts", n)
		}
		s.set(func() { s.err = nil })
		pass(30 * time.Second)
		wantToken(t, source, "token-1")
		pass(2 * time.Second)
		if token := mustToken(t, source); token.AccessToken() == "token-1" {
			t.Error("no new token after the outage")
		}
	})
}

// When a token becomes stale, and when it is over.
func TestTheLifeOfAToken(t *testing.T) {
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
					source := newManager(t, s).Source(tokens.Key{})
					began := time.Now()
					first := mustToken(t, source)
					if got := first.Expiry().Sub(began); got != test.expiry {
						t.Errorf("it ends after %v, want %v", got, test.expiry)
					}
					s.set(func() { s.err = errDown })
					pass(test.fresh)
					wantToken(t, source, "token-1")
					synctest.Wait()
					if s.count() != 1 {
						t.Fatalf("fetched again after %v", time.Since(began))
					}
					pass(test.stale - time.Since(began))
					wantToken(t, source, "token-1")
					synctest.Wait()
					if s.count() != 2 || s.seen[1].Previous != first {
						t.Fatalf("%d fetches after %v", s.count(), time.Since(began))
					}
					pass(test.gone - 1 - time.Since(began))
					wantToken(t, source, "token-1")
					pass(1)
					_ = wantUnavailable(t, source)
				})
			}
		})
	}
}

// A life begins when the request was sent, not when the answer came.
func TestALifeBeginsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Minute}, delay: 5 * time.Second}
		source := newManager(t, s).Source(tokens.Key{})
		began := time.Now()
		if got := mustToken(t, source).Expiry().Sub(began); got != time.Minute {
			t.Errorf("it ends %v after it was asked for", got)
		}
		earlier := began.Add(-20 * time.Second)
		s.set(func() { s.grant.Requested = earlier })
		source.Reset()
		if got := mustToken(t, source).Expiry().Sub(earlier); got != time.Minute {
			t.Errorf("it ends %v after Requested", got)
		}
	})
}

// Either clock can say that a token is over: the monotonic one stands still while a machine is suspended, and the wall clock can be
// set back.
func TestEitherClockEndsAToken(t *testing.T) {
	for name, forward := range map[string]func(*tokens.Token){"wall": tokens.ForwardWall, "monotonic": tokens.ForwardMonotonic} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
				source := newManager(t, s).Source(tokens.Key{})
				forward(mustToken(t, source))
				wantToken(t, source, "token-2")
			})
		})
	}
}

// Every fetch of a fleet has its own moment.
func TestTheRefreshPointIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 1000 * time.Second}}
		m := newManager(t, s)
		var tenths [15]int
		for i := range 1500 {
			source := m.Source(tokens.Key{Subject: fmt.Sprint(i)})
			mustToken(t, source)
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

// After a failure nothing is asked for until a random moment within a bound that doubles.
func TestBackoff(t *testing.T) {
	bounds := []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second,
	}
	longest := make([]time.Duration, len(bounds))
	shortest := make([]time.Duration, len(bounds))
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := &server{err: errors.New("no connection")}
			source := newManager(t, s).Source(tokens.Key{})
			for i, bound := range bounds {
				pause := wantUnavailable(t, source).RetryAfter
				if pause <= 0 || pause > bound {
					t.Fatalf("pause %d is %v, want at most %v", i, pause, bound)
				}
				longest[i] = max(longest[i], pause)
				if shortest[i] == 0 || pause < shortest[i] {
					shortest[i] = pause
				}
				pass(pause - 1)
				if again := wantUnavailable(t, source).RetryAfter; again != 1 || s.count() != i+1 {
					t.Fatalf("%d calls, and %v to go", s.count(), again)
				}
				pass(1)
			}
			if stats := source.Stats(); stats.FailuresInARow != len(bounds) || stats.Failures != len(bounds) || stats.TurnedAway != len(bounds) {
				t.Errorf("%+v", stats)
			}
			s.set(func() { s.err = nil })
			mustToken(t, source)
			source.Reset()
			s.set(func() { s.err = errDown })
			if pause := wantUnavailable(t, source).RetryAfter; pause > bounds[0] {
				t.Errorf("a pause of %v after a success", pause)
			}
		})
	}
	for i, bound := range bounds {
		if shortest[i] > bound/10 || longest[i] < bound*9/10 {
			t.Errorf("pauses from %v to %v, want from nothing to %v", shortest[i], longest[i], bound)
		}
	}
}

// What a server says of the next attempt is heeded, within reason; so is that some failures do not pass by themselves.
func TestPausesThatTheServerAsksFor(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		least, most time.Duration
	}{
		"Retry-After":                    {&tokens.Error{Status: 503, RetryAfter: 20 * time.Second}, 20 * time.Second, 50 * time.Second},
		"Retry-After of 429":             {&tokens.Error{Status: 429, Code: "invalid_request", RetryAfter: 7 * time.Second}, 7 * time.Second, 21 * time.Second},
		"an absurd one":                  {&tokens.Error{Status: 503, RetryAfter: 1 << 62}, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		"a negative one":                 {&tokens.Error{Status: 503, RetryAfter: -1}, 0, 500 * time.Millisecond},
		"wrapped":                        {fmt.Errorf("it: %w", &tokens.Error{Status: 503, RetryAfter: 20 * time.Second}), 20 * time.Second, 50 * time.Second},
		"invalid_client":                 {&tokens.Error{Status: 401, Code: "invalid_client"}, 30 * time.Second, 5 * time.Minute},
		"invalid_scope":                  {&tokens.Error{Status: 400, Code: "invalid_scope"}, 30 * time.Second, 5 * time.Minute},
		"no login, and nobody was asked": {fmt.Errorf("it: %w", tokens.ErrLoginRequired), 0, 500 * time.Millisecond},
		"a login that the server has ended": {
			fmt.Errorf("%w: %w", tokens.ErrLoginRequired, &tokens.Error{Status: 400, Code: "invalid_grant"}), 0, 500 * time.Millisecond,
		},
		"invalid_client, 503": {&tokens.Error{Status: 503, Code: "invalid_client"}, 0, 500 * time.Millisecond},
		"an unknown code":     {&tokens.Error{Status: 400, Code: "temporarily_unavailable"}, 0, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				synctest.Test(t, func(t *testing.T) {
					s := &server{err: test.err}
					source := newManager(t, s).Source(tokens.Key{})
					unavailable := wantUnavailable(t, source)
					if !errors.Is(unavailable, test.err) || unavailable.RetryAfter < test.least || unavailable.RetryAfter > test.most {
						t.Fatalf("%v, again in %v; want %v to %v", unavailable, unavailable.RetryAfter, test.least, test.most)
					}
				})
			}
		})
	}
}

// Each waits as long as its own context allows. The fetch goes on for the others, and has the values of who caused it.
func TestEachWaitsOnItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type trace struct{}
		var seen any
		var deadline time.Duration
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: 2 * time.Second}
		fetcher := tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			seen = ctx.Value(trace{})
			end, _ := ctx.Deadline()
			deadline = time.Until(end)
			return s.Fetch(ctx, r)
		})
		source := newManager(t, fetcher).Source(tokens.Key{})
		patience := errors.New("no more patience")
		ctx, cancel := context.WithTimeoutCause(context.WithValue(t.Context(), trace{}, "abc"), time.Second, patience)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if token, err := source.Token(ctx); !errors.Is(err, patience) || token != nil {
				t.Errorf("token %v, error %v", token, err)
			}
		})
		synctest.Wait()
		began := time.Now()
		wantToken(t, source, "token-1")
		if time.Since(began) != 2*time.Second || s.count() != 1 || seen != "abc" || deadline != tokens.DefaultFetchTimeout {
			t.Errorf("%v, %d calls, trace %v, deadline in %v", time.Since(began), s.count(), seen, deadline)
		}
		wg.Wait()
	})
}

// A Fetcher that does not heed its context keeps nobody waiting for longer than FetchTimeout. What it brings later is welcome, unless a
// newer token is there.
func TestAFetcherThatIsLate(t *testing.T) {
	for name, test := range map[string]struct {
		first, second time.Duration // how long the two calls take
		want          string        // after both
	}{
		"late, and the next one fails": {12 * time.Second, 0, "token-1"},
		"later than the next":          {40 * time.Second, 6 * time.Second, "token-2"},
		"the next brings a newer one":  {12 * time.Second, 9 * time.Second, "token-2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
					n, takes := calls.Add(1), test.first
					if n == 2 {
						if takes = test.second; takes == 0 {
							return nil, errDown
						}
					}
					pass(takes)
					return &tokens.Response{AccessToken: tokens.NewSecret(fmt.Sprintf("token-%d", n)), TokenType: "bearer", ExpiresIn: time.Hour}, nil
				})
				source := newManager(t, fetcher, tokens.FetchTimeout(10*time.Second)).Source(tokens.Key{})
				began := time.Now()
				pause := wantUnavailable(t, source).RetryAfter
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("waited %v", took)
				}
				pass(pause)
				_, _ = source.Token(t.Context())
				pass(time.Minute)
				wantToken(t, source, test.want)
				if calls.Load() != 2 {
					t.Errorf("%d calls", calls.Load())
				}
			})
		})
	}
}

// A Fetcher whose goroutine ends without a word is a failure like another.
func TestAFetcherThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			runtime.Goexit()
			return nil, nil
		})
		_ = wantUnavailable(t, newManager(t, fetcher).Source(tokens.Key{}))
	})
}

// What a Fetcher brings is judged, wherever it has it from.
func TestGrantsThatAreRefused(t *testing.T) {
	for name, grant := range map[string]*tokens.Response{
		"nothing":             nil,
		"no token":            {TokenType: "Bearer"},
		"no type":             {AccessToken: tokens.NewSecret("abc")},
		"another type":        {AccessToken: tokens.NewSecret("abc"), TokenType: "DPoP"},
		"a line break":        {AccessToken: tokens.NewSecret("abc\r\nX-Admin: 1"), TokenType: "Bearer"},
		"a space":             {AccessToken: tokens.NewSecret("abc def"), TokenType: "Bearer"},
		"not ASCII":           {AccessToken: tokens.NewSecret("abcé"), TokenType: "Bearer"},
		"DEL":                 {AccessToken: tokens.NewSecret("abc\x7f"), TokenType: "Bearer"},
		"too long":            {AccessToken: tokens.NewSecret(strings.Repeat("a", 64<<10+1)), TokenType: "Bearer"},
		"a negative life":     {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: -1},
		"a negative refresh":  {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", RefreshIn: -1},
		"over when it comes":  {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: time.Second, Requested: time.Unix(1, 0)},
		"over within a tenth": {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
					pass(1)
					return grant, nil
				})
				err := wantUnavailable(t, newManager(t, fetcher).Source(tokens.Key{}))
				if strings.Contains(err.Error(), "abc") {
					t.Errorf("the token is in the error: %v", err)
				}
			})
		})
	}
	longest := &tokens.Response{AccessToken: tokens.NewSecret(strings.Repeat("a", 64<<10)), TokenType: "bEARER"}
	source := newManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) { return longest, nil })).Source(tokens.Key{})
	mustToken(t, source)
}

// An access token is opaque to a client: what it says of its own times is not read.
func TestTheTokensOwnTimesAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// {"alg":"none"} . {"exp":1}
		s := &server{grant: tokens.Response{AccessToken: tokens.NewSecret("eyJhbGciOiJub25lIn0.eyJleHAiOjF9."), ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		mustToken(t, source)
		pass(time.Minute)
		mustToken(t, source)
		if s.count() != 1 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

// A server that refuses the token gets another one, once in half a minute whatever it does.
func TestInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		first := mustToken(t, source)
		for range 3 { // three requests that were refused at once
			if !source.Invalidate(first) {
				t.Error("no renewal")
			}
		}
		wantToken(t, source, "token-2")
		second := mustToken(t, source)
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
		pass(30*time.Second - 1)
		if source.Invalidate(second) {
			t.Error("a second renewal within 30 s")
		}
		wantToken(t, source, "token-2")
		pass(1)
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
func TestAServerThatRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		for range 10 * 60 {
			source.Invalidate(mustToken(t, source))
			pass(time.Second)
		}
		if n := s.count() - 1; n < 19 || n > 20 {
			t.Errorf("%d renewals in 10 minutes", n)
		}
	})
}

// One server that refuses a token must not keep it from the others: if there is no other token to be had, it stays in use.
func TestARefusedTokenWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		first := mustToken(t, source)
		s.set(func() { s.err = errDown })
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
		pass(time.Second)
		wantToken(t, source, "token-1") // while another is asked for: it is not waited for twice
		synctest.Wait()
		wantToken(t, source, "token-3")
	})
}

// What only repeats the failure of one request does not take a token from those who can use it.
func TestARefusedTokenWhileTheIssuerMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		first := mustToken(t, source)
		s.set(func() { s.err = &tokens.Error{Status: 400, Code: "invalid_request"} })
		source.Invalidate(first)
		wantToken(t, source, "token-1")
	})
}

// An issuer that hangs holds up nobody for more than a second who has a token that some server refused.
func TestARefusedTokenWhileTheIssuerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 4 * time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		first := mustToken(t, source)
		s.set(func() { s.delay = time.Hour })
		source.Invalidate(first)
		for range 3600 {
			began := time.Now()
			wantToken(t, source, "token-1")
			if waited := time.Since(began); waited > time.Second {
				t.Fatalf("waited %v", waited)
			}
			pass(time.Second)
		}
	})
}

// Whoever has to log in again hears that, and not that some server refuses the token.
func TestARefusedTokenWhoseLoginIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := newManager(t, s).Source(tokens.Key{})
		first := mustToken(t, source)
		s.set(func() { s.err = tokens.ErrLoginRequired })
		source.Invalidate(first)
		for range 2 {
			if err := wantUnavailable(t, source); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// After Reset nothing is left of what was, and what is under way brings nothing.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: 2 * time.Second}
		source := newManager(t, s).Source(tokens.Key{})
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, source, "token-2") }) // it waits anew
		pass(time.Second)
		source.Reset()
		wg.Wait()
		pass(time.Minute)
		wantToken(t, source, "token-2")

		s.set(func() { s.err = tokens.ErrLoginRequired })
		source.Reset()
		_ = wantUnavailable(t, source)
		s.set(func() { s.err = nil })
		source.Reset()
		wantToken(t, source, "token-4")
	})
}

// However often it is reset, who waits gets a token in the end: only calls that are late count against the Fetcher.
func TestResetAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: 5 * time.Second}
		source := newManager(t, s).Source(tokens.Key{})
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, source, "token-6") })
		for range 5 {
			pass(100 * time.Millisecond)
			source.Reset()
		}
		wg.Wait()
	})
}

// Close ends what is under way and waits for it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}, delay: time.Hour}
		m := newManager(t, s)
		ready := m.Source(tokens.Key{Subject: "ready"})
		s.set(func() { s.delay = 0 })
		mustToken(t, ready)
		s.set(func() { s.delay = time.Hour })
		waiting := m.Source(tokens.Key{Subject: "waiting"})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := wantUnavailable(t, waiting); !errors.Is(err, tokens.ErrClosed) || err.RetryAfter <= 0 && err.RetryAfter != 0 {
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
			if err := wantUnavailable(t, source); !errors.Is(err, tokens.ErrClosed) || err.RetryAfter != 0 {
				t.Errorf("error %v, again in %v", err, err.RetryAfter)
			}
		}
		if s.count() != 2 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

// Beyond MaxKeys the key goes that nobody has asked for or fetched for the longest time; who holds its source can use it.
func TestMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		m := newManager(t, s, tokens.MaxKeys(3))
		key := func(subject string) tokens.Key { return tokens.Key{Subject: subject} }
		a, b, c := m.Source(key("a")), m.Source(key("b")), m.Source(key("c"))
		mustToken(t, a) // fetched
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
		mustToken(t, c) // in use after all: it is remembered, and a is forgotten
		if m.Source(key("c")) != c || m.Source(key("a")) == a || len(m.Stats()) != 3 {
			t.Error("a source in use is not remembered")
		}
		a.Reset()
		mustToken(t, a) // another has its place by now
		if m.Source(key("a")) == a {
			t.Error("it took another's place")
		}
		if s.perKey[key("c")] != 1 {
			t.Errorf("%d fetches", s.perKey[key("c")])
		}
	})
}

// Token and Close at once: there is a token, or ErrClosed.
func TestTokenDuringClose(t *testing.T) {
	for range 2000 {
		m := newManager(t, &server{err: errDown})
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

// A Fetcher that heeds nothing has two goroutines at most, however often it is asked for a token.
func TestAFetcherThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var inside, most atomic.Int64
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			<-release
			return &tokens.Response{AccessToken: tokens.NewSecret("late"), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
		})
		source := newManager(t, fetcher).Source(tokens.Key{})
		for range 100 {
			_ = wantUnavailable(t, source)
			pass(30 * time.Second)
		}
		if most.Load() != 2 {
			t.Errorf("%d calls at once", most.Load())
		}
		close(release)
		synctest.Wait()
		wantToken(t, source, "late")
	})
}

// A panic is one failure, and not the end of the process; it is logged with the place, and without what it says.
func TestAFetcherThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			panic("hunter2")
		}), tokens.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		err = wantUnavailable(t, m.Source(tokens.Key{}))
		synctest.Wait()
		if text := log.String() + err.Error(); !strings.Contains(text, "TestAFetcherThatPanics") || strings.Contains(text, "hunter2") {
			t.Errorf("error %v, log:\n%s", err, log.String())
		}
	})
}

// Nobody waits for a later fetch when the token of an earlier one comes.
func TestALateTokenEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			n := calls.Add(1)
			pass(map[int64]time.Duration{1: 12 * time.Second, 2: time.Hour}[n])
			return &tokens.Response{AccessToken: tokens.NewSecret(fmt.Sprintf("token-%d", n)), TokenType: "bearer", ExpiresIn: time.Hour}, nil
		})
		source := newManager(t, fetcher, tokens.FetchTimeout(10*time.Second)).Source(tokens.Key{})
		began := time.Now()
		pass(wantUnavailable(t, source).RetryAfter)
		wantToken(t, source, "token-1")
		if time.Since(began) != 12*time.Second || calls.Load() != 2 {
			t.Errorf("after %v, with %d calls", time.Since(began), calls.Load())
		}
	})
}

// The error of a context that has ended is found by name, and so is its cause; and nothing is fetched for it.
func TestAContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{delay: time.Minute}
		source := newManager(t, s).Source(tokens.Key{})
		patience := errors.New("no more patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, patience)
		defer cancel()
		for calls := range 2 {
			_, err := source.Token(ctx)
			if !errors.Is(err, patience) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			synctest.Wait()
			if s.count() != 1 {
				t.Errorf("%d fetches after %d", s.count(), calls)
			}
			source.Reset()
		}
	})
}

// The times of a token out of a Store are those of a wall clock, and perhaps of another machine's.
func TestATimeFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Requested: time.Now().Add(1000 * time.Hour).Round(0)}}
		source := newManager(t, s).Source(tokens.Key{})
		if life := time.Until(mustToken(t, source).Expiry()); life > time.Hour {
			t.Errorf("a life of %v", life)
		}
	})
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Requested: time.Now().Add(-time.Minute).Round(0)}}
	if !tokens.HasMonotonic(mustToken(t, newManager(t, s).Source(tokens.Key{}))) { // there is none in a bubble
		t.Error("the monotonic clock has no say")
	}
}

// The zero Token is of no use and does no harm.
func TestTheZeroToken(t *testing.T) {
	var token tokens.Token
	source := newManager(t, &server{}).Source(tokens.Key{})
	mustToken(t, source)
	if token.AccessToken() != "" || token.Authorization() != "" || !source.Invalidate(&token) {
		t.Error("the zero Token is the current one")
	}
}

// However short the lives are that a server gives, it is not asked more than twice a second.
func TestShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 600 * time.Millisecond}}
		source := newManager(t, s).Source(tokens.Key{})
		for range 100 * 60 {
			mustToken(t, source)
			pass(10 * time.Millisecond)
		}
		if n := s.count(); n < 110 || n > 121 {
			t.Errorf("%d fetches in a minute", n)
		}
		s.set(func() { s.grant = tokens.Response{ExpiresIn: 100 * time.Millisecond} })
		source.Reset()
		for range 100 {
			mustToken(t, source)
			pass(10 * time.Millisecond)
		}
	})
}

// A server that names the next moment is not asked all day: a token of a day is renewed ten times.
func TestRefreshInHasAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: 24 * time.Hour, RefreshIn: time.Microsecond}}
		source := newManager(t, s).Source(tokens.Key{})
		for range 24 * 60 {
			mustToken(t, source)
			pass(time.Minute)
		}
		if n := s.count(); n > 11 {
			t.Errorf("%d fetches in a day", n)
		}
	})
}

// Every kind of event is told, once; a failure is logged once, and its end.
func TestEventsAndLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var events []tokens.Event
		var mu sync.Mutex
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, AccessToken: tokens.NewSecret("s3cret")}, delay: time.Second}
		m, err := tokens.NewManager(s,
			tokens.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))),
			tokens.Observer(func(_ context.Context, ev tokens.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, ev)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		source := m.Source(tokens.Key{Subject: "alice", Resource: "https://api:hunter2@api.example"})
		next := func(want tokens.EventKind) tokens.Event {
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
		mustToken(t, source)
		if ev := next(tokens.EventFetch); ev.Duration != time.Second || ev.Err != nil {
			t.Errorf("%+v", ev)
		}
		pass(52 * time.Minute)
		mustToken(t, source)
		pass(time.Second)
		next(tokens.EventRefresh)
		s.set(func() { s.grant.Reused = true })
		pass(52 * time.Minute)
		mustToken(t, source)
		pass(time.Second)
		next(tokens.EventReuse)
		s.set(func() { s.err = errDown })
		source.Reset()
		_ = wantUnavailable(t, source)
		if ev := next(tokens.EventFailure); ev.Err != errDown || ev.RetryAfter <= 0 {
			t.Errorf("%+v", ev)
		}
		_ = wantUnavailable(t, source)
		if ev := next(tokens.EventBackoff); !errors.Is(ev.Err, errDown) {
			t.Errorf("%+v", ev)
		}
		pass(time.Second)
		_ = wantUnavailable(t, source)
		next(tokens.EventFailure)
		pass(2 * time.Second)
		s.set(func() { s.err = nil })
		mustToken(t, source)
		next(tokens.EventReuse)

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

// Nothing that holds a token prints it.
func TestNothingPrintsAToken(t *testing.T) {
	const secret = "s3cret-t0ken"
	s := &server{grant: tokens.Response{AccessToken: tokens.NewSecret(secret)}}
	source := newManager(t, s).Source(tokens.Key{})
	token := mustToken(t, source)
	grant := tokens.Response{AccessToken: tokens.NewSecret(secret), RefreshToken: tokens.NewSecret(secret), IDToken: tokens.NewSecret(secret)}
	values := map[string]any{
		"Secret": tokens.NewSecret(secret), "*Token": token, "Token": *token, "Response": grant, "*Response": &grant,
		"Request": tokens.Request{Previous: token}, "slice": []any{tokens.NewSecret(secret), token}, "pointers": []any{&grant, &tokens.SecurityToken{Token: tokens.NewSecret(secret)}}, "grants": []*tokens.Response{&grant}, "map": map[string]any{"a": token, "b": tokens.NewSecret(secret)},
		"struct": struct {
			S tokens.Secret
			T *tokens.Token
		}{tokens.NewSecret(secret), token},
		"unexported": struct{ t tokens.Token }{*token},
		"Stats":      source.Stats(),
	}
	for name, value := range values {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%10.3s"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", value)
		encoded, _ := json.Marshal(value)
		out.Write(encoded)
		for _, leak := range []string{secret, secret[:8], fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%s prints %s", name, leak)
			}
		}
	}
}

func TestNewManagerReportsEveryMistake(t *testing.T) {
	if _, err := tokens.NewManager(tokens.FetcherFunc(nil)); err == nil {
		t.Error("a nil FetcherFunc")
	}
	_, err := tokens.NewManager(&server{}, tokens.MaxKeys(1), tokens.MaxKeys(2), tokens.FetchTimeout(1), tokens.FetchTimeout(1))
	if err == nil || !strings.Contains(err.Error(), "MaxKeys: given twice") || !strings.Contains(err.Error(), "FetchTimeout: given twice") {
		t.Errorf("error %v", err)
	}
	_, err = tokens.NewManager(nil, nil, tokens.MaxKeys(0), tokens.FetchTimeout(0), tokens.Logger(nil), tokens.Observer(nil))
	for _, want := range []string{"the Fetcher is nil", "an option is nil", "MaxKeys(0)", "FetchTimeout(0s)", "Logger(nil)", "Observer(nil)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}
