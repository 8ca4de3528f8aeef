package tokens_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// transportService401 answers with 401 until it sees another token than the first.
type transportService401 struct {
	status    int
	challenge []string
	always    bool

	mu     sync.Mutex
	tokens []string
	bodies []string
	first  *transportBody // of the first answer
}

func (s *transportService401) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		body = string(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.tokens, s.bodies = append(s.tokens, token), append(s.bodies, body)
	if token != transportSecret+"1" && !s.always {
		return transportAnswer(r, http.StatusOK), nil
	}
	answer := transportAnswer(r, s.status)
	answer.Header["Www-Authenticate"] = s.challenge
	refusal := newTransportBody("refused")
	if s.first == nil {
		s.first = refusal
	}
	answer.Body = refusal
	return answer, nil
}

// A request is sent once more for one reason alone.
func TestTransportRetriesAfterInvalidToken(t *testing.T) {
	tests := []struct {
		name      string
		status    int
		challenge []string
		again     bool
	}{
		{"invalid_token", 401, []string{transportChallenge}, true},
		{"among others", 401, []string{`Basic realm="x"`, `Negotiate, Bearer realm="a", error=invalid_token`}, true},
		{"no challenge", 401, nil, false},
		{"a bare challenge", 401, []string{"Bearer"}, false},
		{"another error", 401, []string{`Bearer error="insufficient_user_authentication"`}, false},
		{"another scheme", 401, []string{`DPoP error="invalid_token"`}, false},
		{"insufficient_scope", 403, []string{`Bearer error="insufficient_scope"`}, false},
		{"invalid_token with another status", 403, []string{transportChallenge}, false},
		{"invalid_request", 400, []string{`Bearer error="invalid_request"`}, false},
		{"of a proxy", 407, []string{transportChallenge}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := &transportService401{status: tt.status, challenge: tt.challenge}
			source, issuer := transportSource(t, transportKey)
			transport, err := source.Transport(service)
			if err != nil {
				t.Fatal(err)
			}
			request := transportRequest(t, "POST", transportService, strings.NewReader("payload"))
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			sent, bodies, retries := []string{transportSecret + "1"}, []string{"payload"}, 0
			status := tt.status
			if tt.again {
				sent, bodies, retries = append(sent, transportSecret+"2"), append(bodies, "payload"), 1
				status = http.StatusOK
			}
			if response.StatusCode != status || response.Request != request {
				t.Errorf("status %d, want %d; request %v", response.StatusCode, status, response.Request)
			}
			if !slices.Equal(service.tokens, sent) || !slices.Equal(service.bodies, bodies) {
				t.Errorf("sent %q with %q, want %q with %q", service.tokens, service.bodies, sent, bodies)
			}
			if got := source.Stats().Retries; got != retries || int(issuer.calls.Load()) != len(sent) {
				t.Errorf("%d retries, want %d; %d tokens fetched", got, retries, issuer.calls.Load())
			}
			if tt.again && (service.first.closed.Load() != 1 || service.first.read != len("refused")) {
				t.Errorf("the first answer's body: %d bytes read, closed %d times", service.first.read, service.first.closed.Load())
			}
			transportIntact(t, response, !tt.again)
		})
	}
}

// transportIntact looks at whether an answer is the first refusal, with its body unread.
func transportIntact(t *testing.T, response *http.Response, want bool) {
	t.Helper()
	if !want {
		return
	}
	body, ok := response.Body.(*transportBody)
	if !ok || body.read != 0 || body.closed.Load() != 0 {
		t.Errorf("the answer's body was touched: %+v", response.Body)
		return
	}
	if text, err := io.ReadAll(body); err != nil || string(text) != "refused" {
		t.Errorf("the answer's body is %q, %v", text, err)
	}
}

