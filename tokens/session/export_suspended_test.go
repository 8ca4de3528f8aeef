package session

import (
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// SetWall sets the wall clock that a Fetcher of RefreshToken compares with the monotonic
// one.
func SetWall(f tokens.Fetcher, wall func() time.Time) { f.(*refresher).wall = wall }
