package session

import (
	"context"
	"errors"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// DeviceLogin begins a login on another device, as [NewDeviceLogin] does. It changes nothing about
// the session before [Session.FinishDevice].
func (s *Session) DeviceLogin(ctx context.Context, opts ...LoginOption) (*DeviceLogin, error) {
	if s.closed.Load() {
		return nil, tokens.ErrClosed
	}
	d, err := NewDeviceLogin(ctx, s.client, opts...)
	if err != nil {
		return nil, err
	}
	d.session = s.name
	return d, nil
}

// FinishDevice waits until the person has finished a login that [Session.DeviceLogin] or
// [NewDeviceLogin] began, as [DeviceLogin.Wait] does, and saves what came of it, as
// [Session.Finish] does. The session is locked only when the tokens are there, and not while the
// person takes minutes: until then it is what it was.
//
// When the tokens are there the login is finished even if the context ends. What cannot be saved is
// revoked, also because the session cannot be locked in 30 seconds, and the person has to log in
// again.
//
// The errors are those of Wait, [tokens.ErrClosed] and [*StoreError]. After one the session is what
// it was before, but for what Finish says of a Store that cannot save.
func (s *Session) FinishDevice(ctx context.Context, login *DeviceLogin) (*oauth.Identity, error) {
	switch {
	case s.closed.Load():
		return nil, tokens.ErrClosed
	case login == nil || login.hiddenDeviceLogin == nil || login.client != s.wire || login.session != "" && login.session != s.name:
		return nil, errors.New("session: FinishDevice: the DeviceLogin is nil or another Session's; give the one that this session began")
	}
	defer s.use()() // Sessions must not forget it while the person takes minutes
	response, identity, err := login.Wait(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.keepFrom(context.WithoutCancel(ctx), login, response); err != nil {
		return nil, err
	}
	return identity, nil
}

// keepFrom locks the session and saves what a device login brought, or revokes it.
func (s *Session) keepFrom(ctx context.Context, login *DeviceLogin, response *tokens.Response) error {
	ready := false
	defer func() { // also when the Store panics
		if !ready {
			token, hint := revocable(response)
			s.refresher.revoke(ctx, token, hint)
		}
	}()
	locking, cancel := context.WithTimeout(ctx, maxAhead)
	defer cancel()
	l, err := s.acquire(locking)
	if err != nil {
		return err
	}
	defer l.end()
	slot, err := l.currentSlot()
	if err != nil {
		return err
	}
	ready = true
	return s.keep(l, login.key, login.resources, response, slot)
}
