// Package storetest tests that a [tokens.Store] keeps what its comments promise, as testing/fstest does for file systems:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) tokens.Store { return newStore(t) })
//	}
//
// A Store that [tokens.Sealed] is to wrap is tested in that form as well.
package storetest

import (
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
)

// Option changes what [Run] does.
type Option func(*suite)

// Shared runs every subtest a second time, with two Stores that share their records, as two processes have them: what one does, the
// other sees. open returns them; as with [Run] they have no records yet.
func Shared(open func(t *testing.T) (one, other tokens.Store)) Option {
	return func(s *suite) { s.shared = open }
}

// Bubble runs every subtest in a bubble of package testing/synctest, where waiting takes no time. It is for a Store that waits
// for nothing but memory and time, and holds a lock for ten minutes where it is two seconds otherwise; one with files or sockets would be waited for without an end.
func Bubble() Option {
	return func(s *suite) { s.bubble = true }
}

// Run tests a Store. Each promise is a subtest, named after it.
//
// open returns a Store without records, anew for each subtest. Cleaning up is for its t.Cleanup.
//
// Where something must not happen, such as that two have one lock, it is given a tenth of a second to happen, and where something
// must, half a minute. Without [Bubble] all of it takes a few seconds.
func Run(t *testing.T, open func(t *testing.T) tokens.Store, opts ...Option) {
	t.Helper()
	s := suite{}
	for _, opt := range opts {
		opt(&s)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.inBubble(t, func(t *testing.T) {
				store := open(t)
				c.run(&trial{TB: t, one: store, other: store, bubble: s.bubble})
			})
		})
		if s.shared == nil {
			continue
		}
		t.Run("shared: "+c.name, func(t *testing.T) {
			s.inBubble(t, func(t *testing.T) {
				one, other := s.shared(t)
				c.run(&trial{TB: t, one: one, other: other, bubble: s.bubble})
			})
		})
	}
}

type suite struct {
	shared func(t *testing.T) (one, other tokens.Store)
	bubble bool
}

func (s suite) inBubble(t *testing.T, run func(t *testing.T)) {
	if s.bubble {
		synctest.Test(t, run)
		return
	}
	run(t)
}
