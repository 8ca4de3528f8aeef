package bearertest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

type mountFunc = func(*bearer.Middleware, bearertest.App) http.Handler

// indexContext is a request on its way through a framework that keeps its chain as a list and an
// index, as Gin does.
type indexContext struct {
	w        http.ResponseWriter
	r        *http.Request
	handlers []func(*indexContext)
	index    int
}

// next calls what has not been called yet. A handler need not call it: the loop of the one before
// goes on.
func (c *indexContext) next() {
	for c.index++; c.index < len(c.handlers); c.index++ {
		c.handlers[c.index](c)
	}
}

func (c *indexContext) abort() { c.index = len(c.handlers) }

type indexGuard func(auth *bearer.Middleware, reqs []bearer.RouteOption) func(*indexContext)

// abortsAfterRefusal is what an adapter looks like whose author did not think of panics.
func abortsAfterRefusal(auth *bearer.Middleware, reqs []bearer.RouteOption) func(*indexContext) {
	return func(c *indexContext) {
		r, err := auth.Guard(reqs...).Authenticate(c.r)
		if err != nil {
			auth.Guard().WriteError(c.w, c.r, err)
			c.abort()
			return
		}
		c.r = r
	}
}

func abortsUnlessPassed(auth *bearer.Middleware, reqs []bearer.RouteOption) func(*indexContext) {
	return func(c *indexContext) {
		passed := false
		defer func() {
			if !passed {
				c.abort()
			}
		}()
		r, err := auth.Guard(reqs...).Authenticate(c.r)
		if err != nil {
			auth.Guard().WriteError(c.w, c.r, err)
			return
		}
		c.r, passed = r, true
	}
}

func indexMount(guard indexGuard) mountFunc {
	return func(auth *bearer.Middleware, app bearertest.App) http.Handler {
		handlers := []func(*indexContext){
			func(c *indexContext) { app.Recover(c.w, c.next) },
			func(c *indexContext) {
				if app.Before(c.w, c.r) {
					c.abort()
				}
			},
		}
		if app.Group != nil {
			handlers = append(handlers, guard(auth, app.Group))
		}
		handlers = append(handlers, guard(auth, app.Route), func(c *indexContext) { app.After(c.r) }, func(c *indexContext) {
			claims, ok := bearer.FromContext(c.r.Context())
			if err := app.Handler(claims, ok, c.w, c.r); err != nil {
				app.OnError(err)
			}
		})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if app.Parameter != "" {
				r.SetPathValue(app.Parameter, strings.TrimPrefix(r.URL.Path, app.Path+"/"))
			}
			(&indexContext{w: w, r: r, handlers: handlers, index: -1}).next()
		})
	}
}

// panicCases are the names of the subtests in which the guard panics.
func panicCases() []string {
	return slices.DeleteFunc(bearertest.AdapterCases(), func(name string) bool { return !strings.Contains(name, "lets nothing run") })
}

func TestAdapterPassesAnIndexBasedChain(t *testing.T) {
	bearertest.TestAdapter(t, indexMount(abortsUnlessPassed))
}

// A chain that goes on after a panic is seen by the cases made for it, and by no other: without a
// panic it is sound.
func TestAdapterFailsAnIndexBasedChainByItsPanicsAlone(t *testing.T) {
	failures := bearertest.AdapterFailures(t, indexMount(abortsAfterRefusal))
	for _, name := range panicCases() {
		if text := strings.Join(failures[name], "\n"); !strings.Contains(text, `"handler"`) {
			t.Errorf("%q does not say that the handler ran: %q", name, text)
		}
		delete(failures, name)
	}
	if len(failures) > 0 {
		t.Errorf("other subtests failed too: %q", failures)
	}
}
