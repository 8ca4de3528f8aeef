package oauthwire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/contain"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/tokens"
)

const (
	rediscoverAfter = 24 * time.Hour  // a document is read again, while nothing fails
	rediscoverPause = time.Hour       // between two fetches because something fails, unless the last fetch did: see the next
	rediscoverRetry = 5 * time.Minute // between two fetches when the last failed

	maxLateFetches = 2 // that the transport may not have ended before no other is made
)

// discovery is what is known of the server's document.
type discovery struct {
	mu    sync.Mutex
	last  *Endpoints     // the last that could be read; nil before the first
	read  time.Time      // when that was
	again time.Time      // before then it is not read again
	fetch *documentFetch // the one under way, or nil
	late  int            // fetches that have not returned in time, and not since

	failures int           // in a row
	err      *tokens.Error // of the last of them
}

// documentFetch is the document being read, by one for all.
type documentFetch struct {
	done  chan struct{} // closed when the rest is known
	found Endpoints
	err   error
}

var errLateFetches = errors.New("the transport has not returned from earlier requests for it")

// LoginEndpoints returns where the server's endpoints are. When the options name those for a login,
// the server is not asked.
func (c *Client) LoginEndpoints(ctx context.Context) (Endpoints, error) {
	if c.Given.Token != "" && c.Given.Authorization != "" {
		return c.Given, nil
	}
	return c.discover(ctx)
}

// Endpoint returns where one of them is, "" if neither the options nor the server name it.
func (c *Client) Endpoint(ctx context.Context, which func(Endpoints) string) (string, error) {
	if given := which(c.Given); given != "" {
		return given, nil
	}
	found, err := c.discover(ctx)
	return which(found), err
}

// discover returns what the server's document says. One that is old is used while it is read again.
func (c *Client) discover(ctx context.Context) (Endpoints, error) {
	d := &c.discovery
	d.mu.Lock()
	if d.last != nil {
		found, now := *d.last, time.Now()
		if now.Sub(d.read) >= rediscoverAfter && !now.Before(d.again) {
			c.beginFetch(ctx)
		}
		d.mu.Unlock()
		return found, nil
	}
	if left := time.Until(d.again); d.fetch == nil && d.err != nil && left > 0 { // for all keys that the client serves
		err := *d.err
		err.RetryAfter, err.Pause = left, err.RetryAfter
		d.mu.Unlock()
		return Endpoints{}, &err
	}
	r := c.beginFetch(ctx)
	d.mu.Unlock()
	return r.wait(ctx)
}

// moved returns where an endpoint is now, when it is not any more where it was. False means that
// nothing better is known.
func (c *Client) moved(ctx context.Context, from string, which func(Endpoints) string) (string, bool) {
	if which(c.Given) != "" {
		return "", false
	}
	d := &c.discovery
	d.mu.Lock()
	if d.last != nil && which(*d.last) != from { // another has found out
		found := which(*d.last)
		d.mu.Unlock()
		return found, found != ""
	}
	if d.fetch == nil && time.Now().Before(d.again) {
		d.mu.Unlock()
		return "", false
	}
	r := c.beginFetch(ctx)
	d.mu.Unlock()
	found, err := r.wait(ctx)
	to := which(found)
	return to, err == nil && to != from && to != ""
}

