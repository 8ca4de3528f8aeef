package tokens_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// A Fetcher that ignores its context keeps no caller waiting for longer than WithFetchTimeout. What
// it brings later is welcome, unless a newer token is there.
func TestFetcherThatIsLate(t *testing.T) {
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
							return nil, tokenstest.ErrDown
						}
					}
					tokenstest.Pass(takes)
					return &tokens.Response{AccessToken: tokens.NewSecret(fmt.Sprintf("token-%d", n)), TokenType: "bearer", ExpiresIn: time.Hour}, nil
				})
				source := tokenstest.NewManager(t, fetcher, tokens.WithFetchTimeout(10*time.Second)).Source(tokens.Key{})
				began := time.Now()
				pause := tokenstest.WantUnavailable(t, source).RetryAfter
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("waited %v", took)
				}
				tokenstest.Pass(pause)
				_, _ = source.Token(t.Context())
				tokenstest.Pass(time.Minute)
				wantToken(t, source, test.want)
				if calls.Load() != 2 {
					t.Errorf("%d calls", calls.Load())
				}
			})
		})
	}
}

// A Fetcher whose goroutine ends without a word is a failure like another.
func TestFetcherThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			runtime.Goexit()
			return nil, nil
		})
		_ = tokenstest.WantUnavailable(t, tokenstest.NewManager(t, fetcher).Source(tokens.Key{}))
	})
}

// What a Fetcher brings is judged, wherever it has it from.
func TestResponsesThatAreRefused(t *testing.T) {
	for name, grant := range map[string]*tokens.Response{
		"nothing":              nil,
		"no token":             {TokenType: "Bearer"},
		"extras that are none": {AccessToken: tokens.NewSecret("abc"), Extras: tokens.NewSecret("abc")},
		"too many extras":      {AccessToken: tokens.NewSecret("abc"), Extras: tokens.NewSecret(`{"x":"` + strings.Repeat("a", 16<<10-7) + `"}`)},
		"another type":         {AccessToken: tokens.NewSecret("abc"), TokenType: "DPoP"},
		"a line break":         {AccessToken: tokens.NewSecret("abc\r\nX-Admin: 1"), TokenType: "Bearer"},
		"a space":              {AccessToken: tokens.NewSecret("abc def"), TokenType: "Bearer"},
		"not ASCII":            {AccessToken: tokens.NewSecret("abcé"), TokenType: "Bearer"},
		"DEL":                  {AccessToken: tokens.NewSecret("abc\x7f"), TokenType: "Bearer"},
		"too long":             {AccessToken: tokens.NewSecret(strings.Repeat("a", 64<<10+1)), TokenType: "Bearer"},
		"a negative life":      {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: -1},
		"a negative refresh":   {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", RefreshIn: -1},
		"over when it comes":   {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: time.Second, Requested: time.Unix(1, 0)},
		"over within a tenth":  {AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer", ExpiresIn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
					tokenstest.Pass(1)
					return grant, nil
				})
				err := tokenstest.WantUnavailable(t, tokenstest.NewManager(t, fetcher).Source(tokens.Key{}))
				if strings.Contains(err.Error(), "abc") {
					t.Errorf("the token is in the error: %v", err)
				}
			})
		})
	}
	longest := &tokens.Response{AccessToken: tokens.NewSecret(strings.Repeat("a", 64<<10)), TokenType: "bEARER"}
	source := tokenstest.NewManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) { return longest, nil })).Source(tokens.Key{})
	tokenstest.MustToken(t, source)
}

// A Fetcher that ignores its context has at most two goroutines, however often it is asked for a
// token.
func TestFetcherThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var inside, most atomic.Int64
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			<-release
			return &tokens.Response{AccessToken: tokens.NewSecret("late"), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
		})
		source := tokenstest.NewManager(t, fetcher).Source(tokens.Key{})
		for range 100 {
			_ = tokenstest.WantUnavailable(t, source)
			tokenstest.Pass(30 * time.Second)
		}
		if most.Load() != 2 {
			t.Errorf("%d calls at once", most.Load())
		}
		close(release)
		synctest.Wait()
		wantToken(t, source, "late")
	})
}

// A panic is one failure, and not the end of the process; it is logged with the place, and without
// what it says.
func TestFetcherThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			panic("hunter2")
		}), tokens.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		err = tokenstest.WantUnavailable(t, m.Source(tokens.Key{}))
		synctest.Wait()
		if text := log.String() + err.Error(); !strings.Contains(text, "TestFetcherThatPanics") || strings.Contains(text, "hunter2") {
			t.Errorf("error %v, log:\n%s", err, log.String())
		}
	})
}

// A Manager asks a Fetcher's error what it is. That is a failure as well when the error cannot say.
func TestFetcherWhoseErrorPanics(t *testing.T) {
	var none *tokens.Error
	for name, failure := range map[string]error{
		"a nil pointer": none, "a nil pointer in another error": fmt.Errorf("no token: %w", none), "by itself": panickingError{},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := true // it changes while there is no fetch
				source := tokenstest.NewManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
					if bad {
						return nil, failure
					}
					return &tokens.Response{AccessToken: tokens.NewSecret("good"), TokenType: "Bearer"}, nil
				})).Source(tokens.Key{})
				unavailable := tokenstest.WantUnavailable(t, source)
				if text := unavailable.Error(); !strings.Contains(text, "the Fetcher panicked") {
					t.Error(text)
				}
				bad = false
				tokenstest.Pass(unavailable.RetryAfter)
				wantToken(t, source, "good")
			})
		})
	}
}

// panickingError is an error that cannot be asked.
type panickingError struct{}

func (panickingError) Error() string { return "no token" }
func (panickingError) Unwrap() error { panic("hunter2") }

// No caller waits for a later fetch when the token of an earlier one comes.
func TestLateTokenEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			n := calls.Add(1)
			tokenstest.Pass(map[int64]time.Duration{1: 12 * time.Second, 2: time.Hour}[n])
			return &tokens.Response{AccessToken: tokens.NewSecret(fmt.Sprintf("token-%d", n)), TokenType: "bearer", ExpiresIn: time.Hour}, nil
		})
		source := tokenstest.NewManager(t, fetcher, tokens.WithFetchTimeout(10*time.Second)).Source(tokens.Key{})
		began := time.Now()
		tokenstest.Pass(tokenstest.WantUnavailable(t, source).RetryAfter)
		wantToken(t, source, "token-1")
		if time.Since(began) != 12*time.Second || calls.Load() != 2 {
			t.Errorf("after %v, with %d calls", time.Since(began), calls.Load())
		}
	})
}
