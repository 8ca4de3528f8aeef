package tokens

import "time"

// ForwardWall makes the wall clock, and it alone, say that a token is over.
func ForwardWall(t *Token) { t.dueWall, t.overWall = time.Now().Round(0), time.Now().Round(0) }

// ForwardMonotonic makes the monotonic clock, and it alone, say that a token is over.
func ForwardMonotonic(t *Token) { t.due, t.over = time.Now(), time.Now() }

// HasMonotonic reports whether the monotonic clock can end a token.
func HasMonotonic(t *Token) bool { return t.over != t.over.Round(0) }
