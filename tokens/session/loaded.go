package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

var (
	errOtherResource = errors.New("the login was not for this resource; name it with WithResource")
	errFinal         = fmt.Errorf("%w: %w", tokens.ErrLoginRequired, ErrNoRefreshToken)
)

// loaded is the record of a session that goes on, as it was read under a lease.
type loaded struct {
	*lease
	storedSession
}

// answer returns a token out of the record, or from the server. Then the record is saved first.
func (l loaded) answer(q tokens.Request) (*tokens.Response, error) {
	if response := l.find(q, time.Now(), (*storedToken).due); response != nil {
		return response, nil
	}
	if l.isFinal() {
		return nil, errFinal // of this key alone, while the token is for another
	}
	if len(l.Resources) > 0 && q.Key.Resource != "" && !slices.Contains(l.Resources, q.Key.Resource) {
		// A server that says so may have used the token up.
		return nil, &tokens.Error{Op: oauthwire.OpToken, Code: "invalid_target", Err: errOtherResource}
	}
	if !l.f.hasRoom() {
		if response := l.find(q, time.Now(), (*storedToken).over); response != nil {
			return response, nil
		}
		return nil, &StoreError{"save", errUnsaved} // what came could not be kept
	}
	response, err := l.send(q).save()
	// After a restart the server need not be there before the token ends.
	if e, ok := errors.AsType[*tokens.Error](err); ok && !e.Permanent() && !errors.Is(err, errRecordSize) && !errors.Is(err, errSuspended) {
		if response := l.find(q, time.Now(), (*storedToken).over); response != nil {
			return response, nil
		}
	}
	return response, err
}

// send asks the server with the refresh token of the record. What comes before it is sent is given
// up when the caller's context ends.
func (l loaded) send(q tokens.Request) renewed {
	form := oauthwire.KeyForm("refresh_token", q.Key)
	form.Set("refresh_token", l.RefreshToken)
	response, _, err := l.f.wire.Exchange(l.ctx, oauthwire.Call{
		Op: oauthwire.OpToken, Form: form, Lasting: true, Outside: !l.hasGranted(), Ready: l.suspended,
	})
	r := renewed{loaded: l, q: q, next: l.storedSession, response: response, err: err}
	if err == nil {
		if response.Scope == "" && q.Key.Scope == "" {
			response.Scope = l.Scope // RFC 6749 section 6: what is not asked for is what was granted before
		}
		r.next.record = l.with(q.Key, response, time.Now())
	} else if e, ok := errors.AsType[*oauthwire.RefusedAnswer](err); ok {
		r.next.record = l.doubting(e.RefreshToken.Reveal())
	}
	return r
}

// isRefused reports whether the server does not accept the refresh token.
func isRefused(err error) bool { return errors.Is(err, oauthwire.ErrRefreshToken) }

// next returns the record to go on with after the server refused the refresh token, or why there is
// none.
func (l loaded) next(key tokens.Key, refusal error) (loaded, error) {
	current, err := l.loadAgain()
	switch {
	case errors.Is(err, tokens.ErrLoginRequired):
		return loaded{}, fmt.Errorf("%w: %w", tokens.ErrLoginRequired, refusal)
	case err != nil:
		return loaded{}, err
	case current.RefreshToken != l.RefreshToken: // another process renewed it, because the lease ran out
		return current, nil
	case len(current.Replaced) > 0:
		return current.fallBack(key, refusal)
	}
	return loaded{}, current.endSession(key, refusal)
}

// fallBack drops a refresh token that the server refuses for the one before it, and saves that; see
// replaced.go. When the server refused the key and not the refresh token, nothing is dropped, and
// the error is the refusal.
func (l loaded) fallBack(key tokens.Key, refusal error) (loaded, error) {
	if l.mayRefuse(key) {
		// A request that names nothing tells whether the server accepts the refresh token.
		_, err := l.send(tokens.Request{Key: tokens.Key{Subject: key.Subject}}).save()
		switch {
		case err == nil:
			return loaded{}, fmt.Errorf("%w: %w", tokens.ErrLoginRequired, refusal)
		case !isRefused(err):
			return loaded{}, err
		}
	}
	l.RefreshToken, l.Replaced = l.Replaced[0], l.Replaced[1:]
	saved, err := l.save(l.storedSession)
	return loaded{l.lease, saved}, err
}

// endSession ends the session whose refresh token the server does not accept, and returns why.
// Servers also say so of a resource or a scope that needs more than a refresh token, such as the
// person's consent. So what was never granted does not end it.
func (l loaded) endSession(key tokens.Key, refusal error) error {
	refusal = fmt.Errorf("%w: %w", tokens.ErrLoginRequired, refusal)
	if l.mayRefuse(key) {
		return refusal
	}
	_, err := l.save(storedSession{record{Ended: true}, l.version})
	if errors.Is(err, ErrConflict) {
		return err // another process was faster, and may have a better one
	}
	if err != nil { // then the server refuses the next fetch, too
		return fmt.Errorf("%w; %w", refusal, err)
	}
	return refusal
}
