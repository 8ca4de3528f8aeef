package session

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

const (
	// A process that has the lock begins to ask the server within maxAhead, and in less if its
	// context says so. From then on its context does not count: a refresh token whose answer is not
	// waited for is lost. There is [oauthwire.RequestTimeout] for the answer, saveTime for saving
	// what came, and checkTime for finding out whether that took place, each from when it begins.
	// The lease ends leaseSlack after all of it.
	maxAhead   = 30 * time.Second
	saveTime   = 10 * time.Second
	checkTime  = 3 * time.Second
	leaseSlack = 5 * time.Second

	saveAttempts = 4                      // at one record
	attemptTime  = 3 * time.Second        // of each, so that a Store that hangs once is asked again
	savePause    = 100 * time.Millisecond // after the first of them; it doubles

	revokeTime = 10 * time.Second // for revoking a token that is of no session
)

var errSuspended = errors.New("the machine was suspended while it had the session locked, or its clock was set")

// lease is the time in which this process has a session to itself.
type lease struct {
	f    *refresher
	name string // of the record

	ctx      context.Context // for what can be given up: it ends with the caller's
	saving   context.Context // for saving what came of a request, whatever becomes of the caller
	checking context.Context // for finding out whether that took place
	detached context.Context // for what comes after the lease

	end func() // may be called more than once

	ahead      time.Duration // for what can be given up
	lockedWall time.Time     // see suspended

	// flushing says that no caller waits. A Store that has lost a record then revokes nothing that
	// is good.
	flushing bool
}

// acquire waits for a session's lock. The caller ends the lease. What is not to be given up has the
// time that it needs, unless the detached context ends.
func (f *refresher) acquire(ctx, detached context.Context, name string) (*lease, error) {
	if f.store == nil {
		return nil, errStoreless
	}
	ahead := maxAhead
	if deadline, ok := ctx.Deadline(); ok {
		ahead = max(0, min(ahead, time.Until(deadline)))
	}
	saving := ahead + oauthwire.RequestTimeout + saveTime
	asked, askedWall := time.Now(), f.wall()
	unlock, err := f.store.Lock(ctx, name, saving+checkTime+leaseSlack)
	if err != nil {
		return nil, &StoreError{"lock", err}
	}
	l := &lease{f: f, name: name, detached: detached, ahead: ahead, lockedWall: askedWall.Add(time.Since(asked))}
	var cancel, cancelSaving, cancelChecking context.CancelFunc
	l.ctx, cancel = context.WithTimeout(ctx, ahead)
	l.saving, cancelSaving = context.WithTimeout(detached, saving)
	l.checking, cancelChecking = context.WithTimeout(detached, saving+checkTime)
	l.end = func() {
		cancel()
		cancelSaving()
		cancelChecking()
		unlock()
	}
	return l, nil
}

// load returns the record of a session that goes on, or [tokens.ErrLoginRequired]. What could not
// be saved before is saved first, if the record is still the one that it is to replace.
func (l *lease) load(ctx context.Context) (loaded, error) {
	data, version, err := l.f.store.Load(ctx, l.name)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return loaded{}, &StoreError{"load", err}
	}
	next, unsaved := l.f.unsavedOf(l.name)
	if unsaved && !missing && next.version == version {
		saved, err := l.save(next)
		if err != nil {
			return loaded{}, err
		}
		l.f.forget(l.name)
		return loaded{l, saved}, nil
	}
	l.f.forget(l.name)
	if missing {
		if unsaved && !l.flushing { // another process logged out, and could not revoke it
			l.abandon(next.RefreshToken, hintRefreshToken)
		}
		return loaded{}, tokens.ErrLoginRequired
	}
	r, err := decodeRecord(data)
	switch {
	case err != nil:
		return loaded{}, &StoreError{"load", err}
	case r.Ended:
		return loaded{}, tokens.ErrLoginRequired
	}
	return loaded{l, storedSession{r, version}}, nil
}

// save replaces the version that s has, and returns s with the new one. The error is a
// [*StoreError], or errRecordSize.
func (l *lease) save(s storedSession) (storedSession, error) {
	data, err := s.encode()
	if err != nil {
		return storedSession{}, err
	}
	saving, cancel := context.WithTimeout(l.saving, saveTime) // also when most of the lease is left
	defer cancel()
	pause := savePause
	for attempt := 1; ; attempt++ {
		saved, err := l.attempt(saving, data, s.version)
		if err == nil {
			s.version = saved
			return s, nil
		}
		if errors.Is(err, ErrConflict) || attempt == saveAttempts || !flight.Sleep(saving, pause, nil) {
			if version, ok := l.took(data); ok {
				s.version = version
				return s, nil
			}
			return storedSession{}, &StoreError{"save", err}
		}
		pause *= 2
	}
}

// attempt is one at saving.
func (l *lease) attempt(ctx context.Context, data []byte, version int64) (saved int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return l.f.store.Save(ctx, l.name, data, version)
}

// took reports whether a Save that failed took place nevertheless, and returns the version then.
func (l *lease) took(data []byte) (version int64, ok bool) {
	ctx, cancel := context.WithTimeout(l.checking, checkTime)
	defer cancel()
	current, version, err := l.f.store.Load(ctx, l.name)
	return version, err == nil && bytes.Equal(current, data)
}

// loadAgain is load after a request, whatever became of the caller.
func (l *lease) loadAgain() (loaded, error) {
	ctx, cancel := context.WithTimeout(l.saving, saveTime)
	defer cancel()
	return l.load(ctx)
}

// abandon ends the lease, and revokes a token that is of no session. No lock is needed for it.
func (l *lease) abandon(token, hint string) {
	l.end()
	l.f.revoke(l.detached, token, hint)
}

// revoke revokes a token that is of no session.
func (f *refresher) revoke(ctx context.Context, token, hint string) {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	_ = f.client.Revoke(ctx, tokens.NewSecret(token), hint)
}

// suspended returns errSuspended when the time in which this lease may begin to ask the server is
// over by the wall clock. The contexts of a lease go by the monotonic clock, which stands still
// while a machine is suspended. The lock's lease goes on: another process may have sent the refresh
// token meanwhile, and the server takes a second use for a theft. The time counts from when the
// session would have been locked without a suspension, because the lock's lease may have begun
// before Lock returned. A clock that was set ahead looks the same, and costs another lock.
func (l *lease) suspended() error {
	if l.f.wall().Sub(l.lockedWall) >= l.ahead {
		return errSuspended
	}
	return nil
}

// wallNow is the time by the wall clock alone.
func wallNow() time.Time { return time.Now().Round(0) }
