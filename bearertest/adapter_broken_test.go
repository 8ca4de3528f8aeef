package bearertest_test

import (
	"net/http"
	"sync/atomic"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// adapter is a mount for net/http in parts, so that a test can replace one.
type adapter struct {
	guard   func(auth *bearer.Middleware, next http.Handler, reqs []bearer.RouteOption) http.Handler
	grouped bool // a group's guard is installed
	claims  func(r *http.Request) (*bearer.Claims, bool)
	failed  func(app bearertest.App, err error) // gets what the handler returns
	outside func(app bearertest.App, next http.Handler) http.Handler
	inside  func(app bearertest.App, next http.Handler) http.Handler

	outermost func(app bearertest.App, next http.Handler) http.Handler
	routed    func(guarded http.Handler) http.Handler // between the router and the guards
}

// pattern is what http.ServeMux serves of an App.
func pattern(app bearertest.App) string {
	if app.Parameter == "" {
		return app.Path
	}
	return app.Path + "/{" + app.Parameter + "}"
}

func soundAdapter() adapter {
	return adapter{
		guard: func(auth *bearer.Middleware, next http.Handler, reqs []bearer.RouteOption) http.Handler {
			return auth.Handler(next, reqs...)
		},
		grouped: true,
		claims:  func(r *http.Request) (*bearer.Claims, bool) { return bearer.FromContext(r.Context()) },
		failed:  func(app bearertest.App, err error) { app.OnError(err) },
		outside: before,
		inside:  nothing,

		outermost: recovering,
		routed:    func(guarded http.Handler) http.Handler { return guarded },
	}
}

func before(app bearertest.App, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !app.Before(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

func recovering(app bearertest.App, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.Recover(w, func() { next.ServeHTTP(w, r) })
	})
}

func nothing(_ bearertest.App, next http.Handler) http.Handler { return next }

func (a adapter) mount(auth *bearer.Middleware, app bearertest.App) http.Handler {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.After(r)
		claims, ok := a.claims(r)
		if err := app.Handler(claims, ok, w, r); err != nil {
			a.failed(app, err)
		}
	})
	guarded := a.guard(auth, a.inside(app, handler), app.Route)
	if app.Group != nil && a.grouped {
		guarded = a.guard(auth, guarded, app.Group)
	}
	mux := http.NewServeMux()
	mux.Handle(pattern(app), a.routed(guarded))
	return a.outermost(app, a.outside(app, mux))
}

// guard is a guard of which one part is replaced: what happens to a request that is let through,
// and to one that is not.
func guard(
	pass func(w http.ResponseWriter, r, authenticated *http.Request, next http.Handler),
	refuse func(auth *bearer.Middleware, w http.ResponseWriter, r *http.Request, err error, next http.Handler),
) func(*adapter) {
	if pass == nil {
		pass = func(w http.ResponseWriter, _, authenticated *http.Request, next http.Handler) {
			next.ServeHTTP(w, authenticated)
		}
	}
	if refuse == nil {
		refuse = func(auth *bearer.Middleware, w http.ResponseWriter, r *http.Request, err error, _ http.Handler) {
			auth.Guard().WriteError(w, r, err)
		}
	}
	return func(a *adapter) {
		a.guard = func(auth *bearer.Middleware, next http.Handler, reqs []bearer.RouteOption) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				authenticated, err := auth.Guard(reqs...).Authenticate(r)
				if err != nil {
					refuse(auth, w, r, err, next)
					return
				}
				pass(w, r, authenticated, next)
			})
		}
	}
}

