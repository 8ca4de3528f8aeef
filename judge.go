package bearer

import (
	"slices"
	"time"
)

// claimRules are what the claims of one issuer's tokens are judged by.
type claimRules struct {
	issuer      string
	template    *template // of issuers, or nil
	audiences   []string
	anyAudience bool
	byRequest   bool // the audience depends on the request, and is judged later: see live
	required    claimSet
	leeway      time.Duration
	maxLifetime time.Duration // 0: not limited

	ignoreConfirmation bool
}

// maxLeeway is the largest difference of two clocks that is tolerated.
const maxLeeway = 5 * time.Minute

// uncertainExpiry is for how long claims without exp are taken as valid before they are judged
// again; see InsecureNoExpiry.
const uncertainExpiry = 5 * time.Minute

// judge applies every check that needs the rules or the clock to claims whose signature was
// verified.
func (r *claimRules) judge(c *content, reading reading, now time.Time) *Error {
	if c.issuer != r.issuer && !r.template.covers(c.issuer) { // unreachable, as names are unique; but the key was chosen by an unverified iss
		return refuse(ReasonUnknownIssuer)
	}
	if reading.present&r.required != r.required {
		return refuse(ReasonMissingClaim)
	}
	if err := r.judgeTimes(c, now); err != nil {
		return err
	}
	if r.maxLifetime > 0 && c.expiry.Sub(c.issuedAt) > r.maxLifetime {
		return refuse(ReasonLifetime)
	}
	if !r.anyAudience && !r.byRequest && !r.isMeantForUs(c, reading) {
		return refuse(ReasonAudience)
	}
	// RFC 7800 section 3.1: a bound token is worth nothing without a proof of the key, and no proof
	// is checked here.
	if c.confirmation.present && !r.ignoreConfirmation {
		return refuse(ReasonSenderConstrained)
	}
	return nil
}

// judgeTimes applies the checks whose answer changes with time (RFC 7519 sections 4.1.4 to 4.1.6).
func (r *claimRules) judgeTimes(c *content, now time.Time) *Error {
	switch {
	case !c.expiry.IsZero() && !now.Before(c.expiry.Add(r.leeway)):
		return refuse(ReasonExpired)
	case !c.notBefore.IsZero() && now.Add(r.leeway).Before(c.notBefore):
		return refuse(ReasonNotYetValid)
	case !c.issuedAt.IsZero() && now.Add(r.leeway).Before(c.issuedAt):
		return refuse(ReasonIssuedInFuture)
	default:
		return nil
	}
}

// validity returns the time in which judgeTimes lets claims pass: from one time up to, and not
// including, the other.
func (r *claimRules) validity(c *content, now time.Time) (from, to time.Time) {
	to = now.Add(uncertainExpiry)
	if !c.expiry.IsZero() {
		to = c.expiry.Add(r.leeway)
	}
	for _, start := range [...]time.Time{c.notBefore, c.issuedAt} {
		if !start.IsZero() && start.Add(-r.leeway).After(from) {
			from = start.Add(-r.leeway)
		}
	}
	return from, to
}

// isMeantForUs reports whether the audience claim names this service. An aud must name it even if
// the audience is in another claim (RFC 7519 section 4.1.3).
func (r *claimRules) isMeantForUs(c *content, reading reading) bool {
	ours := func(aud string) bool { return slices.Contains(r.audiences, aud) }
	return slices.ContainsFunc(c.audience, ours) &&
		(reading.aud == nil || slices.ContainsFunc(reading.aud, ours))
}
