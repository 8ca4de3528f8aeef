package bearertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// This file holds the attacks that take more than one request, or more than one handler.

// campaigns are those that apply to what the options say of the handler.
func (a *attack) campaigns() []volley {
	list := []volley{{name: ruleTokenEnd, run: a.outlive}}
	if a.partner != nil {
		list = append(list, volley{name: rulePartnerKeys, shots: a.partnerShots()})
	}
	if a.subject != nil {
		list = append(list, volley{name: ruleSubject, run: a.impersonate})
	}
	if a.fresh != nil {
		list = append(list, volley{name: ruleNoKeys, run: a.cutOff})
	}
	return list
}

const (
	// endPrecision is how near to the end of the handler's leeway a token is made to end. With
	// handlers that know fractions of a second, it is about how long Attack waits.
	endPrecision = 10 * time.Millisecond

	// longestEnd is how long Attack waits at most for the end of a token. A handler that knows
	// whole seconds takes two.
	longestEnd = 5 * time.Second
)

// ending is a token that lives for a minute until this time, which may have passed.
func (k *kit) ending(at time.Time) string {
	exp := json.RawMessage(fmt.Sprintf("%d.%03d", at.Unix(), at.Nanosecond()/int(time.Millisecond)))
	return k.issuer.Sign(nil, Claims{canaryClaim: k.canary, "iat": at.Add(-time.Minute), "exp": exp})
}

// outlive sends a token that is good for a moment more, waits until a new one with the same exp is
// refused, and sends the first one again: what was verified once is not good for ever. It finds out
// first when the handler's leeway ends.
func (a *attack) outlive(handler http.Handler, rule string) []finding {
	passes := func(token string) bool { return a.fire(handler, shot{token: token, put: inHeader}).passes() }
	lower := time.Now().Add(-pastLeeway)
	upper := time.Now().Add(time.Minute)
	if passes(a.kit.ending(lower)) || !passes(a.kit.ending(upper)) {
		return nil // No exp is looked at, which the attacks on times have found; or tokens like these are no good on the route.
	}
	for upper.Sub(lower) > endPrecision {
		if middle := lower.Add(upper.Sub(lower) / 2); passes(a.kit.ending(middle)) {
			upper = middle
		} else {
			lower = middle
		}
	}
	var end time.Time
	var token string
	for margin := endPrecision; ; margin *= 2 { // The clock went on meanwhile.
		end = upper.Add(margin)
		if token = a.kit.ending(end); passes(token) {
			break
		}
		if margin > longestEnd {
			return []finding{{rule, "a token that ends now", "is refused, although one that ends earlier was let through"}}
		}
	}
	for waited, step := time.Duration(0), endPrecision; waited < longestEnd; waited, step = waited+step, min(2*step, longestEnd/50) {
		select {
		case <-time.After(step):
		case <-a.ctx.Done():
			return nil
		}
		if passes(a.kit.ending(end)) {
			continue
		}
		if passes(token) {
			return []finding{{
				rule, "a token that was let through before",
				"is let through after its end, when a new one with the same exp is not",
			}}
		}
		return nil
	}
	return []finding{{rule, "a token that ends now", fmt.Sprintf("is let through for %v more", longestEnd)}}
}

// cutOff attacks handlers that cannot have keys.
func (a *attack) cutOff(_ http.Handler, rule string) (findings []finding) {
	issuer, k := a.kit.issuer, a.kit
	stood := issuer.standing()
	defer func() { issuer.setHandler(stood) }()
	forged := []shot{
		{name: "a forged token", token: k.attacked(nil), put: inHeader, want: invalidToken},
		{name: "a token of another key", token: k.attacked(Claims{"kid": k.attacker.KeyID()}), put: inHeader, want: invalidToken},
		{name: "an unsigned token", token: k.unsigned("none"), put: inHeader, want: invalidToken},
		{name: "a token of another issuer", token: k.foreign.Sign(nil, k.canaries()), put: inHeader, want: invalidToken},
		{name: "no token", put: func(*http.Request, string) {}, want: noCredential},
	}
	for _, fault := range []struct {
		name  string
		fault Fault
	}{
		{"the issuer is down", Down},
		{"the issuer answers web pages", HTML200},
		{"the issuer publishes no keys", EmptyKeys},
	} {
		issuer.SetFault(fault.fault)
		handler := a.fresh()
		if handler == nil {
			return append(findings, finding{rule, fault.name, "WithFreshHandler returns nil"})
		}
		for _, s := range forged {
			s.name = fault.name + ", " + s.name
			findings = append(findings, a.try(handler, rule, s)...)
		}
		good := shot{name: fault.name + ", a good token", token: issuer.Token(), put: inHeader, want: unavailable}
		if got := a.fire(handler, good); !got.passes() {
			for _, problem := range a.judge(good, got) {
				findings = append(findings, finding{rule, good.name, problem})
			}
		}
	}
	return findings
}

// standing returns the fault that stands, or nil.
func (i *Issuer) standing() http.HandlerFunc {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fault
}

// impersonating are the fields and parameters by which services take a user's name from a proxy.
var (
	impersonatingFields = []string{
		"X-User", "X-User-Id", "X-Username", "X-Subject", "X-Sub", "X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-User",
		"X-Authenticated-User", "X-Authenticated-Userid", "X-Auth-Request-User", "X-Consumer-Username", "X-Impersonate-User",
		"Impersonate-User", "X-On-Behalf-Of",
	}
	impersonatingParameters = []string{"user", "user_id", "username", "sub", "subject"}
)

const (
	parallelRounds = 8
	parallelSize   = 64 // requests at once
)

// impersonate sends tokens of two subjects and compares them with whom the answers are for.
func (a *attack) impersonate(handler http.Handler, rule string) (findings []finding) {
	subjects := []string{"alice", "mallory"}
	tokens := []string{a.kit.withClaims(Claims{"sub": subjects[0]}), a.kit.withClaims(Claims{"sub": subjects[1]})}
	check := func(i int, name string, put func(*http.Request, string)) []finding {
		got := a.fire(handler, shot{token: tokens[i], put: both(put)})
		if put != nil && got.panicked == nil && got.status/100 == 4 {
			return nil // it refuses fields or parameters that it does not expect
		}
		if !got.passes() {
			return []finding{{rule, name, "a good token is not let through: " + got.String()}}
		}
		answer := got.again()
		defer func() { _ = answer.Body.Close() }()
		if subject := a.subject(answer); subject != subjects[i] {
			return []finding{{rule, name, fmt.Sprintf("the answer to %s is for %q", subjects[i], subject)}}
		}
		return nil
	}
	for _, i := range []int{0, 1, 0, 1} {
		if found := check(i, "two tokens in turn", nil); found != nil {
			return found // What follows would say the same.
		}
	}
	for i, other := range []string{subjects[1], subjects[0]} {
		for _, name := range impersonatingFields {
			findings = append(findings, check(i, name, func(r *http.Request, _ string) { r.Header.Set(name, other) })...)
		}
		for _, name := range impersonatingParameters {
			findings = append(findings, check(i, "the parameter "+name, func(r *http.Request, _ string) {
				q := r.URL.Query()
				q.Set(name, other)
				r.URL.RawQuery = q.Encode()
			})...)
		}
	}
	for range parallelRounds {
		found := make([][]finding, parallelSize)
		var wg sync.WaitGroup
		for n := range parallelSize {
			wg.Go(func() { found[n] = check(n%len(tokens), "requests at once", nil) })
		}
		wg.Wait()
		if found := slices.Concat(found...); len(found) > 0 {
			return append(findings, found[0])
		}
	}
	return findings
}
