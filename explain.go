package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/keyset"
)

// Explain reports how the guard judges a token, check by check, for people who want to know why a
// token is refused. It takes the token through the pipeline from the start, without the cache, and
// waits for keys if there are none yet. It does not search for an unknown key id, calls no [Func]
// and writes neither a log line nor an event. A token that the guard would refuse is never
// [VerdictAccepted].
//
// A report is for operators and not for clients. It quotes nothing of a token that was not verified.
func (g *Guard) Explain(ctx context.Context, token string) Report {
	core, ev := g.core, Event{}
	r := Report{Verdict: VerdictAccepted}
	var entry *verified
	var err *Error
	switch {
	case core.closed.Load():
		err = refuse(ReasonClosed)
	case token == "":
		err = refuse(ReasonMissingToken)
	case len(token) > core.verifier.maxTokenSize:
		err = refusedSize
	default:
		entry, err = core.verifier.explain(keyset.WithoutSearch(ctx), token, &ev)
	}
	r.Issuer, r.KeyID, r.Algorithm = ev.Issuer, ev.KeyID, ev.Algorithm
	r.addPipeline(err)
	if entry != nil {
		r.Token = factsOf(&entry.claims)
	}
	for _, q := range g.rule.requirements {
		r.addRequirement(q, entry)
	}
	return r
}

// explain is verifyInFull for a report.
func (v *verifier) explain(ctx context.Context, token string, ev *Event) (*verified, *Error) {
	entry, err := v.verifyInFull(ctx, token, ev)
	if err != nil {
		return nil, err
	}
	return &entry.Value, nil
}

// Verdict is what a [Report] comes to.
type Verdict string

// The verdicts.
const (
	VerdictAccepted    Verdict = "accepted"
	VerdictRefused     Verdict = "refused"     // 401 or 403
	VerdictUnavailable Verdict = "unavailable" // 503: the keys of the issuer are missing, for example
	VerdictUndecided   Verdict = "undecided"   // a check needs a request, and the others passed
)

// Report is how a guard judges a token; see [Guard.Explain]. Its String is for people, and its JSON
// for programs.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Reason is why the token is refused or cannot be judged, and "" otherwise.
	Reason    Reason `json:"reason,omitempty"`
	Issuer    string `json:"issuer,omitempty"`    // the configured one that the token named
	Algorithm string `json:"algorithm,omitempty"` // of the token, if the issuer may use it
	KeyID     string `json:"key_id,omitempty"`    // of the key that verified the token
	// Token is what the token says. It is nil unless everything but the route's requirements passed.
	Token *TokenFacts `json:"token,omitempty"`
	// Checks are all checks, in the order in which they run.
	Checks []Check `json:"checks"`
}

// TokenFacts are the claims of a verified token that decisions rest on.
type TokenFacts struct {
	Subject  string    `json:"subject,omitempty"`   // see [Claims.Subject], and so on
	ClientID string    `json:"client_id,omitempty"` // "" if there is none
	Audience []string  `json:"audience,omitempty"`  // as the token has it
	Scopes   []string  `json:"scopes,omitempty"`    // as [ScopeClaim] finds them
	Roles    []string  `json:"roles,omitempty"`     // as [RolesClaim] finds them
	Expiry   time.Time `json:"expiry,omitzero"`     // the zero time if there is none
}

func factsOf(c *Claims) *TokenFacts {
	return &TokenFacts{c.Subject(), c.ClientID(), c.Audience(), c.Scopes(), c.Roles(), c.Expiry()}
}

// Check is one check of a [Report].
type Check struct {
	Rule    string      `json:"rule"`              // its id in docs/rules.md
	Result  CheckResult `json:"result"`            // how it ended
	Options string      `json:"options,omitempty"` // that change it, separated by commas; "" if there is none
	Found   string      `json:"found,omitempty"`   // what is wrong; "" unless it failed
	Remedy  string      `json:"remedy,omitempty"`  // what to do about it; "" if there is nothing to say
}

// CheckResult is how a check ended.
type CheckResult string

// The results.
const (
	CheckPassed       CheckResult = "passed"
	CheckFailed       CheckResult = "failed"
	CheckNotReached   CheckResult = "not reached"
	CheckNeedsRequest CheckResult = "needs a request"
)

