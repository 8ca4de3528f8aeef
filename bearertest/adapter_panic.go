package bearertest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/bearer-go/bearer"
)

// A framework that keeps its chain as a list and an index calls the next handler when a middleware
// returns. A recovery is such a middleware: after a panic of the guard it returns normally, and
// what is called next is the protected handler, unless the adapter ended the chain on the way out.

// panicPlace is a function of the application that the guard calls.
type panicPlace struct {
	name  string
	token func(p *probe) []string // the Authorization header with which the guard comes there
	app   func(blow func()) App
	opts  func(blow func()) []bearer.Option
	logs  bool // it is the log handler, which every probe has
}

// demandingApp is an App whose guard demands a scope.
func demandingApp(func()) App { return App{Route: []bearer.RouteOption{bearer.Scopes(adapterScope)}} }

func noOptions(func()) []bearer.Option { return nil }

func withoutToken(*probe) []string { return nil }

var panicPlaces = []panicPlace{
	{
		name:  "a Func",
		token: func(p *probe) []string { return []string{p.bearer()} }, // which lacks the scope
		app: func(blow func()) App {
			return App{Route: []bearer.RouteOption{
				bearer.Func("tenant", func(*http.Request, *bearer.Claims) error {
					blow()
					return nil
				}),
				bearer.Scopes(adapterScope),
			}}
		},
		opts: noOptions,
	},
	{
		name:  "the error handler",
		token: withoutToken,
		app:   demandingApp,
		opts: func(blow func()) []bearer.Option {
			return []bearer.Option{bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err *bearer.Error) {
				blow()
				_, _ = io.WriteString(w, err.Error())
			})}
		},
	},
	{
		name:  "the observer",
		token: withoutToken,
		app:   demandingApp,
		opts: func(blow func()) []bearer.Option {
			return []bearer.Option{bearer.WithObserver(func(context.Context, bearer.Event) { blow() })}
		},
	},
	{
		name:  "the observer of a good token",
		token: func(p *probe) []string { return []string{p.bearer(Claims{"scope": adapterScope})} },
		app:   demandingApp,
		opts: func(blow func()) []bearer.Option {
			return []bearer.Option{bearer.WithObserver(func(context.Context, bearer.Event) { blow() })}
		},
	},
	{
		name:  "the log handler",
		token: withoutToken,
		app:   demandingApp,
		opts:  noOptions,
		logs:  true,
	},
}

// panicWays are the ways in which a function does not return.
var panicWays = []struct {
	name string
	blow func()
}{
	{"a panic", func() { panic(errors.New("a bug")) }},
	{"a panic with http.ErrAbortHandler", func() { panic(http.ErrAbortHandler) }},
	{"runtime.Goexit", runtime.Goexit},
}

// recoveries are what applications put around their handlers.
var recoveries = []struct {
	name    string
	recover func(w http.ResponseWriter, next func())
}{
	{"a recovery that swallows it", func(_ http.ResponseWriter, next func()) {
		defer func() { _ = recover() }()
		next()
	}},
	{"a recovery that answers 500", func(w http.ResponseWriter, next func()) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next()
	}},
}

func panicCases() (cases []adapterCase) {
	for _, place := range panicPlaces {
		for _, recovery := range recoveries {
			cases = append(cases, adapterCase{
				"a panic of " + place.name + " lets nothing run behind " + recovery.name,
				func(tb testing.TB, mount mountFunc) {
					tb.Helper()
					place.isSafe(tb, mount, recovery.recover)
				},
			})
		}
	}
	return cases
}

// isSafe panics in the place, once by the route's guard and once by the group's, and looks at what
// runs then and afterwards.
func (place panicPlace) isSafe(tb testing.TB, mount mountFunc, recovers func(http.ResponseWriter, func())) {
	tb.Helper()
	for _, way := range panicWays {
		for _, guard := range []string{"the route's guard", "the group's guard"} {
			name := way.name + " in " + guard
			var armed atomic.Bool
			blow := func() {
				if armed.Load() {
					way.blow()
				}
			}
			app := place.app(blow)
			app.Recover = recovers
			if guard == "the group's guard" {
				app.Group, app.Route = app.Route, nil
			}
			p := newProbe(tb, mount, app, place.opts(blow)...)
			if place.logs {
				p.logs = blow
			}
			armed.Store(true)
			v := p.do(http.MethodGet, place.token(p)...)
			if v.recovers != 1 {
				tb.Fatalf("App.Recover was called %d times, want once: the mount must install it as the outermost middleware", v.recovers)
			}
			v.ended(tb, name)

			armed.Store(false) // What follows is as if nothing had happened.
			p.do(http.MethodGet).ended(tb, "after "+name+", no token")
			p.do(http.MethodGet, p.bearer()).ended(tb, "after "+name+", a token without the scope")
			p.do(http.MethodGet, p.bearer(Claims{"scope": adapterScope})).passed(tb, "after "+name+", a good token")
		}
	}
}

func handlerPanic(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const want = "the handler's panic"
	p := newProbe(tb, mount, App{
		Handler: func(*bearer.Claims, bool, http.ResponseWriter, *http.Request) error { panic(want) },
	})
	if v := p.do(http.MethodGet, p.bearer()); v.panicked != want {
		tb.Errorf("the panic that comes out is %v, want the handler's own; whether to recover is the application's choice", v.panicked)
	}
}
