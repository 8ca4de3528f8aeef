package jwks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func TestBodiesThatNeverReplaceASet(t *testing.T) {
	many := make([]jwk, 257)
	for i := range many {
		many[i] = jwk{"kty": "RSA", "kid": fmt.Sprint(i)}
	}
	good := strings.TrimSuffix(keySet(edJWK("a")), "}")
	for name, page := range map[string]page{
		"an empty object":        says(200, `{}`),
		"null":                   says(200, `null`),
		"no keys":                says(200, `{"keys":[]}`),
		"keys that are null":     says(200, `{"keys":null}`),
		"keys that are no array": says(200, `{"keys":{"kty":"OKP"}}`),
		"keys in capitals":       says(200, strings.Replace(good, "keys", "KEYS", 1)+"}"),
		"an array":               says(200, `[`+good+`}]`),
		"nothing":                says(200, ``),
		"HTML":                   says(200, "<!DOCTYPE html><title>Maintenance</title>"),
		"truncated":              says(200, good),
		"something after it":     says(200, good+"}{}"),
		"not UTF-8":              says(200, good+",\"x\":\"\xff\"}"),
		"keys twice":             says(200, good+`,"keys":[]}`),
		"257 keys":               says(200, keySet(many...)),
		"more than a MiB":        says(200, good+"}"+strings.Repeat(" ", 1<<20-len(good))),
		"without an end":         streams(func(context.Context) (byte, error) { return ' ', nil }),
		"a byte a second": streams(func(ctx context.Context) (byte, error) {
			select {
			case <-time.After(time.Second):
				return ' ', nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}),
		"status 500":       says(500, good+"}"),
		"status 204":       says(204, ""),
		"status 203":       says(203, good+"}"),
		"status 404":       says(404, good+"}"),
		"status 302 alone": says(302, good+"}"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := warm(t)
				w.put(keysURL, page)
				<-time.After(20 * time.Minute)
				want(t, set, "a", "EdDSA", "found")
				<-time.After(10 * time.Second)
				want(t, set, "a", "EdDSA", "found")
				want(t, set, "b", "EdDSA", "unavailable") // it cannot be known
				if w.count(keysURL) < 2 {
					t.Error("the page was not fetched")
				}

				cold := w.remote(t) // without a set there is nothing to use, and the error names the place alone
				_, err := cold.Keys(t.Context(), "a", "EdDSA")
				if outcome(nil, err) != "unavailable" || strings.Contains(err.Error(), "Maintenance") ||
					name != "a byte a second" && !strings.Contains(err.Error(), keysURL) {
					t.Errorf("cold: %v", err)
				}
			})
		})
	}
}

func TestLargestSetsAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make([]jwk, 255, 256)
		for i := range keys {
			keys[i] = jwk{"kty": "unknown"}
		}
		body := keySet(append(keys, edJWK("a"))...)
		w := newWeb()
		w.put(keysURL, says(200, body+strings.Repeat(" ", 1<<20-len(body))))
		want(t, w.remote(t), "a", "EdDSA", "found")
	})
}

func TestSetOfUnusableKeysIsASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(jwk{"kty": "OKP", "kid": "refused", "crv": "Ed448", "x": "AA"}, jwk{"kty": "EC"})
		set := w.discover(t)
		want(t, set, "refused", "EdDSA", "not found")
		want(t, set, "", "EdDSA", "not found")
		wantFetches(t, w, keysURL, 1)
		if err := set.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyIDsOfTheSetNeverCauseAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"), edJWK("refused").with(jwk{"use": "enc"}), edJWK("other").with(jwk{"alg": "EdDSA"}))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		want(t, set, "a", "RS256", "not found")
		want(t, set, "refused", "EdDSA", "not found")
		want(t, set, "other", "ES256", "not found")
		want(t, set, "", "EdDSA", "not found") // two would fit
		want(t, set, "", "RS256", "not found") // none would
		wantFetches(t, w, keysURL, 1)
	})
}

func TestRotationRefusesNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("old"))
		set := w.discover(t)
		want(t, set, "old", "EdDSA", "found")
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("old"), edJWK("new")))))
		wantAll(t, all(200, func(i int) string {
			<-time.After(max(1, time.Duration(i)*4*time.Millisecond)) // some come later and join
			return outcome(set.Keys(t.Context(), "new", "EdDSA"))
		}), 200, "found")
		wantFetches(t, w, keysURL, 2)
	})
}

// The issuer may answer a fetch, then rotate, and then a token with the new key arrives before the
// answer does.
func TestRotationDuringAFetchRefusesNoRequest(t *testing.T) {
	// samples answers a second later with what the page says when the request arrives.
	samples := func(p page) page {
		return func(r *http.Request) (*http.Response, error) {
			response, err := p(r)
			<-time.After(time.Second)
			return response, err
		}
	}
	for name, begin := range map[string]func(*testing.T, *jwks.Set){
		"of the first keys": func(*testing.T, *jwks.Set) {},
		"of a refresh": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			<-time.After(9 * time.Minute)
		},
		"of stale keys": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			<-time.After(time.Hour)
		},
		"of a forged key id": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			go func() { _, _ = set.Keys(t.Context(), "forged", "EdDSA") }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer()
				both := samples(says(200, keySet(edJWK("old"), edJWK("new"))))
				w.put(keysURL, samples(says(200, keySet(edJWK("old")))))
				set := w.discover(t)
				begin(t, set)
				fetches := w.count(keysURL)
				go func() { _, _ = set.Keys(t.Context(), "old", "EdDSA") }()
				<-time.After(500 * time.Millisecond)
				w.put(keysURL, both)
				elapsed := took(func() {
					wantEach(t, set, 200, "new", "found")
				})
				if elapsed != 1500*time.Millisecond {
					t.Errorf("took %s", elapsed)
				}
				if n := w.count(keysURL) - fetches; n > 2 {
					t.Errorf("%d fetches", n)
				}
			})
		})
	}
}

func TestReusedKeyIDWorksAfterTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(newJWK("a", edKey.Public()))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, says(200, keySet(newJWK("a", p256Key.Public()))))
		want(t, set, "a", "ES256", "not found")
		<-time.After(11 * time.Minute)
		want(t, set, "a", "ES256", "found")
		want(t, set, "a", "EdDSA", "not found")
	})
}

// The fresh path is the one that every request of a healthy service takes.
func TestFreshPathNeverWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"), jwk{"kty": "unknown"})
		release := make(chan struct{})
		set := w.discover(t, jwks.WithLogger(blockingLogger(release)))
		elapsed := took(func() {
			wantEach(t, set, 10, "a", "found")
			wantEach(t, set, 10, "b", "not found")
		})
		if elapsed != 0 {
			t.Errorf("requests waited %s for the log", elapsed)
		}
		close(release)
	})
}

func TestFreshPathKeepsToItsAllocations(t *testing.T) {
	set := issuer(edJWK("a"), edJWK("b")).remote(t)
	want(t, set, "a", "EdDSA", "found")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = set.Keys(ctx, "a", "EdDSA") }); n > 1 {
		t.Errorf("%v allocations, want at most 1: the slice that is returned", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		var room [1]jwks.Key
		_, _, _ = set.AppendKeys(ctx, room[:0], issuerURL, "a", "EdDSA")
	}); n > 0 {
		t.Errorf("%v allocations, want none: there is a place for the key", n)
	}
}

func TestConcurrentUseDuringRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("0"))
		set := w.remote(t)
		for generation := range 200 {
			// The issuer publishes before it signs, and withdraws after.
			published := keySet(edJWK(fmt.Sprint(generation)), edJWK(fmt.Sprint(generation+1)))
			w.put(keysURL, after(10*time.Millisecond, says(200, published)))
			<-time.After(9 * time.Minute)
			wantAll(t, all(20, func(i int) string {
				return outcome(set.Keys(t.Context(), fmt.Sprint(generation+i%2), "EdDSA"))
			}), 20, "found")
			<-time.After(time.Second)
		}
	})
}
