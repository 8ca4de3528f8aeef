// Package oauthwire is what a client says to an authorization server, and what it makes of the
// answers: the part of an OAuth client that packages oauth and session share.
//
// Package oauth describes a [Client] and hands it out as its own Client. Package session gets to it
// with [Of].
package oauthwire

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/tokens"
)

// defaultMaxRequests is [Config].MaxRequests where that is 0.
const defaultMaxRequests = 16

// Config describes a [Client]. What is in it was judged before.
type Config struct {
	Issuer, ID   string
	MetadataURL  string // where the server's document is; "" for the places that follow from the issuer
	Auth         Auth
	InsecureHTTP bool
	Given        Endpoints  // that discovery does not replace; "" for those that it has to find
	MaxRequests  int        // at once to each endpoint
	Parameters   url.Values // of every request for a token, beside what each has

	TokenTypes         []string      // that are sent as Bearer, beside that
	DefaultLifetime    time.Duration // of a token whose server does not say; 0 for defaultLifetime
	LoginRequiredCodes []string      // that refuse a refresh token, beside those that are known

	TokenClient     *http.Client // for the endpoints; it follows no redirect
	DiscoveryClient *http.Client
}

// Auth is how a client proves that it is the client it says.
type Auth struct {
	// Proof returns what proves it at the moment.
	Proof func(ctx context.Context) (Proof, error)

	// Certificate is what the TLS connection shows; nil for the other methods. Its errors are a
	// [*CertificateError].
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

	Public bool // nothing proves it
}

// Proof is what proves that a client is the client it says: a secret, an assertion or a key.
type Proof struct {
	// ID tells it from another one. A refusal of the client holds for one proof. It is empty where
	// there is never another.
	ID tokens.Secret

	// Apply adds the proof to a request to an endpoint, and returns what must not come back in an
	// error, beside the values of the form.
	Apply func(c *Client, endpoint string, form url.Values, header http.Header) (secrets []string, err error)
}

// CertificateError is why the client's certificate cannot be shown.
type CertificateError struct{ Err error }

// Error says why.
func (e *CertificateError) Error() string {
	return "the client's certificate is not available: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *CertificateError) Unwrap() error { return e.Err }

// Client is a client of an authorization server. It keeps no token, only where the server's
// endpoints are and until when it is not to be asked.
type Client struct {
	Config
	Renewals pacing.Allowance // of the client's sessions

	document knownDocument
	throttle throttle

	requests, revocations slots
	callers               slots // for requests that carry something from outside; see Call.Outside
}

// New returns a client.
func New(config Config) *Client {
	c := &Client{Config: config}
	atOnce := cmp.Or(config.MaxRequests, defaultMaxRequests)
	c.requests, c.revocations = make(slots, atOnce), make(slots, atOnce)
	c.callers = make(slots, max(1, atOnce-(atOnce-1)/4-1)) // a sum with atOnce could overflow
	return c
}

var clientOf func(client any) *Client

// Register sets the function for [Of]. Package oauth calls it once, when it is initialized.
func Register(of func(client any) *Client) (registered bool) {
	clientOf = of
	return true
}

// Of returns what is behind an *oauth.Client, or nil for one that is nil or zero.
func Of(client any) *Client { return clientOf(client) }
