package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/expiry"
)

type subject struct {
	end time.Time
	on  string
}

var (
	errEnded  = errors.New("ended")
	errGone   = errors.New("gone")
	errUnsure = errors.New("unsure")
	errClosed = errors.New("closed")
)

// world is the rules of a test.
type world struct {
	mu     sync.Mutex
	gone   map[string]error   // of the dependencies that do not hold: nil, or that it cannot be told
	moved  map[string]subject // what takes the place of a subject, by its dependency
	looks  map[string]int
	pause  time.Duration
	during func() // a look
}

func newWorld() *world {
	return &world{gone: make(map[string]error), moved: make(map[string]subject), looks: make(map[string]int)}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (*world) End(s subject) time.Time     { return s.end }
func (*world) Ended(subject) error         { return errEnded }
func (*world) DependsOn(s subject) string  { return s.on }
func (w *world) Next(string) time.Duration { return w.pause }

func (w *world) Holds(_ context.Context, on string) (bool, error) {
	w.set(func() { w.looks[on]++ })
	if w.during != nil { // without the lock, since several looks may be under way
		w.during()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err, gone := w.gone[on]
	return !gone, err
}

func (w *world) Judge(_ context.Context, s subject) (subject, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if moved, ok := w.moved[s.on]; ok {
		return moved, nil
	}
	return s, errGone
}

func ended(ctx context.Context) error {
	synctest.Wait()
	return context.Cause(ctx)
}

// Each context ends at its time, in whatever order they came.
func TestContextsEndAtTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := expiry.New[subject, string](newWorld())
		began := time.Now()
		ends := make(map[context.Context]time.Duration)
		for _, i := range rand.Perm(200) {
			end := time.Duration(i%50+1) * time.Second
			ends[w.Watch(t.Context(), subject{began.Add(end), fmt.Sprint(i % 3)})] = end
		}
		endless := w.Watch(t.Context(), subject{on: "0"})
		for range 50 {
			<-time.After(time.Second - 1)
			for _, after := range []time.Duration{0, 1} {
				<-time.After(after)
				synctest.Wait()
				for ctx, end := range ends {
					if over := time.Since(began) >= end; over != (ctx.Err() != nil) || over && context.Cause(ctx) != errEnded {
						t.Fatalf("after %v, one that ends after %v: %v", time.Since(began), end, context.Cause(ctx))
					}
				}
			}
		}
		if n := w.Len(); n != 1 || endless.Err() != nil {
			t.Errorf("%d are watched", n)
		}
		past := w.Watch(t.Context(), subject{end: time.Now()})
		if past.Err() == nil || context.Cause(past) != errEnded {
			t.Errorf("one that has ended already: %v", context.Cause(past))
		}
		w.Close(errClosed)
	})
}

// A watcher looks at each dependency once, as often as the rules say and within the bounds.
func TestDependenciesAreLookedAtWithinBounds(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{
		0: expiry.LeastPause, time.Second: time.Second, time.Hour: expiry.MostPause,
	} {
		synctest.Test(t, func(t *testing.T) {
			rules := newWorld()
			rules.pause = pause
			w := expiry.New[subject, string](rules)
			for range 100 {
				w.Watch(t.Context(), subject{on: "a"})
				w.Watch(t.Context(), subject{on: "b"})
			}
			<-time.After(10*want + 1)
			synctest.Wait()
			rules.set(func() {
				if rules.looks["a"] != 10 || rules.looks["b"] != 10 {
					t.Errorf("pause %v: looks %v, want 10 each", pause, rules.looks)
				}
			})
			w.Close(errClosed)
			<-time.After(time.Hour)
			rules.set(func() {
				if rules.looks["a"] != 10 {
					t.Error("a closed watcher looks")
				}
			})
		})
	}
}

