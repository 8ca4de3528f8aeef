package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// forgotten returns a Source that a Manager with one key has forgotten. The caller holds it.
func forgotten(m *tokens.Manager) *tokens.Source {
	s := m.Source(tokens.Key{Subject: "forgotten"})
	m.Source(tokens.Key{Subject: "remembered"})
	return s
}

// There is one Source for a key as long as a caller holds it.
func TestForgottenSourceIsReturnedAsLongAsItIsHeld(t *testing.T) {
	t.Parallel()
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
	m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(1))
	source := forgotten(m)
	wantToken(t, source, "token-1")
	copied := *source
	runtime.GC()
	again := forgotten(m)
	if again != source {
		t.Error("a key has two Sources")
	}
	runtime.GC()
	if got := m.Source(tokens.Key{Subject: "forgotten"}); tokenstest.MustToken(t, got) != tokenstest.MustToken(t, &copied) {
		t.Error("a copy of a Source does not hold it")
	}
	runtime.KeepAlive(&copied)
}

func TestForgottenSourceIsGoneWhenNoCallerHoldsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
		m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(1))
		wantToken(t, forgotten(m), "token-1")
		wantToken(t, m.Source(tokens.Key{Subject: "remembered"}), "token-2")
		synctest.Wait()                // the fetches have returned
		s.set(func() { s.seen = nil }) // a Request holds its Source
		runtime.GC()
		wantToken(t, m.Source(tokens.Key{Subject: "forgotten"}), "token-3")
	})
}

// Whatever a Source can do is over with a reset, also when its Manager has forgotten it: its token,
// its failure, and the fetch under way.
func TestResetReachesForgottenSources(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]func(*tokens.Manager){
		"of the Manager": func(m *tokens.Manager) { m.Reset() },
		"of the Source":  func(m *tokens.Manager) { m.Source(tokens.Key{Subject: "forgotten"}).Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
				m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(1))
				source := forgotten(m)
				wantToken(t, source, "token-1")
				forgotten(m) // the fetch remembered it
				reset(m)
				wantToken(t, source, "token-2")

				forgotten(m)
				reset(m)
				s.set(func() { s.err = tokenstest.ErrDown })
				_ = tokenstest.WantUnavailable(t, source)
				forgotten(m)
				reset(m)
				s.set(func() { s.err, s.delay = nil, time.Second })
				var wg sync.WaitGroup
				wg.Go(func() { wantToken(t, source, "token-5") }) // the fourth is dropped
				<-time.After(time.Second / 2)
				forgotten(m)
				reset(m)
				wg.Wait()
				if s.count() != 5 {
					t.Errorf("%d fetches", s.count())
				}
			})
		})
	}
}

// A Transport holds its Source.
func TestResetReachesTheTransportOfAForgottenSource(t *testing.T) {
	t.Parallel()
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
	m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(1))
	var sent []string
	transport, err := forgotten(m).Transport(printWire(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Authorization"))
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	}), tokens.WithOrigins("https://billing.example"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 2 {
			response, err := (&http.Client{Transport: transport}).Get("https://billing.example/")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
		m.Source(tokens.Key{Subject: "remembered"})
		runtime.GC()
		m.Reset()
	}
	if got := strings.Join(sent, ", "); got != "Bearer token-1, Bearer token-1, Bearer token-2, Bearer token-2" {
		t.Errorf("sent %s", got)
	}
}

func TestCloseReachesForgottenSources(t *testing.T) {
	t.Parallel()
	s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
	m := tokenstest.NewManager(t, s, tokens.WithMaxKeys(1))
	source := forgotten(m)
	wantToken(t, source, "token-1")
	forgotten(m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tokenstest.WantUnavailable(t, source); !errors.Is(err, tokens.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// Callers use and hold Sources while others are forgotten and reset. No caller gets a token that
// was fetched before a reset that has returned.
func TestResetsAndForgottenSourcesAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	logins, s := 0, &server{}
	fetcher := tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		mu.Lock()
		login := logins
		mu.Unlock()
		response, err := s.Fetch(ctx, r)
		response.AccessToken = tokens.NewSecret(fmt.Sprint(login))
		return response, err
	})
	m := tokenstest.NewManager(t, fetcher, tokens.WithMaxKeys(2))
	var wg sync.WaitGroup
	for user := range 4 {
		wg.Go(func() {
			for n := range 300 {
				source := m.Source(tokens.Key{Subject: fmt.Sprint((user + n) % 8)})
				mu.Lock()
				least := logins
				mu.Unlock()
				for range 3 {
					got, err := strconv.Atoi(tokenstest.MustToken(t, source).AccessToken())
					if err != nil || got < least {
						t.Errorf("a token of login %d after login %d, error %v", got, least, err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for next := range 100 {
			mu.Lock()
			logins = next
			m.Reset() // with the lock: a login has happened when it has returned
			mu.Unlock()
			runtime.Gosched()
		}
	})
	wg.Wait()
}
