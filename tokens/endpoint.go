package tokens

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/webclient"
)

const (
	requestTimeout = 10 * time.Second           // of one HTTP request, its body included
	maxLife        = 100 * 365 * 24 * time.Hour // of a token; more is a server's mistake
	maxAskedPause  = time.Hour                  // that Retry-After may ask for

	maxCode        = 64  // characters of an error code
	maxDescription = 256 // characters of its description
	minQuote       = 8   // characters in a row that make a description a quotation of a secret, or half of it if it is shorter
)

// What [Error].Op says.
const (
	opDiscovery  = "discovery"
	opToken      = "token"
	opRevocation = "revocation"
)

var (
	errNoAnswer  = fmt.Errorf("no complete answer within %s: %w", requestTimeout, context.DeadlineExceeded)
	errRedirect  = errors.New("the endpoint redirects, which is not followed: what is sent to it is secret; name the right URL")
	errStatus    = errors.New("the status is not 200")
	errNotJSON   = errors.New("the answer is not application/json; is this the right URL?")
	errPlainMTLS = errors.New("a client certificate is shown to an https URL only")

	errSaysError     = errors.New("the answer says error")
	errNoAccessToken = errors.New("the answer has no access_token that could be sent")
	errExpiresIn     = fmt.Errorf("expires_in is not a number of seconds above 0 and at most %d", int64(maxLife/time.Second))
	errScope         = errors.New("scope has a character that no scope has")
	errRefreshToken  = errors.New("refresh_token cannot be sent back: it is too long or not printable ASCII")
)

// secretParameters are those of a request that must not be seen.
var secretParameters = []string{
	"client_secret", "client_assertion",
	"assertion", "subject_token", "actor_token", "refresh_token", "code", "code_verifier",
	"token",
}

// call is a request to an endpoint.
type call struct {
	op   string
	form url.Values

	// lasting says that it is not given up once it is sent, but for requestTimeout: its answer is the only place where the next
	// refresh token is.
	lasting bool

	outside bool // it has something that came from outside, and that the server may mistake for another client's

	// ready is called right before the form is sent, which an error prevents. It may be nil.
	ready func() error
}

// token asks for a token: it sends a form with the client's authentication to the token endpoint (RFC 6749 sections 3.2 and 5).
func (c *Client) token(ctx context.Context, form url.Values) (*Response, error) {
	response, _, err := c.exchange(ctx, call{op: opToken, form: form})
	return response, err
}

// exchange is token, and returns the issued_token_type of RFC 8693 section 2.2.1 as well. The error
// about an answer to a lasting call may be a [*refusedAnswer].
func (c *Client) exchange(ctx context.Context, q call) (response *Response, issued string, err error) {
	a, err := c.ask(ctx, q, tokenEndpoint)
	if err != nil {
		return nil, "", err
	}
	response, issued, err = a.token()
	if err != nil {
		refusal := a.failure(q.op, err)
		c.pauses.failed(a.endpoint, q, a.proof, refusal)
		if !q.lasting || refusal.Code != "" { // whatever it is as a form
			return nil, "", refusal
		}
		return nil, "", &refusedAnswer{refusal, a.salvaged()}
	}
	c.pauses.succeeded(q, a.proof)
	return response, issued, nil
}

// refusedAnswer is an error about an answer that brought a refresh token nevertheless: the one that was sent may be used up.
type refusedAnswer struct {
	err          *Error
	refreshToken Secret // empty if there was none
}

func (e *refusedAnswer) Error() string { return e.err.Error() }

