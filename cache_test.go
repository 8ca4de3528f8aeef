package bearer_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

// For any tokens, configuration and clock, a Middleware with a cache answers like one without.
// Rules: guard.cached.
// BEARER_SEED repeats one case, and BEARER_WORLDS is how many there are.
// Rules: guard.cached.
func TestCachedAndUncachedAnswersAreEqual(t *testing.T) {
	t.Parallel()
	const steps = 150
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first, worlds := number("BEARER_SEED", rand.Uint64()), number("BEARER_WORLDS", 40)
	if os.Getenv("BEARER_SEED") != "" {
		worlds = 1
	}
	hits, reasons := 0, make(map[bearer.Reason]int)
	for seed := first; seed-first < worlds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, seed%3 == 0)
				for range steps {
					switch {
					case w.chance(12):
						w.change()
						w.pass()
					case w.chance(20):
						w.pass()
					}
					if len(w.tokens) < 3 || w.chance(20) {
						w.tokens = append(w.tokens, w.token())
					}
					recent := w.tokens[max(0, len(w.tokens)-12):]
					if n := len(w.good); n > 0 && w.chance(70) {
						recent = w.good[max(0, n-pick(w, 3, 10, 1000)):]
					}
					if w.chance(25) {
						w.ask(pick(w, recent...), bearer.Scopes("a"))
					} else {
						w.ask(pick(w, recent...))
					}
				}
				hits += w.hits
				for reason, n := range w.reasons {
					reasons[reason] += n
				}
			})
		})
	}
	t.Logf("%d hits, %v", hits, reasons)
	if worlds < 20 || t.Failed() {
		return
	}
	if hits < 300 {
		t.Errorf("only %d hits: the cases say nothing", hits)
	}
	for _, reason := range []bearer.Reason{
		"", bearer.ReasonMalformedToken, bearer.ReasonUnknownKey, bearer.ReasonKeysUnavailable, bearer.ReasonSignature, bearer.ReasonExpired,
		bearer.ReasonScope, bearer.ReasonType, bearer.ReasonAlgorithm, bearer.ReasonMissingClaim, bearer.ReasonUnknownIssuer,
	} {
		if reasons[reason] == 0 {
			t.Errorf("no case was answered with %q", reason)
		}
	}
}

// A hit is a fact about a token and never a decision about a request. The requirements of the route
// are checked each time.
// Rules: guard.cached.
// Rules: guard.cached.
func TestRequirementsAreCheckedOnEveryHit(t *testing.T) {
	p := newPress()
	var last bearer.Event
	auth := p.auth(t, seen(&last))
	token := p.token("alice", `,"scope":"a"`)
	calls, verdict := 0, error(nil)
	judge := bearer.Func("judge", func(*http.Request, *bearer.Claims) error {
		calls++
		return verdict
	})
	for i := range 3 {
		wantReason(t, auth, token, "", bearer.Scopes("a"))
		if last.Cached != (i > 0) {
			t.Errorf("request %d: cached %v", i, last.Cached)
		}
		wantReason(t, auth, token, bearer.ReasonScope, bearer.Scopes("a", "b"))
		wantReason(t, auth, token, bearer.ReasonRole, bearer.Roles("a"))
		verdict = nil
		wantReason(t, auth, token, "", judge)
		verdict = io.EOF
		wantReason(t, auth, token, bearer.ReasonPolicy, judge)
		verdict = bearer.ErrUnavailable
		wantReason(t, auth, token, bearer.ReasonPolicyUnavailable, judge)
		if calls != 3*(i+1) {
			t.Errorf("%d calls of a Func in %d requests", calls, 3*(i+1))
		}
	}
	if err := auth.Close(); err != nil {
		t.Error(err)
	}
	wantReason(t, auth, token, bearer.ReasonClosed)
}

