package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// readyWait is how long a readiness probe waits for keys: less than the second after which Kubernetes gives up on a probe.
const readyWait = 500 * time.Millisecond

// Ready starts the first fetch of every issuer's keys that are not there yet, and waits within ctx until all are. It returns nil
// when requests can be served, be it from keys whose refresh is failing: an issuer's outage must not drain a fleet. Otherwise
// the error says which issuer's keys are missing and why.
func (m *Middleware) Ready(ctx context.Context) error {
	if m.closed.Load() {
		return refuse(ReasonClosed)
	}
	errs := make([]error, len(m.order))
	var wg sync.WaitGroup
	for i, iss := range m.order {
		if iss.keys != nil {
			wg.Go(func() {
				if err := iss.keys.Ready(ctx); err != nil {
					errs[i] = fmt.Errorf("bearer: issuer %q: %w", iss.name, err)
				}
			})
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ReadyHandler answers readiness probes: 200 when [Middleware.Ready] has nothing to complain about, and 503 with Retry-After
// otherwise, after half a second at most. A probe starts the first fetch of the keys, so that an instance which gets no traffic
// before it is ready becomes ready all the same. It stays ready while keys are stale.
//
//	mux.Handle("GET /readyz", auth.ReadyHandler())
//
// It is not for liveness: restarting a service does not mend its issuer. The answer names no issuer and needs no token. With several
// issuers it is ready when the keys of all are there; a service that shall start without one of them probes something else.
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
			m.WriteError(w, r, m.notReady(err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ready\n")
	})
}

// notReady is what a probe hears: the refusal that a request would.
func (m *core) notReady(err error) *Error {
	if m.closed.Load() {
		return refuse(ReasonClosed)
	}
	return keysUnavailable(err)
}

// KeyStats is what the key set of one issuer is doing; see [jwks.Stats].
type KeyStats struct {
	Issuer string // as given to WithIssuer
	jwks.Stats
}

// Stats returns what the key set of each issuer is doing now, in the order of the [WithIssuer] options. An issuer with an
// [HMACSecret] has no key set and is left out. It starts no fetch, and is fit for a dashboard or an alert, not for the public:
//
//	expvar.Publish("bearer", expvar.Func(func() any { return auth.Stats() }))
func (m *Middleware) Stats() []KeyStats {
	var all []KeyStats
	for _, iss := range m.order {
		if iss.keys != nil {
			all = append(all, KeyStats{iss.name, iss.keys.Stats()})
		}
	}
	return all
}
