package oauthwire

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/tokens"
)

const (
	// provenFor is for how long after a success no such refusal is about the client.
	provenFor = 10 * time.Minute

	// maxProofs is how many proofs a server refuses in a row before a pause holds for whatever the
	// proof is. A function that signs an assertion for each request, or one that is out of order,
	// would otherwise ask all the time.
	maxProofs = 4
)

// refusalBackoff is the pause after a refusal of the client that may be about something else. It
// grows while no other request succeeds.
var refusalBackoff = flight.Backoff{First: time.Second, Max: pacing.MaxBackoff}

// throttle is the times in which a client does not ask a token endpoint, whatever the key is.
//
// Revocations cause none and obey none: a token that is not revoked goes on being accepted, and one
// person's logout must not stop another's.
type throttle struct {
	mu       sync.Mutex
	asked    map[place]pause   // for how long an endpoint asked to be left alone (RFC 9110 section 10.2.3, RFC 6585 section 4)
	refusals map[about]refusal // what the client itself was refused for

	proven map[string]proven // by grant type, "" for any: what was accepted last
}

// place is what a pause holds for.
type place struct {
	endpoint string
	outside  bool // for requests with something from outside alone, one of which caused it
}

// about is what a refusal of the client holds for.
type about struct {
	grantType string // "" for all
	outside   bool   // for requests with something from outside alone, which it may be about
}

// proven is what proved the client to the server last.
type proven struct {
	proof tokens.Secret
	at    time.Time
}

// pause is a pause, and the error of the answer that caused it.
type pause struct {
	until time.Time
	whole time.Duration
	err   *tokens.Error
}

// refusal is the pause after an answer that the client is unknown, or may not use a grant type (RFC
// 6749 section 5.2). It is not about a key: asking for the next would have a server that counts
// refusals lock the client.
type refusal struct {
	pause
	proof  tokens.Secret // that was refused; another one is tried at once
	inARow int           // refusals that hold for the same, with no success in between
	proofs int           // that were refused, each other than the one before, with no success in between
}

// isOf reports whether the refusal holds for a proof.
func (r refusal) isOf(proof tokens.Secret) bool { return r.proof == proof || r.proofs >= maxProofs }

// on returns the error for a request in the pause, or nil.
func (p pause) on() *tokens.Error {
	left := time.Until(p.until)
	if p.err == nil || left <= 0 {
		return nil
	}
	err := *p.err
	err.RetryAfter, err.Pause = left, p.whole
	return &err
}

// throttled returns the error for a request to an endpoint that asked for a pause, or nil. One that
// could not be made later is made in the pause, too.
func (t *throttle) throttled(endpoint string, q Call) *tokens.Error {
	if q.Op != OpToken || q.Once {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.asked[place{endpoint: endpoint}].on(); err != nil || !q.Outside {
		return err
	}
	return t.asked[place{endpoint, true}].on()
}

// refused returns the error for a request that would be refused as one before was, or nil.
func (t *throttle) refused(q Call, proof tokens.Secret) *tokens.Error {
	if q.Op != OpToken {
		return nil
	}
	return t.refusal(q, func(r refusal) bool { return r.isOf(proof) })
}

// hasRefused reports whether there is a proof with which a request would be refused.
func (t *throttle) hasRefused(q Call) bool {
	return q.Op == OpToken && t.refusal(q, func(refusal) bool { return true }) != nil
}

// refusal returns the error of a refusal that holds for a request, or nil.
func (t *throttle) refusal(q Call, holds func(refusal) bool) *tokens.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	grantType := q.Form.Get("grant_type")
	for _, what := range []about{{}, {grantType: grantType}, {grantType, true}} {
		if r := t.refusals[what]; holds(r) && (q.Outside || !what.outside) {
			if err := r.on(); err != nil {
				return err
			}
		}
	}
	return nil
}

