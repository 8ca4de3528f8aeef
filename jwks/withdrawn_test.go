package jwks_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

const none = `{"keys":[]}`

// An empty set is an outage until the issuer has said it in three fetches in a row, an hour from
// the first to the last. Then it has no keys, and its tokens are no longer good.
// Rules: key.withdrawal.
func TestEmptySetThatLastsIsAWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		path := filepath.Join(t.TempDir(), "keys")
		w, set := warm(t, jwks.WithLogger(log.logger()), jwks.WithLastKnownGood(path, 24*time.Hour))
		w.put(keysURL, says(200, none))
		want(t, set, "b", "EdDSA", "unavailable") // the first time
		began := time.Now()
		for time.Since(began) < time.Hour-time.Second {
			want(t, set, "a", "EdDSA", "found")
			<-time.After(time.Second)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the last known good keys: %v", err)
		}
		<-time.After(2 * time.Minute)
		want(t, set, "a", "EdDSA", "found")
		synctest.Wait()
		want(t, set, "a", "EdDSA", "not found")
		want(t, set, "b", "EdDSA", "not found")
		if err := set.Ready(t.Context()); err != nil {
			t.Errorf("%v", err)
		}
		if n := len(log.lines("the issuer has withdrawn all its keys", "WARN")); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		synctest.Wait()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the withdrawn keys would come back after a restart: %v", err)
		}
		for range 10 {
			<-time.After(time.Hour)
			want(t, set, "a", "EdDSA", "not found")
		}
		if n := len(log.lines("the issuer has withdrawn all its keys")); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		w.put(keysURL, says(200, keySet(edJWK("c"))))
		<-time.After(2 * time.Minute)
		want(t, set, "c", "EdDSA", "found")
	})
}

// Two answers are not three, however far apart, and anything else between them starts the row again.
// Rules: key.withdrawal.
func TestEmptySetsThatAreNoWithdrawal(t *testing.T) {
	for name, between := range map[string]page{
		"a failure": down, "a status": says(500, ""), "no set": says(200, "{}"), "null": says(200, `{"keys":null}`),
		"the keys": nil, "the keys, unchanged": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := warm(t)
				good := w.pages[keysURL]
				switch {
				case name == "the keys":
					between = good
				case between == nil: // for the keys as they are
					between = says(304, "")
					w.put(keysURL, says(200, keySet(edJWK("a")), "ETag", `"1"`))
					<-time.After(20 * time.Minute)
					want(t, set, "a", "EdDSA", "found")
					synctest.Wait()
				}
				for range 5 {
					for range 2 {
						w.put(keysURL, says(200, none))
						fetched := w.count(keysURL)
						for w.count(keysURL) == fetched {
							<-time.After(20 * time.Minute)
							want(t, set, "a", "EdDSA", "found")
							synctest.Wait()
						}
					}
					w.put(keysURL, between)
					fetched := w.count(keysURL)
					for w.count(keysURL) == fetched {
						<-time.After(20 * time.Minute)
						want(t, set, "a", "EdDSA", "found")
						synctest.Wait()
					}
				}
			})
		})
	}
	t.Run("two answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, set := warm(t)
			w.put(keysURL, says(200, none))
			for range 2 {
				<-time.After(2 * time.Hour)
				want(t, set, "a", "EdDSA", "found")
				synctest.Wait()
			}
			if n := set.Stats().Failures; n != 2 {
				t.Errorf("%d failures", n)
			}
			<-time.After(2 * time.Hour)
			_, _ = set.Keys(t.Context(), "a", "EdDSA")
			synctest.Wait()
			want(t, set, "a", "EdDSA", "not found")
		})
	})
}

// An issuer that cannot be found between two empty sets has not said it twice in a row.
// Rules: key.withdrawal.
func TestFailingDiscoveryIsNoPartOfAWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer()
		found := w.pages[discoveryURL]
		w.put(keysURL, says(200, none))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "unavailable")
		w.put(discoveryURL, down)
		<-time.After(time.Hour)
		want(t, set, "a", "EdDSA", "unavailable")
		w.put(discoveryURL, found)
		for range 4 {
			<-time.After(5 * time.Second)
			want(t, set, "a", "EdDSA", "unavailable")
		}
	})
}

// A set that never had keys is unavailable as long as the issuer may be starting.
// Rules: key.withdrawal.
func TestColdSetIsUnavailableUntilTheWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer()
		w.put(keysURL, says(200, none))
		set := w.discover(t)
		for range 59 {
			want(t, set, "a", "EdDSA", "unavailable")
			<-time.After(time.Minute)
		}
		<-time.After(2 * time.Minute)
		want(t, set, "a", "EdDSA", "not found")
	})
}
