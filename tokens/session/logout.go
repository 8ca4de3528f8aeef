package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// The token_type_hint of a revocation (RFC 7009 section 2.1).
const (
	hintRefreshToken = "refresh_token"
	hintAccessToken  = "access_token"
)

// Logout ends the session. It revokes the refresh token (RFC 7009), and access tokens on a
// best-effort basis, or the one access token of a login without a refresh token, and deletes the
// record. [Session.Token] gives [tokens.ErrLoginRequired] from then on, in this process at once and
// in others when the tokens that they have are renewed. No token is handed out here while the
// server is asked.
//
// Once the session is locked and loaded it is logged out even if the context ends, as it does when
// the browser goes away. The answer about the refresh token is waited for then, too, for 40 seconds
// at most.
//
// When the server cannot be reached or does not do it, the record is deleted all the same and the
// error is [ErrNotRevoked] and why: [oauth.ErrNoRevocation] for a server that has no such endpoint,
// [ErrCannotUnseal] for a record that cannot be opened any more. A [*StoreError] means that the
// session was not logged out here; call Logout again. When it could not be locked or loaded nothing
// has changed. A session that is not logged in is no error.
func (s *Session) Logout(ctx context.Context) error {
	if s.closed.Load() {
		return tokens.ErrClosed
	}
	l, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.end()
	data, version, err := s.refresher.store.Load(l.ctx, l.name)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCannotUnseal) {
		return &StoreError{"load", err}
	}
	if s.closed.Load() { // since
		return tokens.ErrClosed
	}
	defer s.refresher.logouts.begin(l.name)()
	s.reset() // no caller gets a token while the server is asked
	notRevoked := s.revoke(l, data, version, err)
	// The caller may be gone by now; the record must be, too.
	if err := s.refresher.store.Delete(l.saving, l.name); err != nil {
		return errors.Join(&StoreError{"delete", err}, notRevoked)
	}
	s.refresher.forget(l.name)
	s.reset() // of those who waited meanwhile
	return notRevoked
}

// revoke revokes what is in a record, or was to replace it. Without a record that can be read there
// may be only the latter.
func (s *Session) revoke(l *lease, data []byte, version int64, loadErr error) error {
	next, unsaved := s.refresher.unsavedOf(l.name)
	var r record
	err := loadErr
	if err == nil {
		r, err = decodeRecord(data)
		unsaved = unsaved && next.version == version
	}
	switch {
	case unsaved:
		r, err = next.record, nil
	case errors.Is(err, ErrNotFound):
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotRevoked, err)
	case r.Ended: // the server refused it
		return nil
	}
	// With the record goes the last chance to do it: a browser that goes away must not cost it. Then
	// there is still time to delete the record.
	end, _ := l.saving.Deadline()
	ctx, cancel := context.WithDeadline(l.saving, end.Add(-saveTime))
	defer cancel()
	var errs []error
	for _, token := range r.refreshTokens() {
		errs = append(errs, s.client.Revoke(ctx, tokens.NewSecret(token), hintRefreshToken))
	}
	if r.isFinal() { // it is all that there is to revoke
		// Where it is over by the clock here, or by a lifetime that the server has not said, the
		// server may accept it all the same.
		t, now := &r.Tokens[0], time.Now()
		err := s.client.Revoke(ctx, tokens.NewSecret(t.AccessToken), hintAccessToken)
		if t.age(r.latest(now)) < t.over() {
			errs = append(errs, err)
		}
		r.Tokens = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRevoked, err)
	}
	// Servers revoke the access tokens along with it, or need not be able to at all (RFC 7009
	// section 2.1), and they end soon.
	for _, token := range r.Tokens {
		if s.client.Revoke(l.ctx, tokens.NewSecret(token.AccessToken), hintAccessToken) != nil {
			break
		}
	}
	return nil
}

// logouts counts those of this process that have the lease, by the name of the record. The zero
// value has none.
type logouts struct {
	mu    sync.Mutex
	names map[string]int
}

// begin counts one until end is called.
func (s *logouts) begin(name string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = make(map[string]int)
	}
	s.names[name]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.names[name]--; s.names[name] == 0 {
			delete(s.names, name)
		}
	}
}

func (s *logouts) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name] > 0
}
