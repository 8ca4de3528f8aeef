package session

import (
	"slices"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens"
)

const (
	defaultMaxSessions = 4096
	defaultIdleTime    = 30 * time.Minute
)

// A SessionsOption changes what [Sessions] does. Each may be given once.
type SessionsOption func(*sessionsConfig)

// sessionsConfig is what the options say, and what is wrong with it.
type sessionsConfig struct {
	optional.Mistakes

	max     optional.Value[int]
	idle    optional.Value[time.Duration]
	options optional.Value[[]tokens.ManagerOption]
}

// WithMaxSessions sets how many sessions are remembered, 4096 by default. One takes about 3 KiB,
// and more for each key that it has tokens for. It is at least 1. Choose it for the users that are
// active within [WithIdleTime]: one more than that is turned away with [ErrTooManySessions].
func WithMaxSessions(n int) SessionsOption {
	return func(c *sessionsConfig) { c.max.Set(n) }
}

// WithIdleTime sets for how long a session must not have been used to be forgotten, 30 minutes by
// default. It is above zero; see [Sessions] for what use is. With less than the life of an access
// token, one that was used last just before is read from the Store again. It is no limit to how
// long a person stays logged in.
func WithIdleTime(d time.Duration) SessionsOption {
	return func(c *sessionsConfig) { c.idle.Set(d) }
}

// WithManagerOptions sets the options of the [tokens.Manager] that each session has, such as
// [tokens.WithLogger]. The default is none. Each session has [tokens.WithMaxKeys] keys of its own.
// An observer tells sessions apart by [tokens.Key].Subject.
func WithManagerOptions(opts ...tokens.ManagerOption) SessionsOption {
	opts = slices.Clone(opts)
	return func(c *sessionsConfig) { c.options.Set(opts) }
}

// judge collects what the options say, and judges it all.
func (c *sessionsConfig) judge(opts []SessionsOption) {
	optional.Apply(&c.Mistakes, "NewSessions", opts, c)
	optional.Once(&c.Mistakes, "WithMaxSessions", &c.max, strconv.Itoa)
	if n := c.max.Get(); c.max.Given() && n < 1 {
		c.Add("WithMaxSessions", strconv.Itoa(n), "give at least 1")
	}
	optional.Once(&c.Mistakes, "WithIdleTime", &c.idle, time.Duration.String)
	if d := c.idle.Get(); c.idle.Given() && d <= 0 {
		c.Add("WithIdleTime", d.String(), "give a time above zero")
	}
	optional.Once(&c.Mistakes, "WithManagerOptions", &c.options, nil)
	if c.options.Given() && len(c.options.Get()) == 0 {
		c.Add("WithManagerOptions", "", "the list is empty; name an option, or leave this one out")
	}
}
