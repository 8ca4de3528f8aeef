package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/contain"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	rediscoverAfter = 24 * time.Hour  // a document is read again, while nothing fails
	rediscoverPause = time.Hour       // between two readings because something fails, or the last reading did not: see the next
	rediscoverRetry = 5 * time.Minute // between two readings when the last failed

	maxEndpoint = 4 << 10 // bytes of an endpoint's URL
)

// endpoints are what a server's document says (RFC 8414 section 2, OpenID Connect Discovery section 3), or options do.
type endpoints struct {
	token, revocation, authorization string // "" for one that nobody named

	issParameter bool // the server names itself in every answer to a login (RFC 9207 section 3)

	s256     bool // it says that it supports PKCE with S256
	s256Said bool // it says with which methods it supports PKCE
}

// discovery is what is known of the server's document.
type discovery struct {
	mu     sync.Mutex
	last   *endpoints // the last that could be read; nil before the first
	read   time.Time  // when that was
	again  time.Time  // before then it is not read again
	flight *reading   // the one under way, or nil
	late   int        // readings that have not returned in time, and not since

	failures int    // in a row
	err      *Error // of the last of them
}

// reading is the document being read, by one for all.
type reading struct {
	done  chan struct{} // closed when the rest is known
	found endpoints
	err   error
}

var (
	errLateReadings = errors.New("the transport has not returned from earlier requests for it")
	errEndpointSize = fmt.Errorf("is longer than %d bytes", maxEndpoint)
	errNoEndpoint   = errors.New("it names no token_endpoint; give TokenEndpoint if there is one")
)

// endpoints returns where the server's endpoints are. When the options name those for a login, nobody is asked.
func (c *Client) endpoints(ctx context.Context) (endpoints, error) {
	if c.given.token != "" && c.given.authorization != "" {
		return c.given, nil
	}
	return c.discover(ctx)
}

func tokenEndpoint(e endpoints) string      { return e.token }
func revocationEndpoint(e endpoints) string { return e.revocation }

// endpoint returns where one of them is, "" if nobody names it.
func (c *Client) endpoint(ctx context.Context, which func(endpoints) string) (string, error) {
	if given := which(c.given); given != "" {
		return given, nil
	}
	found, err := c.discover(ctx)
	return which(found), err
}

// discover returns what the server's document says. One that is old is used while it is read again.
func (c *Client) discover(ctx context.Context) (endpoints, error) {
	d := &c.discovery
	d.mu.Lock()
	if d.last != nil {
		found, now := *d.last, time.Now()
		if now.Sub(d.read) >= rediscoverAfter && !now.Before(d.again) {
			c.beginReading(ctx)
		}
		d.mu.Unlock()
		return found, nil
	}
	if left := time.Until(d.again); d.flight == nil && d.err != nil && left > 0 { // for all keys that the client serves
		err := *d.err
		err.RetryAfter, err.Pause = left, err.RetryAfter
		d.mu.Unlock()
		return endpoints{}, &err
	}
	r := c.beginReading(ctx)
	d.mu.Unlock()
	return r.wait(ctx)
}

// moved returns where an endpoint is now, when it is not any more where it was. False means that nothing better is known.
func (c *Client) moved(ctx context.Context, from string, which func(endpoints) string) (string, bool) {
	if which(c.given) != "" {
		return "", false
	}
	d := &c.discovery
	d.mu.Lock()
	if d.last != nil && which(*d.last) != from { // another has found out
		found := which(*d.last)
		d.mu.Unlock()
		return found, found != ""
	}
	if d.flight == nil && time.Now().Before(d.again) {
		d.mu.Unlock()
		return "", false
	}
	r := c.beginReading(ctx)
	d.mu.Unlock()
	found, err := r.wait(ctx)
	to := which(found)
	return to, err == nil && to != from && to != ""
}

// beginReading starts reading the document, or joins who does. The caller holds the lock. The reading has the values of the
// context, such as a trace, but does not end with it: others wait, too. It ends by itself, and nobody waits for longer than two
// requests may take, whatever the transport does. Of those that the transport does not end, there are two at most.
func (c *Client) beginReading(ctx context.Context) *reading {
	d := &c.discovery
	if d.flight != nil {
		return d.flight
	}
	r := &reading{done: make(chan struct{})}
	d.flight = r
	if d.late == maxLate {
		d.settle(r, endpoints{}, &Error{Op: opDiscovery, Err: errLateReadings})
		return r
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 2*requestTimeout, errNoAnswer)
	stop := context.AfterFunc(ctx, func() {
		d.addLate(1)
		d.land(r, endpoints{}, &Error{Op: opDiscovery, Err: webclient.Ended(ctx)})
	})
	go func() {
		defer cancel()
		var found endpoints
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
			failure, ok := errors.AsType[*Error](err)
			if err != nil && !ok {
				failure = &Error{Op: opDiscovery, Err: err}
			}
			d.land(r, found, failure)
		})
	}()
	return r
}

