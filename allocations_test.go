package bearer_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// The budgets below are for a request's way through Authenticate. Time is measured in bench/ and
// never here.

// raceDetector reports whether the race detector is on. It makes sync.Pool drop values at random, so
// that the number of allocations says nothing about this code.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// allocations returns how often and how much f allocates in one run, on average. Nothing else runs,
// and no garbage collection empties a pool.
func allocations(f func()) (count, bytes float64) {
	const runs = 500
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	count = testing.AllocsPerRun(runs, f)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return count, float64((after.TotalAlloc - before.TotalAlloc) / runs)
}

// authenticating returns a function that authenticates the same request again, with the same
// outcome each time.
func authenticating(t *testing.T, auth *bearer.Middleware, r *http.Request, want bearer.Reason) func() {
	t.Helper()
	guard := auth.Guard()
	_, err := guard.Authenticate(r)
	if got := reasonOf(t, err); got != want {
		t.Fatalf("reason %q, want %q", got, want)
	}
	return func() {
		if _, err := guard.Authenticate(r); (err != nil) != (want != "") {
			t.Errorf("error %v", err)
		}
	}
}

// pinned trusts an issuer whose keys need no fetch.
func pinned(t testing.TB, issuer *bearertest.Issuer, opts ...bearer.Option) *bearer.Middleware {
	t.Helper()
	trust := bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Static(issuer.KeySet())))
	return mustNew(t, append(opts, trust)...)
}

// The floor is what every guard pays to hand over claims. A cached token costs at most two
// allocations more, whatever its algorithm is and wherever its issuer's keys come from.
func TestKnownTokenKeepsToItsAllocations(t *testing.T) {
	type key struct{}
	r := get("")
	floor := testing.AllocsPerRun(500, func() { _ = r.WithContext(context.WithValue(r.Context(), key{}, r)) })
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(alg))
		for name, auth := range map[string]*bearer.Middleware{"pinned": pinned(t, issuer), "fetched": newAuth(t, issuer)} {
			t.Run(alg+" "+name, func(t *testing.T) {
				token := issuer.Token()
				count, bytes := allocations(authenticating(t, auth, get("Bearer "+token), ""))
				if count > floor+2 {
					t.Errorf("%v allocations, want at most %v", count, floor+2)
				}
				t.Logf("%v allocations of %v bytes; handing over costs %v", count, bytes, floor)

				long := issuer.Token(c{"padding": strings.Repeat("x", 8<<10)})
				longCount, longBytes := allocations(authenticating(t, auth, get("Bearer "+long), ""))
				if longCount != count || longBytes != bytes {
					t.Errorf("%v allocations of %v bytes, but %v of %v for a long token", count, bytes, longCount, longBytes)
				}
			})
		}
	}
}

// The requirements of a route allocate nothing for a cached token, however large the token is and
// wherever the claim is in it.
func TestRequirementsKeepToTheirAllocations(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := pinned(t, issuer)
	reqs := map[string]bearer.Requirement{
		"a text":            bearer.HasClaim("first", "a"),
		"a text in escapes": bearer.HasClaim("escaped", "\n\n\n"),
		"a bool":            bearer.HasClaim("yes", true),
		"an int":            bearer.HasClaim("number", 1<<30),
		"nested":            bearer.HasClaim("nested.deeper.claim", "a"),
		"a name with dots":  bearer.HasClaim("https://example.com/claim", "a"),
		"in an array":       bearer.HasClaim("list", "last"),
		"the last":          bearer.HasClaim("z", "a"),
		"scopes":            bearer.Scopes("read", "write"),
		"roles":             bearer.Roles("clerk", "cook"),
		"acr":               bearer.ACR("pwd", "mfa"),
		"age":               bearer.AuthMaxAge(time.Hour),
		"all":               bearer.All(bearer.HasClaim("z", "a"), bearer.Scopes("read")),
		"any":               bearer.Any(bearer.HasClaim("none", "a"), bearer.HasClaim("first", "b"), bearer.HasClaim("escaped", "a"), bearer.Scopes("write")),
	}
	for _, n := range []int{0, 80} {
		claims := c{
			"first": "a", "escaped": "\n\n\n", "yes": true, "number": 1 << 30, "nested": c{"deeper": c{"claim": "a"}}, "z": "a",
			"https://example.com/claim": "a", "scope": "read write", "roles": []string{"clerk", "cook"}, "acr": "mfa", "auth_time": time.Now().Unix(),
			"list": append(slices.Repeat([]string{strings.Repeat("\n", 8)}, n), "last"),
		}
		for i := range n {
			claims[fmt.Sprintf("more %d", i)] = c{"claim": i, "escaped\n": strings.Repeat("\n", 8)}
		}
		token := issuer.Token(claims)
		wantReason(t, auth, token, "")
		for name, req := range reqs {
			wantReason(t, auth, token, "", req)
			requiring, requiringNothing := auth.Guard(req), auth.Guard()
			with := testing.AllocsPerRun(200, func() { _, _ = requiring.Verify(t.Context(), token) })
			without := testing.AllocsPerRun(200, func() { _, _ = requiringNothing.Verify(t.Context(), token) })
			if with > without && !raceDetector() {
				t.Errorf("%s, among %d claims: %v allocations more than without", name, n, with-without)
			}
		}
	}
}

