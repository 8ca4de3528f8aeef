package bearer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// readyWait is how long a readiness probe waits for keys: less than the second after which
// Kubernetes gives up on a probe.
const readyWait = 500 * time.Millisecond

// Ready starts the first fetch of every issuer's keys that are missing, and waits within ctx until
// all are there. It returns nil when requests can be served, even from keys whose refresh is
// failing: an issuer's outage must not drain a fleet. Otherwise the error says which issuer's keys
// are missing and why. It does not wait for the issuers of a [Registry].
func (m *Middleware) Ready(ctx context.Context) error {
	if m.core.closed.Load() {
		return refuse(ReasonClosed)
	}
	errs := make([]error, len(m.components))
	var wg sync.WaitGroup
	for i, c := range m.components {
		wg.Go(func() { errs[i] = c.ready(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ReadyHandler answers readiness probes: 200 when [Middleware.Ready] returns nil, and 503 with
// Retry-After otherwise, after half a second at most. A probe starts the first fetch of the keys,
// so that an instance which gets no traffic before it is ready becomes ready. It stays ready while
// keys are stale.
//
//	mux.Handle("GET /readyz", auth.ReadyHandler())
//
// It is not for liveness: restarting a service does not repair its issuer. The answer names no
// issuer and needs no token. With several issuers it is ready when the keys of all are there. A
// service that must start without one of them probes something else.
func (m *Middleware) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), readyWait)
		defer cancel()
		if err := m.Ready(ctx); err != nil {
			m.core.challenger.write(w, r, m.notReady(err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ready\n")
	})
}

// notReady is the refusal that a probe gets, which is the one that a request would get.
func (m *Middleware) notReady(err error) *Error {
	if m.core.closed.Load() {
		return refuse(ReasonClosed)
	}
	return keysUnavailable(err)
}

// Stats returns what the Middleware is doing now. It starts no fetch, and is fit for a dashboard or
// an alert, not for the public:
//
//	expvar.Publish("bearer", expvar.Func(func() any { return auth.Stats() }))
func (m *Middleware) Stats() (all Stats) {
	for _, c := range m.components {
		c.report(&all)
	}
	return all
}
