package jwks

import (
	"time"
	"unsafe" //nolint:depguard // nothing else sets one clock of a Time alone; see Asleep
)

// Elapsed is how ages are measured.
var Elapsed = elapsed

// A Sleeper makes a set's moments older, as if time had passed. It is for what testing/synctest
// cannot show: in its bubble there is no monotonic clock.
type Sleeper struct {
	set    *Set
	remote *remote
}

// NewSleeper makes a set as New does, and its Sleeper.
func NewSleeper(source Source, defaults ...Option) (*Set, *Sleeper, error) {
	var s Sleeper
	open := source.open
	source.open = func(c *config) opened {
		o := open(c)
		s.remote, _ = o.fetcher.(*remote)
		return o
	}
	set, err := New(source, defaults...)
	s.set = set
	return set, &s, err
}

// Pass lets time pass by both clocks. A fetch that is under way, here or in Sleep, waits for its
// answer.
func (s *Sleeper) Pass(d time.Duration) {
	s.change(func(moment time.Time) time.Time { return moment.Add(-d) })
}

// Sleep lets time pass by the wall clock alone, as while the machine sleeps. A negative time sets
// the wall clock back.
func (s *Sleeper) Sleep(d time.Duration) {
	s.change(func(moment time.Time) time.Time { return Asleep(moment, -d) })
}

func (s *Sleeper) change(older func(time.Time) time.Time) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if snap := s.set.current.Load(); snap != nil {
		changed := *snap
		changed.loaded = older(changed.loaded)
		s.set.current.Store(&changed)
	}
	for _, moment := range []*time.Time{
		&s.set.failures.at, &s.set.unknown.searches.full, &s.remote.located, &s.remote.reread, &s.remote.last.at,
	} {
		*moment = older(*moment)
	}
	if f := s.set.fetch; f != nil {
		f.began = older(f.began)
	}
	for id, m := range s.set.unknown.missing {
		s.set.unknown.missing[id] = miss{older(m.asked), m.pause}
	}
}

// Asleep is what time.Now returns after the machine slept from a moment on. Nothing in package time
// sets one of the two clocks alone, so it changes how a Time with both is stored: the seconds of
// the wall clock stand in 33 bits, above 30 bits of nanoseconds. A Time without the monotonic clock
// stays as it is.
func Asleep(moment time.Time, d time.Duration) time.Time {
	const hasMonotonic = 1 << 63
	stored := (*struct{ wall uint64 })(unsafe.Pointer(&moment))
	if stored.wall&hasMonotonic != 0 {
		stored.wall += uint64(d/time.Second) << 30
	}
	return moment
}
