package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// tenants makes a Fetcher for each client, whose tokens name it.
type tenants struct {
	mu    sync.Mutex
	made  map[string]int // by issuer and client
	err   error
	fetch func(client string) tokens.Fetcher
}

func (s *tenants) fetcherOf(_ context.Context, issuer, client string) (tokens.Fetcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = make(map[string]int)
	}
	s.made[issuer+" "+client]++
	if s.err != nil {
		return nil, s.err
	}
	if s.fetch != nil {
		return s.fetch(client), nil
	}
	number := s.made[issuer+" "+client]
	return tokens.FetcherFunc(func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
		name := strings.Join([]string{issuer, client, r.Key.Scope, fmt.Sprint(number)}, "/")
		return &tokens.Response{AccessToken: tokens.NewSecret(name), TokenType: "Bearer"}, nil
	}), nil
}

func (s *tenants) count(issuer, client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[issuer+" "+client]
}

func TestFetcherByClientMakesOneForEachIssuerAndClient(t *testing.T) {
	t.Parallel()
	s := new(tenants)
	m := tokenstest.NewManager(t, tokens.FetcherByClient(s.fetcherOf))
	for _, key := range []tokens.Key{
		{Issuer: "i1", Client: "c1", Scope: "a"},
		{Issuer: "i1", Client: "c1", Scope: "b"},
		{Issuer: "i1", Client: "c2", Scope: "a"},
		{Issuer: "i2", Client: "c1", Scope: "a"},
		{Scope: "a"},
	} {
		source := m.Source(key)
		wantToken(t, source, strings.Join([]string{key.Issuer, key.Client, key.Scope, "1"}, "/"))
		source.Reset()
		wantToken(t, source, strings.Join([]string{key.Issuer, key.Client, key.Scope, "1"}, "/"))
	}
	if len(s.made) != 4 {
		t.Errorf("made %v", s.made)
	}
}

func TestFetcherByClientDoesNotRememberErrors(t *testing.T) {
	t.Parallel()
	errWhy := errors.New("why")
	s := &tenants{err: errWhy}
	f := tokens.FetcherByClient(s.fetcherOf)
	key := tokens.Request{Key: tokens.Key{Issuer: "i", Client: "c"}}
	for range 2 {
		if _, err := f.Fetch(t.Context(), key); !errors.Is(err, errWhy) {
			t.Errorf("Fetch: %v", err)
		}
	}
	s.err = nil
	if response, err := f.Fetch(t.Context(), key); err != nil || response.AccessToken.Reveal() != "i/c//3" {
		t.Errorf("after the error: %v", err)
	}
	for _, none := range []tokens.Fetcher{nil, tokens.FetcherFunc(nil)} {
		s.fetch = func(string) tokens.Fetcher { return none }
		_, err := f.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Issuer: "i", Client: "none"}})
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() {
			t.Errorf("without a Fetcher: %v", err)
		}
	}
}

func TestFetcherByClientNeedsAFunction(t *testing.T) {
	t.Parallel()
	f := tokens.FetcherByClient(nil)
	_, err := tokens.NewManager(f)
	tokenstest.WantConfigErrors(t, err, tokens.ConfigError{Option: "FetcherByClient", Value: "nil"})
	_, err = f.Fetch(t.Context(), tokens.Request{})
	if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "is nil") {
		t.Errorf("Fetch: %v", err)
	}
}

const maxClients = 4096

