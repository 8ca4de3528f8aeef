package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

// liveWorld is a random configuration of templates, audiences of requests and registries, and its
// history, for a Middleware with a cache and one without.
type liveWorld struct {
	*testing.T
	rand *rand.Rand

	auths      [2]*bearer.Middleware // the first has a cache
	registries [2]*bearer.Registry
	events     [2]bearer.Event

	accepts   map[string]error // what the template's function says of a value
	audiences map[string]string
	found     map[string]int  // what the lookup says of an issuer: the number of its options
	down      error           // of the lookup
	added     map[string]bool // to the registries
	removed   map[string]bool // from them, and not added again
	tokens    []string        // each is good for some answers
	issuers   []string        // of the tokens
	passed    [][2]passedRequest

	hits    int
	reasons map[bearer.Reason]int
}

// passedRequest is a request that an outer guard let through.
type passedRequest struct {
	request       *http.Request
	token, issuer string
}

// The issuers of the world, beside those of the template.
const (
	ofRequest  = "https://by-request.example"
	templateOf = "https://family.example/{tenant}"
)

var (
	comers = []string{"https://a.example", "https://b.example", "https://c.example"} // of the registry
	values = []string{"one", "two", "own", "bad/value"}
	hosts  = []string{"one.example", "two.example", "none.example"}
)