// The clock decides to the nanosecond, for cached tokens as for new ones.
// Rules: guard.cached.
// Rules: guard.cached.
func TestCachedTokenExpiresToTheNanosecond(t *testing.T) {
	for name, leeway := range map[string]time.Duration{"no leeway": 0, "a leeway": 17 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last bearer.Event
				secret := []byte(strings.Repeat("s", 32))
				auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", bearer.HMACSecret(secret), bearer.Leeway(leeway)), seen(&last))
				exp := time.Now().Add(time.Hour)
				token := newPress().token("alice")
				for _, before := range []time.Duration{time.Hour, time.Minute, time.Second, 1} {
					<-time.After(time.Until(exp.Add(leeway - before)))
					wantReason(t, auth, token, "")
					if known := before < time.Hour; last.Cached != known {
						t.Errorf("%v before the end: cached %v", before, last.Cached)
					}
				}
				<-time.After(1)
				wantReason(t, auth, token, bearer.ReasonExpired)
				wantReason(t, auth, token, bearer.ReasonExpired)
				if _, held := auth.CachedToken(token); last.Cached || held {
					t.Error("an expired token is remembered")
				}
			})
		})
	}
}

// A token without exp is verified again every five minutes.
func TestCachedTokenWithoutExpiryIsVerifiedAgainAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last bearer.Event
		secret := []byte(strings.Repeat("s", 32))
		auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", bearer.HMACSecret(secret), bearer.InsecureNoExpiry()), seen(&last))
		token := signedBy(c{"alg": "HS256"}, c{"iss": pressIssuer, "aud": "api"}, "HS256", secret)
		for range 3 {
			for _, step := range []struct {
				after time.Duration
				known bool
			}{{0, false}, {time.Minute, true}, {4*time.Minute - 1, true}} {
				<-time.After(step.after)
				wantReason(t, auth, token, "")
				if last.Cached != step.known {
					t.Errorf("cached %v, want %v", last.Cached, step.known)
				}
			}
			<-time.After(1)
		}
	})
}

