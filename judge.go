package bearer

import (
	"slices"
	"strconv"
	"strings"
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

	audienceClaim string
	anyOf         []string // of these claims one is there; nil if none has to be

	ignoreConfirmation bool
	withoutIssuer      bool // a token may have no iss
	idTokens           bool // a token may be an ID token
}

// maxLeeway is the largest difference of two clocks that is tolerated.
const maxLeeway = 5 * time.Minute

// uncertainExpiry is for how long claims without exp are taken as valid before they are judged
// again; see InsecureNoExpiry.
const uncertainExpiry = 5 * time.Minute

// judgeKind refuses what is no access token, unless it declares itself one.
func (r *claimRules) judgeKind(reading *reading, declared bool) *Error {
	if reading.mark != noMark && !declared && !(r.idTokens && reading.mark.isOfIDToken()) {
		return anotherKind(reading.mark, reading.marked)
	}
	if !reading.anyOf {
		return because(ReasonNotAccessToken, "claims.any-present", "it has none of the claims "+shownList(r.anyOf),
			"have the client send its access token, or name a claim of every access token with AnyClaimPresent")
	}
	return nil
}

// judge applies every check that needs the rules or the clock to claims whose signature was
// verified.
func (r *claimRules) judge(c *content, reading *reading, now time.Time) *Error {
	if r.withoutIssuer && !reading.named {
		c.issuer = r.issuer // its key signed it
	}
	// Unreachable, as names are unique; but the key was chosen by an unverified iss.
	if c.issuer != r.issuer && !r.template.covers(c.issuer) {
		return because(ReasonUnknownIssuer, "claims.iss", "iss is not the issuer whose key signed the token", "")
	}
	if missing := r.required &^ reading.present; missing != 0 {
		return r.lacking(missing)
	}
	if err := r.judgeTimes(c, now); err != nil {
		return err
	}
	if r.maxLifetime > 0 && c.expiry.Sub(c.issuedAt) > r.maxLifetime {
		return because(ReasonLifetime, "claims.lifetime",
			"exp is "+seconds(c.issuedAt, c.expiry)+" after iat, and MaxLifetime is "+r.maxLifetime.String(),
			"have the issuer make shorter tokens, or raise MaxLifetime")
	}
	if err := r.judgeAudience(c, reading); err != nil {
		return err
	}
	// RFC 7800 section 3.1: a bound token is worth nothing without a proof of the key, and no proof
	// is checked here.
	if c.confirmation.present && !r.ignoreConfirmation {
		return because(ReasonSenderConstrained, "claims.cnf", "the token is bound to "+c.confirmation.to(),
			"have the issuer make bearer tokens; InsecureIgnoreConfirmation accepts this one as such")
	}
	return nil
}

// lacking is the refusal of a token without some of the claims that it must have.
func (r *claimRules) lacking(missing claimSet) *Error {
	rule, remedy := "claims.exp", "have the issuer add it; InsecureNoExpiry accepts tokens without"
	switch {
	case r.required&claimJti != 0:
		rule, remedy = "claims.required", "have the issuer follow RFC 9068, or drop the option RFC9068"
	case missing&claimIat != 0:
		rule, remedy = "claims.lifetime", "have the issuer add it, or drop MaxLifetime"
	}
	var names []string
	for i, name := range [...]string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id"} {
		if missing&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return because(ReasonMissingClaim, rule, "the token has no "+strings.Join(names, ", "), remedy)
}

// judgeTimes applies the checks whose answer changes with time (RFC 7519 sections 4.1.4 to 4.1.6).
func (r *claimRules) judgeTimes(c *content, now time.Time) *Error {
	const clocks = "compare the clocks of issuer and service; Leeway tolerates up to 5 minutes"
	switch {
	case !c.expiry.IsZero() && !now.Before(c.expiry.Add(r.leeway)):
		return r.untimely(ReasonExpired, "claims.exp", "exp passed "+seconds(c.expiry, now)+" ago",
			"have the client get a new token; Leeway is for clocks that differ")
	case !c.notBefore.IsZero() && now.Add(r.leeway).Before(c.notBefore):
		return r.untimely(ReasonNotYetValid, "claims.nbf", "nbf is "+seconds(now, c.notBefore)+" in the future", clocks)
	case !c.issuedAt.IsZero() && now.Add(r.leeway).Before(c.issuedAt):
		return r.untimely(ReasonIssuedInFuture, "claims.iat", "issued "+seconds(now, c.issuedAt)+" in the future", clocks)
	default:
		return nil
	}
}

// untimely is the refusal of a token at the wrong time.
func (r *claimRules) untimely(reason Reason, rule, found, remedy string) *Error {
	return because(reason, rule, found+", and the leeway is "+r.leeway.String(), remedy)
}

// seconds writes the time from one moment to a later one.
func seconds(from, to time.Time) string {
	return strconv.FormatInt(to.Unix()-from.Unix(), 10) + " s"
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

// judgeAudience refuses a token whose audience claim does not name this service. An aud must name
// it even if the audience is in another claim (RFC 7519 section 4.1.3).
func (r *claimRules) judgeAudience(c *content, reading *reading) *Error {
	ours := func(aud string) bool { return slices.Contains(r.audiences, aud) }
	switch {
	case r.anyAudience, r.byRequest: // the latter is judged with the request
		return nil
	case !slices.ContainsFunc(c.audience, ours):
		return wrongAudience(r.audienceClaim, c.audience, r.audiences)
	case reading.aud != nil && !slices.ContainsFunc(reading.aud, ours):
		return wrongAudience("aud", reading.aud, r.audiences)
	default:
		return nil
	}
}