func TestFetcherByClientForgetsWhatWasNotUsedForTheLongestTime(t *testing.T) {
	t.Parallel()
	s := new(tenants)
	f := tokens.FetcherByClient(s.fetcherOf)
	use := func(i int) {
		t.Helper()
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Issuer: "i", Client: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxClients {
		use(i)
	}
	use(0)
	if len(s.made) != maxClients || s.count("i", "0") != 1 {
		t.Fatalf("%d were made, the first of them %d times", len(s.made), s.count("i", "0"))
	}
	use(maxClients) // for which 1 is forgotten
	use(0)
	use(2)
	use(1)
	for i, want := range map[int]int{0: 1, 1: 2, 2: 1, maxClients: 1} {
		if got := s.count("i", fmt.Sprint(i)); got != want {
			t.Errorf("%d was made %d times, want %d", i, got, want)
		}
	}
}

// keeper is a Fetcher that has something to save, as that of package session.
type keeper struct {
	tokens.Fetcher
	closed atomic.Int32
}

func (k *keeper) Fetch(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
	r.AtClose(k)
	return k.Fetcher.Fetch(ctx, r)
}

func (k *keeper) Close() error {
	k.closed.Add(1)
	return nil
}

// A refresh token that waits to be saved is in a Fetcher that must not be made a second time.
func TestFetcherByClientForgetsNoCloser(t *testing.T) {
	t.Parallel()
	var all []*keeper
	s := &tenants{fetch: func(client string) tokens.Fetcher {
		if client == "plain" {
			return new(server)
		}
		all = append(all, &keeper{Fetcher: new(server)})
		return all[len(all)-1]
	}}
	m := tokenstest.NewManager(t, tokens.FetcherByClient(s.fetcherOf))
	use := func(client string) error {
		_, err := m.Source(tokens.Key{Client: client}).Token(t.Context())
		return err
	}
	if err := use("plain"); err != nil {
		t.Fatal(err)
	}
	for i := range maxClients {
		if err := use(fmt.Sprint(i)); err != nil { // the last one takes the place of plain
			t.Fatal(err)
		}
	}
	if err := use("one too many"); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("one too many: %v", err)
	}
	m.Source(tokens.Key{Client: "0"}).Reset()
	if err := use("0"); err != nil || s.count("", "0") != 1 {
		t.Errorf("the first: %v, made %d times", err, s.count("", "0"))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for i, one := range all[:maxClients] {
		if n := one.closed.Load(); n != 1 {
			t.Fatalf("%d was closed %d times", i, n)
		}
	}
}

// Several fetches at once for a new client may make several Fetchers. One of them is used from then
// on.
func TestFetcherByClientUsesOneOfThoseMadeAtOnce(t *testing.T) {
	t.Parallel()
	const many = 8
	s := new(tenants)
	var ready sync.WaitGroup
	ready.Add(many)
	f := tokens.FetcherByClient(func(ctx context.Context, issuer, client string) (tokens.Fetcher, error) {
		ready.Done()
		ready.Wait() // until all are here
		return s.fetcherOf(ctx, issuer, client)
	})
	var mu sync.Mutex
	got := make(map[string]int)
	var users sync.WaitGroup
	for range many {
		users.Go(func() {
			response, err := f.Fetch(context.Background(), tokens.Request{Key: tokens.Key{Issuer: "i", Client: "c"}})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[response.AccessToken.Reveal()]++
		})
	}
	users.Wait()
	if len(got) != 1 || s.count("i", "c") != many {
		t.Errorf("%d were made, and %v used", s.count("i", "c"), got)
	}
}

// What the function needs, such as a database, is asked with the context of the fetch.
func TestFetcherByClientPassesTheContextOn(t *testing.T) {
	t.Parallel()
	type traceKey struct{}
	var trace any
	var bounded bool
	m := tokenstest.NewManager(t, tokens.FetcherByClient(func(ctx context.Context, _, _ string) (tokens.Fetcher, error) {
		trace = ctx.Value(traceKey{})
		_, bounded = ctx.Deadline()
		return new(server), nil
	}))
	if _, err := m.Source(tokens.Key{}).Token(context.WithValue(t.Context(), traceKey{}, "trace")); err != nil {
		t.Fatal(err)
	}
	if trace != "trace" || !bounded {
		t.Errorf("the context has %v, a deadline: %v", trace, bounded)
	}
}