// What the issuer does to its keys takes effect on the next request with a cached token.
// Rules: guard.cached.
// Rules: guard.cached.
func TestCachedTokenExpiresWithItsKey(t *testing.T) {
	key := pairs()[0]
	named := merged(key.jwk, c{"kid": "a"})
	const name = "https://one.example"
	setUp := func(t *testing.T) (*keyServer, *bearer.Middleware, string, *bearer.Event) {
		server, last := &keyServer{}, &bearer.Event{}
		server.publish(named)
		source := jwks.Remote(name+"/keys", jwks.WithHTTPClient(server.client()), jwks.WithLifetime(10*time.Minute, 10*time.Minute))
		auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Keys(source)), quiet(), seen(last))
		token := signedBy(c{"alg": "ES256", "kid": "a"}, c{"iss": name, "aud": "api", "exp": time.Now().Add(1000 * time.Hour).Unix()}, "ES256", key.private)
		for _, known := range []bool{false, true} {
			wantReason(t, auth, token, "")
			if last.Cached != known || last.KeyID != "a" || last.Algorithm != "ES256" || last.Issuer != name {
				t.Errorf("event %+v", *last)
			}
		}
		return server, auth, token, last
	}
	const stale = 11 * time.Minute
	for what, test := range map[string]struct {
		keys  []c
		want  bearer.Reason
		known bool
	}{
		"the same":                      {[]c{named}, "", true},
		"said otherwise":                {[]c{merged(named, c{"use": "sig", "x5t": "abc"})}, "", true},
		"among others":                  {[]c{merged(pairs()[1].jwk, c{"kid": "a"}), named, merged(pairs()[3].jwk, c{"kid": "b"})}, "", true},
		"withdrawn":                     {[]c{merged(pairs()[1].jwk, c{"kid": "b"})}, bearer.ReasonUnknownKey, false},
		"another under its key id":      {[]c{merged(pairs()[1].jwk, c{"kid": "a"})}, bearer.ReasonSignature, false},
		"another type under its key id": {[]c{merged(pairs()[3].jwk, c{"kid": "a"})}, bearer.ReasonUnknownKey, false},
		"under another key id":          {[]c{merged(named, c{"kid": "b"})}, bearer.ReasonUnknownKey, false},
		"for encryption":                {[]c{merged(named, c{"use": "enc"})}, bearer.ReasonUnknownKey, false},
		"not for verifying":             {[]c{merged(named, c{"key_ops": []string{"encrypt"}})}, bearer.ReasonUnknownKey, false},
		"for its algorithm alone":       {[]c{merged(named, c{"alg": "ES256"})}, "", false},
		"for another algorithm":         {[]c{merged(named, c{"alg": "ES384"})}, bearer.ReasonUnknownKey, false},
		"after four others": {[]c{
			merged(pairs()[1].jwk, c{"kid": "a"}), merged(pairs()[1].jwk, c{"kid": "a", "alg": "ES256"}),
			merged(pairs()[7].jwk, c{"kid": "a"}), merged(pairs()[8].jwk, c{"kid": "a"}), named,
		}, bearer.ReasonSignature, false},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, auth, token, last := setUp(t)
				server.publish(test.keys...)
				<-time.After(stale)
				wantReason(t, auth, token, test.want)
				if last.Cached != test.known {
					t.Errorf("cached %v", last.Cached)
				}
				server.publish(named)
				<-time.After(stale)
				wantReason(t, auth, token, "")
			})
		})
	}
	t.Run("too old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, auth, token, last := setUp(t)
			server.breaks(breakages[0])
			<-time.After(24*time.Hour - 1)
			wantReason(t, auth, token, "")
			if !last.Cached {
				t.Error("stale keys are good for known tokens")
			}
			<-time.After(1)
			wantReason(t, auth, token, bearer.ReasonKeysUnavailable)
			<-time.After(time.Minute)
			wantReason(t, auth, token, bearer.ReasonKeysUnavailable)
			server.breaks(nil)
			<-time.After(time.Minute)
			wantReason(t, auth, token, "")
		})
	})
	t.Run("refreshed by hits alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, auth, token, last := setUp(t)
			for range 100 {
				<-time.After(time.Minute)
				wantReason(t, auth, token, "")
				if !last.Cached {
					t.Error("not cached")
				}
				synctest.Wait()
			}
			if n := server.count(); n < 10 || n > 14 {
				t.Errorf("%d fetches in 100 minutes", n)
			}
			for fetched := server.count(); server.count() == fetched; synctest.Wait() {
				<-time.After(time.Minute)
				wantReason(t, auth, token, "")
			}
			server.publish(merged(pairs()[1].jwk, c{"kid": "b"}))
			<-time.After(9*time.Minute + time.Second) // the refresh is due, and no request waits for it
			wantReason(t, auth, token, "")
			synctest.Wait()
			wantReason(t, auth, token, bearer.ReasonUnknownKey)
		})
	})
}

// A request that waits for keys is judged by the time at which they arrive, and not by its own
// arrival.
func TestTokenIsJudgedByTheTimeAtWhichItsKeysCame(t *testing.T) {
	const name = "https://one.example"
	for what, test := range map[string]struct {
		idle, delay time.Duration
		opts        []jwks.Option
	}{
		"stale keys":   {2 * time.Hour, 1500 * time.Millisecond, nil},
		"expired keys": {25 * time.Hour, 4 * time.Second, nil},
		"a long wait":  {25 * time.Hour, 4 * time.Second, []jwks.Option{jwks.WithColdWait(time.Minute)}},
	} {
		for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
			t.Run(what+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := &keyServer{}
					server.publish(merged(pairs()[3].jwk, c{"kid": "a"}))
					source := jwks.Remote(name+"/keys", append(test.opts, jwks.WithHTTPClient(server.client()))...)
					auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Leeway(0), bearer.Keys(source)), quiet(), cache)
					exp := time.Now().Add(test.idle)
					claims := c{"iss": name, "aud": "api", "exp": exp.Unix()}
					token := signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", pairs()[3].private)
					wantReason(t, auth, token, "")
					server.delay = test.delay
					<-time.After(time.Until(exp.Add(-time.Second)))
					wantReason(t, auth, token, bearer.ReasonExpired)
				})
			})
		}
	}
}

