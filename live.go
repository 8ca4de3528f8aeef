package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// live is what is asked about an issuer's tokens on every request, cached or not, because the
// answer can differ from one request to the next. Most issuers have none of it.
type live struct {
	template *template                  // or nil
	audience func(*http.Request) string // or nil; see AudienceFunc
	member   *member                    // of a Registry, or nil
}

// What is refused before the signature is verified, and what depends on nothing but the request.
var (
	refusedRemoved = fixed(ReasonUnknownIssuer, ruleRegistry,
		"the token's issuer was removed from the registry", "add it again if its tokens are to pass")
	refusedTemplateValue = fixed(ReasonUnknownIssuer, ruleTemplate,
		"the token's iss is that of an issuer template, but for the value of its placeholder: "+
			"that is 1 to 64 letters, digits and the characters -._", "")
	refusedWithoutRequest = fixed(ReasonAudience, ruleAudienceFunc,
		"the issuer has an AudienceFunc, and Verify has no request to give it",
		"use Authenticate, or give WithIssuer an audience")
	refusedEmptyAudience = fixed(ReasonAudience, ruleAudienceFunc,
		"the AudienceFunc knows no audience for this request", "return the audience that tokens for it have")
)

// counts reports whether a token of the issuer that was verified can still pass at a time. It
// records the use.
func (l *live) counts(now time.Time) bool {
	if l.member == nil {
		return true
	}
	if !l.member.counts(now) {
		return false
	}
	l.member.use(now)
	return true
}

// confirm checks what the token alone decides, once its claims were read and judged.
func (l *live) confirm(c *content, now time.Time) *Error {
	if l.template != nil {
		if err := l.template.confirm(c); err != nil {
			return err
		}
	}
	if l.member != nil {
		l.member.use(now)
	}
	return nil
}

// judge refuses what does not pass now. The request is nil under [Guard.Verify]. It runs after
// everything that the token alone decides, so that a forged token calls no function of the
// application. A function that panics lets nothing pass: the panic goes on to the server.
func (l *live) judge(ctx context.Context, r *http.Request, c *content, aud []string) *Error {
	if l.audience != nil {
		if err := l.judgeAudience(r, c, aud); err != nil {
			return err
		}
	}
	if l.template != nil {
		if err := l.template.ask(ctx, c); err != nil {
			return err
		}
	}
	if l.member != nil && l.member.removed.Load() { // while the token was verified
		return refusedRemoved
	}
	return nil
}

// judgeAudience compares the token's audiences with that of the request. aud is that of
// [reading.aud].
func (l *live) judgeAudience(r *http.Request, c *content, aud []string) *Error {
	if r == nil {
		return refusedWithoutRequest
	}
	ours := l.audience(r)
	switch {
	case ours == "":
		return refusedEmptyAudience
	case !slices.Contains(c.audience, ours):
		return wrongAudienceNow(c.audience)
	case aud != nil && !slices.Contains(aud, ours):
		return wrongAudienceNow(aud)
	}
	return nil
}

// wrongAudienceNow is the refusal of a token whose audiences are not that of the request, which the
// client may have chosen and is not shown.
func wrongAudienceNow(found []string) *Error {
	named := "nothing"
	if len(found) > 0 {
		named = shownList(found)
	}
	return because(ReasonAudience, ruleAudienceFunc,
		"the token is for "+named+", and the AudienceFunc returned another audience for this request",
		"compare what the AudienceFunc returns with the audience claim and with aud")
}

// ask has the application's function judge the value in iss.
func (t *template) ask(ctx context.Context, c *content) *Error {
	value, _ := templateValue(t, c.issuer)
	err := t.accept(ctx, value)
	if err == nil {
		return nil
	}
	reason, found := ReasonUnknownIssuer, "IssuerTemplate's function refused "+strconv.Quote(value)
	if errors.Is(err, ErrUnavailable) {
		reason, found = ReasonPolicyUnavailable, "IssuerTemplate's function cannot decide on "+strconv.Quote(value)
	}
	return refuseFor(reason, &answered{
		cause{rule: ruleTemplateAccept, found: found}, fmt.Errorf("%s: %w", found, err),
	})
}

// answered is the cause of a refusal that a function of the application decided.
type answered struct {
	cause
	err error // with the text of the function's own
}

func (a *answered) Error() string { return a.err.Error() }

// Unwrap returns the rule and what the function returned.
func (a *answered) Unwrap() []error { return []error{&a.cause, a.err} }

// lookupFailed is the refusal when the lookup cannot say whether there is such an issuer.
func lookupFailed(err error) *Error {
	const found = "the lookup of the token's issuer failed"
	return refuseFor(ReasonPolicyUnavailable, &answered{
		cause{rule: ruleLookup, found: found}, fmt.Errorf("%s: %w", found, err),
	})
}

// member is an issuer's place in a [Registry].
type member struct {
	said  any // the configuration, to compare with what a lookup says later
	epoch time.Time

	gone    atomic.Bool // it is no longer in the registry: removed, replaced or displaced
	removed atomic.Bool // and that is why no token of the issuer may pass

	until atomic.Int64 // since epoch: for how long the lookup's answer counts; 0 if Add made it
	since atomic.Int64 // since epoch: when it came
	used  atomic.Int64 // since epoch: when a token was last verified, to about a second; 0: never
}

// counts reports whether the issuer's tokens can pass at a time. If not, its lookup may say so
// again.
func (m *member) counts(now time.Time) bool {
	if m.gone.Load() {
		return false
	}
	until := m.until.Load()
	return until == 0 || int64(now.Sub(m.epoch)) < until
}

// use records that a token of the issuer was verified. It writes once a second, so that many
// requests do not wait for each other's caches.
func (m *member) use(now time.Time) {
	at := max(int64(now.Sub(m.epoch)), 1) // 0 stands for never
	if last := m.used.Load(); last == 0 || at-last >= int64(time.Second) {
		m.used.Store(at)
	}
}
