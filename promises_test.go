package bearer_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// promises are the rows of the table in the package documentation.
var promises = map[string]func(*testing.T){
	"Down":                 promiseOfDown,
	"Slow":                 promiseOfSlow,
	"Hang":                 func(t *testing.T) { promiseOfFault(t, bearertest.Hang, 5*time.Second) },
	"Drip":                 func(t *testing.T) { promiseOfFault(t, bearertest.Drip, 5*time.Second) },
	"Huge":                 promiseOfHuge,
	"HTML200":              func(t *testing.T) { promiseOfFault(t, bearertest.HTML200, 0) },
	"EmptyKeys":            func(t *testing.T) { promiseOfFault(t, bearertest.EmptyKeys, 0) },
	"PoisonedEntry":        func(t *testing.T) { promiseOfPoison(t, 204) },
	"PoisonedDocument":     func(t *testing.T) { promiseOfPoison(t, 503) },
	"Redirect":             promiseOfRedirect,
	"Moved":                promiseOfMoved,
	"FirstRequests":        promiseOfFirstRequests,
	"Rotate":               promiseOfRotate,
	"RotateWithoutOverlap": promiseOfRotateWithoutOverlap,
	"ReusedKeyID":          promiseOfReusedKeyID,
	"ForgedKeyIDs":         promiseOfForgedKeyIDs,
	"Trickle":              promiseOfTrickle,
	"Unsteady":             promiseOfUnsteady,
	"NewKeyWhileDown":      promiseOfNewKeyWhileDown,
	"Restart":              promiseOfRestart,
	"ClientGone":           promiseOfClientGone,
	"Close":                promiseOfClose,
}

// Rules: key.available.
func TestEveryPromiseHolds(t *testing.T) {
	for name, test := range promises {
		t.Run(name, func(t *testing.T) {
			if name != "Huge" { // it measures the memory of the whole process
				t.Parallel()
			}
			test(t)
		})
	}
}

// A promise without a test is as bad as a test without a promise.
func TestEveryPromiseIsATestAndEveryTestAPromise(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "//	the issuer ")
	table, _, _ = strings.Cut(table, "//\n")
	untold := maps.Clone(promises)
	for _, row := range regexp.MustCompile(`(?m)^//\t(\w+)`).FindAllStringSubmatch(table, -1) {
		if promises[row[1]] == nil {
			t.Errorf("%s has no test", row[1])
		}
		delete(untold, row[1])
	}
	for name := range untold {
		t.Errorf("%s is not in the table", name)
	}
}

// promiseOfFault tests the promise for every fault that keeps the keys from coming: a warm service
// goes on, and a cold one answers 503.
func promiseOfFault(t *testing.T, fault bearertest.Fault, within time.Duration) {
	t.Run("warm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			issuer.SetFault(fault)
			passing(t, 30*time.Minute, auth, token(), 204)
			if issuer.Fetches() < 3 {
				t.Errorf("%d fetches: the fault was not met", issuer.Fetches())
			}
			wantStatuses(t, auth, always(token()), 204, 0)
			if err := auth.Ready(t.Context()); err != nil {
				t.Errorf("not ready, although it serves: %v", err)
			}
		})
	})
	t.Run("cold", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newAuth(t, issuer)
			issuer.SetFault(fault)
			wantStatuses(t, auth, always(token()), 503, within)
			for range 10 { // and for every request after it, too
				<-time.After(5 * time.Second)
				wantStatuses(t, auth, always(token()), 503, within)
			}
			issuer.SetFault(bearertest.NoFault)
			recovered(t, auth, token())
		})
	})
}

func promiseOfDown(t *testing.T) {
	promiseOfFault(t, bearertest.Down, 0)
	t.Run("a day", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			issuer.SetFault(bearertest.Down)
			passing(t, 24*time.Hour, auth, token(), 204)
			if n := issuer.Fetches(); n > 24*60*2 {
				t.Errorf("%d fetches in a day", n)
			}
			passing(t, time.Hour, auth, token(), 503)
			issuer.SetFault(bearertest.NoFault)
			recovered(t, auth, token())
			passing(t, time.Hour, auth, token(), 204)
		})
	})
}

func promiseOfSlow(t *testing.T) {
	promiseOfFault(t, bearertest.Slow(6*time.Second), 5*time.Second)
	t.Run("a little", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			issuer.SetFault(bearertest.Slow(2 * time.Second))
			auth := newAuth(t, issuer)
			wantStatuses(t, auth, always(token()), 204, 4*time.Second) // two for discovery, two for the keys
			passing(t, 30*time.Minute, auth, token(), 204)
		})
	})
}

