package bearertest

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
)

// refusal is one way to be refused by a guard that demands the scope orders:read, and what the
// client receives (RFC 6750 section 3).
type refusal struct {
	name          string
	authorization func(*Issuer) []string // the lines of the Authorization header
	down          bool                   // the issuer is
	status        int
	code          string
	challenge     []string // what stands in WWW-Authenticate; nil: no such header
}

const adapterScope = "orders:read"

var refusals = []refusal{
	{
		name:          "no token is 401 with a bare challenge",
		authorization: func(*Issuer) []string { return nil },
		status:        401, code: "missing_token", challenge: []string{`Bearer scope="orders:read"`},
	},
	{
		name: "a bad token is 401",
		authorization: func(i *Issuer) []string {
			return []string{"Bearer " + i.Token(Claims{"scope": adapterScope, "exp": time.Now().Add(-time.Hour)})}
		},
		status: 401, code: "token_expired", challenge: []string{`error="invalid_token"`},
	},
	{
		name:          "a token without the scope is 403 and the challenge names it",
		authorization: func(i *Issuer) []string { return []string{"Bearer " + i.Token()} },
		status:        403, code: "insufficient_scope",
		challenge: []string{`error="insufficient_scope"`, `scope="orders:read"`},
	},
	{
		name: "two Authorization headers are 400",
		authorization: func(i *Issuer) []string {
			good := "Bearer " + i.Token(Claims{"scope": adapterScope})
			return []string{good, good}
		},
		status: 400, code: "multiple_tokens", challenge: []string{`error="invalid_request"`},
	},
	{
		name: "an issuer that is down is 503 with Retry-After",
		authorization: func(i *Issuer) []string {
			return []string{"Bearer " + i.Token(Claims{"scope": adapterScope})}
		},
		down: true, status: 503, code: "keys_unavailable",
	},
}

// provoke has the request refused by a route's guard and by a group's, and hands each answer on.
func (r refusal) provoke(tb testing.TB, mount mountFunc, check func(guard string, v *visit), opts ...bearer.Option) {
	tb.Helper()
	demand := []bearer.RouteOption{bearer.Scopes(adapterScope)}
	for _, by := range []struct {
		guard string
		app   App
	}{{"the route's guard", App{Route: demand}}, {"the group's guard", App{Group: demand}}} {
		p := newProbe(tb, mount, by.app, opts...)
		if r.down {
			p.issuer.SetFault(Down)
		}
		v := p.do(http.MethodGet, r.authorization(p.issuer)...)
		if v.panicked != nil {
			tb.Fatalf("%s, by %s: panic: %v", r.name, by.guard, v.panicked)
		}
		check(by.guard, v)
	}
}

func (r refusal) isAnswered(tb testing.TB, mount mountFunc) {
	tb.Helper()
	r.provoke(tb, mount, func(guard string, v *visit) {
		if got := v.status(); got != r.status {
			tb.Errorf("%s: status %d, want %d", guard, got, r.status)
		}
		challenges := v.header()["Www-Authenticate"]
		switch {
		case r.challenge == nil && len(challenges) > 0:
			tb.Errorf("%s: WWW-Authenticate is %q, want none: the client's token is not at fault", guard, challenges)
		case r.challenge != nil && len(challenges) != 1:
			tb.Errorf("%s: WWW-Authenticate is %q, want one challenge", guard, challenges)
		}
		for _, part := range r.challenge {
			if got := v.header().Get("WWW-Authenticate"); !strings.Contains(got, part) {
				tb.Errorf("%s: WWW-Authenticate is %q, want %s in it", guard, got, part)
			}
		}
		seconds, err := strconv.Atoi(v.header().Get("Retry-After"))
		if r.status == http.StatusServiceUnavailable && (err != nil || seconds < 1) {
			tb.Errorf("%s: Retry-After is %q, want seconds", guard, v.header().Get("Retry-After"))
		}
	})
}

func refusalEndsTheChain(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			v.ended(tb, r.name+", by "+guard)
		})
	}
}

func refusalIsWrittenOnce(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			var document json.RawMessage
			if err := json.Unmarshal(v.body(), &document); v.heads != 1 || err != nil {
				tb.Errorf("%s, by %s: WriteHeader was called %d times and the body is %q (%v), want one call and one JSON document",
					r.name, guard, v.heads, v.body(), err)
			}
		})
	}
}

func refusalHasProblemBody(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			if got := v.header().Get("Cache-Control"); got != "no-store" {
				tb.Errorf("%s, by %s: Cache-Control is %q, want no-store", r.name, guard, got)
			}
			if got := v.header().Get("Content-Type"); got != "application/problem+json" {
				tb.Errorf("%s, by %s: Content-Type is %q, want application/problem+json", r.name, guard, got)
			}
			var problem struct {
				Status int
				Code   string
			}
			if err := json.Unmarshal(v.body(), &problem); err != nil || problem.Status != r.status || problem.Code != r.code {
				tb.Errorf("%s, by %s: the body is %q, want status %d and code %s", r.name, guard, v.body(), r.status, r.code)
			}
		})
	}
}

// errorHandlerAnswers finds adapters that write refusals themselves and not with WriteError.
func errorHandlerAnswers(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const page = "<h1>Sign in</h1>"
	opt := bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			if v.status() != r.status || v.header().Get("Content-Type") != "text/html" || string(v.body()) != page {
				tb.Errorf("%s, by %s: status %d, Content-Type %q and body %q, want %d, text/html and %q",
					r.name, guard, v.status(), v.header().Get("Content-Type"), v.body(), r.status, page)
			}
		}, opt)
	}
}
