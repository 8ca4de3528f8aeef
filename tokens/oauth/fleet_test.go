package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	fleetProcesses = 100
	fleetKeys      = 10 // of each
	fleetSize      = fleetProcesses * fleetKeys
)

// fleet is many processes, each with its own Manager, and the times at which they ask.
type fleet struct {
	sources []*tokens.Source // of all keys, process by process
	back    time.Time        // when the server is there again

	mu       sync.Mutex
	arrivals []time.Time // of requests, once the server is back
	early    int         // requests between the first answer and that
}

// newFleet makes the processes, each with a Fetcher of its own.
func newFleet(t *testing.T, fetcher func(f *fleet) tokens.Fetcher) *fleet {
	f := new(fleet)
	for range fleetProcesses {
		m := tokenstest.NewManager(t, fetcher(f))
		for i := range fleetKeys {
			f.sources = append(f.sources, m.Source(tokens.Key{Scope: fmt.Sprint("s", i)}))
		}
	}
	return f
}

// arrive notes a request, and reports whether the server is there again.
func (f *fleet) arrive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.back) {
		f.early++
		return false
	}
	f.arrivals = append(f.arrivals, time.Now())
	return true
}

// ask lets all keys be asked for until each has a token, about every 20 ms. All of a process begin
// when its start is over.
func (f *fleet) ask(ctx context.Context, start func(process int) time.Duration) {
	var wg sync.WaitGroup
	for i, source := range f.sources {
		wg.Go(func() {
			if d := start(i / fleetKeys); d > 0 {
				<-time.After(max(1, d))
			}
			for {
				_, err := source.Token(ctx)
				e, ok := errors.AsType[*tokens.UnavailableError](err)
				if !ok {
					return
				}
				<-time.After(e.RetryAfter + rand.N(20*time.Millisecond)) // in between the answer is the same
			}
		})
	}
	wg.Wait()
}

// busiest is the largest number of arrivals in any such time.
func (f *fleet) busiest(window time.Duration) (most int) {
	slices.SortFunc(f.arrivals, time.Time.Compare)
	from := 0
	for i, at := range f.arrivals {
		for at.Sub(f.arrivals[from]) >= window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func (f *fleet) last() time.Duration {
	return slices.MaxFunc(f.arrivals, time.Time.Compare).Sub(f.back)
}

func fleetAtOnce(int) time.Duration { return 0 }

// A fleet that was told when to come back does not come back in one half second: neither by the
// pause of each key, nor by that of a client after 429 and 503, nor by that of its discovery.
func TestFleetAfterRetryAfter(t *testing.T) {
	type server struct {
		asks func(f *fleet) string // what Retry-After says
		// start is when a process asks first, and asked what it is told at least then.
		start func(process int) time.Duration
	}
	seconds := server{
		func(f *fleet) string { return strconv.Itoa(int((time.Until(f.back) + time.Second - 1) / time.Second)) },
		fleetAtOnce,
	}
	date := server{
		func(f *fleet) string { return f.back.UTC().Format(http.TimeFormat) }, fleetAtOnce,
	}
	told := func(s server, at func(int) time.Duration) server {
		s.start = at
		return s
	}
	apart := func(process int) time.Duration { return time.Duration(process) * 400 * time.Millisecond }
	for name, tt := range map[string]struct {
		asked   time.Duration
		server  server
		keyOnly bool // what it adds is about the pauses of keys
	}{
		"20 seconds":                        {20 * time.Second, seconds, false},
		"5 minutes":                         {5 * time.Minute, seconds, true},
		"a date, told one after another":    {60 * time.Second, told(date, apart), false},
		"seconds, told one after another":   {60 * time.Second, told(seconds, apart), true},
		"10 seconds":                        {10 * time.Second, seconds, false},
		"1 second":                          {time.Second, seconds, true},
		"a date in 10 seconds for everyone": {10 * time.Second, date, true},
	} {
		for where, fetcher := range map[string]func(f *fleet, asks func() string) tokens.Fetcher{
			"each key": func(f *fleet, asks func() string) tokens.Fetcher {
				return tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
					if f.arrive() {
						return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer"}, nil
					}
					return nil, &tokens.Error{Op: "token", Status: http.StatusServiceUnavailable, RetryAfter: time.Until(f.back)}
				})
			},
			"each client": func(f *fleet, asks func() string) tokens.Fetcher {
				return fleetClient(t, f, "/token", tokenstest.Good, asks)
			},
			"each discovery": func(f *fleet, asks func() string) tokens.Fetcher {
				return fleetClient(t, f, tokenstest.OpenIDPath, tokenstest.Document(nil), asks)
			},
		} {
			if tt.keyOnly && where != "each key" {
				continue
			}
			t.Run(where+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, func(f *fleet) tokens.Fetcher {
						return fetcher(f, func() string { return tt.server.asks(f) })
					})
					f.back = time.Now().Add(tt.asked)
					f.ask(t.Context(), tt.server.start)
					if f.early > fleetSize {
						t.Errorf("%d requests before the server was back, want one of each key at most", f.early)
					}
					half := f.busiest(500 * time.Millisecond)
					switch {
					case tt.asked >= 20*time.Second:
						if half*20 > len(f.arrivals) {
							t.Errorf("%d of %d requests in one half second", half, len(f.arrivals))
						}
					case f.last() < tt.asked*9/20: // the last of them comes shortly before the end of the half
						t.Errorf("all come back within %v of %v", f.last(), tt.asked)
					case f.busiest(tt.asked/4)*10 > 7*len(f.arrivals): // of the half that they have at least
						t.Errorf("%d of %d requests in %v", f.busiest(tt.asked/4), len(f.arrivals), tt.asked/4)
					}
				})
			})
		}
	}
}

