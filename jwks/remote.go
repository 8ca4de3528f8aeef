package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/discovery"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	fetchTimeout = 5 * time.Second // see WithFetchTimeout
	maxETag      = 1 << 10         // bytes of an entity tag that is sent back

	rereadPause   = time.Hour       // between two answers of an issuer to whether its keys have moved
	rereadRetry   = 5 * time.Minute // when it did not answer
	relocateAfter = 24 * time.Hour  // between two discoveries while nothing fails
	wholeAfter    = 24 * time.Hour  // between two fetches of the whole key set while it is unchanged
)

// remote fetches a JWK Set by HTTP. Only one goroutine at a time may use it.
type remote struct {
	client       *http.Client
	timeout      time.Duration // of one HTTP request
	insecureHTTP bool
	jwtSVID      bool   // see WithJWTSVIDKeys
	issuer       string // "" when the URL of the keys was configured
	metadataURL  string // "" when it follows from the issuer
	keysURL      string // "" until discovery led to it

	found   bool          // keysURL has had keys
	located time.Time     // when discovery was last asked for it
	reread  time.Time     // when the issuer was last asked whether its keys have moved,
	pause   time.Duration // and for how long it is not asked again
	last    answer        // the last good one, for when the issuer says that nothing changed
	keep    bool          // the documents of answers, for the file
	empty   emptied
}

// String names the source in the file. An issuer and a key set may have the same URL.
func (r *remote) String() string {
	if r.metadataURL != "" {
		return "issuer " + r.issuer + " by " + r.metadataURL
	}
	if r.issuer != "" {
		return "issuer " + r.issuer
	}
	return "keys " + r.keysURL
}

// answer is a JWK Set as a server gave it.
type answer struct {
	keys         keySet
	document     string // the text of the keys, if it is kept
	withdrawn    bool   // the issuer has no keys any more
	cacheControl []string
	lifetime     time.Duration // for which the issuer wants it to be used; negative if it does not say

	url, etag string    // etag is "" if there was none that can be sent back
	at        time.Time // when it came, as a whole
}

// fetch returns the keys. With discoverFirst, discovery runs first. Otherwise it runs when the
// known URL says that the keys are gone, or never had any, at most once an hour, and once a day in
// case the old URL goes on answering after the keys have moved.
func (r *remote) fetch(ctx context.Context, discoverFirst bool) (answer, error) {
	discoverFirst = discoverFirst || r.keysURL == ""
	if r.issuer != "" && (discoverFirst || elapsed(r.located, time.Now()) >= relocateAfter) {
		if err := r.locate(ctx); err != nil && discoverFirst {
			r.empty.end()
			return answer{}, err
		}
	}
	a, err := r.fetchKeys(ctx)
	if err == nil || discoverFirst || !r.mayHaveMoved(err) {
		return a, err
	}
	before := r.keysURL
	r.reread, r.pause = time.Now(), rereadPause
	if locateErr := r.locate(ctx); locateErr != nil {
		r.reread, r.pause = time.Now(), rereadRetry
		return answer{}, fmt.Errorf("%w; and where the keys are now: %w", err, locateErr)
	}
	if r.keysURL == before {
		return answer{}, err
	}
	return r.fetchKeys(ctx)
}

// mayHaveMoved reports whether to ask the issuer where its keys are, after fetching them failed.
func (r *remote) mayHaveMoved(err error) bool {
	if r.issuer == "" || elapsed(r.reread, time.Now()) < r.pause {
		return false
	}
	status, ok := errors.AsType[*statusError](err)
	return !r.found || ok && status.gone()
}

// locate asks the issuer where its keys are.
func (r *remote) locate(ctx context.Context) error {
	r.located = time.Now()
	keysURL, err := r.discover(ctx)
	if err == nil && keysURL != r.keysURL {
		r.keysURL, r.found = keysURL, false
	}
	return err
}

// fetchKeys gets the keys from where they are known to be, or learns that they are still the last
// ones (RFC 9110 section 13.1.2).
func (r *remote) fetchKeys(ctx context.Context) (answer, error) {
	etag := ""
	// A cache that is stuck says "unchanged" for ever.
	if r.last.url == r.keysURL && elapsed(r.last.at, time.Now()) < wholeAfter {
		etag = r.last.etag
	}
	got, err := r.get(ctx, r.keysURL, "application/jwk-set+json, application/json", etag)
	if err != nil {
		r.empty.end()
		return answer{}, err
	}
	a := r.last
	if got.unchanged {
		if !a.withdrawn {
			r.empty.end() // the answer is the keys
		}
	} else {
		keys, err := parse(got.body, r.jwtSVID)
		withdrawn := r.empty.withdrawn(err, time.Now())
		if err != nil && !withdrawn {
			return answer{}, fmt.Errorf("the answer of %s is not a JWK Set: %w", printable(r.keysURL), err)
		}
		a = answer{keys: keys, withdrawn: withdrawn, url: r.keysURL, at: time.Now()}
		if r.keep && !withdrawn {
			a.document = repaired(got.body)
		}
		if !got.redirected { // otherwise the tag is another URL's
			a.etag = entityTag(got.header)
		}
	}
	if cacheControl := got.header.Values("Cache-Control"); cacheControl != nil || !got.unchanged {
		// RFC 9111 section 3.2: what an unchanged answer does not say again stays as it was.
		a.cacheControl = cacheControl
	}
	a.lifetime = lifetime(a.cacheControl, got.header.Get("Age"))
	r.last, r.found = a, true
	return a, nil
}

