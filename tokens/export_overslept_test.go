package tokens

import "time"

// SetWall sets the wall clock that a Fetcher of Client.RefreshToken compares with the monotonic
// one.
func SetWall(f Fetcher, wall func() time.Time) { f.(*refresher).wall = wall }
