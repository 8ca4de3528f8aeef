package oauthwire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/discovery"
	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
)

const (
	rediscoverAfter = 24 * time.Hour  // a document is read again, while nothing fails
	rediscoverPause = time.Hour       // between two fetches for one cause
	rediscoverRetry = 5 * time.Minute // the same when the last fetch failed

	maxLateFetches = 2 // that the transport may not have ended before no other is made
)

// knownDocument is what is known of the server's document.
type knownDocument struct {
	mu    sync.Mutex
	last  *Endpoints              // the last that could be read; nil before the first
	read  time.Time               // when that was
	again time.Time               // before then it is not read again
	after [causes]time.Time       // nor for this cause
	fetch *flight.Call[Endpoints] // the one under way, or nil
	cause [causes]bool            // of that one; none if the last is old, or there is none
	late  int                     // fetches that have not returned in time, and not since

	failures int           // in a row, before the first that could be read
	err      *tokens.Error // of the last fetch, if that failed
}

// cause is why a document is read again that is not old. Each has a pause of its own: outsiders can
// cause the one, by the header of an ID token, and must not hold the other back.
type cause int

const (
	endpointGone cause = iota
	algorithmUnnamed
	causes
)

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
	d := &c.document
	d.mu.Lock()
	if d.last != nil {
		found, now := *d.last, time.Now()
		if now.Sub(d.read) >= rediscoverAfter && !now.Before(d.again) {
			c.beginFetch(ctx)
		}
		d.mu.Unlock()
		return found, nil
	}
	// The pause holds for all keys that the client serves.
	if err := d.paused(); err != nil {
		d.mu.Unlock()
		return Endpoints{}, err
	}
	fetch := c.beginFetch(ctx)
	d.mu.Unlock()
	return wait(ctx, fetch)
}

// paused returns the error of the last fetch, in the pause after it, or nil. The caller holds the
// lock.
func (d *knownDocument) paused() error {
	left := time.Until(d.again)
	if d.fetch != nil || d.err == nil || left <= 0 {
		return nil
	}
	err := *d.err
	err.RetryAfter, err.Pause = left, err.RetryAfter
	return &err
}

// moved returns where an endpoint is now, when it is not any more where it was. False means that
// nothing better is known.
func (c *Client) moved(ctx context.Context, from string, which func(Endpoints) string) (string, bool) {
	if which(c.Given) != "" {
		return "", false
	}
	d := &c.document
	d.mu.Lock()
	if d.last != nil && which(*d.last) != from { // another has found out
		found := which(*d.last)
		d.mu.Unlock()
		return found, found != ""
	}
	if !d.mayRead(endpointGone) {
		d.mu.Unlock()
		return "", false
	}
	fetch := c.beginFetch(ctx)
	d.mu.Unlock()
	found, err := wait(ctx, fetch)
	to := which(found)
	return to, err == nil && to != from && to != ""
}

// mayRead reports whether the document may be read again for a cause, or is being read. The caller
// holds the lock, and begins or joins the fetch then.
func (d *knownDocument) mayRead(why cause) bool {
	now := time.Now()
	if d.fetch == nil && (now.Before(d.again) || now.Before(d.after[why])) {
		return false
	}
	d.cause[why] = true
	return true
}

// beginFetch starts reading the document, or joins the caller that does. The caller holds the lock.
// The fetch has the values of the context, such as a trace, but does not end with it: others wait,
// too. It ends by itself, and callers wait no longer than two requests may take, whatever the
// transport does. Of those that the transport does not end, there are two at most.
func (c *Client) beginFetch(ctx context.Context) *flight.Call[Endpoints] {
	d := &c.document
	if d.fetch != nil {
		return d.fetch
	}
	fetch := flight.NewCall[Endpoints]()
	d.fetch = fetch
	if d.late == maxLateFetches {
		d.release(fetch, Endpoints{}, discoveryError(errLateFetches))
		return fetch
	}
	go c.run(context.WithoutCancel(ctx), fetch)
	return fetch
}