func TestCacheOptionsHaveBounds(t *testing.T) {
	trust := bearer.WithIssuer("https://issuer.test", "api")
	const most, least = 1 << 24, 64 << 10
	for name, test := range map[string]struct {
		opts []bearer.Option
		errs []string
	}{
		"fewest":           {[]bearer.Option{bearer.WithCache(1, least)}, nil},
		"most":             {[]bearer.Option{bearer.WithCache(most, math.MaxInt)}, nil},
		"off":              {[]bearer.Option{bearer.WithoutCache()}, nil},
		"none":             {[]bearer.Option{bearer.WithCache(0, least)}, []string{"WithCache"}},
		"negative":         {[]bearer.Option{bearer.WithCache(-1, least)}, []string{"WithCache"}},
		"too many":         {[]bearer.Option{bearer.WithCache(most+1, least)}, []string{"WithCache"}},
		"too few bytes":    {[]bearer.Option{bearer.WithCache(1, least-1)}, []string{"WithCache"}},
		"both wrong":       {[]bearer.Option{bearer.WithCache(0, 0)}, []string{"WithCache", "WithCache"}},
		"twice":            {[]bearer.Option{bearer.WithCache(1, least), bearer.WithCache(1, least)}, []string{"WithCache"}},
		"off twice":        {[]bearer.Option{bearer.WithoutCache(), bearer.WithoutCache()}, []string{"WithoutCache"}},
		"bounded, and off": {[]bearer.Option{bearer.WithCache(1, least), bearer.WithoutCache()}, []string{"WithCache"}},
		"off, and bounded": {[]bearer.Option{bearer.WithoutCache(), bearer.WithCache(1, least)}, []string{"WithCache"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bearer.New(append(test.opts, trust)...)
			var got []string
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, err := range joined.Unwrap() {
					got = append(got, err.(*bearer.ConfigError).Option) //nolint:errorlint // it is documented to be one
				}
			}
			if !slices.Equal(got, test.errs) {
				t.Errorf("mistakes in %q, want %q: %v", got, test.errs, err)
			}
		})
	}
}

// heap is how much memory is in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one found to be unused in pools
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// WithCache bounds the memory that entries take, and not only the bytes that the cache counts.
func TestCacheKeepsToItsMemory(t *testing.T) {
	for name, test := range map[string]struct {
		entries, bytes int
		more           func(i int) string // claims
	}{
		"small tokens":            {1 << 14, 8 << 20, func(int) string { return "" }},
		"large tokens":            {1 << 12, 2 << 20, func(int) string { return `,"x":"` + strings.Repeat("x", 8000) + `"` }},
		"many entries, few bytes": {1 << 24, 64 << 10, func(int) string { return "" }},
		"tokens of many scopes":   {1 << 12, 2 << 20, func(int) string { return `,"scope":"` + manyWords(3000) + `"` }},
		"large headers":           {1 << 12, 2 << 20, func(int) string { return "" }},
		"tokens of many roles":    {1 << 12, 2 << 20, func(int) string { return `,"roles":["` + strings.ReplaceAll(manyWords(1500), " ", `","`) + `"]` }},
		"long claims, one escape": {1 << 12, 8 << 20, func(int) string { return `,"jti":"\n` + strings.Repeat("x", 4000) + `"` }},
		"many short escaped roles": {1 << 12, 8 << 20, func(int) string {
			return `,"roles":["\n` + strings.ReplaceAll(manyWords(1000), " ", `","\n`) + `"]`
		}},
		"tokens with many escapes": {1 << 12, 2 << 20, func(int) string { return `,"jti":"` + strings.Repeat(`\n`, 4000) + `"` }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress()
			trust := p.trust()
			if name == "many short escaped roles" { // and each of them is a scope, too
				trust = p.trust(bearer.ScopeClaim("roles"))
			}
			auth := mustNew(t, bearer.WithCache(test.entries, test.bytes), trust)
			before := heap()
			for i := range 12_000 {
				if name == "large headers" {
					p.header = b64(fmt.Sprintf(`{"alg":"HS256","kid":"%d","x":%q}`, i, strings.Repeat("x", 8000)))
				}
				token := p.token(strconv.Itoa(i), test.more(i))
				if _, err := auth.Guard().Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				if i*len(token) > 2*test.bytes {
					break
				}
			}
			used := heap() - before
			t.Logf("%d bytes in memory, %d allowed", used, test.bytes)
			if limit := test.bytes + test.bytes/4 + 256<<10; used > limit {
				t.Errorf("the cache takes %d bytes, want at most %d", used, limit)
			}
			if used < test.bytes/3 {
				t.Errorf("%d bytes of %d are used", used, test.bytes)
			}
			runtime.KeepAlive(auth)
		})
	}
}