// A token that arrives for the first time costs little more than its signature.
func TestNewTokenKeepsToItsAllocations(t *testing.T) {
	for alg, budget := range map[string]float64{"RS256": 20, "ES256": 32, "EdDSA": 10} {
		t.Run(alg, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(alg))
			auth := pinned(t, issuer, bearer.WithoutCache())
			token := issuer.Token(c{"scope": "orders:read orders:write", "roles": []string{"clerk"}})
			count, bytes := allocations(authenticating(t, auth, get("Bearer "+token), ""))
			if count > budget {
				t.Errorf("%v allocations, want at most %v", count, budget)
			}
			t.Logf("%v allocations of %v bytes", count, bytes)
		})
	}
}

// A refusal costs the sender more than this service: its allocations do not grow with what was
// sent.
func TestRefusalKeepsToItsAllocations(t *testing.T) {
	issuer := bearertest.NewIssuer()
	long := func(n int) string { return strings.Repeat("x", n) }
	brackets := func(n int) string { return `{"a":` + strings.Repeat("[", n) }
	sent := func(token func(int) string) func(int) string {
		return func(n int) string { return "Bearer " + token(n) }
	}
	members := func(n int) c {
		all := c{}
		for i := range n {
			all[fmt.Sprintf("a%d", i)] = i
		}
		return all
	}
	escaped := func(n int) c {
		all := c{}
		for name, value := range members(n) {
			all["\n"+name] = value
		}
		return all
	}
	payload := func(claims c) func(int) string {
		return func(n int) string { return issuer.Token(claims, c{"z": long(n)}) }
	}
	payloadOf := func(text func(int) string) func(int) string {
		return func(n int) string { return edit(issuer.Token(), 1, func(string) string { return b64(text(n)) }) }
	}
	signatureOf := func(text func(int) string) func(int) string {
		return func(n int) string { return edit(issuer.Token(), 2, func(string) string { return text(n / 4 * 4) }) }
	}
	header := func(of c) func(int) string {
		return func(n int) string { return issuer.Sign(merged(of, c{"z": long(n)})) }
	}
	for name, test := range map[string]struct {
		authorization func(n int) string // with n bytes of something
		want          bearer.Reason
		budget        float64
		copies        float64 // of what is sent
	}{
		"no token":       {func(int) string { return "" }, bearer.ReasonMissingToken, 0, 0},
		"another scheme": {func(n int) string { return "Basic " + long(n) }, bearer.ReasonOtherScheme, 0, 0},
		"a long scheme":  {func(n int) string { return long(n) + " abc" }, bearer.ReasonOtherScheme, 0, 0},
		"no scheme":      {func(n int) string { return "\x00" + long(n) }, bearer.ReasonMalformedRequest, 0, 0},
		"two tokens":     {func(n int) string { return "Bearer " + long(n/4) + " " + long(n*3/4) }, bearer.ReasonMalformedRequest, 0, 0},
		"spaces":         {func(n int) string { return "Bearer" + strings.Repeat(" ", n) }, bearer.ReasonMalformedRequest, 0, 0},

		"too large":         {sent(func(n int) string { return long((16 << 10) + n) }), bearer.ReasonTokenTooLarge, 0, 0},
		"garbage":           {sent(long), bearer.ReasonMalformedToken, 0, 0},
		"garbage after dot": {sent(func(n int) string { return "e30." + long(n) }), bearer.ReasonMalformedToken, 0, 0},
		"dots":              {sent(func(n int) string { return strings.Repeat(".", n) }), bearer.ReasonMalformedToken, 0, 0},
		"five parts":        {sent(func(n int) string { return "e30.e30." + long(n) + ".e30.e30" }), bearer.ReasonMalformedToken, 0, 0},
		"no base64":         {sent(func(n int) string { return "e30.e30." + strings.Repeat("é", n/2) }), bearer.ReasonMalformedToken, 2, 0},

		"a payload that is no JSON": {sent(payloadOf(long)), bearer.ReasonMalformedClaims, 2, 0},
		"a payload of brackets":     {sent(payloadOf(brackets)), bearer.ReasonMalformedClaims, 2, 0},
		"an unknown issuer":         {sent(payload(c{"iss": "https://other.example"})), bearer.ReasonUnknownIssuer, 0, 0},
		"an issuer of its own":      {sent(func(n int) string { return issuer.Token(c{"iss": long(n)}) }), bearer.ReasonUnknownIssuer, 0, 0},
		"an issuer with escapes": {
			sent(func(n int) string { return issuer.Token(c{"iss": strings.Repeat("\n", n/2)}) }), bearer.ReasonUnknownIssuer, 2, 0,
		},
		"an unknown issuer after many claims": {
			sent(func(n int) string { return issuer.Token(c{"iss": "https://other.example"}, members(n/10)) }), bearer.ReasonUnknownIssuer, 2, 0,
		},
		"an unknown issuer after names with escapes": {
			sent(func(n int) string { return issuer.Token(c{"iss": "https://other.example"}, escaped(n/12)) }), bearer.ReasonUnknownIssuer, 2, 0,
		},
		"an unknown issuer after a nested claim": {
			sent(func(n int) string { return issuer.Token(c{"iss": "https://other.example", "a": members(n / 10)}) }),
			bearer.ReasonUnknownIssuer, 2, 0,
		},

		"a header that is no JSON": {sent(func(n int) string { return b64(long(n)) + ".e30.AAAA" }), bearer.ReasonMalformedToken, 2, 0},
		"a header of many members": {
			sent(func(n int) string { return issuer.Sign(merged(members(n/10), c{"alg": "none"})) }), bearer.ReasonMalformedToken, 80, 0,
		},
		"alg none":                    {sent(func(n int) string { return issuer.Sign(c{"alg": "none"}, c{"z": long(n)}) }), bearer.ReasonAlgorithm, 2, 0},
		"alg none in a long header":   {sent(header(c{"alg": "none"})), bearer.ReasonAlgorithm, 2, 0},
		"an alg of its own":           {sent(func(n int) string { return issuer.Sign(c{"alg": long(n)}) }), bearer.ReasonAlgorithm, 3, 0},
		"an extension":                {sent(header(c{"crit": []string{"b64"}})), bearer.ReasonUnsupportedHeader, 2, 0},
		"a type of its own":           {sent(func(n int) string { return issuer.Sign(c{"typ": long(n)}) }), bearer.ReasonType, 2, 0},
		"a type in upper case":        {sent(func(n int) string { return issuer.Sign(c{"typ": strings.Repeat("X", n)}) }), bearer.ReasonType, 2, 0},
		"an unknown key":              {sent(func(n int) string { return issuer.Sign(c{"kid": "?"}, c{"z": long(n)}) }), bearer.ReasonUnknownKey, 2, 0},
		"a key of its own":            {sent(func(n int) string { return issuer.Sign(c{"kid": long(n)}) }), bearer.ReasonUnknownKey, 2, 0},
		"a signature too long":        {sent(signatureOf(func(n int) string { return long(1368 + n) })), bearer.ReasonMalformedToken, 0, 0},
		"a bad signature":             {sent(func(n int) string { return forged(payload(nil)(n)) }), bearer.ReasonSignature, 32, 1}, // golang-jwt's
		"a bad signature, new header": {sent(func(n int) string { return forged(header(nil)(n)) }), bearer.ReasonSignature, 32, 1},
	} {
		t.Run(name, func(t *testing.T) {
			auth := pinned(t, issuer)
			wantReason(t, auth, issuer.Token(), "") // the header of good tokens is known
			var counts, bytes [2]float64
			var lengths [2]int
			for i, n := range []int{1200, 8 * 1200} {
				authorization := test.authorization(n)
				lengths[i] = len(authorization)
				run := authenticating(t, auth, get(authorization), test.want)
				if raceDetector() {
					return
				}
				counts[i], bytes[i] = allocations(run)
			}
			t.Logf("%v allocations of %v bytes for %v bytes", counts, bytes, lengths)
			if counts[0] > test.budget {
				t.Errorf("%v allocations, want at most %v", counts[0], test.budget)
			}
			// An allocation is rounded up, to an eighth at most, and what maps take is a little random.
			if limit := 1.02*bytes[0] + 1.125*test.copies*float64(lengths[1]-lengths[0]); counts[1] != counts[0] || bytes[1] > limit {
				t.Errorf("%v allocations of %v bytes, and %v of %v for %d times as much; want %v of at most %v",
					counts[0], bytes[0], counts[1], bytes[1], lengths[1]/max(1, lengths[0]), counts[0], limit)
			}
		})
	}
}

// On a route with requirements every refusal allocates one error, which names them.
func TestRouteRefusalKeepsToItsAllocations(t *testing.T) {
	auth := pinned(t, bearertest.NewIssuer())
	guard := auth.Guard(bearer.Scopes("orders:read"))
	for _, authorization := range []string{"", "Basic YTpi", "Bearer x", "Bearer " + strings.Repeat("x", 20<<10)} {
		r := get(authorization)
		if count := testing.AllocsPerRun(500, func() { _, _ = guard.Authenticate(r) }); count > 1 {
			t.Errorf("%.20q: %v allocations, want 1", authorization, count)
		}
	}
}

// forged is a token with another signature of the same length.
func forged(token string) string {
	return edit(token, 2, func(signature string) string { return "AAAA" + signature[4:] })
}

// merged lays members over each other.
func merged(layers ...c) c {
	all := c{}
	for _, layer := range layers {
		for name, value := range layer {
			all[name] = value
		}
	}
	return all
}