// discoveryHelp is what to do for an issuer whose metadata cannot be found or is another's.
const discoveryHelp = "compare the issuer with the iss of its tokens; MetadataURL or jwks.WithMetadataURL " +
	"gives another place of the document, and JWKSURL or jwks.Remote that of the keys"

// discover asks the issuer where its keys are.
func (r *remote) discover(ctx context.Context) (keysURL string, err error) {
	place := discovery.Place{Issuer: r.issuer, URL: r.metadataURL, Help: discoveryHelp}
	document, err := discovery.Fetch(ctx, place, r.getDocument)
	if err != nil {
		return "", err
	}
	from := r.issuer
	if r.metadataURL != "" {
		from = r.metadataURL
	}
	if document.KeysURL == "" {
		return "", document.Unusable(errors.New("it names no jwks_uri"))
	}
	if err := weburl.CheckOf(from, document.KeysURL, r.insecureHTTP); err != nil {
		return "", document.Unusable(fmt.Errorf("its jwks_uri %w", err))
	}
	return document.KeysURL, nil
}

// getDocument is a [discovery.Get].
func (r *remote) getDocument(
	ctx context.Context, location string,
) (document string, status int, err error) {
	got, err := r.get(ctx, location, "application/json", "")
	if failure, ok := errors.AsType[*statusError](err); ok {
		return "", failure.code, err
	}
	if err != nil {
		return "", 0, err
	}
	return got.body, http.StatusOK, nil
}

// statusError is an answer with a status other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) gone() bool { return e.code == http.StatusNotFound || e.code == http.StatusGone }

func (e *statusError) Error() string {
	return fmt.Sprintf("GET %s: status %d", printable(e.url), e.code)
}

// readable is an error of an exchange with a text that is printable and short. Packages net/http
// and crypto/x509 quote what the other side has sent, such as the names in a certificate, and the
// other side may be anyone on the way.
func readable(err error) error {
	text := err.Error()
	if shown := printable(text); shown != text {
		return webclient.Hide(err, errors.New(shown))
	}
	return err
}

// printable is the beginning of a text that the other side may have chosen, with a question mark
// for each character that does not print.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, excerpt(text, maxLoggedError))
}

// got is what a request brought.
type got struct {
	unchanged  bool // the server still has what the request's entity tag names; there is no body
	redirected bool
	header     http.Header
	body       string
}

// get makes one request; etag is the entity tag of the cached answer, or "". Its errors name the
// URL and the status, and nothing of the body.
func (r *remote) get(ctx context.Context, location, accept, etag string) (got, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no complete answer within %s", r.timeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return got{}, err
	}
	request.Header.Set("Accept", accept)
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := webclient.Do(r.client, request)
	if err != nil {
		return got{}, fmt.Errorf("GET %s: %w", printable(location), readable(err))
	}
	defer response.Body.Close()
	redirected := response.Request != nil && response.Request.Response != nil
	switch {
	case response.StatusCode == http.StatusNotModified && etag != "" && !redirected:
		return got{unchanged: true, header: response.Header}, nil
	case response.StatusCode != http.StatusOK:
		return got{}, &statusError{location, response.StatusCode}
	}
	body, err := webclient.Body(response)
	if err != nil {
		return got{}, fmt.Errorf("GET %s: %w", printable(location), readable(err))
	}
	return got{redirected: redirected, header: response.Header, body: body}, nil
}

// withinOrigin makes a client follow redirects within one origin only. The entity tag stays behind:
// at the other URL it may be that of other keys.
func withinOrigin(client *http.Client) {
	next := client.CheckRedirect
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		request.Header.Del("If-None-Match")
		if next != nil {
			return next(request, via)
		}
		return nil
	}
	webclient.WithinOrigin(client)
}

// entityTag is the answer's entity tag (RFC 9110 section 8.8.3), or "" if there is none, or none
// that should be sent back: what a server says becomes part of a request here.
func entityTag(header http.Header) string {
	etag := header.Get("ETag")
	opaque := strings.TrimPrefix(etag, "W/")
	if len(etag) > maxETag || len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
		return ""
	}
	for _, c := range []byte(opaque[1 : len(opaque)-1]) {
		if c <= ' ' || c == '"' || c >= 0x7f {
			return ""
		}
	}
	return etag
}

// lifetime is how long the issuer wants its key set to be used: what Cache-Control says (RFC 9111
// section 5.2.2), less the time that a cache on the way has kept it already (section 5.1). Of
// several directives the shortest counts, and nonsense counts as zero (section 4.2.1). It is
// negative when nothing is said.
func lifetime(cacheControl []string, age string) time.Duration {
	const unsaid = time.Duration(-1)
	shortest := unsaid
	for directive := range strings.SplitSeq(strings.Join(cacheControl, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		said := unsaid
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			said = 0
		case "max-age":
			said = seconds(strings.Trim(value, `"`))
		}
		if said != unsaid && (shortest == unsaid || said < shortest) {
			shortest = said
		}
	}
	if shortest == unsaid {
		return unsaid
	}
	return max(0, shortest-seconds(age))
}

// seconds reads a number of seconds: too large a one is the largest, nonsense is zero.
func seconds(text string) time.Duration {
	n, _ := strconv.ParseUint(text, 10, 31)
	return time.Duration(n) * time.Second
}
