package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/jwks"
)

const (
	eastURL = "https://east.test/keys"
	westURL = "https://west.test/keys"
)

// regions is a web with two key sets of one issuer, with the keys "e" and "w", and their set.
func regions(t *testing.T, options ...jwks.Option) (*web, *jwks.Set) {
	t.Helper()
	w := newWeb()
	w.put(eastURL, says(200, keySet(edJWK("e"))))
	w.put(westURL, says(200, keySet(edJWK("w"))))
	return w, open(t, jwks.AnyOf(jwks.Remote(eastURL, options...), jwks.Remote(westURL, options...)), w)
}

// Rules: key.sources.
func TestAnyOfHasTheKeysOfAllItsSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pinned, published := edJWK("p"), edJWK("d")
		w := issuer(published)
		w.put(eastURL, says(200, keySet(edJWK("e"))))
		set := open(t, jwks.AnyOf(jwks.Static([]byte(keySet(pinned))), jwks.Discover(issuerURL), jwks.Remote(eastURL)), w)
		for range 2 {
			for _, kid := range []string{"p", "d", "e"} {
				want(t, set, kid, "EdDSA", "found")
			}
			want(t, set, "z", "EdDSA", "not found")
		}
		if keys, err := set.Keyfunc().Storage().KeyReadAll(t.Context()); len(keys) != 3 || err != nil {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		if n := keysFor(t, set, map[string]any{"alg": "EdDSA", "kid": "e"}, jwt.MapClaims{}); n != 1 {
			t.Errorf("Keyfunc: %d keys", n)
		}
		if _, err := set.Keyfunc().VerificationKeySet(t.Context()); !errors.Is(err, jwks.ErrKeyNotFound) {
			t.Errorf("VerificationKeySet: %v", err)
		}
		if key, err := set.Keyfunc().Storage().KeyRead(t.Context(), "d"); err != nil || key.Marshal().KID != "d" {
			t.Errorf("KeyRead: %v, %v", key.Marshal(), err)
		}
		if got := fmt.Sprint(set); got != "jwks.Set{...}" {
			t.Errorf("it prints %s", got)
		}
	})
}

// One source that is dead stops and delays no token of the others, cold or warm, with or without a
// key id, and however it is dead.
// Rules: key.sources.
func TestDeadSourceDelaysNoTokenOfTheOthers(t *testing.T) {
	for name, dead := range map[string]page{"down": down, "hanging": hangs, "500": says(500, ""), "no set": says(200, "{}")} {
		for _, place := range []string{eastURL, westURL} {
			alive := map[string]string{eastURL: "w", westURL: "e"}[place]
			t.Run(name+" "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, set := regions(t)
					w.put(place, dead)
					w.put(map[string]string{eastURL: westURL, westURL: eastURL}[place],
						after(100*time.Millisecond, says(200, keySet(edJWK(alive)))))
					wantAfter(t, set, alive, "found", 100*time.Millisecond) // the first fetch
					for range 100 {
						wantAfter(t, set, alive, "found", 0)
						wantAfter(t, set, "", "found", 0)
						<-time.After(time.Minute)
						want(t, set, alive, "EdDSA", "found") // after a pause newer keys are waited for
					}
				})
			})
			t.Run(name+" after a while "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, set := regions(t)
					want(t, set, "e", "EdDSA", "found")
					want(t, set, "w", "EdDSA", "found")
					w.put(place, dead)
					for range 30 * 60 {
						<-time.After(time.Minute)
						wantAfter(t, set, alive, "found", 0)
					}
				})
			})
		}
	}
}

