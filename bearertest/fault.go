package bearertest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Fault is a way for an issuer to misbehave. See [Issuer.SetFault]. The constants, [Slow] and
// [Busy] are all there are. The text is a name for people, fit for a subtest.
//
// The comment of each says what a good service does. A good service answers with the keys it has:
// "200 warm" stands for that. Without keys it answers 503: "503 cold". No request waits for long.
type Fault string

// The faults of an issuer as a whole. They meet every request.
const (
	// NoFault is the end of a fault.
	NoFault Fault = ""

	// Down answers every request with 503 Service Unavailable. 200 warm, 503 cold.
	Down Fault = "down"

	// Hang takes every request and answers none. A request ends when its client gives up, or with the
	// server. 200 warm, 503 cold.
	//
	// The end of the fault does not release the requests that hang already. On a server of your own
	// they keep [httptest.Server.Close] waiting until [httptest.Server.CloseClientConnections].
	Hang Fault = "hang"

	// Mute does what it is asked to and breaks the connection in place of the answer: a code is used
	// up, a refresh token is rotated, and the client does not learn of it. With [Hang] in contrast
	// nothing has happened. A good client does not take the loss of an answer for a refusal. When its
	// refresh token turns out to be used up, it asks for a new login.
	Mute Fault = "mute"

	// Drip gives every answer one byte a second, after a header that comes at once. Each byte is
	// progress, so only a limit for the whole answer ends it. 200 warm, 503 cold.
	Drip Fault = "drip"

	// Huge follows every answer with 1 GiB of white space. JSON stays JSON that way: a client that
	// reads to the end finds nothing wrong but the memory it used. A good service stops reading
	// early. 200 warm, 503 cold.
	//
	// The white space is written from one small buffer, and no further than the client reads.
	Huge Fault = "huge"

	// HTML200 answers every request with a web page that announces maintenance, under the status 200,
	// as a proxy in front of an issuer may. 200 warm, 503 cold.
	HTML200 Fault = "HTML200"

	// EmptyKeys publishes a key set without keys, {"keys":[]}. The discovery document stays right. An
	// issuer answers that way when its database is gone, and seldom to withdraw its keys: a service
	// takes it for that after an hour. 200 warm, 503 cold.
	EmptyKeys Fault = "empty keys"

	// Redirect sends every request to another origin with 302 Found. There the issuer gives the right
	// answers: a client that follows gets good keys, and is found out because each request is then
	// counted twice. A good service takes keys from the origin it was told to trust and from no other.
	// 200 warm, 503 cold. A POST is sent there with 307 Temporary Redirect, and so with its body (RFC
	// 9110 section 15.4.8): a good client sends its secrets to no other place than it was told.
	//
	// The other origin has the same scheme and port. Its host is "elsewhere.test", which the issuer's
	// client reaches inside the process. For an issuer at a loopback address it is "localhost", which
	// leads to the same socket.
	Redirect Fault = "redirect"
)

const (
	slowPrefix = "slow "
	busyPrefix = "busy "
)

// Slow is the fault of an issuer whose every answer begins so much later. It is the right answer as
// of then. 200 warm; a cold service waits for a while and then answers 503. It panics unless the
// time is above zero.
func Slow(by time.Duration) Fault {
	if by <= 0 {
		panic(fmt.Sprintf("bearertest: Slow(%v): want a time above zero", by))
	}
	return Fault(slowPrefix + by.String())
}

// Busy is the fault of an issuer that answers every request with 429 Too Many Requests (RFC 6585
// section 4), and with a Retry-After of this time in seconds (RFC 9110 section 10.2.3). A good
// client asks for nothing before it is over. It panics unless the time is a number of whole seconds
// above zero.
func Busy(retryAfter time.Duration) Fault {
	if !wholeSeconds(retryAfter) {
		panic(fmt.Sprintf("bearertest: Busy(%v): want whole seconds, above zero", retryAfter))
	}
	return Fault(busyPrefix + retryAfter.String())
}

func wholeSeconds(d time.Duration) bool { return d > 0 && d%time.Second == 0 }

// Faults returns every fault, for a test that goes through all of them: those of the issuer as a
// whole, with one second for [Slow] and [Busy], then those of the key set.
func Faults() []Fault {
	all := []Fault{
		Down, Busy(time.Second), Slow(time.Second), Hang, Mute, Drip, Huge, HTML200, Redirect, EmptyKeys,
	}
	for _, p := range poisons {
		all = append(all, p.fault)
	}
	return all
}

// SetFault makes the issuer misbehave until the next call; [NoFault] makes it behave. A request
// meets the fault that stands when it comes in. Keys and secrets in a fault are new with each call.
// It panics for a text that is no fault.
func (i *Issuer) SetFault(f Fault) { i.setHandler(i.misbehave(f)) }

func (i *Issuer) setHandler(fault http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault = fault
	i.changes++
}