// What depends on something that is gone ends with the reason, or goes on with what takes its place.
func TestContextsEndWithTheirDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := newWorld()
		rules.pause = time.Second
		w := expiry.New[subject, string](rules)
		watch := func(on string) context.Context { return w.Watch(t.Context(), subject{time.Now().Add(time.Hour), on}) }
		kept, gone, unsure, moved := watch("kept"), watch("gone"), watch("unsure"), watch("moved")
		rules.set(func() {
			rules.gone["gone"], rules.gone["unsure"], rules.gone["moved"] = nil, errUnsure, nil
			rules.moved["moved"] = subject{time.Now().Add(time.Minute), "kept"}
		})
		<-time.After(time.Second)
		if ended(kept) != nil || ended(gone) != errGone || ended(unsure) != errUnsure || ended(moved) != nil {
			t.Errorf("causes: %v, %v, %v, %v", ended(kept), ended(gone), ended(unsure), ended(moved))
		}
		<-time.After(time.Minute - time.Second)
		if ended(moved) != errEnded || ended(kept) != nil || w.Len() != 1 {
			t.Errorf("causes: %v, %v, and %d are watched", ended(moved), ended(kept), w.Len())
		}
		w.Close(errClosed)
		w.Close(errEnded)
		if late := watch("kept"); ended(kept) != errClosed || ended(late) != errClosed || w.Len() != 0 {
			t.Errorf("causes: %v, %v, and %d are watched", ended(kept), ended(late), w.Len())
		}
	})
}

// A look that takes long delays no end, and no second look begins meanwhile.
func TestSlowLookDelaysNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := newWorld()
		rules.pause = time.Second
		rules.during = func() { <-time.After(time.Minute) }
		w := expiry.New[subject, string](rules)
		began := time.Now()
		stream := w.Watch(t.Context(), subject{began.Add(10 * time.Second), "a"})
		w.Watch(t.Context(), subject{on: "a"})
		<-stream.Done()
		if time.Since(began) != 10*time.Second || context.Cause(stream) != errEnded {
			t.Errorf("after %v: %v", time.Since(began), context.Cause(stream))
		}
		<-time.After(51 * time.Second)
		rules.set(func() {
			if rules.looks["a"] != 1 {
				t.Errorf("%d looks", rules.looks["a"])
			}
		})
		w.Close(errClosed)
		<-time.After(time.Hour)
	})
}

// A thing that takes long to look at does not delay the others.
func TestSlowLooksDoNotAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := newWorld()
		rules.pause = time.Second
		rules.during = func() { <-time.After(time.Minute) }
		w := expiry.New[subject, string](rules)
		var all []context.Context
		for i := range 100 {
			on := fmt.Sprint(i)
			rules.set(func() { rules.gone[on] = nil })
			all = append(all, w.Watch(t.Context(), subject{on: on}))
		}
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		for i, ctx := range all {
			if ended(ctx) != errGone {
				t.Fatalf("%d: %v", i, ended(ctx))
			}
		}
		w.Close(errClosed)
	})
}

// A context that ends with its parent has the parent's cause, and is not kept.
func TestContextEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := expiry.New[subject, string](newWorld())
		parent, cancel := context.WithCancelCause(t.Context())
		cancelled, now := context.WithCancel(t.Context())
		now()
		for _, end := range []time.Time{{}, time.Now().Add(time.Hour)} {
			ctx := w.Watch(parent, subject{end, "a"})
			defer func() {
				if context.Cause(ctx) != errGone {
					t.Errorf("the cause is %v", context.Cause(ctx))
				}
			}()
			if ctx := w.Watch(cancelled, subject{end, "a"}); ctx.Err() == nil {
				t.Error("it outlives its parent")
			}
		}
		synctest.Wait()
		if w.Len() != 2 {
			t.Errorf("%d are watched", w.Len())
		}
		cancel(errGone)
		synctest.Wait()
		if w.Len() != 0 {
			t.Errorf("%d are kept", w.Len())
		}
	})
}

// Everything may happen at the same time.
func TestWatcherIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := newWorld()
		w := expiry.New[subject, string](rules)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []context.Context
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					ctx, cancel := context.WithCancel(t.Context())
					stream := w.Watch(ctx, subject{time.Now().Add(time.Duration(i%7) * time.Millisecond * 100), fmt.Sprint(g, i%5)})
					mu.Lock()
					all = append(all, stream)
					mu.Unlock()
					if i%3 == 0 {
						<-time.After(time.Millisecond)
						cancel()
					}
					context.AfterFunc(stream, cancel)
					if i%50 == 0 {
						rules.set(func() { rules.gone[fmt.Sprint(g, i%5)] = nil })
					}
				}
			})
		}
		wg.Wait()
		<-time.After(time.Second)
		w.Close(errClosed)
		synctest.Wait()
		if w.Len() != 0 {
			t.Errorf("%d are kept", w.Len())
		}
		for _, ctx := range all {
			if ctx.Err() == nil {
				t.Fatal("a context goes on")
			}
		}
	})
}
