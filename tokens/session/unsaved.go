package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/tokens"
)

const (
	// What could not be saved is tried again after a pause that doubles from the first to the
	// second, each time for flushTime.
	firstFlush = time.Second
	maxFlush   = time.Minute
	flushTime  = 10 * time.Second
	closeTime  = 10 * time.Second // for the last time, when the Manager is closed
	maxSaves   = 16               // sessions that are saved at once then
	maxUnsaved = 1024             // that are kept because they could not be saved
)

var errUnsaved = fmt.Errorf("%d sessions wait to be saved already; repair the Store, which is tried again all the while", maxUnsaved)

var errStoreEnded = errors.New("the Store ended its goroutine")

// unsaved are the sessions that wait to be saved.
type unsaved struct {
	mu       sync.Mutex               // guards what follows
	sessions map[string]storedSession // by name: what is to replace the version it has, or is just doing so
	pause    time.Duration            // before the next flush
	flushing *flush                   // the one that waits or is under way, or nil
}

// hold keeps what is being saved: a Save may hang, as a slow disk does, until the lock has ended.
// The next lease in this process saves the same, and does not use the old refresh token.
func (u *unsaved) hold(name string, s storedSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions[name] = s
}

// release is for what need not be saved any more, unless something else is kept by now.
func (u *unsaved) release(name string, s storedSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sessions[name].RefreshToken == s.RefreshToken {
		delete(u.sessions, name)
	}
}

// forget is for what is saved, or not to be saved any more.
func (u *unsaved) forget(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.sessions, name)
}

// unsavedOf returns what waits to be saved of a session.
func (u *unsaved) unsavedOf(name string) (storedSession, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.sessions[name]
	return s, ok
}

// hasRoom reports whether another session can be kept.
func (u *unsaved) hasRoom() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sessions) < maxUnsaved
}

// names returns the names of what is unsaved, in random order.
func (u *unsaved) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.sessions))
}

// flush saves what could not be saved before. There is one at a time, and none when nothing is
// unsaved.
type flush struct {
	timer  *time.Timer
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over
}

// saveLater sees to it that what is held and could not be saved is. It does nothing if a later
// lease has done that, or something else.
func (f *refresher) saveLater(name string, s storedSession) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sessions[name].RefreshToken == s.RefreshToken && f.flushing == nil {
		f.beginFlush(firstFlush)
	}
}

// beginFlush lets a flush begin after a pause. The caller holds the lock.
func (f *refresher) beginFlush(pause time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	next := &flush{cancel: cancel, done: make(chan struct{})}
	f.flushing, f.pause = next, pause
	next.timer = time.AfterFunc(pause, func() {
		defer close(next.done)
		defer cancel()
		f.flush(ctx)
	})
}

// flush is what a flush does. It ends with the first failure; what comes after that may come first
// another time.
func (f *refresher) flush(ctx context.Context) {
	defer func() { // also when the Store ends the goroutine
		f.mu.Lock()
		defer f.mu.Unlock()
		f.flushing = nil
		if len(f.sessions) > 0 && ctx.Err() == nil {
			f.beginFlush(min(2*f.pause, maxFlush))
		}
	}()
	for _, name := range f.names() {
		if f.saveUnsaved(ctx, name, flushTime) != nil {
			break
		}
	}
}

// saveAll saves what is kept, several sessions at once: the lock of one may be held elsewhere, and
// must not take the time of all.
func (f *refresher) saveAll(ctx context.Context) error {
	names := f.names()
	errs := make([]error, len(names))
	turns := make(chan struct{}, maxSaves)
	var saving sync.WaitGroup
	for i, name := range names {
		turns <- struct{}{}
		saving.Go(func() {
			defer func() { <-turns }()
			errs[i] = &StoreError{"save", errStoreEnded} // unless it returns
			errs[i] = f.saveUnsaved(ctx, name, closeTime)
		})
	}
	saving.Wait()
	return errors.Join(errs...)
}

// saveUnsaved saves what is kept of a session, unless another process saw to it.
func (f *refresher) saveUnsaved(ctx context.Context, name string, limit time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	flight.Contain(ctx, slog.Default(), "the Store", func() error {
		l, err := f.acquire(ctx, ctx, name)
		if err != nil {
			return err
		}
		defer l.end()
		l.flushing = true
		if _, err = l.load(l.ctx); errors.Is(err, tokens.ErrLoginRequired) {
			return nil
		}
		return err
	}, func(failure error) {
		if err = failure; err == nil {
			return
		}
		if _, ok := errors.AsType[*StoreError](err); !ok {
			err = &StoreError{"save", err}
		}
	})
	return err
}

// saveNow saves what is kept of a session, if anything is, in closeTime. What cannot be saved is
// tried again as before.
func (f *refresher) saveNow(name string) error {
	if _, ok := f.unsavedOf(name); !ok {
		return nil
	}
	return f.saveUnsaved(context.Background(), name, closeTime)
}

// Close ends the flush under way and saves what is left, all in closeTime. A [tokens.Manager] calls
// it when it is closed, and when all fetches have ended. What a Fetch keeps afterwards, because
// another Manager has this Fetcher, is saved as ever.
func (f *refresher) Close() error {
	f.mu.Lock()
	next := f.flushing
	if next != nil {
		next.cancel() // under the lock, or it may let another one begin
		if next.timer.Stop() {
			f.flushing = nil
			close(next.done)
		}
	}
	f.mu.Unlock()
	if next != nil {
		<-next.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return f.saveAll(ctx)
}
