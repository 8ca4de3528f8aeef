package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	fetchTimeout = 5 * time.Second // of one HTTP request, its redirects and its body included
	maxBody      = 1 << 20         // bytes of an answer's body, uncompressed
	maxHeader    = 64 << 10        // bytes of its header, with the default client
	maxRedirects = 5
)

var errTimeout = fmt.Errorf("no complete answer within %s", fetchTimeout)

// remote fetches a JWK Set by HTTP. Only one goroutine at a time may use it.
type remote struct {
	client       *http.Client
	insecureHTTP bool
	issuer       string // "" when the URL of the keys was configured
	keysURL      string // "" until discovery has led to a key set
}

// fetch returns the key set, and for how long its issuer wants it to be used.
func (r *remote) fetch(ctx context.Context) (keySet, time.Duration, error) {
	keysURL := r.keysURL
	if keysURL == "" {
		var err error
		if keysURL, err = r.discover(ctx); err != nil {
			return keySet{}, 0, err
		}
	}
	body, header, err := r.get(ctx, keysURL, "application/jwk-set+json, application/json")
	if status, ok := errors.AsType[*statusError](err); ok && status.gone() && r.issuer != "" {
		r.keysURL = "" // the keys have moved: the next attempt asks the issuer where to
	}
	if err != nil {
		return keySet{}, 0, err
	}
	keys, err := parse(body)
	if err != nil {
		return keySet{}, 0, fmt.Errorf("the answer of %s is not a JWK Set: %w", keysURL, err)
	}
	r.keysURL = keysURL
	return keys, lifetime(header), nil
}

// discover asks the issuer where its keys are: by OpenID Connect Discovery section 4, and if there is no such document,
// by RFC 8414 section 3, which puts the well-known path before the issuer's own.
func (r *remote) discover(ctx context.Context) (keysURL string, err error) {
	issuer, err := url.Parse(r.issuer)
	if err != nil {
		return "", err
	}
	const accept = "application/json"
	location := strings.TrimSuffix(r.issuer, "/") + "/.well-known/openid-configuration"
	body, _, err := r.get(ctx, location, accept)
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusNotFound {
		path := strings.TrimSuffix(issuer.EscapedPath(), "/")
		location = issuer.Scheme + "://" + issuer.Host + "/.well-known/oauth-authorization-server" + path
		body, _, err = r.get(ctx, location, accept)
	}
	if err != nil {
		return "", err
	}
	keysURL, err = r.readMetadata(body)
	if err != nil {
		return "", fmt.Errorf("the answer of %s is not usable: %w", location, err)
	}
	return keysURL, nil
}

// readMetadata reads the two members of the document that matter here. The issuer must be the configured one, to the
// character: otherwise one issuer could speak for another (OpenID Connect Discovery section 4.3, RFC 8414 section 3.3).
func (r *remote) readMetadata(document []byte) (keysURL string, err error) {
	members, err := strictjson.Object(document)
	if err != nil {
		return "", err
	}
	metadata := jwkMembers(members)
	switch issuer := metadata.text("issuer"); {
	case issuer == r.issuer:
	case strings.TrimSuffix(issuer, "/") == strings.TrimSuffix(r.issuer, "/"):
		return "", fmt.Errorf("it is for an issuer that differs from %q in a slash at the end", r.issuer)
	default:
		return "", fmt.Errorf("it is not for the issuer %q", r.issuer)
	}
	keysURL = metadata.text("jwks_uri")
	if keysURL == "" {
		return "", errors.New("it names no jwks_uri")
	}
	if err := r.checkKeysURL(keysURL); err != nil {
		return "", fmt.Errorf("its jwks_uri %w", err)
	}
	return keysURL, nil
}

// checkKeysURL judges a URL out of an issuer's document. An issuer behind TLS may not lead to keys without it, and so not to
// services on this machine's loopback either.
func (r *remote) checkKeysURL(keysURL string) error {
	if strings.HasPrefix(r.issuer, "https:") && strings.HasPrefix(keysURL, "http:") && !r.insecureHTTP {
		return errors.New("is not https, unlike the issuer")
	}
	return weburl.Check(keysURL, r.insecureHTTP)
}

// statusError is an answer with a status other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) gone() bool { return e.code == http.StatusNotFound || e.code == http.StatusGone }

func (e *statusError) Error() string { return fmt.Sprintf("GET %s: status %d", e.url, e.code) }

// get makes one request. Its errors name the URL and the status, and nothing of the body.
func (r *remote) get(ctx context.Context, location, accept string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, errTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := r.client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the last URL, which may be one that the server made up
		}
		return nil, nil, fmt.Errorf("GET %s: %w", location, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, &statusError{location, response.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("GET %s: %w", location, err)
	}
	if len(body) > maxBody {
		return nil, nil, fmt.Errorf("GET %s: the answer is longer than %d bytes", location, maxBody)
	}
	return body, response.Header, nil
}

// newClient returns a client that follows redirects within one origin only. Nothing of a given client is changed.
//
// The default client keeps no connections: fetches are many minutes apart, and a connection would keep goroutines.
func newClient(given *http.Client) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
	} else if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = transport.Clone()
		transport.DisableKeepAlives = true
		transport.MaxResponseHeaderBytes = maxHeader
		client.Transport = transport
	}
	next := client.CheckRedirect
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if origin(request.URL) != origin(via[0].URL) {
			return errors.New("a redirect to another origin is not followed")
		}
		if next != nil {
			return next(request, via)
		}
		return nil
	}
	return client
}

// origin is the scheme, host and port of a URL (RFC 6454 section 4).
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// lifetime is how long a key set may be used before it is fetched again: what Cache-Control says (RFC 9111 section
// 5.2.2), within bounds. Of several directives the shortest counts, and nonsense counts as zero (section 4.2.1).
func lifetime(header http.Header) time.Duration {
	said, shortest := false, maxLifetime
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			said, shortest = true, 0
		case "max-age":
			seconds, _ := strconv.ParseUint(strings.Trim(value, `"`), 10, 31) // too much is the most, nonsense zero
			said, shortest = true, min(shortest, time.Duration(seconds)*time.Second)
		}
	}
	if !said {
		return defaultLifetime
	}
	return max(shortest, minLifetime)
}