// beginFetch starts reading the document, or joins the caller that does. The caller holds the lock.
// The fetch has the values of the context, such as a trace, but does not end with it: others wait,
// too. It ends by itself, and callers wait no longer than two requests may take, whatever the
// transport does. Of those that the transport does not end, there are two at most.
func (c *Client) beginFetch(ctx context.Context) *documentFetch {
	d := &c.discovery
	if d.fetch != nil {
		return d.fetch
	}
	r := &documentFetch{done: make(chan struct{})}
	d.fetch = r
	if d.late == maxLateFetches {
		d.release(r, Endpoints{}, &tokens.Error{Op: OpDiscovery, Err: errLateFetches})
		return r
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 2*RequestTimeout, errNoAnswer)
	stop := context.AfterFunc(ctx, func() {
		d.addLate(1)
		d.finish(r, Endpoints{}, &tokens.Error{Op: OpDiscovery, Err: webclient.Ended(ctx)})
	})
	go func() {
		defer cancel()
		var found Endpoints
		contain.Call(ctx, slog.Default(), "the transport", func() error {
			document, failure := c.readDocument(ctx)
			if failure != nil {
				return failure
			}
			found = document
			return nil
		}, func(err error) {
			if !stop() {
				d.addLate(-1)
			}
			failure, ok := errors.AsType[*tokens.Error](err)
			if err != nil && !ok {
				failure = &tokens.Error{Op: OpDiscovery, Err: err}
			}
			d.finish(r, found, failure)
		})
	}()
	return r
}

// finish takes in what came of a fetch, unless no caller waits for it any more.
func (d *discovery) finish(r *documentFetch, found Endpoints, err *tokens.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(r, found, err)
}

func (d *discovery) addLate(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late += n
}

// release is finish for a caller that holds the lock.
func (d *discovery) release(r *documentFetch, found Endpoints, err *tokens.Error) {
	if d.fetch != r {
		return
	}
	now := time.Now()
	d.fetch = nil
	switch {
	case err == nil:
		d.again = time.Time{}
		if d.last != nil {
			d.again = now.Add(rediscoverPause)
		}
		d.last, d.read, d.failures, d.err = &found, now, 0, nil
		r.found = found
	case d.last != nil:
		d.again = now.Add(rediscoverRetry)
		r.err = err
	default:
		d.failures++
		pause := backoff(d.failures, err)
		err.RetryAfter = max(err.RetryAfter, pause)
		d.again, d.err = now.Add(pause), err
		r.err = err
	}
	close(r.done)
}

// wait waits for a fetch until the context ends.
func (r *documentFetch) wait(ctx context.Context) (Endpoints, error) {
	select {
	case <-r.done:
		return r.found, r.err
	case <-ctx.Done():
		return Endpoints{}, &tokens.Error{Op: OpDiscovery, Err: webclient.Ended(ctx)}
	}
}

// readDocument asks the server for its document.
func (c *Client) readDocument(ctx context.Context) (Endpoints, *tokens.Error) {
	location, other := weburl.WellKnown(c.Issuer)
	document, failure := c.get(ctx, location)
	if failure != nil && failure.Status == http.StatusNotFound {
		location = other
		document, failure = c.get(ctx, location)
	}
	if failure != nil {
		return Endpoints{}, failure
	}
	found, err := c.readMetadata(document)
	if err != nil {
		return Endpoints{}, &tokens.Error{
			Op: OpDiscovery, Status: http.StatusOK,
			Err: fmt.Errorf("the answer of %s is not usable: %w", location, err),
		}
	}
	return found, nil
}

// get makes one request.
func (c *Client) get(ctx context.Context, location string) (document string, failure *tokens.Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, RequestTimeout, errNoAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodGet, location, http.NoBody)
	if err != nil {
		return "", &tokens.Error{Op: OpDiscovery, Err: err}
	}
	request.Header.Set("Accept", "application/json")
	response, err := webclient.Do(c.DiscoveryClient, request)
	if err != nil {
		return "", &tokens.Error{Op: OpDiscovery, Err: fmt.Errorf("GET %s: %w", location, quiet(ctx, err))}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", &tokens.Error{
			Op: OpDiscovery, Status: response.StatusCode, RetryAfter: webclient.RetryAfter(response.Header, maxAskedPause),
			Err: fmt.Errorf("GET %s", location),
		}
	}
	document, err = webclient.Body(response)
	if err != nil {
		return "", &tokens.Error{Op: OpDiscovery, Status: http.StatusOK, Err: fmt.Errorf("GET %s: %w", location, quiet(ctx, err))}
	}
	return document, nil
}
