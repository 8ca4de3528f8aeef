package flight_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
)

var errWork = errors.New("the work failed")

func TestCallGivesItsResultToAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := flight.NewCall[int]()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if !c.Wait(t.Context(), time.Time{}) {
					t.Error("the wait ended before the call")
				}
				if n, err := c.Result(); n != 7 || !errors.Is(err, errWork) {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		if c.Finished() {
			t.Error("it has finished")
		}
		c.Finish(7, errWork)
		wg.Wait()
		if !c.Finished() {
			t.Error("it has not finished")
		}
	})
}

func TestWaitEndsWithTheCallersTimeOrContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := flight.NewCall[int]()
		began := time.Now()
		if c.Wait(t.Context(), began.Add(time.Second)) || time.Since(began) != time.Second {
			t.Errorf("it ended after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if c.Wait(ctx, time.Time{}) || time.Since(began) != time.Minute {
			t.Errorf("it ended after %v", time.Since(began))
		}
		c.Finish(7, nil)
		for range 100 { // although everything has ended
			if !c.Wait(ctx, began) {
				t.Fatal("a finished call does not count")
			}
		}
	})
}

func TestFinishedCallHasItsResult(t *testing.T) {
	c := flight.FinishedCall("result")
	if got, err := c.Result(); !c.Finished() || got != "result" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRecoverTurnsEveryEndIntoAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		work func() error
		want string
	}{
		"success": {func() error { return nil }, ""},
		"failure": {func() error { return errWork }, errWork.Error()},
		"panic":   {func() error { panic("a bug") }, "the work panicked: a bug"},
		"goexit":  {func() error { runtime.Goexit(); return nil }, "the work ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			got, calls := "", 0
			var wg sync.WaitGroup
			wg.Go(func() {
				flight.Recover("the work", tt.work, func(err error) {
					calls++
					if err != nil {
						got = err.Error()
					}
				})
			})
			wg.Wait()
			if got != tt.want || calls != 1 {
				t.Errorf("%q in %d calls, want %q", got, calls, tt.want)
			}
		})
	}
}

// blowingHandler is a log handler that does not return.
type blowingHandler struct {
	slog.Handler
	blow func()
}

func (blowingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h blowingHandler) Handle(context.Context, slog.Record) error { h.blow(); return nil }

func TestContainLogsAPanicWithoutItsValue(t *testing.T) {
	var log strings.Builder
	var got error
	flight.Contain(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "the work", func() error {
		panic("secret")
	}, func(err error) { got = err })
	if got == nil || got.Error() != "the work panicked" {
		t.Errorf("the error is %v", got)
	}
	if text := log.String(); !strings.Contains(text, `who="the work"`) ||
		!strings.Contains(text, "flight_test.go") || strings.Contains(text, "secret") {
		t.Errorf("the log is %q", text)
	}
}

func TestContainEndsWhateverTheLogHandlerDoes(t *testing.T) {
	for name, blow := range map[string]func(){
		"panic":  func() { panic("a log handler's bug") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			logger := slog.New(blowingHandler{slog.DiscardHandler, blow})
			var got error
			var wg sync.WaitGroup
			wg.Go(func() {
				flight.Contain(t.Context(), logger, "the work", func() error {
					panic("a bug")
				}, func(err error) { got = err })
			})
			wg.Wait()
			if got == nil || !strings.HasPrefix(got.Error(), "the work ") {
				t.Errorf("the error is %v", got)
			}
		})
	}
}

// nilError is an error whose methods panic when the pointer is nil.
type nilError struct{ err error }

func (e *nilError) Error() string { return e.err.Error() }
func (e *nilError) Unwrap() error { return e.err }

func TestContainCallsNoMethodOfAnError(t *testing.T) {
	ctx, logger := t.Context(), slog.New(slog.DiscardHandler)
	work := func() error { return (*nilError)(nil) }
	done := 0
	flight.Recover("the work", work, func(error) { done++ })
	flight.Contain(ctx, logger, "the work", work, func(error) { done++ })
	flight.Run(ctx, logger, "the work", work, func() {}, func(error, bool) { done++ })
	if done != 3 {
		t.Errorf("%d were done, want 3", done)
	}
}

func TestRunReleasesCallersWhenTheWorkIsLate(t *testing.T) {
	for name, tt := range map[string]struct {
		takes time.Duration
		late  bool
	}{
		"in time": {time.Second, false},
		"late":    {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began, lateAt := time.Now(), time.Duration(0)
				flight.Run(ctx, slog.New(slog.DiscardHandler), "the work", func() error {
					<-time.After(tt.takes)
					return errWork
				}, func() {
					lateAt = time.Since(began)
				}, func(err error, wasLate bool) {
					if wasLate != tt.late || !errors.Is(err, errWork) || time.Since(began) != tt.takes {
						t.Errorf("late %v, %v, after %v", wasLate, err, time.Since(began))
					}
				})
				if want := map[bool]time.Duration{true: time.Minute}[tt.late]; lateAt != want {
					t.Errorf("late was called at %v, want %v", lateAt, want)
				}
			})
		})
	}
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	b := flight.Backoff{First: 2 * time.Second, Max: time.Minute}
	for failures, want := range map[int]time.Duration{
		1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1 << 30: time.Minute,
	} {
		if got := b.Bound(failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
	if got := (flight.Backoff{First: time.Minute, Max: time.Second}).Bound(1); got != time.Second {
		t.Errorf("%v, want the maximum", got)
	}
}

func TestSleepEndsWithTheContextTheWakeOrTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !flight.Sleep(t.Context(), time.Hour, nil) || time.Since(began) != time.Hour {
			t.Errorf("it ended after %v", time.Since(began))
		}
		wake := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(wake) })
		began = time.Now()
		if !flight.Sleep(t.Context(), time.Hour, wake) || time.Since(began) != time.Second {
			t.Errorf("it woke after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if flight.Sleep(ctx, time.Hour, nil) || time.Since(began) != time.Minute {
			t.Errorf("it ended after %v", time.Since(began))
		}
	})
}
