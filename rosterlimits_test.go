package bearer_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// A full registry makes room by what was not used: never by an issuer whose tokens were verified in
// the last 5 minutes, and never by one that was added. An issuer that was just found has 10 seconds.
// Rules: issuer.lookup-bounded.
func TestFullRegistryMakesRoomByWhatIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, registry, d := withDirectory(t, nil, bearer.WithMaxIssuers(3), bearer.WithLookupLifetime(24*time.Hour))
		issuers := make(map[string]*bearertest.Issuer)
		for _, name := range []string{"added", "busy", "idle", "named", "next", "last"} {
			issuers[name] = issuerAt("https://" + name + ".test")
			d.has(issuers[name])
		}
		ask := func(name string, want bearer.Reason) {
			t.Helper()
			wantReason(t, auth, issuers[name].Token(), want)
		}
		present := func(want ...string) {
			t.Helper()
			var names []string
			for _, s := range auth.Stats().Issuers {
				names = append(names, strings.TrimSuffix(strings.TrimPrefix(s.Issuer, "https://"), ".test"))
			}
			if fmt.Sprint(names) != fmt.Sprint(want) {
				t.Errorf("the registry has %v, want %v", names, want)
			}
		}
		mustAdd(t, registry, issuers["added"])
		ask("busy", "")
		ask("idle", "")
		present("added", "busy", "idle")
		long := issuers["busy"].Token(c{"exp": time.Now().Add(time.Hour)})
		wantReason(t, auth, long, "")
		<-time.After(5*time.Minute - time.Second)
		_, err := auth.Guard().Verify(t.Context(), issuers["next"].Token())
		if reasonOf(t, err) != bearer.ReasonPolicyUnavailable || !strings.Contains(causeOf(err), "WithMaxIssuers") {
			t.Errorf("a full registry: %v, %q", err, causeOf(err))
		}
		wantProblem(t, registry.Add("https://more.test", "api"), "Add", "finds no room")
		wantReason(t, auth, long, "") // a hit is a use, too
		<-time.After(2 * time.Second)
		ask("next", "")
		present("added", "busy", "next")
		ask("idle", bearer.ReasonPolicyUnavailable) // and no room for the one that made it

		<-time.After(time.Hour)
		ask("busy", "")
		for range 3 { // a forged token has the issuer registered, and counts as no use
			wantReason(t, auth, forged(issuers["named"].Token()), bearer.ReasonSignature)
			present("added", "busy", "named")
		}
		<-time.After(10*time.Second - 1)
		wantReason(t, auth, forged(issuers["named"].Token()), bearer.ReasonSignature)
		ask("last", bearer.ReasonPolicyUnavailable)
		<-time.After(1)
		ask("last", "")
		present("added", "busy", "last")
		ask("named", bearer.ReasonPolicyUnavailable)

		<-time.After(6 * time.Minute)
		ask("busy", "")
		mustAdd(t, registry, issuers["next"]) // Add finds room, too
		present("added", "busy", "next")
		<-time.After(24 * time.Hour)
		mustAdd(t, registry, issuers["busy"]) // and replaces what was found
		ask("idle", bearer.ReasonPolicyUnavailable)
		present("added", "busy", "next")
	})
}

// What the lookup does not know is remembered of 4096 issuers at most.
// Rules: issuer.lookup-bounded.
func TestUnknownIssuersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, registry, d := withDirectory(t, nil, bearer.WithLookupRate(1000), bearer.WithLookupLifetime(24*time.Hour))
		issuer := issuerAt("https://customer.test")
		for i := range 6000 {
			wantReason(t, auth, madeUp(issuer, i), bearer.ReasonUnknownIssuer)
			if n := registry.Unknown(); n > 4096 {
				t.Fatalf("%d are remembered", n)
			}
			<-time.After(2 * time.Millisecond)
		}
		if n, calls := registry.Unknown(), d.count(); n != 4096 || calls != 6000 {
			t.Errorf("%d are remembered after %d calls", n, calls)
		}
		wantReason(t, auth, madeUp(issuer, 5999), bearer.ReasonUnknownIssuer)
		if calls := d.count(); calls != 6000 {
			t.Error("the last one was forgotten")
		}
	})
}

// An issuer that the registry does not have is never contacted, whatever tokens name.
// Rules: issuer.lookup.
func TestOnlyRegisteredIssuersAreContacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := issuerAt("https://known.test")
		contacted := make(map[string]bool)
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			contacted[r.URL.Host] = true
			return known.Client().Transport.RoundTrip(r)
		})}
		auth, _, d := withDirectory(t, client)
		d.known[known.URL()] = bearer.Registration{Audience: known.Audience()}
		for i := range 10 {
			wantReason(t, auth, madeUp(known, i), bearer.ReasonUnknownIssuer)
		}
		if len(contacted) != 0 {
			t.Errorf("contacted %v", contacted)
		}
		wantReason(t, auth, known.Token(), "")
		if len(contacted) != 1 || !contacted["known.test"] {
			t.Errorf("contacted %v", contacted)
		}
	})
}

// A token of a registered issuer that is cached costs what one of a configured issuer costs. One of
// an unknown issuer costs no more, unless there is a lookup to ask.
func TestRegistryKeepsToTheAllocations(t *testing.T) {
	if raceDetector() {
		t.Skip("the race detector changes what pools keep")
	}
	issuer := bearertest.NewIssuer()
	known, unknown := get("Bearer "+issuer.Token()), get("Bearer "+issuer.Token(c{"iss": "https://other.test"}))
	plain := pinned(t, issuer)
	hit, _ := allocations(authenticating(t, plain, known, ""))
	refused, _ := allocations(authenticating(t, plain, unknown, bearer.ReasonUnknownIssuer))

	registry := bearer.NewRegistry()
	auth := mustNew(t, bearer.WithRegistry(registry))
	mustAdd(t, registry, issuer)
	if got, _ := allocations(authenticating(t, auth, known, "")); got != hit {
		t.Errorf("a hit: %v allocations, want %v", got, hit)
	}
	if got, _ := allocations(authenticating(t, auth, unknown, bearer.ReasonUnknownIssuer)); got != refused {
		t.Errorf("an unknown issuer: %v allocations, want %v", got, refused)
	}

	looking := bearer.NewRegistry(bearer.WithLookup(func(context.Context, string) (r bearer.Registration, found bool, err error) {
		return r, false, nil
	}))
	auth = mustNew(t, bearer.WithRegistry(looking))
	mustAdd(t, looking, issuer)
	_ = authenticating(t, auth, known, "") // remembers the header
	if got, _ := allocations(authenticating(t, auth, unknown, bearer.ReasonUnknownIssuer)); got != refused {
		t.Errorf("an issuer that the lookup does not know: %v allocations, want %v", got, refused)
	}
}
