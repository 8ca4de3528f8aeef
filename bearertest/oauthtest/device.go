package oauthtest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

	deviceInterval = 5 * time.Second // RFC 8628 section 3.2
	deviceLifetime = 10 * time.Minute
	slowDownStep   = 5 * time.Second // RFC 8628 section 3.5

	// userCodeLetters are those that make no words and are not taken for each other (RFC 8628
	// section 6.1).
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
)

// WithDeviceInterval sets how many seconds a client has to wait between two requests with a device
// code. The default is five. It panics unless the time is a number of whole seconds above zero.
func WithDeviceInterval(interval time.Duration) Option {
	mustSeconds("WithDeviceInterval", interval)
	return func(s *Server) { s.deviceInterval = interval }
}

// WithDeviceLifetime sets how long a device code is good for. The default is ten minutes. It panics
// unless the time is a number of whole seconds above zero.
func WithDeviceLifetime(life time.Duration) Option {
	mustSeconds("WithDeviceLifetime", life)
	return func(s *Server) { s.deviceLifetime = life }
}

// deviceLogin is the login of a device, until and after the person has decided.
type deviceLogin struct {
	client   *client
	asked    terms
	expiry   time.Time
	interval time.Duration // between polls
	polled   time.Time     // last, or begun
	hasty    bool          // the next poll is too early, whenever it comes
	approved time.Time     // zero until the person has agreed
	subject  string        // who has
	denied   bool
	used     bool // the tokens were handed out
}

// deviceAnswer is that of RFC 8628 section 3.2.
type deviceAnswer struct {
	DeviceCode  string `json:"device_code"`
	UserCode    string `json:"user_code"`
	URI         string `json:"verification_uri"`
	CompleteURI string `json:"verification_uri_complete"`
	ExpiresIn   int64  `json:"expires_in"`
	Interval    int64  `json:"interval"`
}

// answerDevice is the device authorization endpoint.
func (s *Server) answerDevice(w http.ResponseWriter, r *http.Request) {
	values, refused, ok := form(w, r)
	if !ok {
		return
	}
	var c *client
	if refused == nil {
		c, refused = s.authenticate(r, values)
	}
	var asked terms
	if refused == nil {
		asked, refused = s.termsOf(values)
	}
	if refused != nil {
		refused.reply(w)
		return
	}
	now := time.Now()
	code, userCode := rand.Text(), newUserCode()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &deviceLogin{client: c, asked: asked, expiry: now.Add(s.deviceLifetime), interval: s.deviceInterval, polled: now}
	s.devices[code], s.userCodes[userCode] = d, d
	page := s.endpoint(verificationPath)
	replyUncached(w, http.StatusOK, deviceAnswer{
		DeviceCode: code, UserCode: userCode, URI: page, CompleteURI: page + "?user_code=" + userCode,
		ExpiresIn: int64(s.deviceLifetime / time.Second), Interval: int64(s.deviceInterval / time.Second),
	})
}

func newUserCode() string {
	code := []byte(rand.Text()[:9]) // 32 letters, of which some stand for the same
	for i := range code {
		code[i] = userCodeLetters[int(code[i])%len(userCodeLetters)]
	}
	code[4] = '-'
	return string(code)
}

// answerVerification is the page that a person opens. It agrees at once, as the authorization
// endpoint does, when it gets the code.
func (s *Server) answerVerification(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	subject := r.FormValue("login_hint")
	if subject == "" {
		subject = defaultSubject
	}
	if !s.decide(r.FormValue("user_code"), approves(subject)) {
		http.Error(w, "user_code is missing, unknown, expired or was entered before", http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintln(w, "The device is logged in.")
}

// decide changes a login that waits for the person's decision, and reports whether there is one.
func (s *Server) decide(userCode string, how func(d *deviceLogin)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.userCodes[userCode]
	if d == nil || d.denied || d.subject != "" || !time.Now().Before(d.expiry) {
		return false
	}
	how(d)
	return true
}

func (s *Server) mustDecide(function, userCode string, how func(d *deviceLogin)) {
	if !s.decide(userCode, how) {
		panic(fmt.Sprintf("oauthtest: %s(%q): want the user_code of a device login that waits for the person", function, userCode))
	}
}

func approves(subject string) func(d *deviceLogin) {
	return func(d *deviceLogin) { d.subject, d.approved = subject, time.Now() }
}

// ApproveDevice is a person who has entered this user_code and agreed: the next request with the
// device code brings tokens for the subject. A visit of the verification_uri_complete does the same
// for "alice". It panics without a subject, and for a code that waits for no person.
func (s *Server) ApproveDevice(userCode, subject string) {
	if subject == "" {
		panic(fmt.Sprintf("oauthtest: ApproveDevice(%q): want a subject", userCode))
	}
	s.mustDecide("ApproveDevice", userCode, approves(subject))
}

// DenyDevice is a person who has entered this user_code and has not agreed, access_denied. It
// panics for a code that waits for no person.
func (s *Server) DenyDevice(userCode string) {
	s.mustDecide("DenyDevice", userCode, func(d *deviceLogin) { d.denied = true })
}

// ExpireDevice makes a device login end before its time, expired_token. It panics for a code that
// waits for no person.
func (s *Server) ExpireDevice(userCode string) {
	s.mustDecide("ExpireDevice", userCode, func(d *deviceLogin) { d.expiry = time.Now() })
}

// SlowDownDevice makes the next request of a device login count as too early, slow_down. The client
// has to wait five seconds longer from then on. It panics for a code that waits for no person.
func (s *Server) SlowDownDevice(userCode string) {
	s.mustDecide("SlowDownDevice", userCode, func(d *deviceLogin) { d.hasty = true })
}

// tokenByDevice is the grant of RFC 8628 section 3.4.
func (s *Server) tokenByDevice(c *client, form url.Values) (*tokenAnswer, *refusal) {
	if !form.Has("device_code") {
		return nil, &refusal{"invalid_request", "device_code is missing"}
	}
	d, opened, granted, refused := s.redeemDevice(c, form)
	if refused != nil {
		return nil, refused
	}
	answer := s.issue(c.id, d.subject, granted, nil)
	answer.RefreshToken = opened
	if slices.Contains(d.asked.scopes, "openid") {
		answer.IDToken = s.idToken(&approval{client: c, subject: d.subject, approved: d.approved}, answer.AccessToken)
	}
	return answer, nil
}

// redeemDevice takes a device code and opens a session for it, whose refresh token it returns.
func (s *Server) redeemDevice(c *client, form url.Values) (d *deviceLogin, refresh string, granted terms, refused *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(code, why string) (*deviceLogin, string, terms, *refusal) {
		return nil, "", terms{}, &refusal{code, why}
	}
	d = s.devices[form.Get("device_code")]
	now := time.Now()
	switch {
	case d == nil || d.client != c || d.used:
		return refuse("invalid_grant", "the device_code is not one that this client was given, or was used before")
	case !now.Before(d.expiry):
		return refuse("expired_token", "the device_code has expired")
	case d.hasty || now.Sub(d.polled) < d.interval:
		d.hasty, d.polled = false, now
		d.interval += slowDownStep
		return refuse("slow_down", "the client asks too often")
	}
	d.polled = now
	switch {
	case d.denied:
		return refuse("access_denied", "the person has not agreed")
	case d.subject == "":
		return refuse("authorization_pending", "the person has not finished")
	}
	if granted, refused = d.asked.within(s, form); refused != nil {
		return nil, "", terms{}, refused
	}
	d.used = true
	return d, s.open(&session{client: c, subject: d.subject, granted: d.asked}), granted, nil
}