// Two regions publish the same key. After a quiet night the one that answers is waited for, and not
// the other.
// Rules: key.sources.
func TestStaleKeyIsNotWaitedForTwice(t *testing.T) {
	for _, dead := range []string{eastURL, westURL} {
		for name, page := range map[string]page{"hanging": hangs, "slow": after(1500*time.Millisecond, down)} {
			synctest.Test(t, func(t *testing.T) {
				w, set := regions(t)
				same := edJWK("same")
				w.put(eastURL, says(200, keySet(same)))
				w.put(westURL, says(200, keySet(same)))
				wantAfter(t, set, "same", "found", 0)
				synctest.Wait()
				for range 3 {
					<-time.After(8 * time.Hour)
					alive := map[string]string{eastURL: westURL, westURL: eastURL}[dead]
					w.put(alive, after(100*time.Millisecond, says(200, keySet(same))))
					w.put(dead, page)
					wantAfter(t, set, "same", "found", 100*time.Millisecond)
					wantAfter(t, set, "same", "found", 0)
				}
				if t.Failed() {
					t.Errorf("%s is %s", dead, name)
				}
			})
		}
	}
}

// Pinned keys without a key id answer to every key id, and are always fresh. That makes no stale key
// of another source fresh: after a quiet night, newer ones are waited for as without them.
// Rules: key.sources.
func TestPinnedKeysKeepNoWithdrawnKeyAlive(t *testing.T) {
	pinned := jwks.PublicKeys(newEdKey().Public())
	for name, sources := range map[string][]jwks.Source{
		"first": {pinned, jwks.Remote(eastURL)},
		"last":  {jwks.Remote(eastURL), pinned},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				old := edJWK("old")
				w.put(eastURL, says(200, keySet(old)))
				set := open(t, jwks.AnyOf(sources...), w)
				wantKeys := func(kid, expected string, wait time.Duration) {
					t.Helper()
					var keys []jwks.Key
					waited := took(func() { keys, _ = set.Keys(t.Context(), kid, "EdDSA") })
					if got := ids(keys); got != expected || waited != wait {
						t.Errorf("%s: keys %q after %s, want %q after %s", kid, got, waited, expected, wait)
					}
				}
				_ = set.Ready(t.Context())
				synctest.Wait()
				wantKeys("old", "old ", 0)
				wantKeys("none", "", 0)

				<-time.After(8 * time.Hour)
				w.put(eastURL, after(100*time.Millisecond, says(200, keySet(edJWK("new")))))
				wantKeys("none", "", 0) // and starts the fetch
				wantKeys("old", "", 100*time.Millisecond)

				<-time.After(8 * time.Hour)
				w.put(eastURL, hangs)
				wantAfter(t, set, "new", "found", 2*time.Second)
				wantKeys("none", "", 0)
			})
		})
	}
}

// A key that none of the sources has, while one of them is down, may be that one's.
// Rules: key.sources.
func TestKeyOfNoSourceIsUnavailableWhileOneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(westURL, down)
		_, err := set.Keys(t.Context(), "w", "EdDSA")
		if outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), westURL) || retryAfter(t, err) <= 0 {
			t.Errorf("%v", err)
		}
		want(t, set, "forged", "EdDSA", "unavailable")
		want(t, set, "e", "EdDSA", "found")
		w.put(westURL, says(200, keySet(edJWK("w"))))
		<-time.After(4 * time.Second)
		want(t, set, "w", "EdDSA", "found")
		want(t, set, "forged", "EdDSA", "not found")

		w.put(westURL, down) // now with keys of it
		<-time.After(20 * time.Minute)
		want(t, set, "w", "EdDSA", "found")
		want(t, set, "other", "EdDSA", "unavailable")
		want(t, set, "e", "EdDSA", "found")
		w.put(eastURL, down)
		<-time.After(25 * time.Hour)
		_, err = set.Keys(t.Context(), "e", "EdDSA")
		if outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), westURL) || !strings.Contains(err.Error(), eastURL) {
			t.Errorf("both are down: %v", err)
		}
	})
}

// The set tells package bearer that the keys are not all, so that a signature that none verifies
// is not called bad.
// Rules: key.sources.
func TestCandidatesSayThatASourceIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(westURL, says(200, keySet(edJWK("e"))))
		missing := func() error {
			t.Helper()
			found, err := set.MissingSource(t.Context(), "e", "EdDSA")
			if !found {
				t.Error("no key was found")
			}
			return err
		}
		w.put(westURL, down)
		var unavailable *jwks.UnavailableError
		if err := missing(); !errors.As(err, &unavailable) {
			t.Errorf("%v", err)
		}
		w.put(westURL, says(200, keySet(edJWK("e"))))
		<-time.After(5 * time.Second)
		_ = missing() // starts the fetch
		synctest.Wait()
		if err := missing(); err != nil {
			t.Errorf("%v", err)
		}
		if keys, _ := set.Keys(t.Context(), "e", "EdDSA"); len(keys) != 2 {
			t.Errorf("%d keys of one kid, want those of both sources", len(keys))
		}
	})
}