// When the request cannot be sent again, the caller gets what the server said; the token is given
// up nevertheless.
func TestTransportHandsOnARefusalThatItCannotMend(t *testing.T) {
	failed := errors.New("failed")
	tests := []struct {
		name    string
		request func(*http.Request, *transportIssuer) *http.Request
		fetches int // by the end of the next request
	}{
		{"a body that cannot be read again", func(r *http.Request, _ *transportIssuer) *http.Request {
			r.GetBody = nil
			return r
		}, 2},
		{"a body that fails", func(r *http.Request, _ *transportIssuer) *http.Request {
			r.GetBody = func() (io.ReadCloser, error) { return nil, failed }
			return r
		}, 2},
		{"no other token", func(r *http.Request, i *transportIssuer) *http.Request {
			i.fail(failed)
			return r
		}, 2},
		{"no other token, for good", func(r *http.Request, i *transportIssuer) *http.Request {
			i.fail(tokens.ErrLoginRequired)
			return r
		}, 2},
		{"the same token", func(r *http.Request, i *transportIssuer) *http.Request {
			i.same.Store(true)
			return r
		}, 2},
		{"the context has ended", func(r *http.Request, _ *transportIssuer) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			return r.WithContext(ctx)
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := &transportService401{status: 401, challenge: []string{transportChallenge}}
			source, issuer := transportSource(t, transportKey)
			transport, err := source.Transport(service)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			request := tt.request(transportRequest(t, "POST", transportService, strings.NewReader("payload")), issuer)
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != 401 || len(service.tokens) != 1 || source.Stats().Retries != 0 || response.Request != request {
				t.Errorf("status %d, sent %q, %d retries", response.StatusCode, service.tokens, source.Stats().Retries)
			}
			transportIntact(t, response, true)
			_, _ = source.Token(t.Context())
			if got := int(issuer.calls.Load()); got != tt.fetches {
				t.Errorf("%d tokens fetched, want %d", got, tt.fetches)
			}
		})
	}
}

// A context that ends while the first attempt is under way ends it all, even if there is another
// token already.
func TestTransportDoesNotRetryWhenTheContextHasEnded(t *testing.T) {
	source, issuer := transportSource(t, transportKey)
	service := &transportService401{status: 401, challenge: []string{transportChallenge}}
	ctx, cancel := context.WithCancel(t.Context())
	transport, err := source.Transport(transportFunc(func(r *http.Request) (*http.Response, error) {
		used, err := source.Token(t.Context())
		if err != nil || !source.Invalidate(used) {
			t.Errorf("token %v, error %v", used, err)
		}
		if another, err := source.Token(t.Context()); err != nil || another == used {
			t.Errorf("token %v, error %v", another, err)
		}
		cancel()
		return service.RoundTrip(r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	request := transportRequest(t, "GET", transportService, nil).WithContext(ctx)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 401 || len(service.tokens) != 1 || issuer.calls.Load() != 2 {
		t.Errorf("status %d, sent %q, %d tokens fetched", response.StatusCode, service.tokens, issuer.calls.Load())
	}
	transportIntact(t, response, true)
}

// A request without a body can be sent again as it is, however it says that there is none.
func TestTransportRetriesWithoutABody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}}
		transport, _ := transportOver(t, service)
		request := transportRequest(t, "GET", transportService, nil)
		request.Body, request.GetBody = body, nil
		if reply, err := transportSend(t, transport, request); err != nil || reply.status != 200 || len(service.tokens) != 2 {
			t.Errorf("body %v: answer %v, error %v, sent %q", body, reply, err, service.tokens)
		}
	}
}

// The second answer is the answer, whatever it is.
func TestTransportRetriesOnce(t *testing.T) {
	service := &transportService401{status: 401, challenge: []string{transportChallenge}, always: true}
	transport, _ := transportOver(t, service)
	reply, err := transportGet(t, transport)
	if err != nil || reply.status != 401 || len(service.tokens) != 2 {
		t.Errorf("answer %v, error %v, sent %q", reply, err, service.tokens)
	}

	broken := errors.New("broken")
	sent := 0
	transport, _ = transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		if sent++; sent == 1 {
			return service.RoundTrip(r)
		}
		return nil, broken
	}))
	if reply, err := transportGet(t, transport); reply.status != 0 || err != broken || sent != 2 {
		t.Errorf("answer %v, error %v, sent %d times", reply, err, sent)
	}
}