// run reads the document.
func (c *Client) run(ctx context.Context, fetch *flight.Call[Endpoints]) {
	d := &c.document
	ctx, cancel := context.WithTimeoutCause(ctx, 2*RequestTimeout, errNoAnswer)
	defer cancel()
	var found Endpoints
	flight.Run(ctx, slog.Default(), "the transport", func() error {
		document, failure := c.readDocument(ctx)
		if failure != nil {
			return failure
		}
		found = document
		return nil
	}, func() {
		d.addLate(1)
		d.finish(fetch, Endpoints{}, discoveryError(webclient.Ended(ctx)))
	}, func(err error, wasLate bool) {
		if wasLate {
			d.addLate(-1)
		}
		failure, ok := errors.AsType[*tokens.Error](err)
		if err != nil && !ok {
			failure = discoveryError(err)
		}
		d.finish(fetch, found, failure)
	})
}

func discoveryError(err error) *tokens.Error { return &tokens.Error{Op: OpDiscovery, Err: err} }

// finish takes in what came of a fetch, unless no caller waits for it any more.
func (d *knownDocument) finish(fetch *flight.Call[Endpoints], found Endpoints, err *tokens.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(fetch, found, err)
}

func (d *knownDocument) addLate(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late += n
}

// release is finish for a caller that holds the lock.
func (d *knownDocument) release(fetch *flight.Call[Endpoints], found Endpoints, err *tokens.Error) {
	if d.fetch != fetch {
		return
	}
	now, why := time.Now(), d.cause
	d.fetch, d.cause = nil, [causes]bool{}
	if err == nil {
		d.again = time.Time{}
		for one := range why {
			if d.last != nil && (why[one] || why == [causes]bool{}) {
				d.after[one] = now.Add(rediscoverPause)
			}
		}
		d.last, d.read, d.failures, d.err = &found, now, 0, nil
		fetch.Finish(found, nil)
		return
	}
	pause := rediscoverRetry
	if d.last == nil {
		d.failures++
		pause = backoff(d.failures, err)
	}
	err.RetryAfter = max(err.RetryAfter, pause)
	d.again, d.err = now.Add(pause), err
	fetch.Finish(Endpoints{}, err)
}

// wait waits for a fetch until the context ends.
func wait(ctx context.Context, fetch *flight.Call[Endpoints]) (Endpoints, error) {
	if !fetch.Wait(ctx, time.Time{}) {
		return Endpoints{}, discoveryError(webclient.Ended(ctx))
	}
	return fetch.Result()
}

// discoveryHelp is what to do for a server whose document cannot be found or is another's.
const discoveryHelp = "give the issuer as the server names it; WithMetadataURL gives another place of the document, " +
	"WithTokenEndpoint and the options like it the endpoints, and WithKeySetURL the keys of ID tokens"

// readDocument asks the server for its document.
func (c *Client) readDocument(ctx context.Context) (Endpoints, *tokens.Error) {
	place := discovery.Place{Issuer: c.Issuer, URL: c.MetadataURL, Help: discoveryHelp}
	document, err := discovery.Fetch(ctx, place, c.getDocument)
	if failure, ok := errors.AsType[*tokens.Error](err); ok { // of getDocument
		if place, ok := errors.AsType[*discovery.PlaceError](err); ok && place.Also != "" {
			failure.Err = fmt.Errorf("%w%s", failure.Err, place.Also)
		}
		return Endpoints{}, failure
	}
	var found Endpoints
	if err == nil {
		if found, err = c.endpoints(&document); err != nil {
			err = document.Unusable(err)
		}
	}
	if err != nil {
		return Endpoints{}, &tokens.Error{Op: OpDiscovery, Status: http.StatusOK, Err: err}
	}
	return found, nil
}

// getDocument is a [discovery.Get]. Its errors are [*tokens.Error].
func (c *Client) getDocument(ctx context.Context, location string) (document string, status int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, RequestTimeout, errNoAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodGet, location, http.NoBody)
	if err != nil {
		return "", 0, discoveryError(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := webclient.Do(c.DiscoveryClient, request)
	if err != nil {
		return "", 0, discoveryError(fmt.Errorf("GET %s: %w", location, quiet(ctx, err)))
	}
	defer response.Body.Close()
	if status = response.StatusCode; status != http.StatusOK {
		return "", status, &tokens.Error{
			Op: OpDiscovery, Status: status,
			RetryAfter: webclient.RetryAfter(response.Header, maxAskedPause),
			Err:        fmt.Errorf("GET %s", location),
		}
	}
	document, err = webclient.Body(response)
	if err != nil {
		return "", status, &tokens.Error{
			Op: OpDiscovery, Status: status,
			Err: fmt.Errorf("GET %s: %w", location, quiet(ctx, err)),
		}
	}
	return document, status, nil
}
