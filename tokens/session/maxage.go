package session

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
)

// maxMaxAge is the longest max_age that can be asked for.
const maxMaxAge = 100 * 365 * 24 * time.Hour

// WithMaxAge asks the server to have the person prove who it is if that was longer ago than this
// (max_age, OpenID Connect Core section 3.1.2.1), in whole seconds; 0 asks for a new proof in any
// case. The login fails unless the ID token says that the server did so, which takes the scope
// "openid". The default is the server's.
func WithMaxAge(age time.Duration) LoginOption {
	return func(c *loginConfig) { c.maxAge.Set(age) }
}

// judgeMaxAge takes the age over if it can be sent and checked.
func (c *loginConfig) judgeMaxAge() {
	const option = "WithMaxAge"
	if !c.maxAge.Given() {
		return
	}
	optional.Once(&c.Mistakes, option, &c.maxAge, time.Duration.String)
	age := c.maxAge.Get()
	if age < 0 || age > maxMaxAge || age%time.Second != 0 {
		c.Add(option, age.String(), "give whole seconds, from 0 to 100 years")
	}
	if !asksForIDToken(c.scope.Get()) {
		c.Add(option, age.String(), "without an ID token it cannot be checked; add the scope openid")
	}
	c.extra.Set("max_age", strconv.FormatInt(int64(age/time.Second), 10))
}

// askedMaxAge returns the age, or nil if none was asked for.
func (c *loginConfig) askedMaxAge() *time.Duration {
	if !c.maxAge.Given() {
		return nil
	}
	return new(c.maxAge.Get())
}

// asksForIDToken reports whether a scope asks for an ID token (OpenID Connect Core section
// 3.1.2.1).
func asksForIDToken(scope string) bool { return slices.Contains(strings.Fields(scope), "openid") }
