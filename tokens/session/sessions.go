package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/recall"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const maxSessionName = 1 << 10 // bytes of a name

// ErrTooManySessions means that [Sessions] remembers as many sessions as it may, and that none of
// them is idle. A name that is not among them gets none. It is a matter of trying again: answer
// 503, and see [WithMaxSessions].
var ErrTooManySessions = errors.New("session: as many sessions are in use as WithMaxSessions allows; try again later")

var errSessionName = fmt.Errorf("session: Sessions: the name must have 1 to %d bytes", maxSessionName)

// Sessions hands out the sessions of many users, each by its name. [NewSessions] makes it. Make one
// for a client and a Store in a process, ask it for a session at each request, and close it in the
// end. It is safe for concurrent use and prints as "[secret]".
//
//	sessions, err := session.NewSessions(client, store)
//	s, err := sessions.Session(userID) // of the request, whose caller was authenticated
//	token, err := s.Token(ctx)
//
// # What it remembers
//
// A name has one [*Session] in the process. So a login or a logout takes effect at once on all that
// was ever handed out for the name: Sessions, Sources and Transports.
//
// At most [WithMaxSessions] are remembered. One that is idle is forgotten when Session is called
// for any name. It is idle when, for [WithIdleTime], it was neither asked for by its name, nor was
// a token of it fetched, nor was Finish, Adopt or Logout called. One that is in use is never
// forgotten: one of these calls is under way, or a fetch. Nor is one whose refresh token could not
// be saved. When there is no room for another, a new name is [ErrTooManySessions], and the others
// go on.
//
// Nothing is lost with a session that is forgotten but access tokens that may have to be fetched
// again, and those are in the Store as a rule. A caller that still holds the session, or one of its
// Sources or Transports, goes on using it, and is given the same one for its name. It is remembered
// again with the next use that was named above, if there is room. A [Login] that was begun holds no
// session, and is finished with the one that is handed out then.
//
// What could not be saved is kept for all sessions together, as by one [RefreshToken], for at most
// 1024. Close saves it.
type Sessions struct {
	opaque
	*hiddenSessions
}

type hiddenSessions struct{ *sessionsState }

type sessionsState struct {
	client    *oauth.Client
	refresher *refresher // of all sessions
	max       int
	idle      time.Duration
	options   []tokens.ManagerOption

	mu         sync.Mutex                        // guards what follows, and what its sessions say
	sessions   *recall.Map[string, sessionState] // kept when they are used
	closed     bool
	turnedAway int
}

// NewSessions returns the sessions of a client whose refresh tokens are in a Store. It does no I/O
// and starts nothing. The error is every mistake in the configuration, each a [*ConfigError], or a
// [*tokens.ConfigError] if it is in one of [WithManagerOptions].
func NewSessions(client *oauth.Client, store Store, opts ...SessionsOption) (*Sessions, error) {
	c := new(sessionsConfig)
	judgeParts(&c.Mistakes, "NewSessions", client, store)
	c.judge(opts)
	a := &Sessions{hiddenSessions: &hiddenSessions{&sessionsState{
		client: client, refresher: newRefresher(client, store), options: c.options.Get(),
		max: c.max.Or(defaultMaxSessions), idle: c.idle.Or(defaultIdleTime),
		sessions: recall.New(func(s *sessionState) string { return s.name }),
	}}}
	_, err := tokens.NewManager(a.refresher, a.options...)
	if err := errors.Join(configErrors(c.All), err); err != nil {
		return nil, err
	}
	return a, nil
}

// judgeParts judges what every session is made of.
func judgeParts(m *optional.Mistakes, constructor string, client *oauth.Client, store Store) {
	if oauthwire.Of(client) == nil {
		m.Add(constructor, "nil", "the Client is nil; make one with oauth.NewClient")
	}
	if store == nil {
		m.Add(constructor, "nil", "the Store is nil; give one, such as NewMemoryStore()")
	}
}

