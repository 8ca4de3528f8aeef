package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// mustAdd adds an issuer with its keys to a registry.
func mustAdd(t testing.TB, r *bearer.Registry, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) {
	t.Helper()
	opts = append(opts, bearer.Keys(jwks.Static(issuer.KeySet())))
	if err := r.Add(issuer.URL(), issuer.Audience(), opts...); err != nil {
		t.Fatal(err)
	}
}

func issuerAt(url string) *bearertest.Issuer { return bearertest.NewIssuer(bearertest.WithURL(url)) }

// Tokens of an issuer pass from Add to Remove, cached or not, and on no pass of a nested guard after
// it.
// Rules: issuer.registry.
func TestRegistryTrustsIssuersFromAddToRemove(t *testing.T) {
	for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
		t.Run(how, func(t *testing.T) {
			issuer, static := issuerAt("https://customer.test"), issuerAt("https://own.test")
			registry := bearer.NewRegistry()
			var last bearer.Event
			auth := mustNew(t, cache, bearer.WithRegistry(registry), seen(&last),
				bearer.WithIssuer(static.URL(), static.Audience(), bearer.Keys(jwks.Static(static.KeySet()))))
			token := issuer.Token()
			wantReason(t, auth, token, bearer.ReasonUnknownIssuer)
			for range 3 {
				mustAdd(t, registry, issuer)
				for range 2 {
					wantReason(t, auth, token, "")
					if last.Issuer != issuer.URL() {
						t.Errorf("event %+v", last)
					}
				}
				passed, err := auth.Guard().Authenticate(get("Bearer " + token))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := auth.Guard().Authenticate(passed); err != nil {
					t.Error(err)
				}
				if !registry.Remove(issuer.URL()) || registry.Remove(issuer.URL()) {
					t.Error("Remove says whether the issuer was there")
				}
				for range 2 {
					wantReason(t, auth, token, bearer.ReasonUnknownIssuer)
					_, err = auth.Guard().Authenticate(passed)
					if reasonOf(t, err) != bearer.ReasonUnknownIssuer {
						t.Errorf("an inner guard after Remove: %v", err)
					}
				}
			}
			wantReason(t, auth, static.Token(), "")
		})
	}
}

// A token that was verified by what was said of an issuer before is judged by what is said now.
// Rules: issuer.registry.
func TestIssuerAddedAgainIsJudgedByItsNewOptions(t *testing.T) {
	issuer, successor := issuerAt("https://customer.test"), issuerAt("https://customer.test")
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry))
	token := issuer.Token(c{"exp": time.Now().Add(time.Hour), "iat": time.Now()})
	for name, again := range map[string]struct {
		want bearer.Reason
		add  func() error
	}{
		"another audience": {bearer.ReasonAudience, func() error {
			return registry.Add(issuer.URL(), "other", bearer.Keys(jwks.Static(issuer.KeySet())))
		}},
		"another lifetime": {bearer.ReasonLifetime, func() error {
			return registry.Add(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Static(issuer.KeySet())), bearer.MaxLifetime(time.Minute))
		}},
		"other keys": {bearer.ReasonUnknownKey, func() error {
			return registry.Add(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Static(successor.KeySet())))
		}},
		"a secret": {bearer.ReasonAlgorithm, func() error {
			return registry.Add(issuer.URL(), issuer.Audience(), bearer.HMACSecret(make([]byte, 32)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			mustAdd(t, registry, issuer)
			wantReason(t, auth, token, "")
			passed, err := auth.Guard().Authenticate(get("Bearer " + token))
			if err != nil {
				t.Fatal(err)
			}
			registry.Remove(issuer.URL())
			if err := again.add(); err != nil {
				t.Fatal(err)
			}
			wantReason(t, auth, token, again.want)
			_, err = auth.Guard().Authenticate(passed)
			if got := reasonOf(t, err); got != again.want {
				t.Errorf("an inner guard: reason %q, want %q", got, again.want)
			}
			registry.Remove(issuer.URL())
		})
	}
}

// Issuers that are added before New are trusted from New on. Those removed before it are not.
func TestIssuersCanBeAddedBeforeNew(t *testing.T) {
	one, two := issuerAt("https://one.test"), issuerAt("https://two.test")
	registry := bearer.NewRegistry()
	if err := registry.Add(one.URL(), one.Audience()); err != nil { // its keys are fetched with the Middleware's client
		t.Fatal(err)
	}
	mustAdd(t, registry, two)
	wantProblem(t, registry.Add(one.URL(), one.Audience()), "Add", "registered already")
	if !registry.Remove(two.URL()) {
		t.Error("it was not there")
	}
	auth := mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(one.Client()))
	wantReason(t, auth, one.Token(), "")
	wantReason(t, auth, two.Token(), bearer.ReasonUnknownIssuer)
	if !registry.Remove(one.URL()) {
		t.Error("it was not there")
	}
	wantReason(t, auth, one.Token(), bearer.ReasonUnknownIssuer)
}

