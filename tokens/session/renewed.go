package session

import (
	"errors"
	"net/http"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

// renewed is what the server answered, before it is saved.
type renewed struct {
	loaded // what was sent
	q      tokens.Request

	next     storedSession // the record after the answer
	response *tokens.Response
	err      error // why there is none; next may have another refresh token nevertheless
}

// save saves what came, and returns the access token. A refresh token that could not be saved is
// kept, and saved later.
func (r renewed) save() (*tokens.Response, error) {
	rotated := r.next.RefreshToken != r.RefreshToken // an answer that repeats what was sent replaces nothing
	if r.err == nil || rotated {
		unsaved := rotated // otherwise nothing is lost
		if rotated {
			r.f.hold(r.name, r.next)
		}
		defer func() { // also when the Store panics, or ends the goroutine
			if unsaved {
				r.f.saveLater(r.name, r.next)
			}
		}()
		_, err := r.lease.save(r.next)
		unsaved = unsaved && err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, errRecordSize)
		if !unsaved {
			r.f.release(r.name, r.next)
		}
		switch {
		case errors.Is(err, ErrConflict):
			return r.overtaken()
		case errors.Is(err, errRecordSize):
			return nil, &tokens.Error{Op: oauthwire.OpToken, Status: http.StatusOK, Err: err}
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	r.response.RefreshToken = tokens.Secret{} // it is the Store's
	return r.response, nil
}

// overtaken is for when the record has changed while the server was asked, although this process
// had the lock: what is stored now stands.
func (r renewed) overtaken() (*tokens.Response, error) {
	current, err := r.loadAgain()
	if errors.Is(err, tokens.ErrLoginRequired) {
		if r.next.RefreshToken != r.RefreshToken { // another process logged out; what came after that is of no session
			r.abandon(r.next.RefreshToken, hintRefreshToken)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if response := current.find(r.q, time.Now(), (*storedToken).due); response != nil {
		return response, nil
	}
	return nil, &StoreError{"save", ErrConflict}
}