// manyWords are different words, as short as they can be.
func manyWords(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = strconv.FormatInt(int64(i), 36)
	}
	return strings.Join(words, " ")
}

// One token must not displace all others.
func TestLargeTokensAreNotCached(t *testing.T) {
	p := newPress()
	auth := p.auth(t, bearer.WithCache(1000, 64<<10))
	if token := p.token("small"); !remembers(t, auth, token) {
		t.Error("a small token is not remembered")
	}
	for _, claim := range []string{`,"x":"` + strings.Repeat("x", 4000) + `"`, `,"x":"` + strings.Repeat("x", 8000) + `"`} {
		if token := p.token("large", claim); remembers(t, auth, token) {
			t.Errorf("a token of %d bytes is remembered", len(token))
		}
	}
	if !remembers(t, auth, p.token("another")) {
		t.Error("another small token is not remembered")
	}
}

// Under any concurrent load no request gets the claims of another token, or passes with a token
// whose key is withdrawn, and the cache stays consistent.
func TestCacheNeverMixesTokensUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	const goroutines, bursts, requests, tokens = 8, 12, 60, 40
	for name, entries := range map[string]int{"room for some": 15, "room for all": 1000, "one entry": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const issuer = "https://one.example"
				server := &keyServer{}
				keys := []pair{pairs()[3], pairs()[4]}
				source := jwks.Remote(issuer+"/keys", jwks.WithHTTPClient(server.client()), jwks.WithLifetime(time.Second, time.Second))
				auth := mustNew(t, bearer.WithIssuer(issuer, "api", bearer.Keys(source), bearer.InsecureNoExpiry()),
					bearer.WithCache(entries, 1<<20), quiet())
				all := make([]string, tokens)
				for i := range all {
					claims := c{"iss": issuer, "aud": "api", "sub": strconv.Itoa(i)}
					all[i] = signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", keys[i%2].private)
				}
				for burst := range bursts { // in each the issuer has another key under the same key id
					server.publish(merged(keys[burst%2].jwk, c{"kid": "a"}))
					<-time.After(2 * time.Second)
					var wg sync.WaitGroup
					for g := range goroutines {
						wg.Go(func() {
							choose := rand.New(rand.NewPCG(uint64(g), uint64(burst)))
							for range requests {
								i := choose.IntN(tokens)
								if choose.IntN(3) == 0 {
									i %= 4
								}
								claims, err := auth.Guard().Verify(t.Context(), all[i])
								if want := burst%2 == i%2; want != (err == nil) || want && claims.Subject() != strconv.Itoa(i) {
									t.Errorf("burst %d: token %d got %v, and an error: %v", burst, i, claims, err)
									return
								}
							}
						})
					}
					wg.Wait()
				}
			})
		})
	}
}

// The cache stores copies, so that it keeps neither the header of a request in memory nor anything
// next to it.
func TestCacheKeepsNoRequestInMemory(t *testing.T) {
	const beside = 64 << 20
	p := newPress()
	p.header = b64(`{"alg":"HS256","kid":"a","typ":"at+jwt"}`)
	auth := p.auth(t)
	token := p.token("alice", `,"scope":"a b","client_id":"x"`)
	before := heap()
	claims := func() *bearer.Claims {
		r, err := auth.Guard().Authenticate(get(("Bearer " + token + strings.Repeat("x", beside))[:len("Bearer ")+len(token)]))
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := bearer.FromContext(r.Context())
		return claims
	}()
	if used := heap() - before; used > beside/2 {
		t.Errorf("%d bytes of a request are still in memory", used)
	}
	if _, held := auth.CachedToken(token); !held || claims.Subject() != "alice" {
		t.Error("nothing is remembered")
	}
}
