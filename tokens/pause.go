package tokens

import (
	"net/http"
	"sync"
	"time"
)

// endpointPause is how long a token endpoint asked to be left alone (RFC 9110 section 10.2.3, RFC
// 6585 section 4). It holds for all keys of a client and for that endpoint alone.
//
// Revocations cause no pause and obey none: a token that is not revoked goes on being accepted, and
// one person's logout must not stop another's.
type endpointPause struct {
	mu       sync.Mutex
	endpoint string // the URL; "" before the first
	until    time.Time
	err      *Error // of the answer that asked for it
}

// pause takes in a failed answer of an endpoint.
func (c *Client) pause(endpoint string, err *Error) {
	asks := err.Status == http.StatusTooManyRequests || err.Status == http.StatusServiceUnavailable
	if err.Op != opToken || err.RetryAfter <= 0 || !asks {
		return
	}
	p := &c.paused
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoint, p.err = endpoint, err
	p.until = time.Now().Add(min(err.RetryAfter, maxRetryAfter))
}

// resting returns the error of the answer that asked for a pause of the token endpoint, while the
// pause lasts.
func (c *Client) resting(endpoint string) *Error {
	p := &c.paused
	p.mu.Lock()
	defer p.mu.Unlock()
	left := time.Until(p.until)
	if p.endpoint != endpoint || left <= 0 {
		return nil
	}
	err := *p.err
	err.RetryAfter = left
	return &err
}
