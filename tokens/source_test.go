package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// The first to ask causes a fetch, and everybody after that gets what came of it, without another.
func TestSourceFetchesATokenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour, Scope: "a b"}, delay: 200 * time.Millisecond}
		m := tokenstest.NewManager(t, s)
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
		token := tokenstest.MustToken(t, source)
		if token.Authorization() != "Bearer token-1" || strings.Join(token.Scopes(), " ") != "a b" || !token.Expiry().Equal(began.Add(time.Hour)) {
			t.Errorf("token %q, %q, until %v", token.Authorization(), token.Scopes(), token.Expiry())
		}
		if s.count() != 1 || s.seen[0].Key != key || s.seen[0].Previous != nil {
			t.Errorf("%d fetches, the first %+v", s.count(), s.seen[0])
		}
	})
}

// A current token costs no allocation and no lock.
func TestFreshTokenCostsNoAllocation(t *testing.T) {
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
	source := tokenstest.NewManager(t, s).Source(tokens.Key{})
	tokenstest.MustToken(t, source)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = source.Token(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The herd: an issuer that answers 503 after 200 ms, and 20 callers with 10 s of patience. One
// call, its failure is everybody's; and soon after the issuer recovers so does the service.
func TestConcurrentCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{err: tokenstest.ErrDown, delay: 200 * time.Millisecond}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := source.Token(ctx)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e != tokenstest.ErrDown {
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
		unavailable := tokenstest.WantUnavailable(t, source)
		if s.count() != 1 {
			t.Error("a call in the pause")
		}
		if unavailable.RetryAfter <= 0 || unavailable.RetryAfter > 500*time.Millisecond {
			t.Errorf("the next attempt is in %v", unavailable.RetryAfter)
		}
		s.set(func() { s.err = nil })
		tokenstest.Pass(unavailable.RetryAfter)
		wantToken(t, source, "token-2")
	})
}

// A day of 1,000 users of tokens that live five minutes: no caller waits after the first fetch, and
// each life costs one fetch.
func TestSourceRenewsForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Minute
		s := &server{grant: tokens.Response{ExpiresIn: life}, delay: 3 * time.Second}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		tokenstest.MustToken(t, source)
		var waited atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				tokenstest.Pass(time.Duration(i) * 293 * time.Millisecond)
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
					tokenstest.Pass(293 * time.Second)
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

// An outage that is shorter than what is left of the token's life is invisible, and the issuer is
// left in peace meanwhile.
func TestSourceBridgesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
		wantToken(t, source, "token-1")
		tokenstest.Pass(40 * time.Minute)
		s.set(func() { s.err, s.delay = tokenstest.ErrDown, time.Second })
		for range 19 * 60 {
			wantToken(t, source, "token-1")
			tokenstest.Pass(time.Second)
		}
		// From 51 minutes at the latest until 59: every half minute at most once it has failed a
		// few times, and on average every quarter.
		if n := s.count() - 1; n < 8*2 || n > 19*8 {
			t.Errorf("%d attempts", n)
		}
		s.set(func() { s.err = nil })
		tokenstest.Pass(30 * time.Second)
		wantToken(t, source, "token-1")
		tokenstest.Pass(2 * time.Second)
		if token := tokenstest.MustToken(t, source); token.AccessToken() == "token-1" {
			t.Error("no new token after the outage")
		}
	})
}

