package tokens

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// A ManagerOption changes what a [Manager] does. Each may be given once.
type ManagerOption func(*managerConfig)

type managerConfig struct {
	m    *Manager
	seen map[string]bool
	errs []error
}

// once refuses an option that is given twice.
func (c *managerConfig) once(option string) {
	if c.seen[option] {
		c.addError("%s: given twice; keep one", option)
	}
	c.seen[option] = true
}

func (c *managerConfig) addError(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("tokens: "+format, args...))
}

// WithMaxKeys sets how many keys a Manager remembers, 4096 by default. When there is one more, the
// Manager forgets the key that was neither asked for with [Manager.Source] nor fetched for the
// longest time. Nothing is lost but a token, which can be fetched again: refresh tokens are in a
// Store of package session. A caller that holds the [Source] of a forgotten key goes on using it.
//
// If the Fetcher needs tokens of the callers, each that they bring counts as a key, and so does the
// key itself.
func WithMaxKeys(n int) ManagerOption {
	return func(c *managerConfig) {
		c.once("WithMaxKeys")
		if n < 1 {
			c.addError("WithMaxKeys(%d): a Manager needs at least 1", n)
			return
		}
		c.m.maxKeys = n
	}
}

// WithFetchTimeout sets how long one [Fetcher.Fetch] may take, 15 seconds by default. Those who
// wait for it wait no longer, and less if their own contexts say so.
func WithFetchTimeout(d time.Duration) ManagerOption {
	return func(c *managerConfig) {
		c.once("WithFetchTimeout")
		if d <= 0 {
			c.addError("WithFetchTimeout(%s): give a time above zero", d)
			return
		}
		c.m.timeout = d
	}
}

// WithLogger sets where the Manager logs, [slog.Default] by default: at Warn when there is no
// token, once until there is one again, which is logged at Info; at Debug every fetch.
//
// A panic of the Fetcher, the observer or another part of the application is logged at Error, with
// the stack and without its value. One in discovery, in a certificate function, or in a Store in
// the background is logged by [slog.Default]. One of the log handler itself goes no further.
func WithLogger(l *slog.Logger) ManagerOption {
	return func(c *managerConfig) {
		c.once("WithLogger")
		if l == nil {
			c.addError("WithLogger(nil): leave it out for slog.Default, or give slog.New(slog.DiscardHandler)")
			return
		}
		c.m.logger = l
	}
}

// WithObserver sets a function that is told of every [Event], for metrics and traces. It is called
// by the goroutine that the event happens in, so it must be quick and safe for concurrent use. It
// must not close the Manager, which would wait for it. A panic of it is logged, and goes no
// further.
func WithObserver(observe func(context.Context, Event)) ManagerOption {
	return func(c *managerConfig) {
		c.once("WithObserver")
		if observe == nil {
			c.addError("WithObserver(nil): leave it out")
			return
		}
		c.m.observe = observe
	}
}
