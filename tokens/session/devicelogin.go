package session

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	deviceLifetime    = 10 * time.Minute // of a device login whose server does not say (RFC 8628 section 3.2 demands it)
	maxDeviceLifetime = time.Hour

	pollInterval    = 5 * time.Second // where the server does not say (RFC 8628 section 3.2)
	minPollInterval = time.Second     // that a server can choose
	maxPollInterval = time.Minute     // that a server can choose, and of the pause after failures
	slowDown        = 5 * time.Second // that slow_down adds (RFC 8628 section 3.5)
)

// ErrDeviceLoginExpired means that a [DeviceLogin] was not finished in time: by the person, or
// because the server could not be asked.
var ErrDeviceLoginExpired = errors.New("session: device login: it was not finished in time; begin a new one")

// DeviceLogin is a person's way through the authorization server with another device than the one
// that this program runs on: the device authorization grant (RFC 8628), for a command line or a
// machine that has no browser. [NewDeviceLogin] begins one. The program shows the person
// [DeviceLogin.VerificationURI] and [DeviceLogin.UserCode], and [DeviceLogin.Wait] waits until the
// person has entered the code there, and agreed.
//
// Show both to the person who is to log in, and to no other: an attacker who gets another person to
// enter the code is logged in as that person (RFC 8628 section 5.4). For the same reason they are
// not for logs. A DeviceLogin prints as "[secret]". It is safe for concurrent use.
type DeviceLogin struct {
	opaque
	*hiddenDeviceLogin
}

type hiddenDeviceLogin struct{ *deviceLoginState }

type deviceLoginState struct {
	client  *oauthwire.Client
	issuer  *oauth.Client // the same, for the ID token
	session string        // the name of the Session that began it; "" if none did
	key     tokens.Key    // what the first token will be for

	resources    []string // of all tokens; nil if that is the server's to say
	code         *oauthwire.DeviceCode
	end, endWall time.Time

	used atomic.Bool // or waited for; the caller that has set it has what follows

	interval time.Duration // between polls
	failures int           // in a row
	failure  error         // of the last poll, if that was not answered
	next     time.Time     // no poll before
}

// NewDeviceLogin begins a login: it asks the server for the code that the person enters (RFC 8628
// section 3.1). The options say what the login asks for, as those of [NewLogin] do; [WithParameter]
// adds a parameter to the request. The client authenticates, unless it has [oauth.NoClientAuth], as
// programs have that many people run.
//
// What the server wants to be shown to the person must be harmless in a terminal: a code of at most
// 64 characters of printable ASCII, and https URLs of at most 2 KiB, where http is for loopback
// addresses or [oauth.InsecureHTTP] as in the options of a Client.
//
// The server is asked only if nothing is wrong with the configuration. Otherwise the error is every
// mistake in it, each a [*ConfigError]. Other errors are a [*tokens.Error], whose Op is "login", or
// "discovery".
func NewDeviceLogin(ctx context.Context, client *oauth.Client, opts ...LoginOption) (*DeviceLogin, error) {
	wire := oauthwire.Of(client)
	c := configureDeviceLogin(wire, opts)
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	key := c.key()
	form := c.extra
	for name, value := range map[string]string{"scope": key.Scope, "audience": key.Audience} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if resources := c.resources.Get(); resources != nil {
		form["resource"] = resources
	}
	code, err := wire.BeginDevice(ctx, form)
	if err != nil {
		return nil, err
	}
	life := within(code.ExpiresIn, deviceLifetime, 0, maxDeviceLifetime)
	interval := within(code.Interval, pollInterval, minPollInterval, maxPollInterval)
	state := &deviceLoginState{
		client: wire, issuer: client, key: key, resources: c.resources.Get(), code: code,
		end: code.Sent.Add(life), interval: interval, next: time.Now().Add(interval),
	}
	state.endWall = state.end.Round(0)
	return &DeviceLogin{hiddenDeviceLogin: &hiddenDeviceLogin{state}}, nil
}

// within returns what a server has chosen, within bounds, or the default if it is 0.
func within(chosen, otherwise, least, most time.Duration) time.Duration {
	if chosen == 0 {
		return otherwise
	}
	return max(least, min(chosen, most))
}

// configureDeviceLogin collects what the options say, and judges it all. The client may be nil.
func configureDeviceLogin(client *oauthwire.Client, opts []LoginOption) *loginConfig {
	c := &loginConfig{extra: make(url.Values)}
	if client == nil {
		c.Add("NewDeviceLogin", "nil", "the Client is nil; make one with oauth.NewClient")
	}
	optional.Apply(&c.Mistakes, "NewDeviceLogin", opts, c)
	c.judgeTexts()
	c.judgeResources()
	if c.maxAge.Given() {
		c.Add("WithMaxAge", c.maxAge.Get().String(), "the device grant cannot ask for it (RFC 8628 section 3.1); leave the option out")
	}
	if c.formPost.Given() {
		c.Add("WithFormPost", "", "no browser comes back to this program; leave the option out")
	}
	for _, p := range c.parameters {
		c.judgeParameter(p)
	}
	return c
}

// UserCode returns the code that the person enters at [DeviceLogin.VerificationURI], such as
// "WDJB-MJHT": 1 to 64 characters of printable ASCII.
func (d *DeviceLogin) UserCode() string { return d.code.UserCode }