// Format writes no more than that, for a verb such as %#v would show what is held.
func (e *refusedAnswer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// Unwrap returns the error, which is all that anybody else has to know.
func (e *refusedAnswer) Unwrap() error { return e.err }

// ask sends a request to an endpoint. One that is gone is looked for anew.
func (c *Client) ask(ctx context.Context, q call, which func(endpoints) string) (*answer, error) {
	endpoint, err := c.endpoint(ctx, which)
	if err != nil {
		return nil, err
	}
	a, err := c.post(ctx, endpoint, q)
	if e, ok := errors.AsType[*Error](err); ok && e.gone() {
		if other, ok := c.moved(ctx, endpoint, which); ok {
			a, err = c.post(ctx, other, q)
		}
	}
	return a, err
}

// gone reports that there is nothing at the URL: no authorization server speaks.
func (e *Error) gone() bool {
	return (e.Status == http.StatusNotFound || e.Status == http.StatusGone) && e.Code == ""
}

// answer is what an endpoint answered.
type answer struct {
	sent     time.Time // the request
	endpoint string    // that it went to
	proof    Secret    // that was in it
	secrets  []string  // of it

	status int
	header http.Header
	body   string
	whole  bool // see hasEnd
}

// post sends a form with the client's authentication to an endpoint. Any status but 200 is an [*Error], or with a token any that
// is no success with a body: some servers answer 201.
func (c *Client) post(ctx context.Context, endpoint string, q call) (*answer, error) {
	op, form, header := q.op, maps.Clone(q.form), make(http.Header)
	if err := c.pauses.resting(endpoint, q); err != nil {
		return nil, err
	}
	secrets, err := c.auth.apply(ctx, c, form, header)
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	for _, name := range secretParameters {
		secrets = append(secrets, form[name]...)
	}

	// The secret, if there is one: a signed assertion is another each time.
	proof := NewSecret(header.Get("Authorization") + form.Get("client_secret"))
	if err := c.pauses.holding(q, proof); err != nil {
		return nil, err
	}
	leave, err := c.enter(ctx, q)
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	defer leave()
	if err := cmp.Or(c.pauses.resting(endpoint, q), c.pauses.holding(q, proof)); err != nil { // since
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, &Error{Op: op, Err: webclient.Ended(ctx)}
	}
	if q.lasting {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	defer context.AfterFunc(ctx, leave)() // even if the transport goes on
	request, err := http.NewRequestWithContext(webclient.WithoutTrace(ctx), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &Error{Op: op, Err: quiet(ctx, err)}
	}
	if c.auth.certificate != nil && request.URL.Scheme != "https" {
		return nil, &Error{Op: op, Err: errPlainMTLS}
	}
	request.Header = header
	header.Set("Accept", "application/json")
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	if q.ready != nil {
		if err := q.ready(); err != nil {
			return nil, &Error{Op: op, Err: err}
		}
	}
	a := &answer{sent: time.Now(), endpoint: endpoint, proof: proof, secrets: secrets}
	response, err := webclient.Do(c.asker, request)
	if err != nil {
		return nil, &Error{Op: op, Err: quiet(ctx, err)}
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if a.body, err = webclient.Body(response); err != nil {
		return nil, a.failure(op, quiet(ctx, err))
	}
	a.whole = hasEnd(response)
	if a.status != http.StatusOK && (op != opToken || !isSuccess(a.status)) {
		err := a.failure(op, nil)
		c.pauses.failed(endpoint, q, proof, err)
		return nil, err
	}
	return a, nil
}

// failure is what to say of an answer that is not what was asked for. The server's own word for it (RFC 6749 section 5.2),
// which some have with the status 200, says more than what was found wrong.
func (a *answer) failure(op string, err error) *Error {
	e := &Error{Op: op, Status: a.status, RetryAfter: webclient.RetryAfter(a.header, maxAskedPause), Err: err}
	if 300 <= a.status && a.status < 400 {
		e.Err = errRedirect
		return e
	}
	e.Code, e.Description = a.problem()
	switch {
	case e.Code != "":
		e.Err = nil
	case err == nil && a.status < 300:
		e.Err = errStatus
	}
	return e
}

// problem reads error and error_description, as far as they may be shown.
func (a *answer) problem() (code, description string) {
	m, err := readObject(a.body)
	if err != nil {
		return "", ""
	}
	if code = m.text("error"); !a.showsCode(code) {
		code = ""
	}
	return code, a.description(m.text("error_description"))
}

// showsCode reports whether a text may be shown as an error code.
func (a *answer) showsCode(code string) bool {
	return len(code) <= maxCode && !strings.ContainsFunc(code, isNotCode) &&
		(permanent[code] || !a.quoted(code))
}

// description is what of a server's text for an error may be shown. It is in memory of its own: the
// text may be as long as the answer, and an error is kept.
func (a *answer) description(text string) string {
	const size = maxDescription + minQuote // with the beginning of what may be a quotation at the end
	text = webclient.Printable(text[:min(len(text), size*utf8.UTFMax)])
	text = text[:min(len(text), size)]
	if a.quoted(text) {
		return ""
	}
	return strings.Clone(text[:min(len(text), maxDescription)])
}

func isNotCode(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
}

// quoted reports whether a server's text has a secret of the request in it, as it is or encoded, or a good part of one.
func (a *answer) quoted(text string) bool {
	plain := alphanumeric(text)
	return slices.ContainsFunc(a.secrets, func(secret string) bool {
		if quotes(text, webclient.Printable(secret)) || quotes(plain, alphanumeric(secret)) {
			return true
		}
		for skipped := range min(3, len(secret)) { // three bytes are four characters, wherever the first of them stands
			encoded := base64.RawStdEncoding.EncodeToString([]byte(secret[skipped:]))
			if quotes(plain, alphanumeric(encoded)) {
				return true
			}
		}
		return false
	})
}

// alphanumeric is what every way to encode a text in a URL leaves as it is, and what all alphabets of base64 have in common.
func alphanumeric(text string) string {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			i += 2
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// quotes reports whether a text has as much of a secret in it that it is a quotation.
func quotes(text, secret string) bool {
	size := min((len(secret)+1)/2, minQuote)
	if size == 0 || len(text) < size {
		return false
	}
	if size < minQuote {
		return slices.ContainsFunc(parts(text, size), func(part string) bool {
			return strings.Contains(secret, part)
		})
	}
	// A secret may have 64 KiB. Of its parts only those are looked for that the filter does not
	// rule out.
	var filter [1 << 10]uint64
	for _, part := range parts(text, minQuote) {
		word, bit := filterPlace(binary.LittleEndian.Uint64([]byte(part)))
		filter[word] |= bit
	}
	var last uint64 // the last 8 bytes
	for i := range len(secret) {
		last = last>>8 | uint64(secret[i])<<56
		word, bit := filterPlace(last)
		if i+1 >= minQuote && filter[word]&bit != 0 && strings.Contains(text, secret[i+1-minQuote:i+1]) {
			return true
		}
	}
	return false
}

// parts are all parts of a text that have this size.
func parts(text string, size int) (all []string) {
	for i := 0; i+size <= len(text); i++ {
		all = append(all, text[i:i+size])
	}
	return all
}

// filterPlace is where the filter of quotes has 8 bytes.
func filterPlace(bytes uint64) (word, bit uint64) {
	hash := bytes * 0x9e3779b97f4a7c15 >> 48
	return hash >> 6, 1 << (hash & 63)
}

// token reads an answer with a token (RFC 6749 section 5.1). A member that is null counts as absent. The errors quote
// nothing.
func (a *answer) token() (response *Response, issued string, err error) {
	if !isJSON(a.header) {
		return nil, "", errNotJSON
	}
	m, err := readObject(a.body)
	if err != nil {
		return nil, "", fmt.Errorf("the answer cannot be read: %w", err)
	}
	r := memberReader{m: m}
	response = &Response{
		AccessToken:  NewSecret(r.text("access_token")),
		TokenType:    r.text("token_type"),
		Scope:        r.text("scope"),
		RefreshToken: NewSecret(r.text("refresh_token")),
		IDToken:      NewSecret(m.text("id_token")), // which is the caller's to judge
		Requested:    a.sent,
	}
	issued = r.text("issued_token_type")
	response.ExpiresIn = r.life("expires_in")
	response.RefreshIn, _ = readSeconds(m["refresh_in"])
	switch {
	case saysError(m["error"]):
		return nil, "", errSaysError
	case r.err != nil:
		return nil, "", r.err
	case !accesstoken.IsSendable(response.AccessToken.Reveal()):
		return nil, "", errNoAccessToken
	case !strings.EqualFold(response.TokenType, "Bearer"):
		return nil, "", accesstoken.ErrType
	case len(response.Scope) > accesstoken.MaxScope:
		return nil, "", accesstoken.ErrScopeSize
	case !isScope(response.Scope):
		return nil, "", errScope
	case !isRefreshToken(response.RefreshToken.Reveal()):
		return nil, "", errRefreshToken
	}
	return response, issued, nil
}

// isRefreshToken reports whether a text can be sent back as a refresh token.
func isRefreshToken(text string) bool { return len(text) <= accesstoken.MaxSize && isPrintable(text) }

// isJSON reports that an answer says that it is JSON, or says nothing (RFC 6749 section 5.1, RFC 6839 section 3.1).
func isJSON(header http.Header) bool {
	if len(header.Values("Content-Type")) == 0 {
		return true
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	subtype, ok := strings.CutPrefix(kind, "application/")
	return err == nil && ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

// isScope reports that a text is made of scopes (RFC 6749 section 3.3). Servers are not exact about the spaces between them.
func isScope(text string) bool { return isPrintable(text) && !strings.ContainsAny(text, `"\`) }

// memberReader reads members and keeps the first error.
type memberReader struct {
	m   metadata
	err error
}

// text reads a member that is a string or absent.
func (r *memberReader) text(name string) string {
	value, ok := r.m[name]
	if !ok || value == "null" {
		return ""
	}
	text, ok := strictjson.String(value)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%s is not a string", name)
	}
	return strings.Clone(text) // or it would keep the whole answer in memory
}

// life reads a member that is a number of seconds or absent.
func (r *memberReader) life(name string) time.Duration {
	value, ok := r.m[name]
	if !ok || value == "null" {
		return 0
	}
	life, ok := readSeconds(value)
	if !ok && r.err == nil {
		r.err = errExpiresIn
	}
	return life
}

// readSeconds reads a number of seconds above zero, with or without a fraction, or the string of digits that some servers
// give instead.
func readSeconds(value string) (life time.Duration, ok bool) {
	if text, isText := strictjson.String(value); isText {
		if strings.Trim(text, "0123456789") != "" {
			return 0, false
		}
		value = text
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds < 0 || seconds > maxLife.Seconds() {
		return 0, false
	}
	life = time.Duration(seconds * float64(time.Second))
	return life, life > 0
}

// quiet is [webclient.Quiet] for an exchange that may have ended with its context.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return webclient.Ended(ctx)
	}
	if e, ok := errors.AsType[*certificateError](err); ok {
		return webclient.Hide(err, e)
	}
	return webclient.Quiet(err)
}
