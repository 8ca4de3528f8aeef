// Package storetest tests that a [session.Store] keeps what its comments promise, as testing/fstest
// does for file systems:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) session.Store { return newStore(t, newTable(t)) },
//			storetest.Shared(func(t *testing.T) (one, other session.Store) {
//				table := newTable(t)
//				return newStore(t, table), newStore(t, table)
//			}))
//	}
//
// A Store that [session.NewSealedStore] is to wrap is tested in that form as well.
//
// # What Run does not test
//
//   - That a record which was saved survives the end of the process, kill -9 or a power cut, and
//     that a lock ends with its process.
//   - Without [Bubble], that a lease of more than four seconds is not cut short, and that a record
//     does not vanish later.
//   - Without [Stalled], that a method returns when its context ends while the method waits for
//     something.
//   - That processes whose clocks differ lock each other out, that locks and records move to
//     another server when one fails, and that
//     nothing acknowledged is lost then.
//   - That an outage half way through is an error, and neither [session.ErrNotFound] nor
//     [session.ErrConflict]: the first makes a
//     session look logged out.
//   - That the records are unreadable for others, and that a Store is fast with more than some
//     dozens of them.
package storetest

import (
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens/session"
)

// Option changes what [Run] does.
type Option func(*suite)

// Shared runs every subtest a second time, with two Stores that share their records, as two
// processes have them: what one does, the other sees, and a lock of one keeps out the other. open
// returns them; as with [Run] they have no records yet. They must be two: what a Store keeps in its
// own memory is found by the other's not having it. Run fails without it, unless [Unshared] is
// given.
func Shared(open func(t *testing.T) (one, other session.Store)) Option {
	return func(s *suite) { s.shared = open }
}

// Unshared says that the Store is for one process alone, so that there is nothing to run with
// [Shared].
func Unshared() Option {
	return func(s *suite) { s.unshared = true }
}

// Stalled adds subtests with a Store that waits for something that does not come, such as a server
// that accepts connections and never answers: every method must return when its context ends. One
// that needs nothing may return before.
func Stalled(open func(t *testing.T) session.Store) Option {
	return func(s *suite) { s.stalled = open }
}

// Bubble runs every subtest in a bubble of package testing/synctest, where waiting takes no time.
// It is for a Store that waits for nothing but memory and time. There a lock is held for ten
// minutes where it is for four seconds otherwise, and a record is looked for after more than a
// year. A Store with files or sockets would be waited for without an end.
func Bubble() Option {
	return func(s *suite) { s.bubble = true }
}

// Run tests a Store. Each promise is a subtest, named after it; see above for what is not tested.
// It needs [Shared] or [Unshared].
//
// open returns a Store without records, another for each subtest. Cleaning up is for its t.Cleanup.
//
// Where something must not happen, such as that two have one lock, it is given a tenth of a second
// to happen, and where something must, half a minute. Without [Bubble] all of it takes some ten
// seconds, and with Shared twice as long.
func Run(t *testing.T, open func(t *testing.T) session.Store, opts ...Option) {
	t.Helper()
	s := newSuite(opts)
	if wrong := s.mistake(); wrong != "" {
		t.Error(wrong)
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
				if isOne(one, other) {
					t.Fatal("Shared returns one Store twice: open two")
				}
				c.run(&trial{TB: t, one: one, other: other, bubble: s.bubble})
			})
		})
	}
	if s.stalled == nil {
		return
	}
	for _, c := range stalledCases {
		t.Run("stalled: "+c.name, func(t *testing.T) {
			s.inBubble(t, func(t *testing.T) {
				store := s.stalled(t)
				c.run(&trial{TB: t, one: store, other: store, bubble: s.bubble})
			})
		})
	}
}

type suite struct {
	shared   func(t *testing.T) (one, other session.Store)
	unshared bool
	stalled  func(t *testing.T) session.Store
	bubble   bool
}

func newSuite(opts []Option) suite {
	var s suite
	for _, opt := range opts {
		opt(&s)
	}
	return s
}

// mistake is what is wrong with the options; "" for nothing.
func (s suite) mistake() string {
	switch {
	case s.shared == nil && !s.unshared:
		return "nothing tests what several processes share: give Shared, or Unshared for a Store of one process"
	case s.shared != nil && s.unshared:
		return "Shared and Unshared are both given: keep one"
	}
	return ""
}

// isOne reports whether two Stores are one.
func isOne(one, other session.Store) bool {
	return one != nil && reflect.TypeOf(one).Comparable() && one == other
}

func (s suite) inBubble(t *testing.T, run func(t *testing.T)) {
	if s.bubble {
		synctest.Test(t, run)
		return
	}
	run(t)
}
