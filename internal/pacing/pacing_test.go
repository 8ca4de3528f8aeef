package pacing_test

import (
	"testing"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
)

func TestPauseStaysWithinItsBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		failures int
		last     pacing.Failure
		min, max time.Duration
	}{
		"the first":                     {1, pacing.Failure{}, 1, 500 * time.Millisecond},
		"the fourth":                    {4, pacing.Failure{}, 1, 4 * time.Second},
		"the thousandth":                {1000, pacing.Failure{}, 1, 30 * time.Second},
		"after Retry-After":             {1, pacing.Failure{RetryAfter: 10 * time.Second}, 10*time.Second + 1, 30 * time.Second},
		"after a long Retry-After":      {1, pacing.Failure{RetryAfter: time.Hour}, 5*time.Minute + 1, 5*time.Minute + 30*time.Second},
		"after a negative Retry-After":  {1, pacing.Failure{RetryAfter: -time.Hour}, 1, 500 * time.Millisecond},
		"at the end of a pause":         {1, pacing.Failure{RetryAfter: 1, Pause: 12 * time.Second}, 2, 6*time.Second + 1},
		"at the end of a long pause":    {1, pacing.Failure{RetryAfter: 1, Pause: time.Hour}, 2, 10*time.Second + 1},
		"after a failure that stays":    {1, pacing.Failure{Permanent: true}, 30 * time.Second, 5 * time.Minute},
		"after many failures that stay": {99, pacing.Failure{Permanent: true, RetryAfter: time.Hour}, 30 * time.Second, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			shortest, longest := tt.max, time.Duration(0)
			for range 1000 {
				d := pacing.Pause(tt.failures, tt.last)
				shortest, longest = min(shortest, d), max(longest, d)
			}
			if shortest < tt.min || longest > tt.max {
				t.Errorf("between %v and %v, want %v to %v", shortest, longest, tt.min, tt.max)
			}
			if spread := tt.max - tt.min; longest-shortest < spread*9/10 {
				t.Errorf("a spread of %v, want most of %v", longest-shortest, spread)
			}
		})
	}
}

func TestAllowanceGivesABurstAndThenOneEachTenSeconds(t *testing.T) {
	var a pacing.Allowance
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func() (n int) {
		for a.Take(now) {
			n++
		}
		return n
	}
	if n := take(); n != 10 {
		t.Errorf("%d at first, want 10", n)
	}
	now = now.Add(9 * time.Second)
	if n := take(); n != 0 {
		t.Errorf("%d after 9 seconds, want 0", n)
	}
	now = now.Add(time.Second)
	if n := take(); n != 1 {
		t.Errorf("%d after 10 seconds, want 1", n)
	}
	now = now.Add(time.Hour)
	if n := take(); n != 10 {
		t.Errorf("%d after an hour, want 10", n)
	}
}