// Session returns the session with this name: the same one each time, as long as it is remembered
// or held. The name is as for [New] and has at most 1024 bytes. It says whose tokens are handed
// out, so take it from an authenticated caller. There need not be a login: [Session.LoggedIn] says
// whether there is. Session does no I/O.
//
// The error is [ErrTooManySessions], or [tokens.ErrClosed], or that the name is empty or too long.
func (a *Sessions) Session(name string) (*Session, error) {
	if name == "" || len(name) > maxSessionName {
		return nil, errSessionName
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, tokens.ErrClosed
	}
	if s := a.sessions.Find(name); s != nil {
		a.touch(s, now)
		return s.session, nil
	}
	a.forgetIdle(now)
	if a.sessions.Len() >= a.max {
		a.turnedAway++
		return nil, ErrTooManySessions
	}
	s, err := newSession(a.client, a.refresher, name, a.options)
	if err != nil {
		return nil, err
	}
	s.among = a.sessionsState
	a.touch(s.sessionState, now)
	return s, nil
}

// touch notes that a session is used. It is remembered then, unless there is no room for one that
// was forgotten. The caller holds the lock.
func (a *sessionsState) touch(s *sessionState, now time.Time) {
	if s.closed.Load() {
		return
	}
	s.used = now
	if a.sessions.Remembers(s) {
		a.sessions.Keep(s)
	}
	if a.forgetIdle(now); a.sessions.Len() < a.max {
		a.sessions.Keep(s)
	}
}

// forgetIdle forgets the sessions that are idle. Those of the others that were not touched for as
// long are looked at again after another idle time, so that a call costs little at the bound, too.
// The caller holds the lock.
func (a *sessionsState) forgetIdle(now time.Time) {
	for {
		s := a.sessions.Oldest()
		if s == nil || now.Sub(s.used) < a.idle {
			return
		}
		if a.mayForget(s) {
			a.sessions.Forget(s)
			continue
		}
		s.used = now
		a.sessions.Keep(s)
	}
}

// mayForget reports whether nothing is under way for a session, and nothing of it is unsaved. The
// caller holds the lock.
func (a *sessionsState) mayForget(s *sessionState) bool {
	_, unsaved := a.refresher.unsavedOf(s.recordName())
	return s.underWay == 0 && !unsaved
}

// use notes that something is under way for a session, until done is called for the first time.
func (a *sessionsState) use(s *sessionState) (done func()) {
	count := func(n int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		s.underWay += n
		a.touch(s, time.Now())
	}
	count(1)
	return sync.OnceFunc(func() { count(-1) })
}

// remove closes a session, and makes room for another with its name.
func (a *sessionsState) remove(s *sessionState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !s.closed.Swap(true) {
		a.sessions.Remove(s)
	}
}

// Close closes all sessions, as [Session.Close] does, and saves what could not be saved before.
// That takes up to 35 seconds for all of them together. The error is what could not be saved, a
// [*StoreError] for each, and is lost with the process. Afterwards everything gives
// [tokens.ErrClosed]. It may be called more than once, and tries again then.
func (a *Sessions) Close() error {
	a.mu.Lock()
	a.closed = true
	all := a.sessions.All()
	for _, s := range all {
		s.closed.Store(true)
	}
	a.mu.Unlock()
	errs := make([]error, len(all)+1)
	var closing sync.WaitGroup
	for i, s := range all {
		closing.Go(func() {
			flight.Contain(context.Background(), slog.Default(), "closing a session", s.manager.Close, func(err error) { errs[i] = err })
		})
	}
	closing.Wait()
	errs[len(all)] = a.refresher.Close()
	return errors.Join(errs...)
}

// SessionsStats is what [Sessions] holds. It has nothing secret in it.
type SessionsStats struct {
	Remembered int // sessions, the idle ones included; at most WithMaxSessions
	Idle       int // of them were idle for WithIdleTime, and are forgotten with the next call of Session
	Unsaved    int // sessions whose refresh token waits to be saved
	TurnedAway int // calls of Session that were answered with ErrTooManySessions so far
}

// Stats returns what there is now. It looks at each session.
func (a *Sessions) Stats() SessionsStats {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	stats := SessionsStats{
		Remembered: a.sessions.Len(), Unsaved: len(a.refresher.names()), TurnedAway: a.turnedAway,
	}
	for _, s := range a.sessions.Remembered() {
		if now.Sub(s.used) >= a.idle && a.mayForget(s) {
			stats.Idle++
		}
	}
	return stats
}