// Add judges what it is given as New does, before New and after it, and changes nothing if there is
// a mistake.
// Rules: issuer.registry, config.all-mistakes.
func TestAddReportsEveryMistake(t *testing.T) {
	static := issuerAt("https://own.test")
	opts := []bearer.Option{
		bearer.WithIssuer(static.URL(), static.Audience()),
		trustTenants(static, acceptAll),
	}
	early, late := bearer.NewRegistry(), bearer.NewRegistry()
	auth := mustNew(t, append(opts, bearer.WithRegistry(late), bearer.WithHTTPClient(static.Client()))...)
	long := "https://long.test/" + strings.Repeat("x", 512-len("https://long.test/"))
	for when, registry := range map[string]*bearer.Registry{"before New": early, "after New": late} {
		for name, test := range map[string]struct {
			issuer, audience string
			opts             []bearer.IssuerOption
			want             [][2]string
		}{
			"nothing":       {"", "", nil, [][2]string{{"Add", "issuer is empty"}, {"Add", "audience is empty"}}},
			"nil":           {"https://a.test", "api", []bearer.IssuerOption{nil}, [][2]string{{"Add", "option 1 is nil"}}},
			"options":       {"https://a.test", "api", []bearer.IssuerOption{bearer.Leeway(-1), bearer.MaxLifetime(-1)}, [][2]string{{"Leeway", "-1ns"}, {"MaxLifetime", "-1ns"}}},
			"http":          {"http://a.test", "api", nil, [][2]string{{"Add", "http://a.test"}}},
			"two sources":   {"https://a.test", "api", []bearer.IssuerOption{bearer.JWKSURL("https://a.test"), bearer.Keys(jwks.Remote("https://a.test"))}, [][2]string{{"Add", "exclude each other"}}},
			"too long":      {long + "x", "api", nil, [][2]string{{"Add", "longer than 512"}}},
			"a template":    {"https://a.test/{x}", "api", []bearer.IssuerOption{bearer.JWKSURL("https://a.test"), bearer.IssuerTemplate("tid", acceptAll)}, [][2]string{{"Add", "no templates"}}},
			"a placeholder": {"https://a.test/{x}", "api", nil, [][2]string{{"Add", "has a placeholder"}}},
		} {
			t.Run(when+", "+name, func(t *testing.T) {
				err := registry.Add(test.issuer, test.audience, test.opts...)
				for _, want := range test.want {
					wantProblem(t, err, want[0], want[1])
				}
				if registry.Remove(test.issuer) {
					t.Error("it was added all the same")
				}
			})
		}
		if err := registry.Add(long, "api"); err != nil {
			t.Errorf("%s: an issuer of 512 bytes: %v", when, err)
		}
	}
	wantProblem(t, late.Add(static.URL(), "api"), "Add", "trusted by WithIssuer")
	wantProblem(t, late.Add(tenantIssuer("acme"), "api"), "Add", "trusted by WithIssuer")
	if err := late.Add("https://login.test/a/b/v2.0", "api"); err != nil { // which the template does not cover
		t.Error(err)
	}
	wantProblem(t, late.Add(long, "api"), "Add", "registered already")
	wantReason(t, auth, static.Token(), "")

	if err := early.Add(static.URL(), "api"); err != nil {
		t.Fatal(err)
	}
	_, err := bearer.New(append(opts, bearer.WithRegistry(early), bearer.WithHTTPClient(static.Client()))...)
	wantProblem(t, err, "Add", "trusted by WithIssuer")
	early.Remove(static.URL())
	mustNew(t, append(opts, bearer.WithRegistry(early), bearer.WithHTTPClient(static.Client()))...) // the failure left it free
}

