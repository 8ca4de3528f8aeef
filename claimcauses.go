package bearer

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// This file says to operators what is wrong with claims. All but the refusals at the end are of
// claims whose signature was verified.

// The bounds of what a cause shows of a token.
const (
	shownBytes  = 64 // of one value, and of its escapes
	shownValues = 4  // of a list
)

// shown quotes a value that an issuer signed.
func shown(value string) string {
	for _, most := range [...]int{shownBytes, shownBytes / 2} {
		if quoted, ok := quotedUpTo(value, most); ok {
			return quoted
		}
	}
	quoted, _ := quotedUpTo(value, shownBytes/4) // an escape has up to four bytes for one
	return quoted
}

// quotedUpTo quotes so many bytes of a value, and reports whether the result is short enough.
func quotedUpTo(value string, most int) (quoted string, ok bool) {
	cut := min(len(value), most)
	for cut < len(value) && !utf8.RuneStart(value[cut]) {
		cut--
	}
	quoted = strconv.Quote(value[:cut])
	ok = len(quoted) <= shownBytes+len(`""`)
	if cut < len(value) {
		quoted += "..."
	}
	return quoted, ok
}

// shownList is shown for a list.
func shownList(values []string) string {
	var all []string
	for _, v := range values[:min(len(values), shownValues)] {
		all = append(all, shown(v))
	}
	text := strings.Join(all, ", ")
	if more := len(values) - shownValues; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

// kindOf names the type of a JSON value.
func kindOf(value string) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// notStrict is the refusal of claims that are not one strict JSON object. The errors of strictjson
// are fixed texts.
func notStrict(err error) *Error {
	return because(ReasonMalformedClaims, "claims.json", "the claims set: "+err.Error(),
		"have the issuer write one JSON object in UTF-8 without repeated names")
}

// malformed is the refusal of a claim with the wrong type, which has a fixed name, or the
// configured one of the audience.
func malformed(m strictjson.Member, audience string) *Error {
	switch m.Name {
	case "iss", "sub", "jti", "client_id":
		return malformedText(m)
	case "exp", "nbf", "iat":
		found := m.Name + " is " + kindOf(m.Value) + ", not a number"
		if kindOf(m.Value) == "a number" {
			found = m.Name + " is before 1970 or after the year 9999"
		}
		return because(ReasonMalformedClaims, "claims.types", found,
			"have the issuer write "+m.Name+" as a number of seconds since 1970")
	}
	name := "aud"
	if m.Name == audience {
		name = audience
	}
	found := name + " is " + kindOf(m.Value) + ", not a string or an array of strings"
	if m.Value[0] == '[' {
		found = name + " is an array with an element that is not a string"
	}
	return because(ReasonMalformedClaims, "claims.types", found,
		"have the issuer write "+name+" as a string or an array of strings")
}

// malformedText is the refusal of a claim that is no string. Its name is fixed or configured.
func malformedText(m strictjson.Member) *Error {
	return because(ReasonMalformedClaims, "claims.types", m.Name+" is "+kindOf(m.Value)+", not a string",
		"have the issuer write "+m.Name+" as a string")
}

// mark is a claim that shows that a token is no access token. Those of ID tokens come first.
type mark uint8

const (
	noMark mark = iota
	markAtHash
	markCHash
	markSHash
	markIDUse
	markIDType
	markOtherUse // from here on InsecureIDTokens changes nothing
	markOtherType
	markEvents
)

// isOfIDToken reports whether ID tokens have the mark.
func (k mark) isOfIDToken() bool { return markAtHash <= k && k <= markIDType }

// otherTypes are the values of a claim typ, beside that of ID tokens, with which Keycloak marks
// tokens that are no access tokens, in lower case.
var otherTypes = []string{"refresh", "offline", "logout"}

// markOf returns the mark that a claim is, or noMark.
func markOf(m strictjson.Member) mark {
	switch m.Name {
	case "at_hash":
		return markAtHash
	case "c_hash":
		return markCHash
	case "s_hash":
		return markSHash
	case "events":
		return markEvents
	case "token_use":
		switch use, _ := strictjson.String(m.Value); use {
		case "access":
			return noMark
		case "id":
			return markIDUse
		default:
			return markOtherUse
		}
	case "typ":
		typ, _ := strictjson.String(m.Value)
		if typ = grammar.Lower(typ); typ == "id" {
			return markIDType
		} else if slices.Contains(otherTypes, typ) {
			return markOtherType
		}
	}
	return noMark
}

// anotherKind is the refusal of a token with a mark. The claim's value is as it stands in the
// token.
func anotherKind(k mark, value string) *Error {
	var says, found string
	if text, ok := strictjson.String(value); ok {
		says = shown(text)
	} else {
		says = kindOf(value)
	}
	switch k {
	case markAtHash:
		found = "it has at_hash, which marks an ID token"
	case markCHash:
		found = "it has c_hash, which marks an ID token"
	case markSHash:
		found = "it has s_hash, which marks an ID token"
	case markEvents:
		found = "it has events, which marks a logout token or a security event"
	case markIDUse, markOtherUse:
		found = "its token_use is " + says + ", not \"access\""
	default:
		found = "its claim typ is " + says + ", which is not that of an access token"
	}
	remedy := "have the client send its access token"
	if k.isOfIDToken() {
		remedy += "; InsecureIDTokens accepts the ID tokens of this issuer"
	}
	return because(ReasonNotAccessToken, "claims.access-token", found, remedy)
}

// wrongAudience is the refusal of a token that names other services in a claim.
func wrongAudience(claim string, found, wanted []string) *Error {
	text := claim + " is " + shownList(found)
	remedy := "have the client request a token for this service, or add the value with Audiences"
	switch {
	case len(found) == 0:
		text = "the token has no " + claim
		remedy = "have the client request a token for this service; " +
			"AudienceClaim names another claim, such as client_id (Amazon Cognito) or azp (Clerk)"
	case slices.ContainsFunc(found, isGraph):
		text += ", a Microsoft Graph token"
		remedy = "have the client request a scope of this API, not one of Microsoft Graph"
	case claim == "aud" && slices.Equal(found, []string{"account"}):
		remedy = "add an audience mapper for this service to the client in Keycloak"
	}
	return because(ReasonAudience, "claims.aud", text+"; this service is "+shownList(wanted), remedy)
}

// isGraph reports whether an audience is that of Microsoft Graph.
func isGraph(audience string) bool {
	switch audience {
	case "00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com", "https://graph.microsoft.com/":
		return true
	default:
		return false
	}
}

// An attacker can cause these at will, so that they are made once.
var (
	refusedNoIssuer = fixed(ReasonMissingClaim, "claims.iss", "the token has no iss",
		"if no token of an issuer has one, give that issuer InsecureNoIssuer")
	refusedUnreadable = fixed(ReasonMalformedClaims, "claims.json", "the claims set is not one strict JSON object",
		"have the issuer write one JSON object in UTF-8")
	refusedIssuerType = fixed(ReasonMalformedClaims, "claims.types", "iss is not a string",
		"have the issuer write iss as a string")
	refusedGraph = fixed(ReasonSignature, "jws.signature",
		"the token looks like a Microsoft Graph token, whose signature no other service can verify",
		"have the client request a scope of this API, not one of Microsoft Graph")
)