// misbehave returns the handler that stands in for ServeHTTP, or nil for NoFault. Most of them call
// answer, which is what ServeHTTP does without a fault, and change when it is called, where it
// writes to, or what the key set says.
func (i *Issuer) misbehave(f Fault) http.HandlerFunc {
	switch f {
	case NoFault:
		return nil
	case Down:
		return down
	case Hang:
		return func(_ http.ResponseWriter, r *http.Request) { awaitEnd(r, nil) }
	case Mute:
		return i.mute
	case Drip:
		return func(w http.ResponseWriter, r *http.Request) { i.answer(dripping{w, r}, r, i.KeySet) }
	case Huge:
		return i.huge
	case HTML200:
		return maintenance
	case Redirect:
		return i.redirect
	case EmptyKeys:
		return i.publishing(func() []byte { return []byte(`{"keys":[]}`) })
	}
	if text, ok := strings.CutPrefix(string(f), slowPrefix); ok {
		if by, err := time.ParseDuration(text); err == nil && by > 0 {
			return i.slow(by)
		}
	}
	if text, ok := strings.CutPrefix(string(f), busyPrefix); ok {
		if retryAfter, err := time.ParseDuration(text); err == nil && wholeSeconds(retryAfter) {
			return busy(retryAfter)
		}
	}
	for _, p := range poisons {
		if p.fault == f {
			return i.publishing(p.brew(i))
		}
	}
	panic(fmt.Sprintf("bearertest: SetFault(%q): want NoFault, Slow, Busy or one of Faults()", string(f)))
}

// publishing is a fault of the key set alone.
func (i *Issuer) publishing(keySet func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { i.answer(w, r, keySet) }
}

func down(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the issuer is down", http.StatusServiceUnavailable)
}

func busy(retryAfter time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(retryAfter/time.Second), 10))
		http.Error(w, "the issuer is busy", http.StatusTooManyRequests)
	}
}

// maxBody is how much of a request's body Slow keeps for the answer.
const maxBody = 1<<20 + 1

func (i *Issuer) slow(by time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// The wait reads the body, which the answer may need. A body that breaks off or is too long is
		// for the answer to find.
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
		pause(r, by)
		r.Body = io.NopCloser(bytes.NewReader(body))
		i.answer(w, r, i.KeySet)
	}
}

// slowFor makes the issuer slow while call runs, unless a fault stands. A fault that another test
// sets meanwhile takes its place, and stays.
func (i *Issuer) slowFor(by time.Duration, call func()) {
	i.mu.Lock()
	free := i.fault == nil
	if free {
		i.fault = i.slow(by)
		i.changes++
	}
	ours := i.changes
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if free && i.changes == ours {
			i.fault = nil
		}
	}()
	call()
}

func (i *Issuer) mute(_ http.ResponseWriter, r *http.Request) {
	i.answer(httptest.NewRecorder(), r, i.KeySet)
	panic(http.ErrAbortHandler)
}

func (i *Issuer) huge(w http.ResponseWriter, r *http.Request) {
	// The space gives the answer an ETag other than that of the right one: a client that has the right
	// one is not let off with a 304.
	i.answer(w, r, func() []byte { return append(i.KeySet(), ' ') })
	if r.Method == http.MethodHead {
		return
	}
	space := bytes.Repeat([]byte(" "), 64<<10)
	for rest := 1 << 30; rest > 0; rest -= len(space) {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // a return would make the answer look complete
		}
		if _, err := w.Write(space); err != nil {
			return
		}
	}
}

func maintenance(w http.ResponseWriter, _ *http.Request) {
	const page = "<!doctype html>\n<title>Maintenance</title>\n<p>We will be back soon.\n"
	reply(w, "text/html; charset=utf-8", []byte(page))
}

func (i *Issuer) redirect(w http.ResponseWriter, r *http.Request) {
	other := elsewhere(i.origin)
	if strings.EqualFold(r.Host, other.Host) {
		i.answer(w, r, i.KeySet)
		return
	}
	target := *r.URL
	target.Scheme, target.Host = other.Scheme, other.Host
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusTemporaryRedirect
	}
	http.Redirect(w, r, target.String(), status) //nolint:gosec // the host is not the client's choice
}

// elsewhere is the origin that Redirect leads to.
func elsewhere(origin *url.URL) *url.URL {
	host := "elsewhere.test"
	ip, err := netip.ParseAddr(origin.Hostname())
	switch {
	case err == nil && ip.IsLoopback():
		host = "localhost"
	case strings.EqualFold(origin.Hostname(), "localhost"):
		host = "127.0.0.1"
	case strings.EqualFold(origin.Hostname(), host):
		host = "issuer.test"
	}
	if port := origin.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return &url.URL{Scheme: origin.Scheme, Host: host}
}

// pause lets the time pass, or aborts the request when that ends before.
func pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	awaitEnd(r, timer.C)
}

// awaitEnd returns when the channel says so, and aborts the request when that ends before.
func awaitEnd(r *http.Request, done <-chan time.Time) {
	// net/http looks out for the end of a connection only once the request's body has been read.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	select {
	case <-done:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// dripping writes one byte a second.
type dripping struct {
	http.ResponseWriter
	request *http.Request
}

func (d dripping) Write(p []byte) (int, error) {
	flush := http.NewResponseController(d.ResponseWriter).Flush
	_ = flush() // the header; where a connection is broken, the next Write says so, too
	if d.request.Method == http.MethodHead {
		return len(p), nil
	}
	for n := range p {
		pause(d.request, time.Second)
		if _, err := d.ResponseWriter.Write(p[n : n+1]); err != nil {
			return n, err
		}
		_ = flush()
	}
	return len(p), nil
}