// Rules: issuer.registry.
func TestMistakesInRegistries(t *testing.T) {
	find := bearer.WithLookup(func(context.Context, string) (r bearer.Registration, found bool, err error) { return r, false, nil })
	for name, test := range map[string]struct {
		opts []bearer.RegistryOption
		want string
		text string
	}{
		"nil option":       {[]bearer.RegistryOption{nil}, "NewRegistry", "option 1 is nil"},
		"nil lookup":       {[]bearer.RegistryOption{bearer.WithLookup(nil)}, "WithLookup", "give a function"},
		"two lookups":      {[]bearer.RegistryOption{find, find}, "WithLookup", "set more than once"},
		"no calls":         {[]bearer.RegistryOption{find, bearer.WithLookupRate(0)}, "WithLookupRate", "from 1 to 1000"},
		"too many calls":   {[]bearer.RegistryOption{find, bearer.WithLookupRate(1001)}, "WithLookupRate", "from 1 to 1000"},
		"too short":        {[]bearer.RegistryOption{find, bearer.WithLookupLifetime(time.Second - 1)}, "WithLookupLifetime", "from 1s to 24h"},
		"too long":         {[]bearer.RegistryOption{find, bearer.WithLookupLifetime(24*time.Hour + 1)}, "WithLookupLifetime", "from 1s to 24h"},
		"no issuers":       {[]bearer.RegistryOption{bearer.WithMaxIssuers(0)}, "WithMaxIssuers", "from 1 to 10000"},
		"too many issuers": {[]bearer.RegistryOption{bearer.WithMaxIssuers(10_001)}, "WithMaxIssuers", "from 1 to 10000"},
		"a rate alone":     {[]bearer.RegistryOption{bearer.WithLookupRate(1)}, "NewRegistry", "need WithLookup"},
		"rates":            {[]bearer.RegistryOption{find, bearer.WithLookupRate(1), bearer.WithLookupRate(1)}, "WithLookupRate", "set more than once"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bearer.New(bearer.WithRegistry(bearer.NewRegistry(test.opts...)))
			wantProblem(t, err, test.want, test.text)
		})
	}
	for _, edge := range [][]bearer.RegistryOption{
		{find, bearer.WithLookupRate(1), bearer.WithLookupLifetime(time.Second), bearer.WithMaxIssuers(1)},
		{find, bearer.WithLookupRate(1000), bearer.WithLookupLifetime(24 * time.Hour), bearer.WithMaxIssuers(10_000)},
	} {
		mustNew(t, bearer.WithRegistry(bearer.NewRegistry(edge...)))
	}
	for _, none := range []*bearer.Registry{nil, {}} {
		_, err := bearer.New(bearer.WithRegistry(none))
		wantProblem(t, err, "WithRegistry", "made with NewRegistry")
	}
	registry := bearer.NewRegistry()
	_, err := bearer.New(bearer.WithRegistry(registry), bearer.WithRegistry(registry))
	wantProblem(t, err, "WithRegistry", "set more than once")
	mustNew(t, bearer.WithRegistry(registry))
	_, err = bearer.New(bearer.WithRegistry(registry))
	wantProblem(t, err, "WithRegistry", "belongs to another Middleware")
}

// A registry has at most so many issuers that were added.
// Rules: issuer.registry.
func TestRegistryOfAddedIssuersIsBounded(t *testing.T) {
	early, late := bearer.NewRegistry(bearer.WithMaxIssuers(2)), bearer.NewRegistry(bearer.WithMaxIssuers(2))
	mustNew(t, bearer.WithRegistry(late))
	for when, registry := range map[string]*bearer.Registry{"before New": early, "after New": late} {
		for i := range 3 {
			err := registry.Add(fmt.Sprintf("https://%d.test", i), "api")
			if i < 2 && err != nil {
				t.Errorf("%s: %v", when, err)
			} else if i == 2 {
				wantProblem(t, err, "Add", "WithMaxIssuers")
			}
		}
		registry.Remove("https://0.test")
		if err := registry.Add("https://2.test", "api"); err != nil {
			t.Errorf("%s: there is room again: %v", when, err)
		}
	}
}

// A registry alone is enough. The service is ready while it is empty, and while the keys of its
// issuers are missing. Stats has them by name.
// Rules: issuer.registry.
func TestRegistryInReadyAndStats(t *testing.T) {
	down := issuerAt("https://down.test")
	down.SetFault(bearertest.Down)
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(down.Client()), quiet(),
		bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"}))
	if err := auth.Ready(t.Context()); err != nil || len(auth.Stats().Issuers) != 0 {
		t.Errorf("an empty registry: %v, %v", err, auth.Stats())
	}
	for _, name := range []string{"https://b.test", down.URL(), "https://a.test"} {
		if err := registry.Add(name, "api"); err != nil {
			t.Fatal(err)
		}
	}
	if err := auth.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	wantReason(t, auth, down.Token(), bearer.ReasonKeysUnavailable)
	var names []string
	for _, s := range auth.Stats().Issuers {
		names = append(names, s.Issuer)
	}
	if want := []string{"https://a.test", "https://b.test", down.URL()}; !slices.Equal(names, want) {
		t.Errorf("Stats has %q, want %q", names, want)
	}
	registry.Remove("https://a.test")
	if n := len(auth.Stats().Issuers); n != 2 {
		t.Errorf("Stats has %d after Remove", n)
	}
	_, handler := auth.ResourceMetadata()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, get(""))
	if strings.Contains(w.Body.String(), "b.test") {
		t.Errorf("the document names it: %s", w.Body)
	}
}