// A server that refuses whatever it gets costs one renewal in 30 seconds, and no request is sent
// more than twice.
func TestTransportWithAServerThatRefusesAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}, always: true}
		transport, issuer := transportOver(t, service)
		const requests, apart = 100, time.Second
		for range requests {
			if reply, err := transportGet(t, transport); err != nil || reply.status != 401 {
				t.Fatalf("answer %v, error %v", reply, err)
			}
			<-time.After(max(1, apart))
		}
		const most = 1 + (requests+29)/30 // the first, and a renewal in each 30 s that have begun
		if got := issuer.calls.Load(); got < 2 || got > most {
			t.Errorf("%d tokens fetched, want at most %d", got, most)
		}
		if got := len(service.tokens); got > requests+most-1 {
			t.Errorf("%d requests were sent %d times", requests, got)
		}
	})
}

// When a token is withdrawn while many requests use it, one fetch repairs all of them.
func TestTransportRetriesAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}}
		const requests = 50
		var arrived sync.WaitGroup
		arrived.Add(requests)
		transport, issuer := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.Header.Get("Authorization"), "-1") {
				arrived.Done()
				arrived.Wait()
			}
			return service.RoundTrip(r)
		}))
		var senders sync.WaitGroup
		for range requests {
			senders.Go(func() {
				if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
					t.Errorf("answer %v, error %v", reply, err)
				}
			})
		}
		senders.Wait()
		if got := issuer.calls.Load(); got != 2 {
			t.Errorf("%d tokens fetched, want 2", got)
		}
	})
}

// transportHangingBody gives what it has, and then nothing until it is closed.
type transportHangingBody struct {
	pause      time.Duration // 0: it gives nothing at all
	closed     chan struct{}
	left, done atomic.Bool // no read is under way; Close has returned
}

const transportCloses = time.Millisecond // how long that takes

func (b *transportHangingBody) Read(p []byte) (int, error) {
	b.left.Store(false)
	defer b.left.Store(true)
	var drip <-chan time.Time
	if b.pause > 0 {
		drip = time.After(max(1, b.pause))
	}
	select {
	case <-drip:
		p[0] = 'x'
		return 1, nil
	case <-b.closed:
		return 0, errors.New("closed")
	}
}

func (b *transportHangingBody) Close() error {
	close(b.closed)
	<-time.After(transportCloses)
	b.done.Store(true)
	return nil
}

// An answer whose body does not come, or drips, does not hold up the next attempt for long, and
// nothing goes on reading it.
func TestTransportDoesNotWaitForTheRefusalsBody(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			hanging := &transportHangingBody{pause: pause, closed: make(chan struct{})}
			sent := 0
			transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
				if sent++; sent > 1 {
					return transportAnswer(r, http.StatusOK), nil
				}
				answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
				answer.Body = hanging
				return answer, nil
			}))
			began := time.Now()
			reply, err := transportGet(t, transport)
			if err != nil || reply.status != 200 {
				t.Fatalf("answer %v, error %v", reply, err)
			}
			if took := time.Since(began); took != transportDrainTime {
				t.Errorf("it took %s", took)
			}
			<-time.After(2 * transportCloses)
			if !hanging.left.Load() || !hanging.done.Load() {
				t.Error("the body is still being read, or closed")
			}
		})
	}
}

