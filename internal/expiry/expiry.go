// Package expiry ends contexts when something that was verified ends: at a time that is known from
// the beginning, or because what it depends on no longer holds.
//
// No goroutine waits between looks. A [Watcher] has one timer for the next end and one for the next
// look at what the rest depends on, however many contexts it has. It looks at each thing once, and
// not once for each context that depends on it, and at up to 128 things at the same time. The
// timers run only while there is a context to end.
package expiry

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How often a watcher looks at what its subjects depend on. [Rules.Next] chooses between the two.
const (
	LeastPause = 100 * time.Millisecond
	MostPause  = time.Minute
)

// atOnce is how many things a watcher looks at at the same time. One that takes its time delays the
// next look, and so it must not delay the others in this one as well.
const atOnce = 128

// Rules say when a subject ends. S is a subject, and D what subjects depend on. The watcher calls
// the methods without holding a lock, and those with a context at the same time.
type Rules[S any, D comparable] interface {
	// End returns the time from which on the subject has ended, or the zero time if none is known.
	End(S) time.Time
	// Ended returns why, when that time has come.
	Ended(S) error

	// DependsOn returns what the subject depends on.
	DependsOn(S) D
	// Holds reports whether that still holds. An error ends the subjects that depend on it.
	Holds(context.Context, D) (bool, error)
	// Judge judges a subject again whose dependency no longer holds. It returns the subject to watch
	// instead, or why the subject has ended.
	Judge(context.Context, S) (S, error)
	// Next returns how long to wait before the next look. It is at least [LeastPause] and at most
	// [MostPause]; other values count as the nearest of the two.
	Next(D) time.Duration
}

// Watcher ends contexts. All methods are safe for concurrent use. Make one with [New].
type Watcher[S any, D comparable] struct {
	rules Rules[S, D]
	ctx   context.Context // of the looks; it ends with Close
	stop  context.CancelFunc

	mu      sync.Mutex // guards everything below; nothing of the caller's is called while it is held
	closed  error      // the cause, after Close
	watched map[D]map[*watch[S, D]]struct{}
	ends    ends[S, D] // those whose end is known, the first one first
	ending  alarm      // for the first end
	looking alarm      // for the next look
	busy    bool       // a look is under way
}

// watch is one context and its subject.
type watch[S any, D comparable] struct {
	subject S
	on      D
	end     time.Time
	index   int // among the ends, or -1
	cancel  context.CancelCauseFunc
	release func() bool // ends the wait for the end of the parent
}

// finish ends the context. The watch was removed before.
func (e *watch[S, D]) finish(cause error) {
	e.release()
	e.cancel(cause)
}

// New returns a watcher of subjects.
func New[S any, D comparable](rules Rules[S, D]) *Watcher[S, D] {
	w := &Watcher[S, D]{rules: rules, watched: make(map[D]map[*watch[S, D]]struct{})}
	w.ctx, w.stop = context.WithCancel(context.Background()) //nolint:gosec // Close calls stop
	return w
}

// Watch returns a context that ends when the subject does, with the reason as its cause, or when
// the parent ends. The watcher keeps it until then.
func (w *Watcher[S, D]) Watch(parent context.Context, subject S) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	e := &watch[S, D]{
		subject: subject, on: w.rules.DependsOn(subject), end: w.rules.End(subject), index: -1, cancel: cancel,
	}
	if !e.end.IsZero() && !time.Now().Before(e.end) {
		cancel(w.rules.Ended(subject))
		return ctx
	}
	look := time.Now().Add(w.pause(e.on))
	if closed := w.add(ctx, e, look); closed != nil {
		cancel(closed)
	}
	return ctx
}

// add adds a watch, unless the watcher is closed: then it returns the cause.
func (w *Watcher[S, D]) add(ctx context.Context, e *watch[S, D], look time.Time) (closed error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed != nil {
		return w.closed
	}
	// The parent may have ended. What AfterFunc calls waits for the lock then.
	e.release = context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.remove(e)
		w.arm()
	})
	w.insert(e)
	if !w.busy && (w.looking.at.IsZero() || look.Before(w.looking.at)) {
		w.looking.set(look, w.look)
	}
	w.arm()
	return nil
}

// Close ends all contexts with this cause, and every later one at once.
func (w *Watcher[S, D]) Close(cause error) {
	w.mu.Lock()
	if w.closed == nil {
		w.closed = cause
	}
	var all []*watch[S, D]
	for _, watches := range w.watched {
		for e := range watches {
			all = append(all, e)
		}
	}
	for _, e := range all {
		w.remove(e)
	}
	w.arm()
	w.mu.Unlock()
	w.stop()
	for _, e := range all {
		e.finish(cause)
	}
}

// Len returns how many contexts are watched.
func (w *Watcher[S, D]) Len() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, watches := range w.watched {
		n += len(watches)
	}
	return n
}