// Close ends what the registry has. Afterwards nothing is added.
// Rules: issuer.registry, guard.closed.
func TestCloseEndsTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, auth, hanging, done := waitForKeys(t)
		_ = auth.Close()
		if got := <-done; got != bearer.ReasonKeysUnavailable {
			t.Errorf("a request that waits: %q", got)
		}
		wantReason(t, auth, hanging.Token(), bearer.ReasonClosed)
		wantProblem(t, registry.Add("https://late.test", "api"), "Add", "was closed")
		if registry.Remove(hanging.URL()) {
			t.Error("it is still there")
		}
	})
}

// A request that is decided while the Middleware is closed gets 503, and no word against its issuer.
// Rules: issuer.registry, guard.closed.
func TestCloseWhileARequestIsDecided(t *testing.T) {
	issuer := issuerAt("https://customer.test")
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry), quiet())
	mustAdd(t, registry, issuer)
	registry.Shut() // as Close does while a request is on its way
	_, err := auth.Guard().Verify(t.Context(), issuer.Token())
	if reasonOf(t, err) != bearer.ReasonClosed || !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("the answer is %v", err)
	}
}

// A request that waits for the keys of an issuer that is removed is refused as one that comes later:
// that is no outage.
// Rules: issuer.registry.
func TestRemoveEndsTheWaitForKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, _, hanging, done := waitForKeys(t)
		registry.Remove(hanging.URL())
		if got := <-done; got != bearer.ReasonUnknownIssuer {
			t.Errorf("reason %q", got)
		}
	})
}

// Remove is noticed even by a request that is being decided.
// Rules: issuer.registry.
func TestRemoveWhileARequestIsDecided(t *testing.T) {
	issuer := issuerAt("https://customer.test")
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry))
	err := registry.Add(issuer.URL(), "", bearer.Keys(jwks.Static(issuer.KeySet())), bearer.AudienceFunc(func(*http.Request) string {
		registry.Remove(issuer.URL())
		return issuer.Audience()
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Guard().Authenticate(get("Bearer " + issuer.Token())); reasonOf(t, err) != bearer.ReasonUnknownIssuer {
		t.Error(err)
	}
}

// No decision that begins after Remove returned lets a token pass, whatever happens at the same
// time.
// Rules: issuer.registry.
func TestRemoveAmidRequests(t *testing.T) {
	issuer := issuerAt("https://customer.test")
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry))
	tokens := []string{issuer.Token(), issuer.Token(), issuer.Token()}
	var mu sync.RWMutex // held for reading by a decision, so that none spans a Remove
	removed := true
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				gone := removed
				_, err := auth.Guard().Verify(context.Background(), tokens[i%len(tokens)])
				mu.RUnlock()
				if gone != (err != nil) || err != nil && reasonOf(t, err) != bearer.ReasonUnknownIssuer {
					t.Errorf("removed: %v, and the answer is %v", gone, err)
					return
				}
				_ = auth.Stats()
			}
		})
		wg.Go(func() { // without the lock, for the race detector
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
					_, _ = auth.Guard().Verify(context.Background(), tokens[i%len(tokens)])
				}
			}
		})
	}
	for range 200 {
		mu.Lock()
		mustAdd(t, registry, issuer)
		removed = false
		mu.Unlock()
		mu.Lock()
		registry.Remove(issuer.URL())
		removed = true
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
}

// An issuer of a registry can have an audience for each request.
// Rules: claims.aud-request.
func TestRegistryTakesAudienceFunc(t *testing.T) {
	issuer := issuerAt("https://customer.test")
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry))
	err := registry.Add(issuer.URL(), "", bearer.Keys(jwks.Static(issuer.KeySet())), bearer.AudienceFunc(func(r *http.Request) string { return audienceOfHost(r) }))
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(c{"aud": "tenant-one"})
	for range 2 {
		if _, err := auth.Guard().Authenticate(toHost("one.example", token)); err != nil {
			t.Error(err)
		}
		if _, err := auth.Guard().Authenticate(toHost("two.example", token)); reasonOf(t, err) != bearer.ReasonAudience {
			t.Error(err)
		}
	}
}

// waitForKeys makes a request for a registered issuer that does not answer. It returns when the
// request waits for the keys; its reason then comes through the channel.
func waitForKeys(t *testing.T) (*bearer.Registry, *bearer.Middleware, *bearertest.Issuer, <-chan bearer.Reason) {
	t.Helper()
	hanging := issuerAt("https://hanging.test")
	hanging.SetFault(bearertest.Hang)
	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(hanging.Client()), quiet())
	if err := registry.Add(hanging.URL(), hanging.Audience()); err != nil { // its keys are not pinned
		t.Fatal(err)
	}
	done := make(chan bearer.Reason)
	go func() {
		_, err := auth.Guard().Verify(context.Background(), hanging.Token())
		done <- reasonOf(t, err)
	}()
	synctest.Wait()
	return registry, auth, hanging, done
}