// Keys that are first needed in the last second of a pause do not all come back right after its
// end.
func TestFleetThatIsToldLate(t *testing.T) {
	const asked = 20 * time.Second
	for where, path := range map[string]string{"each client": "/token", "each discovery": tokenstest.OpenIDPath} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, func(f *fleet) tokens.Fetcher {
					good := tokenstest.Good
					if path != "/token" {
						good = tokenstest.Document(nil)
					}
					return fleetClient(t, f, path, good, func() string { return strconv.Itoa(int(time.Until(f.back) / time.Second)) })
				})
				f.back = time.Now().Add(asked)
				var wg sync.WaitGroup
				for i, source := range f.sources {
					wg.Go(func() {
						if i%fleetKeys > 0 { // the first is told by the server
							<-time.After(asked - rand.N(time.Second))
						}
						for {
							_, err := source.Token(t.Context())
							e, ok := errors.AsType[*tokens.UnavailableError](err)
							if !ok {
								return
							}
							<-time.After(max(1, e.RetryAfter))
						}
					})
				}
				wg.Wait()
				if half := f.busiest(500 * time.Millisecond); half*10 > len(f.arrivals) || f.early > fleetProcesses {
					t.Errorf("%d of %d requests in one half second, %d before", half, len(f.arrivals), f.early)
				}
			})
		})
	}
}

// fleetClient is the client of one process. The server answers at one path as a fleet's server
// does, and is there at all others. What comes there counts as well.
func fleetClient(t *testing.T, f *fleet, path, good string, asks func() string) tokens.Fetcher {
	server := tokenstest.NewServer()
	server.On(path, func(r *http.Request, form url.Values) (*http.Response, error) {
		if f.arrive() {
			return tokenstest.JSON(http.StatusOK, good)(r, form)
		}
		return tokenstest.Gives(http.StatusServiceUnavailable, "", "", "Retry-After", asks())(r, form)
	})
	if path != "/token" {
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			f.arrive()
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
	}
	return tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
}

// When an outage ends of which no server said how long it takes, a fleet comes back over the half
// minute that its pauses had grown to.
func TestFleetAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, func(f *fleet) tokens.Fetcher {
			return fleetClient(t, f, "/token", tokenstest.Good, func() string { return "" })
		})
		f.back = time.Now().Add(90 * time.Second)
		f.ask(t.Context(), fleetAtOnce)
		if half := f.busiest(500 * time.Millisecond); half*100 > 8*len(f.arrivals) {
			t.Errorf("%d of %d requests in one half second", half, len(f.arrivals))
		}
	})
}

// A fleet that started at once does not renew at once, whether the server says when or not.
func TestFleetThatStartedAtOnceRenewsOneAfterAnother(t *testing.T) {
	for name, refreshIn := range map[string]time.Duration{"by its own choice": 0, "by refresh_in": 30 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, func(f *fleet) tokens.Fetcher {
					return tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
						f.arrive()
						return &tokens.Response{
							AccessToken: tokens.NewSecret("a"), TokenType: "Bearer", ExpiresIn: time.Hour, RefreshIn: refreshIn,
						}, nil
					})
				})
				f.ask(t.Context(), fleetAtOnce)
				if len(f.arrivals) != fleetSize {
					t.Fatalf("%d requests at the start", len(f.arrivals))
				}
				started := time.Now()
				f.arrivals = nil
				var wg sync.WaitGroup
				for _, source := range f.sources {
					wg.Go(func() {
						<-time.After(max(1, time.Until(source.Stats().Refresh)+rand.N(20*time.Millisecond)))
						_, _ = source.Token(t.Context())
					})
				}
				wg.Wait()
				synctest.Wait()
				f.back = started
				if half := f.busiest(500 * time.Millisecond); len(f.arrivals) != fleetSize || half*50 > fleetSize {
					t.Errorf("%d of %d requests in one half second", half, len(f.arrivals))
				}
				if refreshIn > 0 && slices.MinFunc(f.arrivals, time.Time.Compare).Sub(started) < refreshIn {
					t.Error("one came before the server wanted")
				}
			})
		})
	}
}

// When a server refuses all tokens of a fleet at once, each is renewed once.
func TestFleetWhoseTokensAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, func(f *fleet) tokens.Fetcher {
			return fleetClient(t, f, "/token", tokenstest.Good, func() string { return "" })
		})
		f.ask(t.Context(), fleetAtOnce)
		f.arrivals = nil
		var wg sync.WaitGroup
		for _, source := range f.sources {
			for range 5 {
				wg.Go(func() {
					if token := tokenstest.MustToken(t, source); source.Invalidate(token) {
						tokenstest.MustToken(t, source)
					}
				})
			}
		}
		wg.Wait()
		if len(f.arrivals) != fleetSize {
			t.Errorf("%d renewals of %d tokens", len(f.arrivals), fleetSize)
		}
	})
}
