package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	rediscoverAfter = 24 * time.Hour  // a document is read again, while nothing fails
	rediscoverPause = time.Hour       // between two readings because something fails, or the last reading did not: see the next
	rediscoverRetry = 5 * time.Minute // between two readings when the last failed
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
}

// reading is the document being read, by one for all.
type reading struct {
	done  chan struct{} // closed when the rest is known
	found endpoints
	err   error
}

var (
	errNoReading  = errors.New("reading it ended its goroutine") // as a test's transport does that calls FailNow
	errNoEndpoint = errors.New("it names no token_endpoint; give TokenEndpoint if there is one")
)

// endpoints returns where the server's endpoints are. When the options name those for a login, nobody is asked.
func (c *Client) endpoints(ctx context.Context) (endpoints, error) {
	if c.given.token != "" && c.given.authorization != "" {
		return c.given, nil
	}
	return c.discover(ctx)
}

// tokenEndpoint returns where tokens are asked for.
func (c *Client) tokenEndpoint(ctx context.Context) (string, error) {
	if c.given.token != "" {
		return c.given.token, nil
	}
	found, err := c.discover(ctx)
	return found.token, err
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
	r := c.beginReading(ctx)
	d.mu.Unlock()
	return r.wait(ctx)
}

// moved returns where tokens are asked for now, when an endpoint said that it is not there any more. False means that
// nothing better is known.
func (c *Client) moved(ctx context.Context, from string) (string, bool) {
	if c.given.token != "" {
		return "", false
	}
	d := &c.discovery
	d.mu.Lock()
	if d.last != nil && d.last.token != from { // another has found out
		found := d.last.token
		d.mu.Unlock()
		return found, true
	}
	if d.flight == nil && time.Now().Before(d.again) {
		d.mu.Unlock()
		return "", false
	}
	r := c.beginReading(ctx)
	d.mu.Unlock()
	found, err := r.wait(ctx)
	return found.token, err == nil && found.token != from
}

// beginReading starts reading the document, or joins who does. The caller holds the lock. The reading has the values of the
// context, such as a trace, but does not end with it: others wait, too. It ends by itself, after two requests at most.
func (c *Client) beginReading(ctx context.Context) *reading {
	d := &c.discovery
	if d.flight != nil {
		return d.flight
	}
	r := &reading{done: make(chan struct{}), err: &Error{Op: opDiscovery, Err: errNoReading}}
	d.flight = r
	if d.last != nil {
		d.again = time.Now().Add(rediscoverPause)
	}
	go func() {
		defer func() {
			d.mu.Lock()
			d.flight = nil
			now := time.Now()
			switch {
			case r.err == nil:
				d.last, d.read = &r.found, now
			case d.last != nil:
				d.again = now.Add(rediscoverRetry)
			}
			d.mu.Unlock()
			close(r.done)
		}()
		r.found, r.err = c.readDocument(context.WithoutCancel(ctx))
	}()
	return r
}

// wait waits for a reading until the context ends.
func (r *reading) wait(ctx context.Context) (endpoints, error) {
	select {
	case <-r.done:
		return r.found, r.err
	case <-ctx.Done():
		return endpoints{}, &Error{Op: opDiscovery, Err: ended(ctx)}
	}
}

// readDocument asks the server for its document.
func (c *Client) readDocument(ctx context.Context) (endpoints, error) {
	location, other := weburl.WellKnown(c.issuer)
	document, err := c.get(ctx, location)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		location = other
		document, err = c.get(ctx, location)
	}
	if err != nil {
		return endpoints{}, err
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
func (c *Client) get(ctx context.Context, location string) (document string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
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
			Op: opDiscovery, Status: response.StatusCode, RetryAfter: retryAfter(response.Header),
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
	return text
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
		if err := c.checkNamed(text); err != nil {
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

// checkNamed judges a URL out of the document.
func (c *Client) checkNamed(text string) error {
	if err := checkURL(text, c.insecureHTTP); err != nil {
		return err
	}
	return weburl.CheckOf(c.issuer, text, c.insecureHTTP)
}
