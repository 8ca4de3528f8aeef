package bearer

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/bearer-go/bearer/internal/optional"
)

// Middleware verifies bearer tokens. It is configured by [New], does not change afterwards, and is
// safe for concurrent use. The zero value cannot be used. It prints a fixed text, and a copy of
// what a *Middleware points to prints an address.
type Middleware struct{ *middlewareHandle }

// middlewareHandle is one more pointer, as that of [Claims] is.
type middlewareHandle struct{ *built }

// New returns a Middleware for the given issuers. It performs no I/O and starts no goroutine: keys
// are fetched on the first request that needs them, or by [Middleware.Ready]. When the
// configuration has mistakes it returns all of them at once, as [*ConfigError] values joined with
// [errors.Join].
func New(opts ...Option) (*Middleware, error) {
	c := new(config)
	for i, opt := range opts {
		if opt == nil {
			c.nils = append(c.nils, i+1)
			continue
		}
		opt(c)
	}
	m := &optional.Mistakes{}
	b := c.build(m)
	c.buildRegistry(m, b)
	if len(m.All) > 0 {
		b.close()
		return nil, configErrors(m.All)
	}
	return &Middleware{&middlewareHandle{b}}, nil
}

// Guard compiles the options of one route. It panics with every mistake in them.
func (m *Middleware) Guard(opts ...RouteOption) *Guard {
	g, err := m.NewGuard(opts...)
	if err != nil {
		panic(err.Error())
	}
	return g
}

// NewGuard is [Middleware.Guard] for options that come from a file or from users: it returns every
// mistake in them, as [*ConfigError] values joined with [errors.Join].
func (m *Middleware) NewGuard(opts ...RouteOption) (*Guard, error) { return m.core.newGuard(opts) }

// Handler is [Middleware.Guard] and [Guard.Handler] in one call.
func (m *Middleware) Handler(next http.Handler, opts ...RouteOption) http.Handler {
	return m.Guard(opts...).Handler(next)
}

// Require is [Middleware.Handler] in the form that routers such as chi take in their chains.
func (m *Middleware) Require(opts ...RouteOption) func(http.Handler) http.Handler {
	return m.Guard(opts...).Handler
}

// ResourceMetadata returns the path of the metadata document (RFC 9728 section 3), which is also a
// pattern for [http.ServeMux], and the handler that serves it, so that
//
//	mux.Handle(auth.ResourceMetadata())
//
// mounts it. The document is public: the handler must not be behind a guard. Without
// [WithResourceMetadata] the handler answers 404.
func (m *Middleware) ResourceMetadata() (pattern string, h http.Handler) {
	return m.metadata.path, &m.metadata
}

// Close ends every fetch and releases what the Middleware holds. Afterwards every request is
// answered with 503. It may be called more than once and always returns nil.
func (m *Middleware) Close() error {
	m.close()
	return nil
}

// String returns a fixed text, and "<nil>" for nil.
func (m *Middleware) String() string {
	if m == nil {
		return "<nil>"
	}
	return "bearer.Middleware{...}"
}

// Format writes the fixed text for every verb: a Middleware holds tokens, and may hold a secret.
func (m *Middleware) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue returns the fixed text.
func (m *Middleware) LogValue() slog.Value { return slog.StringValue(m.String()) }