// pipeline is the checks of a token before those of a route, in the order in which they run.
var pipeline = []Check{
	{Rule: "guard.closed"},
	{Rule: "request.location", Options: "WithTokensFrom, TokensFrom"},
	{Rule: "jws.size", Options: "WithMaxTokenSize"},
	{Rule: "jws.compact"},
	{Rule: "jws.one-spelling"},
	{Rule: "jws.header"},
	{Rule: "jws.crit"},
	{Rule: "claims.iss", Options: "WithIssuer"},
	{Rule: "jws.alg-allowed", Options: "Algorithms, HMACSecret"},
	{Rule: "jws.typ-allowed", Options: "TokenTypes, RFC9068"},
	{Rule: "key.available", Options: "JWKSURL, Keys"},
	{Rule: "key.kid", Options: "JWKSURL, Keys"},
	{Rule: "key.issuer-member"},
	{Rule: "jws.signature"},
	{Rule: "claims.json"},
	{Rule: "claims.types"},
	{Rule: "claims.access-token", Options: "TokenTypes"},
	{Rule: "claims.required", Options: "RFC9068"},
	{Rule: "claims.exp", Options: "Leeway, InsecureNoExpiry"},
	{Rule: "claims.nbf", Options: "Leeway"},
	{Rule: "claims.iat", Options: "Leeway"},
	{Rule: "claims.lifetime", Options: "MaxLifetime"},
	{Rule: "claims.aud", Options: "Audiences, AudienceClaim, InsecureAnyAudience"},
	{Rule: "claims.cnf", Options: "InsecureIgnoreConfirmation"},
}

// ruleOf are the rules of refusals whose cause comes from elsewhere, such as package jwks.
var ruleOf = map[Reason]string{
	ReasonClosed:          "guard.closed",
	ReasonMissingToken:    "request.location",
	ReasonUnknownIssuer:   "claims.iss",
	ReasonUnknownKey:      "key.kid",
	ReasonKeysUnavailable: "key.available",
	ReasonMalformedClaims: "claims.json", ReasonNotAccessToken: "claims.access-token", ReasonMissingClaim: "claims.required",
	ReasonExpired: "claims.exp", ReasonNotYetValid: "claims.nbf", ReasonIssuedInFuture: "claims.iat",
	ReasonLifetime: "claims.lifetime", ReasonAudience: "claims.aud", ReasonSenderConstrained: "claims.cnf",
}

// causeOf returns the cause of a refusal in the form of a check.
func causeOf(err *Error) cause {
	if c, ok := errors.AsType[*cause](err.cause); ok {
		return *c
	}
	c := cause{rule: ruleOf[err.Reason()], found: err.Description()}
	if err.cause != nil {
		c.found = err.cause.Error()
	}
	return c
}

// addPipeline adds the checks of the pipeline, of which one failed unless err is nil.
func (r *Report) addPipeline(err *Error) {
	result := CheckPassed
	var failed cause
	if err != nil {
		failed = causeOf(err)
		r.refuse(err)
	}
	for _, check := range pipeline {
		check.Result = result
		if err != nil && check.Rule == failed.rule {
			check.Result, check.Found, check.Remedy = CheckFailed, failed.found, failed.remedy
			result = CheckNotReached
		}
		r.Checks = append(r.Checks, check)
	}
}

// addRequirement adds the checks of a requirement for a token, which is nil if it was refused.
func (r *Report) addRequirement(q *requirement, token *verified) {
	if q.rule == "" { // All
		for _, part := range q.parts {
			r.addRequirement(part, token)
		}
		return
	}
	check := Check{Rule: q.rule, Result: CheckPassed}
	switch {
	case token == nil || r.Verdict == VerdictRefused:
		check.Result = CheckNotReached
	case q.request:
		check.Result = CheckNeedsRequest
		r.Verdict = VerdictUndecided
	default:
		if err := q.check(nil, &token.claims); err != nil {
			failed := causeOf(err)
			check.Result, check.Found, check.Remedy = CheckFailed, failed.found, failed.remedy
			r.refuse(err)
		}
	}
	r.Checks = append(r.Checks, check)
}

// refuse makes a refusal the verdict.
func (r *Report) refuse(err *Error) {
	r.Verdict, r.Reason = VerdictRefused, err.Reason()
	if errors.Is(err, ErrUnavailable) {
		r.Verdict = VerdictUnavailable
	}
}

// String returns the report for people: the verdict, and one line for each check.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(string(r.Verdict))
	if r.Reason != "" {
		b.WriteString(": " + string(r.Reason))
	}
	b.WriteByte('\n')
	for _, known := range []struct{ name, value string }{
		{"issuer", r.Issuer}, {"algorithm", r.Algorithm}, {"key id", r.KeyID},
	} {
		if known.value != "" {
			fmt.Fprintf(&b, "  %s: %s\n", known.name, quoted(known.value))
		}
	}
	if r.Token != nil {
		text, _ := json.Marshal(r.Token) // strings and a time cannot fail
		fmt.Fprintf(&b, "  token: %s\n", text)
	}
	for _, check := range r.Checks {
		fmt.Fprintf(&b, "  %-15s  %s\n", check.Result, check.Rule)
		if check.Found != "" {
			fmt.Fprintf(&b, "  %15s  %s\n", "", check.Found)
		}
		if check.Remedy != "" {
			fmt.Fprintf(&b, "  %15s  to do: %s\n", "", check.Remedy)
		}
		if check.Result == CheckFailed && check.Options != "" {
			fmt.Fprintf(&b, "  %15s  options: %s\n", "", check.Options)
		}
	}
	return b.String()
}
