package session

import (
	"errors"
	"net/http"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

// send asks the server with the refresh token of a record, and saves what came.
func (t *turn) send(q tokens.Request, h held) (*tokens.Response, error) {
	form := oauthwire.KeyForm("refresh_token", q.Key)
	form.Set("refresh_token", h.RefreshToken)
	// What comes before it is sent is given up when the caller's context ends.
	response, _, err := t.f.wire.Exchange(t.ctx, oauthwire.Call{
		Op: oauthwire.OpToken, Form: form, Lasting: true, Ready: t.overslept,
	})
	next := h
	if err == nil {
		if response.Scope == "" && q.Key.Scope == "" {
			response.Scope = h.Scope // RFC 6749 section 6: what is not asked for is what was granted before
		}
		next.record = h.with(q.Key, response, time.Now())
	} else if e, ok := errors.AsType[*oauthwire.RefusedAnswer](err); ok {
		next.record = h.doubting(e.RefreshToken.Reveal())
	}
	rotated := next.RefreshToken != h.RefreshToken // an answer that repeats what was sent replaces nothing
	if err == nil || rotated {
		unsaved := rotated // otherwise nothing is lost
		if rotated {
			t.f.hold(t.name, next)
		}
		defer func() { // also when the Store panics, or ends the goroutine
			if unsaved {
				t.f.keep(t.name, next)
			}
		}()
		_, saveErr := t.save(next)
		unsaved = unsaved && saveErr != nil && !errors.Is(saveErr, ErrConflict) && !errors.Is(saveErr, errRecordSize)
		if !unsaved {
			t.f.release(t.name, next)
		}
		switch {
		case errors.Is(saveErr, ErrConflict):
			return t.overtaken(q, h, next)
		case errors.Is(saveErr, errRecordSize):
			return nil, &tokens.Error{Op: oauthwire.OpToken, Status: http.StatusOK, Err: saveErr}
		}
	}
	if err != nil {
		return nil, err
	}
	response.RefreshToken = tokens.Secret{} // it is the Store's
	return response, nil
}