// succeeded takes in that a request did.
func (t *throttle) succeeded(q Call, proof tokens.Secret) {
	if q.Op != OpToken {
		return
	}
	grantType := q.Form.Get("grant_type")
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.refusals, func(what about, r refusal) bool {
		return what.grantType == grantType || r.err.Code == "invalid_client"
	})
	if t.proven == nil {
		t.proven = make(map[string]proven)
	}
	now := proven{proof, time.Now()}
	t.proven[""], t.proven[grantType] = now, now
}

// failed takes in an answer of an endpoint that is an error.
func (t *throttle) failed(endpoint string, q Call, proof tokens.Secret, err *tokens.Error) {
	if q.Op != OpToken {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err.Code == codePending || err.Code == codeSlowDown: // which is about one device code
	case err.RetryAfter > 0 && (err.Status == http.StatusTooManyRequests || err.Status == http.StatusServiceUnavailable):
		if q.Once || q.Form.Get("grant_type") == GrantDevice {
			// The one obeys no pause, and the other comes again right at its end: with codes that are
			// none, or logins that are not finished, an outsider could make one go on forever.
			return
		}
		if t.asked == nil {
			t.asked = make(map[place]pause)
		}
		for other, asked := range t.asked { // of endpoints that discovery has replaced since
			if !now.Before(asked.until) {
				delete(t.asked, other)
			}
		}
		// Of requests that were under way together the longest pause counts.
		whole := min(err.RetryAfter, pacing.MaxRetryAfter)
		at := place{endpoint, q.Outside}
		if until := now.Add(whole); until.After(t.asked[at].until) {
			t.asked[at] = pause{until, whole, err}
		}
	case errors.Is(err, ErrRefreshToken): // and not about the client, whatever the code is
	case err.Permanent() && err.Code == "invalid_client":
		t.refuse("", q, proof, err, now)
	case err.Permanent() && err.Code == "unauthorized_client":
		t.refuse(q.Form.Get("grant_type"), q, proof, err, now)
	}
}

// refuse begins the pause after a refusal. The caller holds the lock.
//
// Some refusals may be about something else; see isDoubtful. While the server goes on accepting the
// secret, such a refusal holds for nothing. Otherwise it holds for a second at first, for the same
// grant, and a success ends it. One for what came from outside holds for nothing else, and makes no
// other pause longer.
func (t *throttle) refuse(grantType string, q Call, proof tokens.Secret, err *tokens.Error, now time.Time) {
	what := about{grantType: grantType}
	known, doubtful := t.proven[grantType], q.isDoubtful(err.Code)
	switch {
	case !doubtful:
		delete(t.proven, grantType)
	case known.proof == proof && now.Sub(known.at) < provenFor:
		return
	default:
		what = about{q.Form.Get("grant_type"), q.Outside}
	}
	r := t.refusals[what]
	if r.isOf(proof) && now.Before(r.until) {
		return // by a request that was under way
	}
	if !r.isOf(proof) {
		r.inARow = 0
		r.proofs++
	}
	r.inARow++
	length := backoff(r.inARow, err)
	if doubtful {
		length = refusalBackoff.Bound(r.inARow)
	}
	if t.refusals == nil {
		t.refusals = make(map[about]refusal)
	}
	t.refusals[what] = refusal{pause{now.Add(length), length, err}, proof, r.inARow, r.proofs}
}

// isDoubtful reports whether a refusal of the client with this code may be about something else in
// the request. Some servers say it of a code or a subject token that is another client's, which any
// person can send who may log in. Some say unauthorized_client of an assertion for a person whose
// domain has not let the client act for its people, as Google does, or of the refresh token of one
// whose organization has removed the client, as Microsoft Entra ID does.
func (q Call) isDoubtful(code string) bool {
	return q.Outside || code == "unauthorized_client" && q.Form.Get("grant_type") != "client_credentials"
}

// backoff is for how long nothing is asked after so many failures in a row, of which this is the
// last.
func backoff(failures int, err *tokens.Error) time.Duration {
	return pacing.Pause(failures, pacing.Failure{
		Permanent: err.Permanent() && err.Pause == 0, RetryAfter: err.RetryAfter, Pause: err.Pause,
	})
}
