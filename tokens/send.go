package tokens

import (
	"errors"
	"net/http"
	"time"
)

// send asks the server with the refresh token of a record, and saves what came.
func (t *turn) send(q Request, h held) (*Response, error) {
	form := t.f.client.keyForm("refresh_token", q.Key)
	form.Set("refresh_token", h.RefreshToken)
	// What comes before it is sent is given up when the caller's context ends.
	response, _, err := t.f.client.exchange(t.ctx, call{op: opToken, form: form, lasting: true, ready: t.overslept})
	next := h
	if err == nil {
		if response.Scope == "" && q.Key.Scope == "" {
			response.Scope = h.Scope // RFC 6749 section 6: what is not asked for is what was granted before
		}
		next.record = h.with(q.Key, response, time.Now())
	} else if e, ok := errors.AsType[*refusedAnswer](err); ok {
		next.record = h.doubting(e.refreshToken.Reveal())
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
			return nil, &Error{Op: opToken, Status: http.StatusOK, Err: saveErr}
		}
	}
	if err != nil {
		return nil, err
	}
	response.RefreshToken = Secret{} // it is the Store's
	return response, nil
}