// land takes in what came of a reading, unless nobody waits for it any more.
func (d *discovery) land(r *reading, found endpoints, err *Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(r, found, err)
}

func (d *discovery) addLate(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late += n
}

// settle is land for a caller who holds the lock.
func (d *discovery) settle(r *reading, found endpoints, err *Error) {
	if d.flight != r {
		return
	}
	now := time.Now()
	d.flight = nil
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

// wait waits for a reading until the context ends.
func (r *reading) wait(ctx context.Context) (endpoints, error) {
	select {
	case <-r.done:
		return r.found, r.err
	case <-ctx.Done():
		return endpoints{}, &Error{Op: opDiscovery, Err: webclient.Ended(ctx)}
	}
}

// readDocument asks the server for its document.
func (c *Client) readDocument(ctx context.Context) (endpoints, *Error) {
	location, other := weburl.WellKnown(c.issuer)
	document, failure := c.get(ctx, location)
	if failure != nil && failure.Status == http.StatusNotFound {
		location = other
		document, failure = c.get(ctx, location)
	}
	if failure != nil {
		return endpoints{}, failure
	}
	found, err := c.readMetadata(document)
	if err != nil {
		return endpoints{}, &Error{
			Op: opDiscovery, Status: http.StatusOK,
			Err: fmt.Errorf("the answer of %s is not usable: %w", location, err),
		}
	}
	return found, nil
}

// get makes one request.
func (c *Client) get(ctx context.Context, location string) (document string, failure *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodGet, location, http.NoBody)
	if err != nil {
		return "", &Error{Op: opDiscovery, Err: err}
	}
	request.Header.Set("Accept", "application/json")
	response, err := webclient.Do(c.reader, request)
	if err != nil {
		return "", &Error{Op: opDiscovery, Err: fmt.Errorf("GET %s: %w", location, quiet(ctx, err))}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", &Error{
			Op: opDiscovery, Status: response.StatusCode, RetryAfter: webclient.RetryAfter(response.Header, maxAskedPause),
			Err: fmt.Errorf("GET %s", location),
		}
	}
	document, err = webclient.Body(response)
	if err != nil {
		return "", &Error{Op: opDiscovery, Status: http.StatusOK, Err: fmt.Errorf("GET %s: %w", location, quiet(ctx, err))}
	}
	return document, nil
}

// metadata is a JSON object whose members are read one by one.
type metadata map[string]string

func (m metadata) text(name string) string {
	text, _ := strictjson.String(m[name])
	return strings.Clone(text) // or it would keep the whole document in memory
}

// readObject reads a JSON object. Names and values are parts of the document.
func readObject(document string) (metadata, error) {
	members, err := strictjson.Object(document)
	if err != nil {
		return nil, err
	}
	m := make(metadata, len(members))
	for _, member := range members {
		m[member.Name] = member.Value
	}
	return m, nil
}

// readMetadata reads the members of the document that matter here.
func (c *Client) readMetadata(document string) (endpoints, error) {
	m, err := readObject(document)
	if err != nil {
		return endpoints{}, err
	}
	if err := weburl.SameIssuer(m.text("issuer"), c.issuer); err != nil {
		return endpoints{}, err
	}
	aliases := metadata{}
	if text, ok := m["mtls_endpoint_aliases"]; ok && c.auth.certificate != nil {
		if aliases, err = readObject(text); err != nil {
			return endpoints{}, errors.New("its mtls_endpoint_aliases is not an object")
		}
	}
	found := c.given
	for _, e := range []struct {
		name  string
		field *string
	}{
		{"token_endpoint", &found.token},
		{"revocation_endpoint", &found.revocation},
		{"authorization_endpoint", &found.authorization},
	} {
		if *e.field != "" {
			continue
		}
		text := aliases.text(e.name)
		if text == "" || e.field == &found.authorization { // which a person's browser goes to
			text = m.text(e.name)
		}
		if text == "" {
			continue
		}
		err := weburl.CheckOf(c.issuer, text, c.insecureHTTP)
		if len(text) > maxEndpoint {
			err = errEndpointSize
		}
		if err != nil {
			return endpoints{}, fmt.Errorf("its %s %w", e.name, err)
		}
		*e.field = text
	}
	if found.token == "" {
		return endpoints{}, errNoEndpoint
	}
	found.issParameter = m["authorization_response_iss_parameter_supported"] == "true"
	if methods, ok := strictjson.Elements(m["code_challenge_methods_supported"]); ok {
		found.s256Said = true
		for _, method := range methods {
			if text, _ := strictjson.String(method); text == "S256" {
				found.s256 = true
			}
		}
	}
	return found, nil
}