// A body of another RoundTripper than net/http's may be stuck whatever is done to it. That is no
// reason to be stuck with it.
func TestTransportLeavesABodyThatIsStuck(t *testing.T) {
	for name, body := range map[string]func(stuck <-chan struct{}) io.ReadCloser{
		"Close does not end Read": func(stuck <-chan struct{}) io.ReadCloser { return io.NopCloser(transportStuck{stuck}) },
		"Close waits as well":     func(stuck <-chan struct{}) io.ReadCloser { return transportStuck{stuck} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck := make(chan struct{})
				defer close(stuck)
				sent := 0
				transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
					if sent++; sent > 1 {
						return transportAnswer(r, http.StatusOK), nil
					}
					answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
					answer.Body = body(stuck)
					return answer, nil
				}))
				done := make(chan transportReply, 1)
				began := time.Now()
				go func() {
					reply, _ := transportGet(t, transport)
					done <- reply
				}()
				select {
				case reply := <-done:
					if took := time.Since(began); reply.status != 200 || took != transportDrainTime {
						t.Errorf("status %d after %s", reply.status, took)
					}
				case <-time.After(time.Minute):
					t.Error("RoundTrip is stuck")
				}
			})
		})
	}
}

// transportStuck is a body that does nothing until it is let go.
type transportStuck struct{ stuck <-chan struct{} }

func (b transportStuck) Read([]byte) (int, error) {
	<-b.stuck
	return 0, io.EOF
}

func (b transportStuck) Close() error {
	<-b.stuck
	return nil
}

// Of a refusal's body so much is read that its connection can be used again, and no more.
func TestTransportReadsLittleOfTheRefusalsBody(t *testing.T) {
	for _, tt := range []struct{ size, read int }{
		{0, 0}, {transportDrain, transportDrain}, {transportDrain + 1, transportDrain + 1}, {1 << 20, transportDrain + 1},
	} {
		body := newTransportBody(strings.Repeat("x", tt.size))
		transport := transportOverRefusal(t, body)
		if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
			t.Fatalf("answer %v, error %v", reply, err)
		}
		if body.read != tt.read || body.closed.Load() != 1 {
			t.Errorf("of %d bytes %d were read, want %d; closed %d times", tt.size, body.read, tt.read, body.closed.Load())
		}
	}
	transport := transportOverRefusal(t, nil)
	if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
		t.Errorf("without a body: answer %v, error %v", reply, err)
	}
}

// Both attempts go over one connection when the refusal is short, as they are.
func TestTransportUsesTheConnectionAgain(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"a length": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "refused", http.StatusUnauthorized) },
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			for range 3 {
				_, _ = io.WriteString(w, "refused")
				w.(http.Flusher).Flush()
			}
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			server, connections := transportServer(t, refuse)
			transport, _ := transportOver(t, server.Client().Transport, tokens.WithOrigins(server.URL))
			request := transportRequest(t, "POST", server.URL, strings.NewReader("payload"))
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "payload" {
				t.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
			}
			if got := connections.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	}
}

// A server that wants to see the header first refuses it without the body, which goes out with the
// second attempt alone.
func TestTransportRetriesAfterExpect(t *testing.T) {
	server, _ := transportServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	base, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	base.ExpectContinueTimeout = time.Hour // the body waits for the server's word
	transport, _ := transportOver(t, base, tokens.WithOrigins(server.URL))
	request := transportRequest(t, "POST", server.URL, strings.NewReader("payload"))
	request.Header.Set("Expect", "100-continue")
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "payload" {
		t.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
	}
}

// A body that hangs with sockets ends with its connection; the second attempt has another.
func TestTransportLeavesAHangingServer(t *testing.T) {
	release := make(chan struct{})
	server, connections := transportServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusUnauthorized)
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	transport, _ := transportOver(t, server.Client().Transport, tokens.WithOrigins(server.URL))
	reply, err := transportSend(t, transport, transportRequest(t, "GET", server.URL, nil))
	if err != nil || reply.status != 200 || connections.Load() != 2 {
		t.Errorf("answer %v, error %v, %d connections", reply, err, connections.Load())
	}
}