// endDue ends what has ended by the clock.
func (w *Watcher[S, D]) endDue() {
	var due []*watch[S, D]
	w.mu.Lock()
	w.ending.at = time.Time{} // it may be early: the clock may have been set
	for now := time.Now(); len(w.ends) > 0 && !now.Before(w.ends[0].end); {
		due = append(due, w.ends[0])
		w.remove(w.ends[0])
	}
	w.arm()
	w.mu.Unlock()
	for _, e := range due {
		e.finish(w.rules.Ended(e.subject))
	}
}

// look looks at what the subjects depend on, and ends those whose dependency is gone. It also looks
// at the clock, which may have been set.
func (w *Watcher[S, D]) look() {
	w.endDue()
	if !w.begin() {
		return
	}
	w.lookAt(w.dependencies())
	pause := MostPause
	for _, on := range w.dependencies() {
		pause = min(pause, w.pause(on))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	if len(w.watched) > 0 {
		w.looking.set(time.Now().Add(pause), w.look)
	}
}

// lookAt looks at dependencies, several at a time. It starts no goroutine for a single one.
func (w *Watcher[S, D]) lookAt(all []D) {
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; int(i) < len(all); i = next.Add(1) - 1 {
			if held, err := w.rules.Holds(w.ctx, all[i]); !held || err != nil {
				for _, e := range w.of(all[i]) {
					w.judge(e, err)
				}
			}
		}
	}
	var others sync.WaitGroup
	for range min(len(all), atOnce) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// begin begins a look, unless one is under way.
func (w *Watcher[S, D]) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy {
		return false
	}
	w.busy, w.looking.at = true, time.Time{}
	return true
}

// dependencies returns what the subjects depend on.
func (w *Watcher[S, D]) dependencies() []D {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.watched))
}

// of returns the watches that depend on something.
func (w *Watcher[S, D]) of(on D) []*watch[S, D] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.watched[on]))
}

// judge ends a watch whose dependency no longer holds, or goes on with the subject that takes its
// place. The error says that its dependency cannot be looked at.
func (w *Watcher[S, D]) judge(e *watch[S, D], err error) {
	subject := e.subject
	if err == nil {
		subject, err = w.rules.Judge(w.ctx, e.subject)
	}
	var on D
	var end time.Time
	if err == nil {
		on, end = w.rules.DependsOn(subject), w.rules.End(subject)
	}
	w.mu.Lock()
	watched := w.remove(e)
	if watched && err == nil {
		e.subject, e.on, e.end = subject, on, end
		w.insert(e)
	}
	w.arm()
	w.mu.Unlock()
	if watched && err != nil {
		e.finish(err)
	}
}

// pause is how long to wait before the next look at something.
func (w *Watcher[S, D]) pause(on D) time.Duration {
	return min(max(w.rules.Next(on), LeastPause), MostPause)
}

// insert adds a watch. The caller holds the lock, and calls arm.
func (w *Watcher[S, D]) insert(e *watch[S, D]) {
	if w.watched[e.on] == nil {
		w.watched[e.on] = make(map[*watch[S, D]]struct{})
	}
	w.watched[e.on][e] = struct{}{}
	if !e.end.IsZero() {
		heap.Push(&w.ends, e)
	}
}

// remove removes a watch, and reports whether there was one. The caller holds the lock, and calls
// arm.
func (w *Watcher[S, D]) remove(e *watch[S, D]) bool {
	watches := w.watched[e.on]
	if _, ok := watches[e]; !ok {
		return false
	}
	if delete(watches, e); len(watches) == 0 {
		delete(w.watched, e.on)
	}
	if e.index >= 0 {
		heap.Remove(&w.ends, e.index)
	}
	return true
}

// arm sets the alarms by what is watched now. The caller holds the lock.
func (w *Watcher[S, D]) arm() {
	if len(w.ends) > 0 {
		w.ending.set(w.ends[0].end, w.endDue)
	} else {
		w.ending.clear()
	}
	if len(w.watched) == 0 {
		w.looking.clear()
	}
}

// alarm calls a function at a time.
type alarm struct {
	timer *time.Timer
	at    time.Time // zero if it is not set
}

func (a *alarm) set(at time.Time, f func()) {
	switch {
	case a.at.Equal(at):
	case a.timer == nil:
		a.timer = time.AfterFunc(time.Until(at), f)
	default:
		a.timer.Reset(time.Until(at))
	}
	a.at = at
}

func (a *alarm) clear() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.at = time.Time{}
}

// ends is a heap of watches by their end (container/heap).
type ends[S any, D comparable] []*watch[S, D]

func (h ends[S, D]) Len() int           { return len(h) }
func (h ends[S, D]) Less(i, j int) bool { return h[i].end.Before(h[j].end) }

func (h ends[S, D]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds a watch, for package heap.
func (h *ends[S, D]) Push(x any) {
	e := x.(*watch[S, D]) //nolint:forcetypeassert // package heap hands on what insert gives it
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop removes the last watch, for package heap.
func (h *ends[S, D]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h, e.index = (*h)[:last], -1
	return e
}
