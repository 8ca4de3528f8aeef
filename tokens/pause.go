package tokens

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
)

const (
	firstHold = time.Second       // after a refusal of the client that may be about a caller's token
	maxHold   = pacing.MaxBackoff // which it doubles to, while no other request succeeds
	provenFor = 10 * time.Minute  // for how long after a success no such refusal is about the client
)

// pauses are the times in which a client does not ask a token endpoint, whatever the key is.
//
// Revocations cause none and obey none: a token that is not revoked goes on being accepted, and one
// person's logout must not stop another's.
type pauses struct {
	mu    sync.Mutex
	asked map[string]pauseOf // by endpoint: for how long that asked to be left alone (RFC 9110 section 10.2.3, RFC 6585 section 4)
	held  map[string]hold    // by grant type, "" for all: what the client itself was refused for

	proven map[string]proven // by grant type, "" for any: what was accepted last
}

// proven is a secret that the server has accepted.
type proven struct {
	proof Secret
	at    time.Time
}

// pauseOf is a pause, and the error of the answer that caused it.
type pauseOf struct {
	until time.Time
	whole time.Duration
	err   *Error
}

// hold is the pause after an answer that the client is unknown, or may not use a grant type (RFC 6749
// section 5.2). It is not about a key: asking for the next would have a server that counts refusals
// lock the client.
type hold struct {
	pauseOf
	proof   Secret // that was refused; another secret is tried at once
	outside bool   // the refusal may be about what came from outside: it holds for nothing else
	inARow  int    // holds, with no success in between
}

// on returns the error for a request in the pause, or nil.
func (p pauseOf) on() *Error {
	left := time.Until(p.until)
	if p.err == nil || left <= 0 {
		return nil
	}
	err := *p.err
	err.RetryAfter, err.Pause = left, p.whole
	return &err
}

// resting returns the error for a request to an endpoint that asked for a pause, or nil.
func (p *pauses) resting(endpoint string, q call) *Error {
	if q.op != opToken {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[endpoint].on()
}

// holding returns the error for a request that would be refused as one before was, or nil.
func (p *pauses) holding(q call, proof Secret) *Error {
	if q.op != opToken {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, about := range []string{"", q.form.Get("grant_type")} {
		if h := p.held[about]; h.proof == proof && (q.outside || !h.outside) {
			if err := h.on(); err != nil {
				return err
			}
		}
	}
	return nil
}

// succeeded takes in that a request did.
func (p *pauses) succeeded(q call, proof Secret) {
	if q.op != opToken {
		return
	}
	grantType := q.form.Get("grant_type")
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.held, func(about string, h hold) bool {
		return about == grantType || h.err.Code == "invalid_client"
	})
	if p.proven == nil {
		p.proven = make(map[string]proven)
	}
	now := proven{proof, time.Now()}
	p.proven[""], p.proven[grantType] = now, now
}

// failed takes in an answer of an endpoint that is an error.
func (p *pauses) failed(endpoint string, q call, proof Secret, err *Error) {
	if q.op != opToken {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err.RetryAfter > 0 && (err.Status == http.StatusTooManyRequests || err.Status == http.StatusServiceUnavailable):
		if p.asked == nil {
			p.asked = make(map[string]pauseOf)
		}
		for other, asked := range p.asked { // of endpoints that discovery has replaced since
			if !now.Before(asked.until) {
				delete(p.asked, other)
			}
		}
		// Of requests that were under way together the longest pause counts.
		whole := min(err.RetryAfter, pacing.MaxRetryAfter)
		if until := now.Add(whole); until.After(p.asked[endpoint].until) {
			p.asked[endpoint] = pauseOf{until, whole, err}
		}
	case err.Permanent() && err.Code == "invalid_client":
		p.hold("", q, proof, err, now)
	case err.Permanent() && err.Code == "unauthorized_client":
		p.hold(q.form.Get("grant_type"), q, proof, err, now)
	}
}

// hold begins a hold. The caller holds the lock.
//
// Some servers refuse the client when a code or a subject token is another client's, which anybody
// can send who may log in. While the server goes on accepting the secret, such a refusal holds for
// nothing. Otherwise it holds for a second at first, for the same grant and what else comes from
// outside, and a success ends it.
func (p *pauses) hold(about string, q call, proof Secret, err *Error, now time.Time) {
	known := p.proven[about]
	switch {
	case !q.outside:
		delete(p.proven, "")
		delete(p.proven, about)
	case known.proof == proof && now.Sub(known.at) < provenFor:
		return
	default:
		about = q.form.Get("grant_type")
	}
	h := p.held[about]
	if h.proof == proof && now.Before(h.until) && (q.outside || !h.outside) {
		return // by a request that was under way
	}
	if h.proof != proof {
		h.inARow = 0
	}
	h.inARow++
	length := backoff(h.inARow, err)
	if q.outside {
		length = min(firstHold<<min(h.inARow-1, 9), maxHold)
	}
	if p.held == nil {
		p.held = make(map[string]hold)
	}
	p.held[about] = hold{pauseOf{now.Add(length), length, err}, proof, q.outside, h.inARow}
}