// Made-up key ids cost each source what they cost it alone.
// Rules: key.search-bounded.
func TestAnyOfKeepsToTheBudgetOfEachSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t, jwks.WithColdWait(0))
		_, _ = set.Keys(t.Context(), "e", "EdDSA") // no request waits
		synctest.Wait()
		want(t, set, "e", "EdDSA", "found")
		for i := range 1000 {
			_, _ = set.Keys(t.Context(), fmt.Sprint(i), "EdDSA")
		}
		for _, place := range []string{eastURL, westURL} {
			if n := w.count(place); n < 2 || n > 6 {
				t.Errorf("%d fetches of %s, want the first and 5 searches at most", n, place)
			}
		}
		want(t, set, "e", "EdDSA", "found")
		want(t, set, "w", "EdDSA", "found")
	})
}

// A new key is found in whichever source has it, and one that leaves a source is gone.
// Rules: key.sources.
func TestAnyOfFollowsRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		want(t, set, "e", "EdDSA", "found")
		for i := range 5 {
			kid := fmt.Sprint("new", i)
			w.put([]string{eastURL, westURL}[i%2], says(200, keySet(edJWK(kid))))
			wantEach(t, set, 50, kid, "found")
			<-time.After(time.Minute)
		}
		want(t, set, "e", "EdDSA", "not found")
		want(t, set, "new4", "EdDSA", "found")
		want(t, set, "new3", "EdDSA", "found")
	})
}

// Chosen keys without a kid are tried together, whatever sources they come from. So more than a token
// is tried with are a mistake, as they are in one source.
// Rules: key.work-bounded.
func TestChosenKeysOfSeveralSourcesAreJudgedTogether(t *testing.T) {
	three := func() jwks.Source {
		return jwks.PublicKeys(newEdKey().Public(), newEdKey().Public(), newEdKey().Public())
	}
	costly := func() jwks.Source { return jwks.PublicKeys(newECKey(p521Key.Curve).Public()) }
	for want, sources := range map[string][]jwks.Source{
		"6 keys have no kid":                {three(), three()},
		"2 keys without a kid, for one alg": {costly(), costly()},
	} {
		_, err := jwks.New(jwks.AnyOf(sources...))
		if err == nil || !strings.Contains(err.Error(), "in all sources, "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Rules: key.work-bounded.
func TestAnyOfTriesFourKeysInAll(t *testing.T) {
	three := func() jwks.Source {
		return jwks.PublicKeys(newEdKey().Public(), newEdKey().Public(), newEdKey().Public())
	}
	one := newEdKey()
	for name, test := range map[string]struct {
		sources []jwks.Source
		kid     string
		want    int
	}{
		"three and one, token without kid":        {[]jwks.Source{three(), jwks.PublicKeys(one.Public())}, "", 4},
		"the same key twice, token without kid":   {[]jwks.Source{jwks.PEM([]byte(pkix(one.Public()))), jwks.PublicKeys(one.Public())}, "", 1},
		"the same key twice, token with one":      {[]jwks.Source{jwks.PEM([]byte(pkix(one.Public()))), jwks.PublicKeys(one.Public())}, "any", 1},
		"a source of none that fit, and of three": {[]jwks.Source{jwks.PublicKeys(rsaKey.Public()), three()}, "", 3},
	} {
		keys, err := open(t, jwks.AnyOf(test.sources...), newWeb()).Keys(t.Context(), test.kid, "EdDSA")
		if len(keys) != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%s: %d keys, %v, want %d", name, len(keys), err, test.want)
		}
	}
}

// Pinned keys without a key id answer to every key id. They leave room for the key of another
// source that the token names.
// Rules: key.sources, key.work-bounded.
func TestPinnedKeysOfAnyOfLeaveRoomForTheNamedKey(t *testing.T) {
	four := jwks.PublicKeys(newEdKey().Public(), newEdKey().Public(), newEdKey().Public(), newEdKey().Public())
	three := jwks.PublicKeys(newEdKey().Public(), newEdKey().Public(), newEdKey().Public())
	costly := jwks.PublicKeys(newECKey(p521Key.Curve).Public())
	named := jwks.Static([]byte(keySet(edJWK("ed"), newJWK("p521", p521Key.Public()))))
	for _, test := range []struct {
		sources  []jwks.Source
		kid, alg string
		want     int
	}{
		{[]jwks.Source{four, named}, "ed", "EdDSA", 4},
		{[]jwks.Source{named, four}, "ed", "EdDSA", 4},
		{[]jwks.Source{costly, named}, "p521", "ES512", 1},
		{[]jwks.Source{costly, three, named}, "ed", "EdDSA", 4},
	} {
		keys, err := open(t, jwks.AnyOf(test.sources...), newWeb()).Keys(t.Context(), test.kid, test.alg)
		if err != nil || len(keys) != test.want || keys[0].ID() != test.kid {
			t.Errorf("%s: keys %q, %v, want %d, %s first", test.kid, ids(keys), err, test.want, test.kid)
		}
	}
}

// It is ready when one source is, and each has its first fetch by then.
// Rules: key.sources.
func TestAnyOfIsReadyWithOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(westURL, hangs)
		if waited := took(func() {
			if err := set.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}); waited != 0 {
			t.Errorf("waited %s", waited)
		}
		wantFetches(t, w, westURL, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(westURL, down)
		w.put(eastURL, down)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := set.Ready(ctx); outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
	})
}

func TestAnyOfIsClosedAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(westURL, hangs)
		want(t, set, "e", "EdDSA", "found")
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		want(t, set, "e", "EdDSA", "closed")
		want(t, set, "w", "EdDSA", "closed")
		if err := set.Ready(t.Context()); !errors.Is(err, jwks.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestStatsOfAnyOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := regions(t)
		w.put(eastURL, says(200, keySet(edJWK("e"), edJWK("f"), jwk{"kty": "X"})))
		w.put(westURL, down)
		want(t, set, "e", "EdDSA", "found")
		<-time.After(time.Second)
		synctest.Wait()
		total, each := set.Stats(), set.SourceStats()
		if len(each) != 2 || each[0].Source != eastURL || each[0].State != jwks.StateFresh || each[0].Keys != 2 ||
			each[1].Source != westURL || each[1].State != jwks.StateCold || each[1].Failures != 1 {
			t.Fatalf("%+v", each)
		}
		wanted := jwks.Stats{
			Source: "AnyOf(" + eastURL + ", " + westURL + ")", State: jwks.StateFresh, Age: time.Second, Keys: 2, Refused: 1,
			Fetches: 2, Failures: 1, LastError: westURL + ": GET " + westURL + ": connection refused", NextAttempt: each[1].NextAttempt,
		}
		if total != wanted {
			t.Errorf("%+v, want %+v", total, wanted)
		}
		if one := open(t, jwks.Remote(eastURL), w).SourceStats(); len(one) != 1 || one[0].Source != eastURL {
			t.Errorf("of one source: %+v", one)
		}
	})
}

// Each source keeps its own file.
// Rules: key.sources.
func TestAnyOfKeepsAFileForEachSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		source := jwks.AnyOf(
			jwks.Remote(eastURL, jwks.WithLastKnownGood(filepath.Join(dir, "east"), time.Hour)),
			jwks.Remote(westURL, jwks.WithLastKnownGood(filepath.Join(dir, "west"), time.Hour)),
		)
		w, _ := regions(t)
		first := open(t, source, w)
		want(t, first, "e", "EdDSA", "found")
		want(t, first, "w", "EdDSA", "found")
		_ = first.Close()
		w.put(eastURL, down)
		w.put(westURL, down)
		again := open(t, source, w)
		want(t, again, "e", "EdDSA", "found")
		want(t, again, "w", "EdDSA", "found")
		want(t, again, "z", "EdDSA", "unavailable")
	})
}