func choose[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func newLiveWorld(t *testing.T, seed uint64) *liveWorld {
	w := &liveWorld{
		T: t, rand: rand.New(rand.NewPCG(seed, 1)), reasons: make(map[bearer.Reason]int),
		accepts: make(map[string]error), audiences: make(map[string]string), found: make(map[string]int),
		added: make(map[string]bool), removed: make(map[string]bool),
	}
	audience := func(r *http.Request) string { return w.audiences[r.Host] }
	accept := func(_ context.Context, value string) error { return w.accepts[value] }
	lookup := bearer.WithLookup(func(_ context.Context, issuer string) (r bearer.Registration, found bool, err error) {
		n, found := w.found[issuer]
		return bearer.Registration{Audience: "api", Options: w.options(n)}, found, w.down
	})
	familyAudience, familyOptions := "api", []bearer.IssuerOption{w.keys(), bearer.IssuerTemplate("tid", accept)}
	if w.rand.IntN(2) == 0 {
		familyAudience, familyOptions = "", append(familyOptions, bearer.AudienceFunc(audience))
	}
	lifetime := bearer.WithLookupLifetime(choose(w.rand, time.Second, time.Minute, time.Hour))
	most := bearer.WithMaxIssuers(choose(w.rand, 1, 2, 100))
	for i := range w.auths {
		w.registries[i] = bearer.NewRegistry(lookup, lifetime, most, bearer.WithLookupRate(1000))
		cache := bearer.WithoutCache()
		if i == 0 {
			cache = bearer.WithCache(100, 1<<20)
		}
		w.auths[i] = mustNew(
			t, cache, quiet(), bearer.WithRegistry(w.registries[i]),
			bearer.WithIssuer(templateOf, familyAudience, familyOptions...),
			bearer.WithIssuer("https://family.example/own", "api", w.keys()),
			bearer.WithIssuer(ofRequest, "", w.keys(), bearer.AudienceFunc(audience)),
			observing(func(e bearer.Event) { w.events[i] = e }),
		)
	}
	for range 12 {
		w.token()
	}
	return w
}

// keys are the same for all issuers.
func (w *liveWorld) keys() bearer.IssuerOption {
	set, err := json.Marshal(c{"keys": []c{merged(pairs()[0].jwk, c{"kid": "a"})}})
	if err != nil {
		w.Fatal(err)
	}
	return bearer.Keys(jwks.Static(set))
}

// options are one of three ways to judge an issuer's tokens. The last can be compared.
func (w *liveWorld) options(n int) []bearer.IssuerOption {
	switch n {
	case 0:
		return []bearer.IssuerOption{w.keys()}
	case 1:
		return []bearer.IssuerOption{w.keys(), bearer.MaxLifetime(time.Minute)}
	default:
		return []bearer.IssuerOption{bearer.HMACSecret(make([]byte, 32))}
	}
}

func (w *liveWorld) token() {
	value := choose(w.rand, values...)
	iss := choose(w.rand, append([]string{ofRequest, "https://family.example/" + value, "https://unknown.example"}, comers...)...)
	now := time.Now()
	claims := c{
		"iss": iss, "tid": value, "iat": now.Unix(), "exp": now.Add(choose(w.rand, 30*time.Second, time.Hour, 1000*time.Hour)).Unix(),
		"aud": choose[any](w.rand, "api", "tenant-one", []string{"tenant-one", "tenant-two"}, []string{"api", "tenant-two"}),
	}
	if w.rand.IntN(10) == 0 {
		claims["tid"] = choose[any](w.rand, values[0], values[1], nil)
	}
	text := signedBy(c{"alg": "ES256", "kid": "a"}, claims, "ES256", pairs()[0].private)
	if w.rand.IntN(4) == 0 {
		text = signedBy(c{"alg": "HS256"}, claims, "HS256", make([]byte, 32))
	}
	w.tokens, w.issuers = append(w.tokens, text), append(w.issuers, iss)
}

// step changes an answer of the application, or what the registries have.
func (w *liveWorld) step() {
	comer := choose(w.rand, comers...)
	switch w.rand.IntN(8) {
	case 0, 1:
		w.accepts[choose(w.rand, values...)] = choose(w.rand, nil, nil, errors.New("no"), bearer.ErrUnavailable)
	case 2, 3:
		w.audiences[choose(w.rand, hosts...)] = choose(w.rand, "", "api", "tenant-one", "tenant-two")
	case 4:
		w.found[comer] = w.rand.IntN(3)
	case 5:
		delete(w.found, comer)
	case 6:
		w.down = choose(w.rand, nil, nil, errors.New("down"))
	case 7:
		if w.rand.IntN(2) == 0 {
			one, other := w.registries[0].Remove(comer), w.registries[1].Remove(comer)
			if one != other {
				w.Errorf("%s was there: %v with a cache, and %v without", comer, one, other)
			}
			w.removed[comer], w.added[comer] = true, false
			return
		}
		options := w.rand.IntN(3)
		one := w.registries[0].Add(comer, "api", w.options(options)...)
		other := w.registries[1].Add(comer, "api", w.options(options)...)
		if (one == nil) != (other == nil) {
			w.Errorf("Add of %s: %v with a cache, and %v without", comer, one, other)
		}
		if one == nil {
			w.removed[comer], w.added[comer] = false, true
		}
	}
}

// ask gives both the same request: a new one, an earlier one on an inner guard, or none at all.
func (w *liveWorld) ask() {
	i := w.rand.IntN(len(w.tokens))
	token, issuer, host, way := w.tokens[i], w.issuers[i], choose(w.rand, hosts...), w.rand.IntN(3)
	if len(w.passed) == 0 && way == 2 {
		way = 0
	}
	var answers [2]string
	var passed [2]passedRequest
	again, afresh := w.rand.IntN(max(1, len(w.passed))), w.rand.IntN(2) == 0
	for m, auth := range w.auths {
		w.events[m] = bearer.Event{}
		var r *http.Request
		var err error
		switch way {
		case 0:
			r, err = auth.Guard().Authenticate(toHost(host, token))
		case 1:
			_, err = auth.Guard().Verify(context.Background(), token)
		case 2:
			before := w.passed[again][m]
			token, issuer, before.request.Host = before.token, before.issuer, host
			if m == 1 && afresh {
				before.request = toHost(host, before.token)
			}
			r, err = auth.Guard().Authenticate(before.request)
		}
		e := w.events[m]
		answers[m] = fmt.Sprintf("%d %v %q ", way, err, causeOf(err))
		if way != 2 { // an inner guard reports its refusals alone
			answers[m] += fmt.Sprintf("%q %q %q ", e.Issuer, e.KeyID, e.Algorithm)
		}
		if r != nil {
			answers[m] += everythingOf(w.T, r)
			passed[m] = passedRequest{r, token, issuer}
		}
		if err == nil && w.removed[issuer] {
			w.Errorf("a token of %s passed after Remove", issuer)
		}
		if m == 0 {
			w.reasons[reasonOf(w.T, err)]++
		}
		synctest.Wait()
	}
	if w.events[0].Cached {
		w.hits++
	}
	if w.events[1].Cached && way != 2 {
		w.Error("cached without a cache")
	}
	if answers[0] != answers[1] {
		w.Fatalf("token of %s to %s\ncached:   %s\nuncached: %s", issuer, host, answers[0], answers[1])
	}
	if passed[0].request != nil {
		w.passed = append(w.passed[max(0, len(w.passed)-20):], passed)
	}
}

// For any answers of the application's functions, and whatever the registry has, a Middleware with a
// cache answers like one without: to a request, without one, and on an inner guard.
// Rules: guard.cached, guard.nested, claims.aud-request, issuer.template-accept, issuer.registry.
// BEARER_SEED repeats one case.
func TestCachedAndUncachedAnswersAreEqualWithLiveIssuers(t *testing.T) {
	t.Parallel()
	const steps = 400
	first, worlds := rand.Uint64(), uint64(25)
	if seed, err := strconv.ParseUint(os.Getenv("BEARER_SEED"), 10, 64); err == nil {
		first, worlds = seed, 1
	}
	hits, reasons := 0, make(map[bearer.Reason]int)
	for seed := first; seed-first < worlds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newLiveWorld(t, seed)
				for range steps {
					switch n := w.rand.IntN(100); {
					case n < 25:
						w.step()
					case n < 30:
						w.token()
					case n < 38:
						<-time.After(choose(w.rand, time.Nanosecond, time.Second, 10*time.Second, time.Minute, 5*time.Minute, time.Hour))
					}
					w.ask()
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
		"", bearer.ReasonUnknownIssuer, bearer.ReasonAudience, bearer.ReasonPolicyUnavailable, bearer.ReasonLifetime, bearer.ReasonExpired,
	} {
		if reasons[reason] < 20 {
			t.Errorf("%d cases were answered with %q", reasons[reason], reason)
		}
	}
}
