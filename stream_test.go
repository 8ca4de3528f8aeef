package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

const streamIssuer = "https://one.example"

// streaming is an issuer whose keys change, and a Middleware that trusts it.
type streaming struct {
	*testing.T
	server *keyServer
	auth   *bearer.Middleware
	key    pair
}

func newStreaming(t *testing.T, lifetime time.Duration, opts ...bearer.IssuerOption) *streaming {
	t.Helper()
	s := &streaming{T: t, server: &keyServer{}, key: pairs()[3]}
	s.server.publish(merged(s.key.jwk, c{"kid": "a"}))
	source := jwks.Remote(streamIssuer+"/keys", jwks.WithHTTPClient(s.server.client()), jwks.WithLifetime(lifetime, lifetime))
	s.auth = mustNew(t, bearer.WithIssuer(streamIssuer, "api", append(opts, bearer.Keys(source))...), quiet())
	return s
}

// open starts a stream with a token that lives for so long, or without exp.
func (s *streaming) open(life time.Duration) context.Context {
	s.Helper()
	claims := c{"iss": streamIssuer, "aud": "api", "sub": "alice"}
	if life > 0 {
		claims["exp"] = time.Now().Add(life).Unix()
	}
	r, err := s.auth.Guard().Authenticate(get("Bearer " + signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", s.key.private)))
	if err != nil {
		s.Fatal(err)
	}
	return r.Context()
}

// lasted returns how long a stream goes on, for a day at most.
func lasted(stream context.Context) time.Duration {
	began := time.Now()
	select {
	case <-stream.Done():
	case <-time.After(24 * time.Hour):
	}
	return time.Since(began)
}

// wantCause checks why a stream has ended.
func wantCause(t *testing.T, cause error, want bearer.Reason) {
	t.Helper()
	var refusal *bearer.Error
	if !errors.As(cause, &refusal) || refusal.Reason() != want {
		t.Errorf("the cause is %v, want %s", cause, want)
	}
}

// A stream ends with its token, to the nanosecond.
// Rules: stream.end.
func TestStreamEndsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	for _, leeway := range []time.Duration{0, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStreaming(t, 10*time.Minute, bearer.Leeway(leeway))
			verified := s.open(time.Hour)
			later := bearer.UntilExpiry(s.open(2 * time.Hour))
			stream := bearer.UntilExpiry(verified)
			if claims, ok := bearer.FromContext(stream); !ok || claims.Subject() != "alice" {
				t.Errorf("the stream has the claims %v", claims)
			}
			if got := lasted(stream); got != time.Hour+leeway {
				t.Errorf("it lasted %v, want %v", got, time.Hour+leeway)
			}
			wantCause(t, context.Cause(stream), bearer.ReasonExpired)
			if again := bearer.UntilExpiry(verified); again.Err() == nil {
				t.Error("a stream of an expired token goes on")
			} else {
				wantCause(t, context.Cause(again), bearer.ReasonExpired)
			}
			if verified.Err() != nil || later.Err() != nil {
				t.Error("the request or another stream has ended")
			}
			if got := lasted(later); got != time.Hour {
				t.Errorf("the other lasted %v more, want an hour", got)
			}
		})
	}
}

// A withdrawn key ends its streams within the lifetime of the key set, with what a guard answers to
// a request.
// Rules: stream.end.
func TestStreamEndsWhenItsKeyIsWithdrawn(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		change func(*keyServer, pair)
		want   bearer.Reason // "" if the stream goes on
	}{
		"it is withdrawn":           {func(s *keyServer, _ pair) { s.publish(merged(pairs()[4].jwk, c{"kid": "b"})) }, bearer.ReasonUnknownKey},
		"another has its id":        {func(s *keyServer, _ pair) { s.publish(merged(pairs()[4].jwk, c{"kid": "a"})) }, bearer.ReasonSignature},
		"it is published otherwise": {func(s *keyServer, key pair) { s.publish(merged(key.jwk, c{"kid": "a", "use": "sig"})) }, ""},
		"it is for its algorithm":   {func(s *keyServer, key pair) { s.publish(merged(key.jwk, c{"kid": "a", "alg": "EdDSA"})) }, ""},
		"nothing changes":           {func(*keyServer, pair) {}, ""},
	} {
		for _, lifetime := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour} {
			if test.want == "" && lifetime == time.Second {
				continue // a day of it is a hundred thousand fetches
			}
			t.Run(fmt.Sprint(what, ", ", lifetime), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStreaming(t, lifetime, bearer.InsecureNoExpiry())
					verified := s.open(23 * time.Hour)
					endless := s.open(0)
					streams := []context.Context{bearer.UntilExpiry(verified), bearer.UntilExpiry(endless)}
					<-time.After(lifetime / 2)
					test.change(s.server, s.key)
					for _, stream := range streams {
						if test.want == "" {
							continue
						}
						if got := lasted(stream); got > lifetime {
							t.Errorf("it lasted %v more", got)
						}
						wantCause(t, context.Cause(stream), test.want)
						_, err := s.auth.Guard().Authenticate(get("").WithContext(verified))
						if reasonOf(t, err) != test.want {
							t.Errorf("a guard answers %v", err)
						}
					}
					if test.want == "" {
						if got := lasted(streams[0]); got != 23*time.Hour+30*time.Second-lifetime/2 {
							t.Errorf("it lasted %v", got)
						}
						wantCause(t, context.Cause(streams[0]), bearer.ReasonExpired)
						if streams[1].Err() != nil {
							t.Errorf("the endless one ended: %v", context.Cause(streams[1]))
						}
						if most := int(24*time.Hour/(lifetime*8/10)) + 2; s.server.count() > most {
							t.Errorf("%d fetches, want %d at most", s.server.count(), most)
						}
					}
					_ = s.auth.Close()
				})
			})
		}
	}
}