// VerificationURI returns the URL that the person opens.
func (d *DeviceLogin) VerificationURI() string { return d.code.URI }

// VerificationURIComplete returns a URL with the code in it, to be opened for the person or shown
// as a QR code, or "" if the server has none. Show the code all the same: the server asks the
// person to compare it (RFC 8628 section 3.3.1).
func (d *DeviceLogin) VerificationURIComplete() string { return d.code.CompleteURI }

// Expiry returns until when the person has to have finished: as the server says, at most an hour,
// or 10 minutes if it does not say.
func (d *DeviceLogin) Expiry() time.Time { return d.endWall }

// Wait waits until the person has finished the login, and returns what it brought. With "openid" in
// the scope it also verifies the ID token and returns who logged in, as [Login.Finish] does;
// otherwise that is nil. It asks the server as often as that wants, at most once a second, every 5
// seconds if it does not say, and 5 seconds less often each time that it says slow_down. When the
// server cannot be reached the pauses double, up to a minute, and a Retry-After is honoured.
//
// The context ends it at once between these requests. The answer to one that was sent is waited
// for, for 10 seconds at most, because it may be the one that brings the tokens, which no other
// does. Wait can be called again then, and after an error that came before a request was sent, such
// as that the keys for the ID token or the client's secret were not available. Otherwise it may be
// called once, and by one caller at a time: the error is [ErrLoginUsed].
//
// The error is [ErrDeviceLoginExpired] when the person took too long, which also wraps the
// [*tokens.Error] of the last request if that was not answered, and a [*tokens.Error] whose Op is
// "token" for all other answers of the server, such as access_denied, that the person did not
// agree.
func (d *DeviceLogin) Wait(ctx context.Context) (response *tokens.Response, identity *oauth.Identity, err error) {
	if d.used.Swap(true) {
		return nil, nil, ErrLoginUsed
	}
	over := false
	defer func() { // also when a function of the application panics
		if !over {
			d.used.Store(false)
		}
	}()
	if err := d.identifier().ready(ctx); err != nil {
		return nil, nil, err
	}
	for !over {
		if err := d.pause(ctx); err != nil {
			return nil, nil, err
		}
		if response, err = d.poll(ctx, &over); err != nil {
			d.identifier().revokeRefused(ctx, err)
			return nil, nil, err
		}
	}
	if identity, err = d.identifier().identify(ctx, response); err != nil {
		return nil, nil, err
	}
	return response, identity, nil
}

// pause waits until the next poll may be made.
func (d *deviceLoginState) pause(ctx context.Context) error {
	if d.over() {
		return d.expired()
	}
	until := d.next
	if d.end.Before(until) {
		until = d.end
	}
	if flight.Sleep(ctx, time.Until(until), nil); ctx.Err() != nil {
		return fmt.Errorf("session: device login: waiting for the person: %w", webclient.Ended(ctx))
	}
	if d.over() {
		return d.expired()
	}
	return nil
}

// expired is the error when it is too late. Where the server has not answered in the end, the
// person may have been in time.
func (d *deviceLoginState) expired() error {
	if d.failure != nil {
		return fmt.Errorf("%w; the last request brought no answer: %w", ErrDeviceLoginExpired, d.failure)
	}
	return ErrDeviceLoginExpired
}

// over reports whether it is too late. The monotonic clock stands still while a machine is
// suspended.
func (d *deviceLoginState) over() bool {
	now := time.Now()
	return !now.Before(d.end) || !now.Before(d.endWall)
}

// poll asks once for the tokens (RFC 8628 section 3.4), and sets over when there is nothing left to
// ask for. Without an error and without that another poll is to follow.
func (d *deviceLoginState) poll(ctx context.Context, over *bool) (*tokens.Response, error) {
	form := oauthwire.KeyForm(oauthwire.GrantDevice, tokens.Key{Resource: d.key.Resource, Audience: d.key.Audience})
	form.Set("device_code", d.code.Code.Reveal())
	sent := false
	response, _, err := d.client.Exchange(ctx, oauthwire.Call{
		Op: oauthwire.OpToken, Form: form, Lasting: true, Outside: true, Ready: func() error { sent = true; return nil },
	})
	if err == nil {
		*over = true
		return response, nil
	}
	e, ok := errors.AsType[*tokens.Error](err)
	switch {
	case ok && e.Pause > 0: // for which nothing was sent
		d.failure = err
		d.next = time.Now().Add(max(d.interval, e.RetryAfter))
		return nil, nil
	case !ok || !sent:
		return nil, err
	}
	pause := d.interval
	d.failure = nil
	switch oauthwire.PollOf(err) {
	case oauthwire.PollPending:
		d.failures = 0
	case oauthwire.PollSlowDown:
		d.failures = 0
		d.interval += slowDown
		pause = d.interval
	case oauthwire.PollUnanswered:
		d.failures++
		d.failure = err
		pause = flight.Backoff{First: 2 * d.interval, Max: max(2*d.interval, maxPollInterval)}.Bound(d.failures)
	default:
		*over = true
		if e.Code == "expired_token" {
			err = fmt.Errorf("%w: %w", ErrDeviceLoginExpired, err)
		}
		return nil, err
	}
	d.next = time.Now().Add(max(pause, e.RetryAfter))
	return nil, nil
}
