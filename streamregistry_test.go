package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// openStream starts a stream with a token of the issuer that lives for 100 hours.
func openStream(t *testing.T, auth *bearer.Middleware, issuer *bearertest.Issuer) context.Context {
	t.Helper()
	r, err := auth.Guard().Authenticate(get("Bearer " + issuer.Token(c{"exp": time.Now().Add(100 * time.Hour)})))
	if err != nil {
		t.Fatal(err)
	}
	return bearer.UntilExpiry(r.Context())
}

// openStreams starts streams of so many issuers of a directory, a little less than 20 in a second.
func openStreams(t *testing.T, auth *bearer.Middleware, d *directory, n int) (issuers []*bearertest.Issuer, streams []context.Context) {
	t.Helper()
	for i := range n {
		issuer := issuerAt(fmt.Sprintf("https://%d.test", i))
		d.has(issuer)
		issuers, streams = append(issuers, issuer), append(streams, openStream(t, auth, issuer))
		<-time.After(100 * time.Millisecond)
	}
	return issuers, streams
}

// Streams of many issuers, whose answers become too old at the same time, go on: their issuers are
// looked up by and by, within the rate. Those that the lookup no longer finds end.
// Rules: stream.end, issuer.lookup-bounded.
func TestStreamsOfManyIssuersOutliveTheAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil)
		issuers, streams := openStreams(t, auth, d, 200)
		<-time.After(time.Hour)
		for i, stream := range streams {
			if stream.Err() != nil {
				t.Fatalf("stream %d ended: %v, %q", i, context.Cause(stream), causeOf(context.Cause(stream)))
			}
		}
		for i := range d.calls {
			if i >= 20 && d.calls[i].Sub(d.calls[i-20]) < time.Second {
				t.Fatalf("calls %d and %d are %v apart", i-20, i, d.calls[i].Sub(d.calls[i-20]))
			}
		}
		if n := d.count(); n > 200*13 {
			t.Errorf("%d calls in an hour", n)
		}
		d.set(func() {
			for _, issuer := range issuers[:100] {
				delete(d.known, issuer.URL())
			}
		})
		<-time.After(5*time.Minute + time.Minute + 10*time.Second)
		for i, stream := range streams {
			if i >= 100 && stream.Err() != nil {
				t.Fatalf("stream %d ended: %v", i, context.Cause(stream))
			}
			if i < 100 {
				wantCause(t, context.Cause(stream), bearer.ReasonUnknownIssuer)
			}
		}
		_ = auth.Close()
	})
}

// All streams of an issuer share one call of the lookup, also one that fails.
// Rules: stream.end.
func TestStreamsOfOneIssuerShareALookup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil)
		issuer := issuerAt("https://customer.test")
		d.has(issuer)
		var streams []context.Context
		for range 50 {
			streams = append(streams, openStream(t, auth, issuer))
		}
		<-time.After(5*time.Minute + time.Minute)
		if n := d.count(); n != 2 {
			t.Errorf("%d calls", n)
		}
		d.set(func() {
			d.err = errors.New("down")
			d.work = func(ctx context.Context, _ string) { <-ctx.Done() }
		})
		<-time.After(5*time.Minute + time.Minute + 5*time.Second)
		if n := d.count(); n != 3 {
			t.Errorf("%d calls", n)
		}
		for _, stream := range streams {
			wantCause(t, context.Cause(stream), bearer.ReasonPolicyUnavailable)
		}
	})
}

// A slow lookup of other issuers does not delay the end of a removed issuer's streams.
// Rules: stream.end.
func TestStreamEndsWithItsIssuerWhileLookupsAreSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		auth, registry, d := withDirectory(t, nil)
		victim := issuerAt("https://removed.test")
		mustAdd(t, registry, victim)
		stream := openStream(t, auth, victim)
		openStreams(t, auth, d, 100)
		d.set(func() { d.work = func(context.Context, string) { <-time.After(4 * time.Second) } })
		<-time.After(5 * time.Minute)
		for range 10 {
			<-time.After(time.Minute)
			registry.Remove(victim.URL())
			if got := lasted(stream); got > time.Minute {
				t.Errorf("it lasted %v", got)
			}
			wantCause(t, context.Cause(stream), bearer.ReasonUnknownIssuer)
			mustAdd(t, registry, victim)
			stream = openStream(t, auth, victim) //nolint:fatcontext // each is a stream of its own
		}
		_ = auth.Close()
	})
}

// A stream goes on when its issuer is removed and added again while its keys are waited for: that
// they were closed is no outage.
// Rules: stream.end.
func TestStreamOutlivesTheReplacementOfItsIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := issuerAt("https://customer.test")
		registry := bearer.NewRegistry()
		auth := mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(issuer.Client()), quiet())
		if err := registry.Add(issuer.URL(), issuer.Audience()); err != nil {
			t.Fatal(err)
		}
		r, err := auth.Guard().Authenticate(get("Bearer " + issuer.Token(c{"exp": time.Now().Add(100 * time.Hour)})))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(25 * time.Hour) // and nothing asks for the keys
		issuer.SetFault(bearertest.Hang)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if held, err := bearer.StreamHolds(r.Context()); held || err != nil {
				t.Errorf("it is looked at: %v, %v; want the token to be judged again", held, err)
			}
		}()
		synctest.Wait()
		registry.Remove(issuer.URL())
		mustAdd(t, registry, issuer)
		<-done
		stream := bearer.UntilExpiry(r.Context())
		<-time.After(time.Hour)
		if stream.Err() != nil {
			t.Errorf("it ended: %v", context.Cause(stream))
		}
		_ = auth.Close()
	})
}
