package bearertest

import (
	"net/http"
	"testing"

	"github.com/bearer-go/bearer"
)

// App is what [TestAdapter] asks an adapter's author to build with a framework: one path behind the
// adapter's guard, with a middleware outside the guard and one inside it. Every function in it is
// set.
type App struct {
	// Path is the path to serve, for every method. It has no parameters.
	Path string

	// Parameter names a parameter that is the segment behind Path, in the framework's way to write
	// it: with the Path "/orders" and the Parameter "tenant" the route is "/orders/{tenant}" of
	// [http.ServeMux], or "/orders/:tenant". "": the route is Path alone.
	Parameter string

	// Recover is the outermost middleware, where an application has one that recovers panics. It is
	// registered in the way that the framework has for middleware. It calls next once, which runs
	// the rest of the chain as the framework does, and may return normally after a panic in it.
	// Then the framework's middleware returns too, and does nothing else: it does not end the
	// chain. A wrapper around the framework's whole handler will not do, because it does not show
	// what the framework calls after a panic.
	Recover func(w http.ResponseWriter, next func())

	// Before is a middleware outside all guards, inside Recover, where one for CORS belongs. When
	// it returns true, the request is answered and nothing further runs; w and r are the
	// framework's own.
	Before func(w http.ResponseWriter, r *http.Request) (done bool)

	// Group holds the requirements of a guard on a group of routes that Path is in. nil: no guard
	// there. Empty but not nil: a guard that any token satisfies.
	Group []bearer.RouteOption

	// Route holds the requirements of the guard on the route itself, inside the group's. That guard is
	// always there; empty: any token satisfies it.
	Route []bearer.RouteOption

	// After is a middleware inside all guards, registered after them. It is called with the request as
	// a middleware sees it there, and what follows runs when it returns.
	After func(r *http.Request)

	// Handler is the protected handler. claims and ok are what the adapter's accessor gives in the
	// framework's handler; w and r are the response and the request as that handler has them. An error
	// goes where the framework's handlers put theirs: it is returned, or added to the framework's
	// context.
	Handler func(claims *bearer.Claims, ok bool, w http.ResponseWriter, r *http.Request) error

	// OnError is called with every error that reaches the framework's own error handler. It writes
	// nothing. An adapter may hand refusals to the framework as well, but no other error.
	OnError func(err error)
}

// TestAdapter tests an adapter that makes package bearer's guard a middleware of some framework.
// Each rule of an adapter is a subtest, named after the rule.
//
// mount builds an [App] with the framework and the adapter, and nothing else: in particular nothing
// that recovers panics but the App's Recover. It is called for each App. With net/http in place of
// a framework, all of it is:
//
//	func TestAdapter(t *testing.T) {
//		bearertest.TestAdapter(t, func(auth *bearer.Middleware, app bearertest.App) http.Handler {
//			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//				app.After(r)
//				claims, ok := bearer.FromContext(r.Context())
//				if err := app.Handler(claims, ok, w, r); err != nil {
//					app.OnError(err)
//				}
//			})
//			guarded := auth.Handler(handler, app.Route...)
//			if app.Group != nil {
//				guarded = auth.Handler(guarded, app.Group...)
//			}
//			pattern := app.Path
//			if app.Parameter != "" {
//				pattern += "/{" + app.Parameter + "}"
//			}
//			mux := http.NewServeMux()
//			mux.Handle(pattern, guarded)
//			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//				app.Recover(w, func() {
//					if !app.Before(w, r) {
//						mux.ServeHTTP(w, r)
//					}
//				})
//			})
//		})
//	}
func TestAdapter(t *testing.T, mount func(auth *bearer.Middleware, app App) http.Handler) {
	t.Helper()
	for _, c := range adapterCases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, mount) })
	}
}

type mountFunc = func(*bearer.Middleware, App) http.Handler

type adapterCase struct {
	name string
	run  func(tb testing.TB, mount mountFunc)
}

func adapterCases() []adapterCase {
	var cases []adapterCase
	for _, r := range refusals {
		cases = append(cases, adapterCase{r.name, r.isAnswered})
	}
	cases = append(cases, panicCases()...)
	return append(cases, []adapterCase{
		{"nothing inside the guard runs after a refusal", refusalEndsTheChain},
		{"a refusal is written exactly once", refusalIsWrittenOnce},
		{"a refusal has Cache-Control no-store and a problem+json body", refusalHasProblemBody},
		{"a body of WithErrorHandler is sent", errorHandlerAnswers},
		{"claims are in the accessor and in the request's context", claimsAreVisible},
		{"every method is guarded and served", everyMethod},
		{"an optional route passes anonymous requests", optionalRoute},
		{"a group's guard and a route's guard verify once", groupAndRoute},
		{"the handler gets the request that Authenticate returned", wholeRequest},
		{"a Func sees the parameters of the path", pathValues},
		{"parallel requests never mix claims", parallelRequests},
		{"an error of the handler reaches the framework's error handler", handlerError},
		{"a panic of the handler passes through", handlerPanic},
		{"CORS outside the guard answers preflights and marks refusals", corsOutside},
	}...)
}