var brokenAdapters = []struct {
	name  string
	wreck func(*adapter)
	mount mountFunc // instead of a wrecked adapter for net/http
	fails []string  // the subtests that must notice
}{
	{
		name:  "an index-based chain goes on after a panic of the guard",
		mount: indexMount(abortsAfterRefusal),
		fails: panicCases(),
	},
	{
		name:  "the App's Recover is not installed",
		wreck: func(a *adapter) { a.outermost = nothing },
		fails: panicCases(),
	},
	{
		name: "there is no guard",
		wreck: func(a *adapter) {
			a.guard = func(_ *bearer.Middleware, next http.Handler, _ []bearer.RouteOption) http.Handler { return next }
		},
		fails: []string{
			"no token is 401 with a bare challenge",
			"a bad token is 401",
			"a token without the scope is 403 and the challenge names it",
			"two Authorization headers are 400",
			"an issuer that is down is 503 with Retry-After",
			"nothing inside the guard runs after a refusal",
			"claims are in the accessor and in the request's context",
			"every method is guarded and served",
		},
	},
	{
		name: "the chain goes on after a refusal",
		wreck: guard(nil, func(auth *bearer.Middleware, w http.ResponseWriter, r *http.Request, err error, next http.Handler) {
			auth.Guard().WriteError(w, r, err)
			next.ServeHTTP(w, r)
		}),
		fails: []string{
			"nothing inside the guard runs after a refusal",
			"a refusal is written exactly once",
			"every method is guarded and served",
			"an optional route passes anonymous requests",
			"a group's guard and a route's guard verify once",
			"CORS outside the guard answers preflights and marks refusals",
		},
	},
	{
		name: "the request with the claims is forgotten",
		wreck: guard(func(w http.ResponseWriter, r, _ *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
		}, nil),
		fails: []string{
			"claims are in the accessor and in the request's context",
			"a group's guard and a route's guard verify once",
			"the handler gets the request that Authenticate returned",
			"parallel requests never mix claims",
		},
	},
	{
		name: "only the context of the request is taken",
		wreck: guard(func(w http.ResponseWriter, r, authenticated *http.Request, next http.Handler) {
			next.ServeHTTP(w, r.WithContext(authenticated.Context()))
		}, nil),
		fails: []string{"the handler gets the request that Authenticate returned"},
	},
	{
		name: "a refusal is written twice",
		wreck: guard(nil, func(auth *bearer.Middleware, w http.ResponseWriter, r *http.Request, err error, _ http.Handler) {
			auth.Guard().WriteError(w, r, err)
			auth.Guard().WriteError(w, r, err)
		}),
		fails: []string{"a refusal is written exactly once"},
	},
	{
		name: "a refusal is written without WriteError",
		wreck: guard(nil, func(_ *bearer.Middleware, w http.ResponseWriter, _ *http.Request, err error, _ http.Handler) {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}),
		fails: []string{
			"no token is 401 with a bare challenge",
			"a token without the scope is 403 and the challenge names it",
			"an issuer that is down is 503 with Retry-After",
			"a refusal has Cache-Control no-store and a problem+json body",
			"a body of WithErrorHandler is sent",
		},
	},
	{
		name: "the guard does not see the parameters of the path",
		wreck: func(a *adapter) {
			a.routed = func(guarded http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.SetPathValue("tenant", "")
					guarded.ServeHTTP(w, r)
				})
			}
		},
		fails: []string{"a Func sees the parameters of the path"},
	},
	{
		name: "OPTIONS is exempt",
		wreck: func(a *adapter) {
			a.guard = func(auth *bearer.Middleware, next http.Handler, reqs []bearer.RouteOption) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodOptions {
						next.ServeHTTP(w, r)
						return
					}
					auth.Handler(next, reqs...).ServeHTTP(w, r)
				})
			}
		},
		fails: []string{"every method is guarded and served"},
	},
	{
		name:  "the group has no guard",
		wreck: func(a *adapter) { a.grouped = false },
		fails: []string{
			"nothing inside the guard runs after a refusal",
			"a group's guard and a route's guard verify once",
		},
	},
	{
		name: "claims are kept beside the request",
		wreck: func(a *adapter) {
			var last atomic.Pointer[bearer.Claims]
			guard(func(w http.ResponseWriter, _, authenticated *http.Request, next http.Handler) {
				if claims, ok := bearer.FromContext(authenticated.Context()); ok {
					last.Store(claims)
				}
				next.ServeHTTP(w, authenticated)
			}, nil)(a)
			a.claims = func(*http.Request) (*bearer.Claims, bool) { return last.Load(), last.Load() != nil }
		},
		fails: []string{
			"parallel requests never mix claims",
			"an optional route passes anonymous requests",
		},
	},
	{
		name:  "the accessor has no claims",
		wreck: func(a *adapter) { a.claims = func(*http.Request) (*bearer.Claims, bool) { return nil, false } },
		fails: []string{"claims are in the accessor and in the request's context"},
	},
	{
		name:  "errors of the handler are swallowed",
		wreck: func(a *adapter) { a.failed = func(bearertest.App, error) {} },
		fails: []string{"an error of the handler reaches the framework's error handler"},
	},
	{
		name: "panics of the handler are swallowed",
		wreck: func(a *adapter) {
			a.inside = func(_ bearertest.App, next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { _ = recover() }()
					next.ServeHTTP(w, r)
				})
			}
		},
		fails: []string{"a panic of the handler passes through"},
	},
	{
		name:  "CORS is inside the guard",
		wreck: func(a *adapter) { a.outside, a.inside = nothing, before },
		fails: []string{"CORS outside the guard answers preflights and marks refusals"},
	},
}
