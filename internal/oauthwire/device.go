package oauthwire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/tokens"
)

// GrantDevice is the grant type of RFC 8628 section 3.4.
const GrantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// The codes of RFC 8628 section 3.5 that say to go on asking.
const (
	codePending  = "authorization_pending"
	codeSlowDown = "slow_down"
)

const (
	maxDeviceCode      = 4 << 10 // bytes of a device code
	maxUserCode        = 64      // bytes of the code that a person types
	maxVerificationURI = 2 << 10 // bytes of the URL that a person opens
)

var (
	errNoDeviceEndpoint = errors.New("the server names no device_authorization_endpoint; give WithDeviceAuthorizationEndpoint if there is one")
	errDeviceCode       = errors.New("the answer has no device_code that could be sent back")
	errUserCode         = fmt.Errorf("the answer has no user_code that could be shown: 1 to %d characters of printable ASCII", maxUserCode)
	errURIText          = fmt.Errorf("is longer than %d bytes or not printable ASCII", maxVerificationURI)
)

// DeviceCode is what a device authorization endpoint answered (RFC 8628 section 3.2), as far as it
// can be shown and sent back.
type DeviceCode struct {
	Code     tokens.Secret
	UserCode string

	URI, CompleteURI string // where a person opens the page; CompleteURI is "" if there is none

	Sent                time.Time     // the request
	ExpiresIn, Interval time.Duration // 0 for what the server does not say
}

// BeginDevice begins the login of a device: it sends a form with the client's authentication to the
// device authorization endpoint (RFC 8628 section 3.1). It also makes sure that the token endpoint
// is known, so that nothing but polls is left to do.
func (c *Client) BeginDevice(ctx context.Context, form url.Values) (*DeviceCode, error) {
	if _, err := c.Endpoint(ctx, TokenEndpoint); err != nil {
		return nil, err
	}
	var unfit error
	endpoint := func(e Endpoints) string {
		if e.Device == "" || e.Device == c.Given.Device {
			return e.Device
		}
		if unfit = c.checkPublished(e.Device); unfit != nil {
			return ""
		}
		return e.Device
	}
	switch found, err := c.Endpoint(ctx, endpoint); {
	case err != nil:
		return nil, err
	case unfit != nil:
		return nil, &tokens.Error{Op: OpLogin, Err: fmt.Errorf("the device_authorization_endpoint of the server's document %w", unfit)}
	case found == "":
		return nil, &tokens.Error{Op: OpLogin, Err: errNoDeviceEndpoint}
	}
	a, err := c.ask(ctx, Call{Op: OpLogin, Form: form, Outside: true}, endpoint)
	if err != nil {
		return nil, err
	}
	d, err := c.deviceCode(a)
	if err != nil {
		return nil, a.failure(OpLogin, err)
	}
	return d, nil
}

// deviceCode reads the answer of a device authorization endpoint. A person is to read some of it in
// a terminal, so that it may hold nothing that a terminal obeys or that looks like something else.
func (c *Client) deviceCode(a *answer) (*DeviceCode, error) {
	m, err := a.members()
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read, is this the right URL? %w", err)
	}
	text := func(name string) string { return strings.Clone(m.Text(name)) }
	d := &DeviceCode{
		Code: tokens.NewSecret(text("device_code")), UserCode: text("user_code"), Sent: a.sent,
		URI:         cmp.Or(text("verification_uri"), text("verification_url")), // as Google has it
		CompleteURI: text("verification_uri_complete"),
	}
	d.ExpiresIn, _ = readSeconds(m.Value("expires_in"))
	d.Interval, _ = readSeconds(m.Value("interval"))
	code := d.Code.Reveal()
	switch {
	case len(code) > maxDeviceCode || !grammar.IsVSCHAR(code):
		return nil, errDeviceCode
	case len(d.UserCode) > maxUserCode || !grammar.IsVSCHAR(d.UserCode):
		return nil, errUserCode
	}
	if err := c.checkVerificationURI(d.URI); err != nil {
		return nil, fmt.Errorf("the verification_uri of the answer %w", err)
	}
	if d.CompleteURI != "" {
		if err := c.checkVerificationURI(d.CompleteURI); err != nil {
			return nil, fmt.Errorf("the verification_uri_complete of the answer %w", err)
		}
	}
	return d, nil
}

// checkVerificationURI judges a URL that a person is to open. It may have a fragment, by which some
// pages find their way.
func (c *Client) checkVerificationURI(text string) error {
	if len(text) > maxVerificationURI || !grammar.IsFieldVChar(text) {
		return errURIText
	}
	page, _, _ := strings.Cut(text, "#")
	return weburl.CheckOf(cmp.Or(c.MetadataURL, c.Issuer), page, c.InsecureHTTP)
}

// A Poll is what came of asking whether a person has finished the login of a device.
type Poll int

// What can come of a poll.
const (
	PollPending    Poll = iota // the person has not finished
	PollSlowDown               // nor has the person, and the server is asked too often
	PollUnanswered             // there was no complete answer, or it asks for another attempt later
	PollOver                   // there will be no other answer
)

// PollOf judges the error of a request with a device code that was sent (RFC 8628 section 3.5):
// what does not say to go on ends the polls.
func PollOf(err error) Poll {
	e, ok := errors.AsType[*tokens.Error](err)
	if _, refused := errors.AsType[*RefusedAnswer](err); !ok || refused {
		return PollOver
	}
	switch e.Code {
	case codePending:
		return PollPending
	case codeSlowDown:
		return PollSlowDown
	}
	switch {
	case e.Status >= http.StatusInternalServerError,
		e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly, e.Status == http.StatusTooManyRequests:
		return PollUnanswered
	case e.Code == "" && e.Err != nil && !errors.Is(e.Err, errRedirect) && !errors.Is(e.Err, errStatus): // it broke off
		return PollUnanswered
	}
	return PollOver
}
