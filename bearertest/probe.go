package bearertest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/bearer-go/bearer"
)

const adapterPath = "/orders"

// probe is one mounted App. It notes what each request causes, one request at a time.
type probe struct {
	tb      testing.TB
	issuer  *Issuer
	handler http.Handler
	visit   *visit // the request under way
	logs    func() // called with each record that the guard logs, unless it is nil
}

// visit is what one request caused.
type visit struct {
	*recorder
	calls []string // the functions of App, in the order of their calls
	errs  []error  // what OnError was called with

	recovers int // calls of Recover
}

// newProbe mounts an App whose functions note their call and then do what the given App says, if
// anything.
func newProbe(tb testing.TB, mount mountFunc, app App, opts ...bearer.Option) *probe {
	tb.Helper()
	p := &probe{tb: tb, issuer: NewIssuer()}
	p.handler = mount(newAuth(tb, p.issuer, probeLog{slog.DiscardHandler, p}, opts...), App{
		Path:      adapterPath,
		Parameter: app.Parameter,

		Group: app.Group,
		Route: app.Route,
		Recover: func(w http.ResponseWriter, next func()) {
			p.visit.recovers++
			if app.Recover != nil {
				app.Recover(w, next)
				return
			}
			next()
		},
		Before: func(w http.ResponseWriter, r *http.Request) bool {
			p.note("before")
			return app.Before != nil && app.Before(w, r)
		},
		After: func(r *http.Request) {
			p.note("after")
			if app.After != nil {
				app.After(r)
			}
		},
		Handler: func(claims *bearer.Claims, ok bool, w http.ResponseWriter, r *http.Request) error {
			p.note("handler")
			if app.Handler != nil {
				return app.Handler(claims, ok, w, r)
			}
			return done(w)
		},
		OnError: func(err error) {
			p.note("error")
			p.visit.errs = append(p.visit.errs, err)
		},
	})
	return p
}

// probeLog is the log handler of a probe's guard.
type probeLog struct {
	slog.Handler
	p *probe
}

func (probeLog) Enabled(context.Context, slog.Level) bool { return true }

func (h probeLog) Handle(context.Context, slog.Record) error {
	if h.p.logs != nil {
		h.p.logs()
	}
	return nil
}

func newAuth(tb testing.TB, issuer *Issuer, log slog.Handler, opts ...bearer.Option) *bearer.Middleware {
	tb.Helper()
	auth, err := bearer.New(append([]bearer.Option{
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithLogger(slog.New(log)),
	}, opts...)...)
	if err != nil {
		tb.Fatalf("bearertest: %v", err)
	}
	tb.Cleanup(func() { _ = auth.Close() })
	return auth
}

func (p *probe) note(call string) { p.visit.calls = append(p.visit.calls, call) }

// bearer is an Authorization header with a good token.
func (p *probe) bearer(claims ...Claims) string { return "Bearer " + p.issuer.Token(claims...) }

// do sends a request with the given Authorization header lines.
func (p *probe) do(method string, authorization ...string) *visit {
	r := httptest.NewRequestWithContext(p.tb.Context(), method, adapterPath, nil)
	for _, line := range authorization {
		r.Header.Add("Authorization", line)
	}
	return p.serve(r)
}

func (p *probe) serve(r *http.Request) *visit {
	v := &visit{recorder: newRecorder()}
	p.visit = v
	v.exchange(p.handler, r)
	return v
}

// doneBody is the answer of the protected handler.
const doneBody = "done"

func done(w http.ResponseWriter) error {
	_, err := io.WriteString(w, doneBody)
	return err
}

// passed checks that the request went the whole way and was answered once.
func (v *visit) passed(tb testing.TB, name string) {
	tb.Helper()
	if v.panicked != nil {
		tb.Errorf("%s: panic: %v", name, v.panicked)
	}
	if !slices.Equal(v.calls, []string{"before", "after", "handler"}) {
		tb.Errorf("%s: the calls are %q, want before, after, handler, each once", name, v.calls)
	}
	if v.status() != http.StatusOK || v.heads != 1 || string(v.body()) != doneBody {
		tb.Errorf("%s: status %d, %d calls of WriteHeader and body %q, want 200, 1 and %q", name, v.status(), v.heads, v.body(), doneBody)
	}
}

// ended checks that the request never came past the guard. The framework's error handler may have
// been told why.
func (v *visit) ended(tb testing.TB, name string) {
	tb.Helper()
	if v.panicked != nil {
		tb.Errorf("%s: panic: %v", name, v.panicked)
	}
	if calls := slices.DeleteFunc(slices.Clone(v.calls), func(call string) bool { return call == "error" }); !slices.Equal(calls, []string{"before"}) {
		tb.Errorf("%s: the calls are %q, want before alone: nothing inside the guard may run", name, v.calls)
	}
	for _, err := range v.errs {
		if _, ok := errors.AsType[*bearer.Error](err); !ok {
			tb.Errorf("%s: the error handler was called with %v, want the refusal or nothing", name, err)
		}
	}
}

func newRecorder() *recorder { return &recorder{answer: httptest.NewRecorder()} }

// exchange has a handler answer a request, and recovers its panic. The goroutine is one of its own,
// as in a server, which the handler may end.
func (w *recorder) exchange(handler http.Handler, r *http.Request) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer func() { w.panicked = recover() }()
		handler.ServeHTTP(w, r)
	}()
}

// recorder is a response that shows what net/http would silently drop: a second header.
type recorder struct {
	answer   *httptest.ResponseRecorder
	heads    int // calls of WriteHeader, the implied one included
	panicked any // what came out of the handler
}

func (w *recorder) Header() http.Header { return w.answer.Header() }

func (w *recorder) WriteHeader(status int) {
	w.heads++
	w.answer.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.heads == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.answer.Write(b)
}

// Flush is what frameworks expect of every response.
func (w *recorder) Flush() {
	if w.heads == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.answer.Flush()
}

func (w *recorder) status() int         { return w.answer.Code }
func (w *recorder) body() []byte        { return w.answer.Body.Bytes() }
func (w *recorder) header() http.Header { return w.answer.Result().Header }
