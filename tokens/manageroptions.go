package tokens

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
)

const (
	defaultMaxKeys      = 4096
	defaultFetchTimeout = 15 * time.Second
)

// A ManagerOption changes what a [Manager] does. Each may be given once.
type ManagerOption func(*managerConfig)

// managerConfig is what the options say, and what is wrong with it.
type managerConfig struct {
	optional.Mistakes

	maxKeys optional.Value[int]
	timeout optional.Value[time.Duration]
	logger  optional.Value[*slog.Logger]
	observe optional.Value[func(context.Context, Event)]

	descriptions optional.Value[struct{}]
}

// WithMaxKeys sets how many keys a Manager remembers, 4096 by default. When there is one more, the
// Manager forgets the key that was neither asked for with [Manager.Source] nor fetched for the
// longest time. Nothing is lost but a token, which can be fetched again: refresh tokens are in a
// Store of package session. A caller that holds the [Source] of a forgotten key goes on using it,
// and [Manager.Source] returns that one as long as it is held.
//
// If the Fetcher needs tokens of the callers, each that they bring counts as a key, and so does the
// key itself.
func WithMaxKeys(n int) ManagerOption {
	return func(c *managerConfig) { c.maxKeys.Set(n) }
}

// WithFetchTimeout sets how long one [Fetcher.Fetch] may take, 15 seconds by default. Callers that
// wait for it wait no longer, and less if their own contexts say so.
//
// It bounds all that a fetch is made of: discovery where that is due, the lock of a Store, waiting
// for a turn ([oauth.WithMaxRequests]), the functions for secrets, signatures and assertions, and
// the HTTP request, which alone is given up after 10 seconds. It does not bound what follows the
// moment in which a refresh token was sent: the answer is waited for, and saved, and serves the
// next caller.
//
// [oauth.WithMaxRequests]:
// https://pkg.go.dev/github.com/bearer-go/bearer/tokens/oauth#WithMaxRequests
func WithFetchTimeout(d time.Duration) ManagerOption {
	return func(c *managerConfig) { c.timeout.Set(d) }
}

// WithLogger sets where the Manager logs, [slog.Default] by default: at Warn when no token could be
// obtained, once until there is one again, which is logged at Info; at Debug every fetch. That a
// person has to log in, [ErrLoginRequired], is logged at Info: it is a state, which comes to every
// session in the end. One of the two after the other is logged as well.
//
// A panic of the Fetcher, the observer or another part of the application is logged at Error, with
// the stack and without its value. One in discovery, in a certificate function, or in a Store in
// the background is logged by [slog.Default]. One of the log handler itself goes no further.
func WithLogger(l *slog.Logger) ManagerOption {
	return func(c *managerConfig) { c.logger.Set(l) }
}

// WithObserver sets a function that is told of every [Event], for metrics and traces. It is called
// by the goroutine that the event happens in, so it must be quick and safe for concurrent use. It
// must not close the Manager, which would wait for it. A panic of it is logged, and goes no
// further.
func WithObserver(observe func(context.Context, Event)) ManagerOption {
	return func(c *managerConfig) { c.observe.Set(observe) }
}

// WithErrorDescriptions adds the server's own text for an error, [Error].Description, to the log
// line of a failure, as the attribute "description". Microsoft Entra ID says there what is wrong,
// with a number such as AADSTS7000215.
//
// It is off by default, because the server chooses the text. A text that repeats a secret of the
// request is left out, but it may name a person, or hold something that is secret elsewhere. The
// text of the error itself stays without it.
func WithErrorDescriptions() ManagerOption {
	return func(c *managerConfig) { c.descriptions.Set(struct{}{}) }
}

// mistakes returns those of the options and those of the Fetcher, which was made without an error.
func (c *managerConfig) mistakes(fetcher Fetcher) error {
	errs := optional.Errors(c.All, asConfigError)
	if made, ok := fetcher.(optional.Reporter); ok {
		errs = append(errs, made.ConfigErrors()...)
	}
	return errors.Join(errs...)
}

// configureManager collects what the options say, and judges it all.
func configureManager(fetcher Fetcher, opts []ManagerOption) *managerConfig {
	c := new(managerConfig)
	if isNilFetcher(fetcher) {
		c.Add("NewManager", "nil", "the Fetcher is nil; give one, such as a grant of an oauth.Client")
	}
	optional.Apply(&c.Mistakes, "NewManager", opts, c)
	optional.Once(&c.Mistakes, "WithMaxKeys", &c.maxKeys, strconv.Itoa)
	if n := c.maxKeys.Get(); c.maxKeys.Given() && n < 1 {
		c.Add("WithMaxKeys", strconv.Itoa(n), "a Manager needs at least 1")
	}
	optional.Once(&c.Mistakes, "WithFetchTimeout", &c.timeout, time.Duration.String)
	if d := c.timeout.Get(); c.timeout.Given() && d <= 0 {
		c.Add("WithFetchTimeout", d.String(), "give a time above zero")
	}
	optional.Once(&c.Mistakes, "WithLogger", &c.logger, nil)
	if c.logger.Given() && c.logger.Get() == nil {
		c.Add("WithLogger", "nil", "give a logger; slog.New(slog.DiscardHandler) is silent")
	}
	optional.Once(&c.Mistakes, "WithObserver", &c.observe, nil)
	if c.observe.Given() && c.observe.Get() == nil {
		c.Add("WithObserver", "nil", "give a function, or leave the option out")
	}
	optional.Once(&c.Mistakes, "WithErrorDescriptions", &c.descriptions, nil)
	return c
}