func TestAnyOfThatIsRefused(t *testing.T) {
	one := jwks.Remote(eastURL)
	eight := make([]jwks.Source, 8)
	for i := range eight {
		eight[i] = jwks.Remote(fmt.Sprint(eastURL, i))
	}
	file := jwks.WithLastKnownGood("/x/keys", time.Hour)
	for name, test := range map[string]struct {
		source   jwks.Source
		defaults []jwks.Option
		says     []string
	}{
		"one":               {jwks.AnyOf(one), nil, nil},
		"eight":             {jwks.AnyOf(eight...), nil, nil},
		"none":              {jwks.AnyOf(), nil, []string{"there are 0 sources; give 1 to 8"}},
		"nine":              {jwks.AnyOf(slices.Concat(eight, []jwks.Source{one})...), nil, []string{"there are 9 sources"}},
		"an AnyOf":          {jwks.AnyOf(one, jwks.AnyOf(one)), nil, []string{"source 2 is empty or an AnyOf"}},
		"an empty source":   {jwks.AnyOf(jwks.Source{}, one), nil, []string{"source 1 is empty"}},
		"the same twice":    {jwks.AnyOf(one, jwks.Remote(eastURL, jwks.WithColdWait(0))), nil, []string{"source 2 is there twice"}},
		"a shared file":     {jwks.AnyOf(one, jwks.Remote(westURL)), []jwks.Option{file}, []string{"cannot share a file"}},
		"a file twice":      {jwks.AnyOf(jwks.Remote(eastURL, file), jwks.Remote(westURL, file)), nil, []string{"another source has this file"}},
		"a file, respelled": {jwks.AnyOf(jwks.Remote(eastURL, file), jwks.Remote(westURL, jwks.WithLastKnownGood("/x/./keys", time.Hour))), nil, []string{"another source has this file"}},
		"mistakes in all":   {jwks.AnyOf(jwks.Remote("http://a.test"), jwks.Discover(""), jwks.PEM(nil)), nil, []string{"not https", "is empty", "no PEM block"}},
		"a default":         {jwks.AnyOf(one, jwks.Remote(westURL)), []jwks.Option{jwks.WithColdWait(-1)}, []string{"WithColdWait(-1ns): give"}},
		"an option of one":  {jwks.AnyOf(jwks.Remote(eastURL, jwks.WithColdWait(-1))), nil, []string{"WithColdWait(-1ns) for " + eastURL}},
		"two PEMs are well": {jwks.AnyOf(jwks.PEM([]byte(pkix(edKey.Public()))), jwks.PEM([]byte(pkix(rsaKey.Public())))), nil, nil},
	} {
		set, err := jwks.New(test.source, append(slices.Clone(test.defaults), jwks.WithLogger(slog.New(slog.DiscardHandler)))...)
		if (err == nil) != (test.says == nil) || (set == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", name, set, err)
		}
		for _, says := range test.says {
			if err != nil && strings.Count(err.Error(), says) != 1 {
				t.Errorf("%s: %v, want one line with %q", name, err, says)
			}
		}
		if set != nil {
			_ = set.Close()
		}
	}
}

func TestAnyOfUsesTheOptionsOfEachSource(t *testing.T) {
	var log logs
	w, other := newWeb(), newWeb()
	w.put(eastURL, says(200, keySet(edJWK("e"), jwk{"kty": "X"})))
	other.put(westURL, says(200, keySet(edJWK("w"))))
	set := open(t, jwks.AnyOf(
		jwks.Remote(eastURL, jwks.WithLogger(log.logger())), jwks.Remote(westURL, jwks.WithHTTPClient(other.client())),
	), w)
	want(t, set, "e", "EdDSA", "found")
	want(t, set, "w", "EdDSA", "found")
	_ = set.Close()
	if len(log.lines("a published key is not used", eastURL)) != 1 {
		t.Errorf("logged %q", log.lines(""))
	}
}
