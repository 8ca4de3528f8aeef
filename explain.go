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
// waits for keys if there are none yet. It does not search for an unknown key id or look an unknown
// issuer up, calls no [Func] and no [AudienceFunc], and writes neither a log line nor an event. A
// token that the guard would refuse is never [VerdictAccepted].
//
// A report is for operators and not for clients. It quotes nothing of a token that was not
// verified.
func (g *Guard) Explain(ctx context.Context, token string) Report {
	core, seen := g.core, trace{}
	r := Report{Verdict: VerdictAccepted}
	var verified *verified
	var err *Error
	switch {
	case core.closed.Load():
		err = refuse(ReasonClosed)
	case token == "":
		err = refuse(ReasonMissingToken)
	case len(token) > core.verifier.maxTokenSize:
		err = refusedSize
	default:
		verified, err = core.verifier.explain(keyset.WithoutSearch(ctx), token, &seen)
	}
	r.Issuer, r.KeyID, r.Algorithm = seen.Issuer, seen.KeyID, seen.Algorithm
	r.addPipeline(err)
	if verified != nil {
		r.Token = factsOf(&verified.claims)
		r.addLive(ctx, verified)
	}
	for _, q := range g.rule.requirements {
		r.addRequirement(q, verified)
	}
	return r
}

// explain is verifyInFull for a report.
func (v *verifier) explain(ctx context.Context, token string, seen *trace) (*verified, *Error) {
	entry, err := v.verifyInFull(ctx, token, seen)
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

// step is a check of the pipeline.
type step struct {
	rule, options string
	special       bool // it is in a report only if it failed: most issuers do not have it
}

// pipeline is the checks of a token before those of a route, in the order in which they run.
var pipeline = []step{
	{rule: "guard.closed"},
	{rule: "request.optional", options: "Optional"},
	{rule: "jws.size", options: "WithMaxTokenSize"},
	{rule: "jws.compact"},
	{rule: "jws.one-spelling"},
	{rule: "jws.header"},
	{rule: "jws.crit"},
	{rule: "claims.iss", options: "WithIssuer, InsecureNoIssuer"},
	{rule: "issuer.template", options: "IssuerTemplate", special: true},
	{rule: "issuer.registry", options: "WithRegistry", special: true},
	{rule: "issuer.lookup", options: "WithLookup", special: true},
	{rule: "issuer.lookup-bounded", options: "WithLookupRate, WithMaxIssuers", special: true},
	{rule: "jws.alg-allowed", options: "Algorithms, HMACSecret, HMACSecretBesideKeys"},
	{rule: "jws.typ-allowed", options: "TokenTypes, RFC9068"},
	{rule: "key.secrets", options: "HMACSecret, HMACSecretBesideKeys", special: true},
	{rule: "key.available", options: "JWKSURL, MetadataURL, Keys"},
	{rule: "key.kid", options: "JWKSURL, MetadataURL, Keys"},
	{rule: "key.no-kid", options: "Keys", special: true},
	{rule: "key.thumbprint", special: true},
	{rule: "key.work-bounded", special: true},
	{rule: "key.issuer-member"},
	{rule: "jws.signature"},
	{rule: "claims.json"},
	{rule: "claims.types", options: "ClientIDClaim"},
	{rule: "claims.access-token", options: "TokenTypes, InsecureIDTokens"},
	{rule: "claims.any-present", options: "AnyClaimPresent", special: true},
	{rule: "claims.required", options: "RFC9068"},
	{rule: "claims.exp", options: "Leeway, InsecureNoExpiry"},
	{rule: "claims.nbf", options: "Leeway"},
	{rule: "claims.iat", options: "Leeway"},
	{rule: "claims.lifetime", options: "MaxLifetime"},
	{rule: "claims.aud", options: "Audiences, AudienceClaim, AudienceFunc, InsecureAnyAudience"},
	{rule: "claims.cnf", options: "InsecureIgnoreConfirmation"},
	{rule: "issuer.template-claim", options: "IssuerTemplate", special: true},
}

// ruleOf are the rules of refusals whose cause does not name one.
var ruleOf = map[Reason]string{
	ReasonClosed:          "guard.closed",
	ReasonMissingToken:    "request.optional",
	ReasonKeysUnavailable: "key.available",
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
		failed = r.failure(err)
		r.refuse(err)
	}
	for _, s := range pipeline {
		check := Check{Rule: s.rule, Options: s.options, Result: result}
		if err != nil && s.rule == failed.rule {
			check.Result, check.Found, check.Remedy = CheckFailed, failed.found, failed.remedy
			result = CheckNotReached
		} else if s.special {
			continue
		}
		r.Checks = append(r.Checks, check)
	}
}

// failure returns the cause of a refusal by the pipeline, with the check at which it ended.
func (r *Report) failure(err *Error) cause {
	c := causeOf(err)
	switch {
	case r.Issuer == "" && strings.HasPrefix(c.rule, "claims."):
		c.rule = "claims.iss" // of the claims only iss is read before the issuer is known
	case err.Reason() == ReasonMissingClaim && c.rule == "claims.lifetime":
		c.rule = "claims.required" // that a claim is there is checked before the times
	}
	return c
}

// addLive adds the checks that are made on every request.
func (r *Report) addLive(ctx context.Context, token *verified) {
	live := token.issuer.live
	if live == nil {
		return
	}
	if live.audience != nil {
		r.Checks = append(r.Checks, Check{Rule: ruleAudienceFunc, Options: "AudienceFunc", Result: CheckNeedsRequest})
		r.Verdict = VerdictUndecided
	}
	if live.template != nil {
		check := Check{Rule: ruleTemplateAccept, Options: "IssuerTemplate", Result: CheckPassed}
		if err := live.template.ask(ctx, &token.content); err != nil {
			failed := causeOf(err)
			check.Result, check.Found, check.Remedy = CheckFailed, failed.found, failed.remedy
			r.refuse(err)
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
	case token == nil || r.Reason != "":
		check.Result = CheckNotReached
	case q.request:
		check.Result, r.Verdict = CheckNeedsRequest, VerdictUndecided
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