func promiseOfHuge(t *testing.T) {
	promiseOfFault(t, bearertest.Huge, 0)
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			issuer.SetFault(bearertest.Huge)
			<-time.After(9 * time.Minute)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			wantStatus(t, auth, token(), 204)
			synctest.Wait()
			runtime.ReadMemStats(&after)
			if issuer.Fetches() != 2 {
				t.Errorf("%d fetches", issuer.Fetches())
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 16<<20 {
				t.Errorf("a body of 1 GiB cost %d MiB", spent>>20)
			}
		})
	})
}

// badDocuments are the poisons that leave no good key in the key set.
var badDocuments = []bearertest.Fault{
	bearertest.PoisonTruncated, bearertest.PoisonNullDocument, bearertest.PoisonEmptyDocument,
	bearertest.PoisonDuplicateMember, bearertest.PoisonTooManyKeys,
}

// promiseOfPoison is about the poisons that cold services answer with this status.
func promiseOfPoison(t *testing.T, cold int) {
	tried := 0
	for _, poison := range bearertest.Faults() {
		isPoison := strings.HasPrefix(string(poison), "poison: ")
		if !isPoison || slices.Contains(badDocuments, poison) != (cold == 503) {
			continue
		}
		tried++
		t.Run(string(poison), func(t *testing.T) {
			if cold == 503 {
				promiseOfFault(t, poison, 0)
				return
			}
			synctest.Test(t, func(t *testing.T) {
				issuer, token := newIssuer()
				auth := newWarm(t, issuer)
				issuer.SetFault(poison)
				wantStatuses(t, newAuth(t, issuer), always(token()), 204, 0)
				passing(t, 30*time.Minute, auth, token(), 204)
				if stats := auth.Stats().Issuers[0]; stats.State != jwks.StateFresh || stats.Failures != 0 || stats.Keys == 0 {
					t.Errorf("one bad entry makes the fetch fail: %+v", stats)
				}
			})
		})
	}
	if tried < 5 {
		t.Errorf("%d poisons", tried)
	}
}

func promiseOfRedirect(t *testing.T) {
	promiseOfFault(t, bearertest.Redirect, 0)
	t.Run("not followed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			issuer.SetFault(bearertest.Redirect)
			issuer.Rotate() // who follows gets the new key
			if got := status(t, auth, token()); got != 503 {
				t.Errorf("status %d", got)
			}
			if issuer.Requests() != 3 {
				t.Errorf("%d requests, want that of the redirect to be the last", issuer.Requests())
			}
		})
	})
}

func promiseOfMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		web := &elsewhere{issuer: issuer}
		auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(&http.Client{Transport: web}))
		wantStatus(t, auth, token(), 204)
		web.move("/keys/v2")
		issuer.Rotate()
		wantStatuses(t, auth, always(token()), 204, 0) // the search for the new key finds the new place
		passing(t, 30*time.Minute, auth, token(), 204)
		if stats := auth.Stats().Issuers[0]; stats.State != jwks.StateFresh || stats.Failures != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

func promiseOfFirstRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		issuer.SetFault(bearertest.Slow(time.Second))
		auth := newAuth(t, issuer)
		wantStatuses(t, auth, always(token()), 204, 2*time.Second)
		if issuer.Fetches() != 1 || issuer.Requests() != 2 {
			t.Errorf("%d fetches, %d requests, want 1 and 2", issuer.Fetches(), issuer.Requests())
		}
	})
}

func promiseOfRotate(t *testing.T) {
	t.Run("all at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			old := token()
			issuer.SetFault(bearertest.Slow(time.Second))
			issuer.Rotate()
			wantStatuses(t, auth, always(token()), 204, time.Second)
			wantStatuses(t, auth, always(old), 204, 0)
			if issuer.Fetches() != 2 {
				t.Errorf("%d fetches for the new key, want 1", issuer.Fetches()-1)
			}
		})
	})
	t.Run("a thousand times", func(t *testing.T) {
		const rotations, clients, pause = 1000, 4, 20 * time.Second
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			done := make(chan struct{})
			var wg sync.WaitGroup
			for client := range clients {
				wg.Go(func() {
					<-time.After(max(1, time.Duration(client)*time.Second))
					for {
						text := token()
						<-time.After(time.Second) // on its way to the service; meanwhile the issuer may rotate
						if got := status(t, auth, text); got != 204 {
							t.Errorf("status %d", got)
						}
						select {
						case <-done:
							return
						case <-time.After(max(1, pause)):
						}
					}
				})
			}
			for range rotations {
				<-time.After(time.Minute)
				issuer.Rotate()
			}
			close(done)
			wg.Wait()
		})
	})
}

func promiseOfRotateWithoutOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		auth := newWarm(t, issuer)
		old := token()
		issuer.RotateWithoutOverlap()
		wantStatus(t, auth, old, 204) // the service cannot know
		refreshed(t, auth, old)
		wantStatus(t, auth, old, 401)
		wantStatuses(t, auth, always(token()), 204, 0)

		old = token()
		issuer.RotateWithoutOverlap()
		wantStatuses(t, auth, always(token()), 204, 0) // at once
		wantStatus(t, auth, old, 401)
	})
}

func promiseOfReusedKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, _ := newIssuer()
		token := func() string {
			return issuer.Sign(c{"kid": "always this"}, c{"exp": time.Now().Add(time.Hour).Unix()})
		}
		auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience()),
			bearer.WithHTTPClient(&http.Client{Transport: renamed{issuer}}))
		wantStatus(t, auth, token(), 204)
		old := token()
		issuer.RotateWithoutOverlap()
		wantStatus(t, auth, token(), 401) // a bad signature under a known key id is no reason to fetch
		refreshed(t, auth, old)
		wantStatus(t, auth, token(), 204)
		wantStatus(t, auth, old, 401)
	})
}

// mostSearches returns how often an issuer may have been asked about unknown key ids since then.
func mostSearches(began time.Time) int { return 5 + int(time.Since(began)/(4*time.Second)) }

func promiseOfForgedKeyIDs(t *testing.T) {
	const forgeries = 10_000
	forge := func(issuer *bearertest.Issuer, i int) string { return issuer.Sign(c{"kid": fmt.Sprint("forged-", i)}) }
	flood := func(t *testing.T, auth *bearer.Middleware, issuer *bearertest.Issuer, want int) {
		var wg sync.WaitGroup
		for i := range forgeries {
			wg.Go(func() {
				if got := status(t, auth, forge(issuer, i)); got != want {
					t.Errorf("status %d for a forged key id, want %d", got, want)
				}
			})
		}
		wg.Wait()
	}
	t.Run("warm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			began := time.Now()
			for range 3 {
				if elapsed := took(func() { flood(t, auth, issuer, 401) }); elapsed > 4*time.Second {
					t.Errorf("forged key ids were answered after %s", elapsed)
				}
				wantStatuses(t, auth, always(token()), 204, 0)
				if n := issuer.Fetches() - 1; n > mostSearches(began) {
					t.Errorf("%d fetches after %s of forged key ids", n, time.Since(began))
				}
				<-time.After(time.Minute)
			}
		})
	})
	t.Run("warm, and the fetch hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, token := newIssuer()
			auth := newWarm(t, issuer)
			issuer.SetFault(bearertest.Hang)
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				if elapsed := took(func() { flood(t, auth, issuer, 503) }); elapsed > 2*time.Second {
					t.Errorf("forged key ids were answered after %s", elapsed)
				}
			}()
			<-time.After(time.Second)
			wantStatuses(t, auth, always(token()), 204, 0)
			<-flooded
			if n := issuer.Fetches() - 1; n != 1 {
				t.Errorf("%d fetches, want 1", n)
			}
		})
	})
	t.Run("cold", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer, _ := newIssuer()
			began := time.Now()
			flood(t, newAuth(t, issuer), issuer, 401)
			if issuer.Fetches()-1 > mostSearches(began) {
				t.Errorf("%d fetches", issuer.Fetches())
			}
		})
	})
}

func promiseOfNewKeyWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		auth := newWarm(t, issuer)
		old := token()
		issuer.Rotate()
		issuer.SetFault(bearertest.Down)
		for range 100 {
			wantStatus(t, auth, token(), 503)
			wantStatus(t, auth, old, 204)
			<-time.After(time.Second)
		}
		issuer.SetFault(bearertest.NoFault)
		<-time.After(4 * time.Second) // the longest pause while tokens are refused
		if got := status(t, auth, token()); got != 204 {
			t.Errorf("status %d after the issuer's return", got)
		}
	})
}

func promiseOfRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "issuer.json")
	start := func(t *testing.T, issuer *bearertest.Issuer, opts ...jwks.Option) *bearer.Middleware {
		return mustNew(t, bearer.WithHTTPClient(issuer.Client()),
			bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Discover(issuer.URL(), opts...))))
	}
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		before := start(t, issuer, jwks.WithLastKnownGood(file, 48*time.Hour))
		wantStatus(t, before, token(), 204)
		_ = before.Close()
		issuer.SetFault(bearertest.Down)
		<-time.After(47 * time.Hour)

		after := start(t, issuer, jwks.WithLastKnownGood(file, 48*time.Hour))
		wantStatuses(t, after, always(token()), 204, 0)
		wantStatuses(t, start(t, issuer), always(token()), 503, 0)
		passing(t, time.Hour, after, token(), 204)
		passing(t, time.Minute, after, token(), 503) // no file is good for ever
		issuer.SetFault(bearertest.NoFault)
		recovered(t, after, token())
	})
}

func promiseOfClientGone(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *bearertest.Issuer) *bearer.Middleware{
		"cold": func(t *testing.T, issuer *bearertest.Issuer) *bearer.Middleware { return newAuth(t, issuer) },
		"warm": func(t *testing.T, issuer *bearertest.Issuer) *bearer.Middleware {
			auth := newWarm(t, issuer)
			issuer.Rotate()
			return auth
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer, token := newIssuer()
				auth := prepare(t, issuer)
				fetches := issuer.Fetches()
				issuer.SetFault(bearertest.Slow(time.Second))
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := auth.Guard().Verify(ctx, token()); reasonOf(t, err) != bearer.ReasonKeysUnavailable {
						t.Errorf("the client that went away receives %v", err)
					}
				})
				synctest.Wait() // it has started the fetch
				wg.Go(func() {
					if got := status(t, auth, token()); got != 204 {
						t.Errorf("status %d", got)
					}
				})
				cancel()
				wg.Wait()
				if issuer.Fetches() != fetches+1 {
					t.Errorf("%d fetches, want 1", issuer.Fetches()-fetches)
				}
			})
		})
	}
}

// A bubble fails if a goroutine is left in it, so nothing else needs to check that nothing runs.
func promiseOfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		trusted := bearer.WithIssuer(issuer.URL(), issuer.Audience())
		unused, err := bearer.New(trusted, bearer.WithHTTPClient(issuer.Client())) // and never closed
		if err != nil {
			t.Fatal(err)
		}
		used, err := bearer.New(trusted, bearer.WithHTTPClient(issuer.Client())) // nor this one
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, used, token(), 204)
		<-time.After(time.Hour)
		if stats := unused.Stats().Issuers[0]; stats.Fetches != 0 || stats.Fetching {
			t.Errorf("a service that is not used: %+v", stats)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		issuer, token := newIssuer()
		unused, cold, warm := newAuth(t, issuer), newAuth(t, issuer), newWarm(t, issuer)
		issuer.SetFault(bearertest.Hang)
		go func() { _, _ = cold.Guard().Verify(t.Context(), token()) }()
		go func() { _, _ = warm.Guard().Verify(t.Context(), issuer.Sign(c{"kid": "unknown"})) }()
		<-time.After(time.Second)
		for _, auth := range []*bearer.Middleware{unused, cold, warm} {
			if elapsed := took(func() { _ = auth.Close() }); elapsed != 0 {
				t.Errorf("Close took %s", elapsed)
			}
			w, _ := serve(t, auth, inHeader(token()))
			checkProblem(t, w, 503, "closed")
		}
	})
}

// What holds in a bubble also holds over a socket, as far as it does not depend on the clock.
func TestPromisesHoldOverASocket(t *testing.T) {
	faults := []bearertest.Fault{
		bearertest.Down, bearertest.Huge, bearertest.HTML200, bearertest.EmptyKeys, bearertest.Redirect,
		bearertest.Hang, bearertest.Drip,
	}
	for _, fault := range slices.Concat(faults, badDocuments) {
		t.Run(string(fault), func(t *testing.T) {
			issuer := bearertest.NewServer(t)
			warm, cold := newAuth(t, issuer), newAuth(t, issuer)
			if got := status(t, warm, issuer.Token()); got != 204 {
				t.Fatalf("status %d before the fault", got)
			}
			old := issuer.Token()
			issuer.Rotate()
			issuer.SetFault(fault)
			ctx, cancel := context.WithCancel(t.Context())
			if fault == bearertest.Hang || fault == bearertest.Drip {
				cancel() // no request waits, whatever the issuer does
			}
			defer cancel()
			for auth, token := range map[*bearer.Middleware]string{cold: old, warm: issuer.Token()} {
				w := httptest.NewRecorder()
				auth.Handler(&spy{}).ServeHTTP(w, inHeader(token).WithContext(ctx))
				checkProblem(t, w, 503, "keys_unavailable")
			}
			if got := status(t, warm, old); got != 204 {
				t.Errorf("status %d for a known key", got)
			}
		})
	}
}
