package jwks_test

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/jwks"
)

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		var hanging atomic.Int32
		w.put(keysURL, func(r *http.Request) (*http.Response, error) {
			hanging.Add(1)
			defer hanging.Add(-1)
			return hangs(r)
		})
		var log logs
		set := w.discover(t, jwks.WithLogger(log.logger()))
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { want(t, set, "a", "EdDSA", "closed") })
			waiting.Go(func() {
				if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
					t.Errorf("Ready: %s", got)
				}
			})
		}
		synctest.Wait()
		if hanging.Load() != 1 {
			t.Fatal("no fetch is under way")
		}
		elapsed := took(func() {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			if hanging.Load() != 0 {
				t.Error("the fetch outlives Close")
			}
			waiting.Wait()
		})
		if elapsed != 0 {
			t.Errorf("took %s", elapsed)
		}
		want(t, set, "a", "EdDSA", "closed")
		want(t, set, "a", "none", "not found") // needs no set to know
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		wantFetches(t, w, keysURL, 1)
		if lines := log.lines(""); len(lines) != 0 {
			t.Errorf("Close is no failure to log: %s", lines)
		}
	})
}

func TestClosedSetsAnswerClosed(t *testing.T) {
	w := issuer(edJWK("a"))
	remote, static := w.remote(t), open(t, jwks.PublicKeys(edKey.Public()), w)
	want(t, remote, "a", "EdDSA", "found")
	want(t, static, "a", "EdDSA", "found")
	for _, set := range []*jwks.Set{remote, static, w.discover(t)} {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		want(t, set, "a", "EdDSA", "closed")
		if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
			t.Errorf("Ready: %s", got)
		}
		if _, err := set.Keyfunc().Storage().KeyReadAll(t.Context()); !errors.Is(err, jwks.ErrClosed) {
			t.Errorf("Storage: %v", err)
		}
	}
	if w.count(discoveryURL) != 0 {
		t.Error("a closed set fetched")
	}
}

func TestCloseWakesReadyFromItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.put(keysURL, down)
		set := w.remote(t)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
				t.Errorf("Ready: %s", got)
			}
		})
		synctest.Wait()
		elapsed := took(func() { _ = set.Close(); waiting.Wait() })
		if elapsed != 0 {
			t.Errorf("took %s", elapsed)
		}
	})
}