// After a failure nothing is asked for until a random moment within a bound that doubles.
func TestSourceBacksOffAfterFailures(t *testing.T) {
	bounds := []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second,
	}
	longest := make([]time.Duration, len(bounds))
	shortest := make([]time.Duration, len(bounds))
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := &server{err: errors.New("no connection")}
			source := tokenstest.NewManager(t, s).Source(tokens.Key{})
			for i, bound := range bounds {
				pause := tokenstest.WantUnavailable(t, source).RetryAfter
				if pause <= 0 || pause > bound {
					t.Fatalf("pause %d is %v, want at most %v", i, pause, bound)
				}
				longest[i] = max(longest[i], pause)
				if shortest[i] == 0 || pause < shortest[i] {
					shortest[i] = pause
				}
				tokenstest.Pass(pause - 1)
				if again := tokenstest.WantUnavailable(t, source).RetryAfter; again != 1 || s.count() != i+1 {
					t.Fatalf("%d calls, and %v to go", s.count(), again)
				}
				tokenstest.Pass(1)
			}
			if stats := source.Stats(); stats.FailuresInARow != len(bounds) || stats.Failures != len(bounds) || stats.TurnedAway != len(bounds) {
				t.Errorf("%+v", stats)
			}
			s.set(func() { s.err = nil })
			tokenstest.MustToken(t, source)
			source.Reset()
			s.set(func() { s.err = tokenstest.ErrDown })
			if pause := tokenstest.WantUnavailable(t, source).RetryAfter; pause > bounds[0] {
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

// What a server says of the next attempt is honoured, within limits; so is that some failures do
// not pass by themselves.
func TestSourceHonoursRetryAfter(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		least, most time.Duration
	}{
		"Retry-After":                 {&tokens.Error{Status: 503, RetryAfter: 20 * time.Second}, 20 * time.Second, 50 * time.Second},
		"Retry-After of 429":          {&tokens.Error{Status: 429, Code: "invalid_request", RetryAfter: 7 * time.Second}, 7 * time.Second, 21 * time.Second},
		"an absurd one":               {&tokens.Error{Status: 503, RetryAfter: 1 << 62}, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		"a negative one":              {&tokens.Error{Status: 503, RetryAfter: -1}, 0, 500 * time.Millisecond},
		"wrapped":                     {fmt.Errorf("it: %w", &tokens.Error{Status: 503, RetryAfter: 20 * time.Second}), 20 * time.Second, 50 * time.Second},
		"invalid_client":              {&tokens.Error{Status: 401, Code: "invalid_client"}, 30 * time.Second, 5 * time.Minute},
		"invalid_scope":               {&tokens.Error{Status: 400, Code: "invalid_scope"}, 30 * time.Second, 5 * time.Minute},
		"no login, without a request": {fmt.Errorf("it: %w", tokens.ErrLoginRequired), 0, 500 * time.Millisecond},
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
					source := tokenstest.NewManager(t, s).Source(tokens.Key{})
					unavailable := tokenstest.WantUnavailable(t, source)
					if !errors.Is(unavailable, test.err) || unavailable.RetryAfter < test.least || unavailable.RetryAfter > test.most {
						t.Fatalf("%v, again in %v; want %v to %v", unavailable, unavailable.RetryAfter, test.least, test.most)
					}
				})
			}
		})
	}
}

// Each waits as long as its own context allows. The fetch goes on for the others, and has the
// values of who caused it.
func TestCallersWaitOnTheirOwnContexts(t *testing.T) {
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
		source := tokenstest.NewManager(t, fetcher).Source(tokens.Key{})
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
		if time.Since(began) != 2*time.Second || s.count() != 1 || seen != "abc" || deadline != 15*time.Second {
			t.Errorf("%v, %d calls, trace %v, deadline in %v", time.Since(began), s.count(), seen, deadline)
		}
		wg.Wait()
	})
}

// The error of a context that has ended is found by name, and so is its cause; and nothing is
// fetched for it.
func TestSourceWithAContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{delay: time.Minute}
		source := tokenstest.NewManager(t, s).Source(tokens.Key{})
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

// Nothing that holds a token prints it.
func TestNothingPrintsAToken(t *testing.T) {
	const secret = "s3cret-t0ken"
	s := &server{grant: tokens.Response{AccessToken: tokens.NewSecret(secret)}}
	source := tokenstest.NewManager(t, s).Source(tokens.Key{})
	token := tokenstest.MustToken(t, source)
	grant := tokens.Response{AccessToken: tokens.NewSecret(secret), RefreshToken: tokens.NewSecret(secret), IDToken: tokens.NewSecret(secret)}
	values := map[string]any{
		"Secret": tokens.NewSecret(secret), "*Token": token, "Token": *token, "Response": grant, "*Response": &grant,
		"Request": tokens.Request{Previous: token}, "slice": []any{tokens.NewSecret(secret), token}, "pointers": []any{&grant, &oauth.SecurityToken{Token: tokens.NewSecret(secret)}}, "grants": []*tokens.Response{&grant}, "map": map[string]any{"a": token, "b": tokens.NewSecret(secret)},
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
