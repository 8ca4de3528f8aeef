package oauthwire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
)

// RequestTimeout is how long one HTTP request may take, its body included.
const RequestTimeout = 10 * time.Second

// grantRefresh is the grant type of RFC 6749 section 6.
const grantRefresh = "refresh_token"

// What [tokens.Error].Op says.
const (
	OpDiscovery  = "discovery"
	OpToken      = "token"
	OpRevocation = "revocation"
	OpLogin      = "login"
	OpUserInfo   = "userinfo"
)

var (
	errNoAnswer = fmt.Errorf("no complete answer within %s: %w", RequestTimeout, context.DeadlineExceeded)
	errNoProof  = fmt.Errorf("the client's authentication was not made within %s: %w",
		RequestTimeout, context.DeadlineExceeded)
	errPlainMTLS = errors.New("a client certificate is shown to an https URL only")
)

// secretParameters are those of a request that must not be seen.
var secretParameters = []string{
	"client_secret", "client_assertion",
	"assertion", "subject_token", "actor_token", "refresh_token", "code", "code_verifier", "device_code",
	"token", "password",
}

// Call is a request to an endpoint.
type Call struct {
	Op   string
	Form url.Values

	// Secrets are values of the form that must not come back in an error, beside those of the
	// secretParameters.
	Secrets []string

	// IDToken says that the ID token of an answer without an access token is used as one.
	IDToken bool

	// Lasting says that it is not given up once it is sent, except after RequestTimeout: its answer
	// is the only place where the next refresh token is.
	Lasting bool

	// Outside says that it has something that came from outside, and that the server may mistake
	// for another client's.
	Outside bool

	// Once says that it has something that can be used once and soon, such as a code. So it is sent
	// even while the endpoint has asked for a pause: to wait would lose it. Nor does its answer begin
	// one.
	Once bool

	// Ready is called right before the form is sent, which an error prevents. It may be nil.
	Ready func() error
}

// Exchange asks for a token: it sends a form with the client's authentication to the token endpoint
// (RFC 6749 sections 3.2 and 5). It also returns the issued_token_type of RFC 8693 section 2.2.1.
// The error about an answer to a lasting call may be a [*RefusedAnswer].
func (c *Client) Exchange(ctx context.Context, q Call) (response *tokens.Response, issued string, err error) {
	q.Form = addTo(q.Form, c.Parameters)
	a, err := c.ask(ctx, q, TokenEndpoint)
	if err != nil {
		return nil, "", err
	}
	a.idToken = q.IDToken
	response, issued, err = c.token(a)
	if err != nil {
		refusal := a.failure(q.Op, err)
		c.throttle.failed(a.endpoint, q, a.proof, refusal)
		if !q.Lasting || refusal.Code != "" { // whatever it is as a form
			return nil, "", refusal
		}
		return nil, "", &RefusedAnswer{refusal, a.salvaged()}
	}
	c.throttle.succeeded(q, a.proof)
	return response, issued, nil
}

// Send sends a request whose answer says no more than that it was accepted.
func (c *Client) Send(ctx context.Context, q Call, which func(Endpoints) string) error {
	_, err := c.ask(ctx, q, which)
	return err
}

// RefusedAnswer is an error about an answer that brought a refresh token nevertheless: the one that
// was sent may be used up.
type RefusedAnswer struct {
	err          *tokens.Error
	RefreshToken tokens.Secret // empty if there was none
}

// Error says what is wrong with the answer.
func (e *RefusedAnswer) Error() string { return e.err.Error() }

// Format writes no more than that: a verb such as %#v would show the fields.
func (e *RefusedAnswer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// Unwrap returns the error without the refresh token.
func (e *RefusedAnswer) Unwrap() error { return e.err }

// ask sends a request to an endpoint. If it is gone, discovery looks for another.
func (c *Client) ask(ctx context.Context, q Call, which func(Endpoints) string) (*answer, error) {
	endpoint, err := c.Endpoint(ctx, which)
	if err != nil {
		return nil, err
	}
	a, err := c.post(ctx, endpoint, q)
	if e, ok := errors.AsType[*tokens.Error](err); ok && gone(e) {
		if other, ok := c.moved(ctx, endpoint, which); ok {
			a, err = c.post(ctx, other, q)
		}
	}
	return a, err
}

// IsUnsent reports whether the error about a request says that it was not sent, although
// [Call].Ready was called: there was no connection, or none that it could be sent over.
func IsUnsent(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		switch e.Op {
		case "dial", "proxyconnect", "socks connect": // the last two are of package net/http
			return true
		}
	}
	_, unknown := errors.AsType[*tls.CertificateVerificationError](err)
	_, unproven := errors.AsType[*CertificateError](err)
	return unknown || unproven || errors.Is(err, webclient.ErrProxyUnknown) || errors.Is(err, webclient.ErrProxyRefuses)
}