// An outage ends no stream while requests pass, and then it ends them with the 503 that requests
// get.
// Rules: stream.end.
func TestStreamLastsThroughAnOutageAsRequestsDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreaming(t, 10*time.Minute)
		verified := s.open(100 * time.Hour)
		stream := bearer.UntilExpiry(verified)
		began := time.Now()
		s.server.breaks(breakages[0])
		if got := lasted(stream); got < 23*time.Hour+50*time.Minute {
			t.Errorf("it ended after %v with %v", got, context.Cause(stream))
		}
		<-stream.Done()
		if got := time.Since(began); got > 24*time.Hour+2*time.Minute {
			t.Errorf("it ended after %v", got)
		}
		wantCause(t, context.Cause(stream), bearer.ReasonKeysUnavailable)
		if !errors.Is(context.Cause(stream), bearer.ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", context.Cause(stream))
		}
	})
}

// Close ends all streams, and those that begin later at once.
// Rules: stream.end.
func TestStreamsEndWithClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreaming(t, 10*time.Minute)
		verified := s.open(time.Hour)
		streams := []context.Context{bearer.UntilExpiry(verified), bearer.UntilExpiry(s.open(time.Hour))}
		_ = s.auth.Close()
		for _, stream := range append(streams, bearer.UntilExpiry(verified)) {
			wantCause(t, context.Cause(stream), bearer.ReasonClosed)
		}
	})
}

// A stream ends with the context that it was made from, and then nothing of it is kept. 1000
// streams have no goroutine of their own, and one look at their key serves all.
// Rules: stream.end.
func TestManyStreamsNeedNoGoroutines(t *testing.T) { //nolint:paralleltest // it counts goroutines
	synctest.Test(t, func(t *testing.T) {
		s := newStreaming(t, 10*time.Minute)
		parent, cancel := context.WithCancelCause(t.Context())
		var streams []context.Context
		for range 1000 {
			r, err := s.auth.Guard().Authenticate(get("").WithContext(s.open(time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(r.Context())
			defer stop()
			context.AfterFunc(parent, stop)
			streams = append(streams, bearer.UntilExpiry(ctx))
		}
		synctest.Wait()
		if n := s.auth.Streams(); n != 1000 {
			t.Errorf("%d streams are watched", n)
		}
		stacks := make([]byte, 4<<20)
		text := string(stacks[:runtime.Stack(stacks, true)])
		if n := strings.Count(text, "internal/expiry") + strings.Count(text, "bearer.UntilExpiry"); n > 0 {
			t.Errorf("%d goroutines wait", n)
		}
		cancel(errors.New("gone"))
		synctest.Wait()
		if n := s.auth.Streams(); n != 0 {
			t.Errorf("%d streams are kept", n)
		}
		for _, stream := range streams {
			if stream.Err() == nil {
				t.Fatal("a stream outlives its parent")
			}
		}
	})
}

// Without a verified token the context is returned as it is.
// Rules: stream.end.
func TestStreamWithoutAVerifiedTokenHasNoEnd(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	claims, err := auth.Guard().Verify(t.Context(), issuer.Token())
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := auth.Guard(bearer.Optional()).Authenticate(get(""))
	if err != nil {
		t.Fatal(err)
	}
	for name, ctx := range map[string]context.Context{
		"no guard": t.Context(), "anonymous": anonymous.Context(), "NewContext": bearer.NewContext(t.Context(), claims),
	} {
		if stream := bearer.UntilExpiry(ctx); stream != ctx {
			t.Errorf("%s: another context", name)
		}
	}
}

// A handler serves events until the token of its request ends.
func ExampleUntilExpiry() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		ctx := bearer.UntilExpiry(r.Context())
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprintf(w, "event: end\ndata: %v\n\n", context.Cause(ctx))
				return
			case <-tick.C:
				fmt.Fprint(w, "data: tick\n\n")
			}
		}
	}
	_ = handler
}