// gone reports whether there is nothing at the URL: no authorization server speaks.
func gone(e *tokens.Error) bool {
	return (e.Status == http.StatusNotFound || e.Status == http.StatusGone) && e.Code == ""
}

// post sends a form with the client's authentication to an endpoint. Any status but 200 is a
// [*tokens.Error], or with a token any that is no success with a body: some servers answer 201.
func (c *Client) post(ctx context.Context, endpoint string, q Call) (*answer, error) {
	op := q.Op
	if err := c.throttle.throttled(endpoint, q); err != nil {
		return nil, err
	}
	if err := c.refused(ctx, q); err != nil {
		return nil, err
	}
	leave, err := c.enter(ctx, q)
	if err != nil {
		return nil, &tokens.Error{Op: op, Err: err}
	}
	defer leave()
	// Not earlier: an assertion would be old after a long wait, and each request that an outsider
	// causes would cost a signature, however few are sent.
	proving, cancel := context.WithTimeoutCause(ctx, RequestTimeout, errNoProof)
	defer cancel()
	stop := context.AfterFunc(proving, leave) // even if the signer goes on
	proven, err := c.prove(proving, endpoint, q)
	switch {
	case !stop() && err == nil:
		return nil, &tokens.Error{Op: op, Err: webclient.Ended(proving)}
	case err != nil:
		return nil, err
	}
	if err := cmp.Or(c.throttle.throttled(endpoint, q), c.throttle.refused(q, proven.proof)); err != nil { // since
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, &tokens.Error{Op: op, Err: webclient.Ended(ctx)}
	}
	if q.Lasting {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel = context.WithTimeoutCause(ctx, RequestTimeout, errNoAnswer)
	defer cancel()
	defer context.AfterFunc(ctx, leave)() // even if the transport goes on
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodPost, endpoint, strings.NewReader(proven.form.Encode()))
	if err != nil {
		return nil, &tokens.Error{Op: op, Err: quiet(ctx, err)}
	}
	if c.Auth.Certificate != nil && request.URL.Scheme != "https" {
		return nil, &tokens.Error{Op: op, Err: errPlainMTLS}
	}
	request.Header = proven.header
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if q.Ready != nil {
		if err := q.Ready(); err != nil {
			return nil, &tokens.Error{Op: op, Err: err}
		}
	}
	a := &answer{
		sent: time.Now(), endpoint: endpoint, proof: proven.proof, secrets: proven.secrets,
		grantType: q.Form.Get("grant_type"), loginCodes: c.LoginRequiredCodes,
	}
	response, err := webclient.Do(c.TokenClient, request)
	if err != nil {
		return nil, &tokens.Error{Op: op, Err: quiet(ctx, err)}
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if a.body, err = webclient.Body(response); err != nil {
		return nil, a.failure(op, quiet(ctx, err))
	}
	a.whole = hasEnd(response)
	if a.status != http.StatusOK && (op != OpToken || !isSuccess(a.status)) {
		err := a.failure(op, nil)
		c.throttle.failed(endpoint, q, proven.proof, err)
		return nil, err
	}
	return a, nil
}

// provenCall is a call with the client's authentication.
type provenCall struct {
	form    url.Values
	header  http.Header
	secrets []string      // that must not come back in an error
	proof   tokens.Secret // which one it was; see Proof.ID
}

// refused returns the error for a request that would be refused as one before was, and so need not
// wait until it may be made, or nil. What the client's proof is now matters only after a refusal of
// one, and nothing is signed to find out.
func (c *Client) refused(ctx context.Context, q Call) error {
	if !c.throttle.hasRefused(q) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, RequestTimeout, errNoProof)
	defer cancel()
	proof, err := c.Auth.Proof(ctx)
	if err != nil {
		return &tokens.Error{Op: q.Op, Err: err}
	}
	if err := c.throttle.refused(q, proof.ID); err != nil {
		return err
	}
	return nil
}

// prove adds the client's authentication to a call.
func (c *Client) prove(ctx context.Context, endpoint string, q Call) (p provenCall, err error) {
	p = provenCall{form: maps.Clone(q.Form), header: make(http.Header)}
	proof, err := c.Auth.Proof(ctx)
	if err == nil {
		p.proof = proof.ID
		p.secrets, err = proof.Apply(c, endpoint, p.form, p.header)
	}
	if err != nil {
		return p, &tokens.Error{Op: q.Op, Err: err}
	}
	p.secrets = append(p.secrets, q.Secrets...)
	for _, name := range secretParameters {
		p.secrets = append(p.secrets, p.form[name]...)
	}
	return p, nil
}

// quiet is [webclient.Quiet] for an exchange that may have ended with its context.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return webclient.Ended(ctx)
	}
	if e, ok := errors.AsType[*CertificateError](err); ok {
		return webclient.Hide(err, e)
	}
	return webclient.Quiet(err)
}
