package bearer

import (
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// claimNames are the claims in which an issuer puts what has no fixed place.
type claimNames struct {
	audience string
	clients  []string // the first that is there counts; nil for client_id, and azp if there is none
	scopes   []string // paths; their scopes are merged
	roles    []string // paths; their roles are merged
	any      []string // names, of which one is there in every token; nil if none has to be

	rolesFromMembers bool // the names of an object's members are roles
	rolesFromWords   bool // a string is several roles between spaces
}

// reading is what the checks need to know of a claims set in addition to its [content].
type reading struct {
	present claimSet // the claims that are there, and not the empty string
	named   bool     // there is an iss, whatever it says
	anyOf   bool     // one of the claims is there of which one has to be
	aud     []string // of aud, if the audience is in another claim; nil if that names no audience

	mark   mark   // shows that it is no access token, unless its type says that it is
	marked string // what the claim of the mark says, or ""
}

// claimSet is a set of claims that can be required.
type claimSet uint8

const (
	claimIss claimSet = 1 << iota
	claimSub
	claimAud
	claimExp
	claimIat
	claimJti
	claimClientID
)

// usualMembers is how many members a claims set usually has at most. More cost an allocation.
const usualMembers = 24

// readClaims reads a verified claims set. Names are compared case-exactly. A claim that a decision
// rests on is malformed when it has the wrong type. azp, acr, auth_time and sid then count as
// absent, so that a requirement for them is not met.
//
// A token that does not declare itself an access token may show that it is an ID token (OpenID
// Connect Core sections 2 and 3.3.2.11), a logout token or security event (RFC 8417), or what
// Amazon Cognito and Keycloak mark as such. Confusing them is the attack of RFC 8725 section 2.8.
func (n *claimNames) readClaims(c *content, payload string) (r reading, err *Error) {
	var array [usualMembers]strictjson.Member
	members, jsonErr := strictjson.AppendObject(array[:0], payload)
	if jsonErr != nil {
		return r, notStrict(jsonErr)
	}
	c.payload = payload
	var azp string
	for _, m := range members {
		ok := true
		var claim claimSet
		switch m.Name {
		case "iss":
			claim, r.named = claimIss, true
			c.issuer, ok = strictjson.String(m.Value)
		case "sub":
			claim = claimSub
			c.subject, ok = strictjson.String(m.Value)
		case "jti":
			claim = claimJti
			c.id, ok = strictjson.String(m.Value)
		case "aud":
			claim = claimAud
			if n.audience != "aud" {
				r.aud, ok = appendStrings(nil, m.Value) // nil for an empty array, which names no audience
			}
		case "exp":
			claim = claimExp
			c.expiry, ok = jws.NumericDate(m.Value)
		case "nbf":
			c.notBefore, ok = jws.NumericDate(m.Value)
		case "iat":
			claim = claimIat
			c.issuedAt, ok = jws.NumericDate(m.Value)
		case "client_id":
			claim = claimClientID
			c.clientID, ok = strictjson.String(m.Value)
		case "azp":
			azp, _ = strictjson.String(m.Value)
		case "sid":
			c.sessionID, _ = strictjson.String(m.Value)
		case "acr":
			c.acr, _ = strictjson.String(m.Value)
		case "auth_time":
			c.authTime, _ = jws.NumericDate(m.Value)
		case "cnf":
			c.confirmation = readConfirmation(m.Value)
		case "at_hash", "c_hash", "s_hash", "events", "token_use", "typ":
			r.look(m)
		}
		if m.Name == n.audience && ok {
			c.audience, ok = appendStrings(c.audienceArray[:0], m.Value)
		}
		if !ok {
			return r, malformed(m, n.audience)
		}
		if m.Value != `""` {
			r.present |= claim
		}
	}
	if c.clientID == "" {
		c.clientID = azp
	}
	if n.clients != nil {
		if c.clientID, err = firstText(members, n.clients); err != nil {
			return r, err
		}
	}
	r.anyOf = n.any == nil || slices.ContainsFunc(members, func(m strictjson.Member) bool {
		return m.Value != "null" && slices.Contains(n.any, m.Name)
	})
	scopes := distinct{values: c.scopeArray[:0]}
	for _, path := range n.scopes {
		if value, found := lookup(members, path); found {
			scopes.addScopes(value)
		}
	}
	roles := distinct{values: c.roleArray[:0]}
	for _, path := range n.roles {
		if value, found := lookup(members, path); found {
			n.addRoles(&roles, value)
		}
	}
	c.scopes, c.roles = scopes.values, roles.values
	return r, nil
}

// look looks at a claim that may show what kind of token this is. Of several marks the one that
// weighs most counts.
func (r *reading) look(m strictjson.Member) {
	if found := markOf(m); found > r.mark {
		r.mark, r.marked = found, m.Value
	}
}

// firstText returns the text of the first of the named claims that is there and not empty. One
// that is no string is malformed.
func firstText(members []strictjson.Member, names []string) (first string, err *Error) {
	for _, name := range names {
		for _, m := range members {
			if m.Name != name {
				continue
			}
			text, ok := strictjson.String(m.Value)
			if !ok {
				return "", malformedText(m)
			}
			if first == "" {
				first = text
			}
		}
	}
	return first, nil
}

// readConfirmation reads the members of cnf that this package knows. A cnf of any other shape still
// binds the token.
func readConfirmation(value string) confirmation {
	bound := confirmation{present: true}
	members, _ := strictjson.Members(value)
	for _, m := range members {
		switch m.Name {
		case "jkt":
			bound.jkt, _ = strictjson.String(m.Value)
		case "x5t#S256":
			bound.certificate, _ = strictjson.String(m.Value)
		}
	}
	return bound
}

// lookup finds the claim at a path in raw JSON. At every level a member with the whole remaining
// name comes first, so that "https://example.com/roles" is one name and "realm_access.roles" is
// found in a nested object.
func lookup(object []strictjson.Member, path string) (string, bool) {
	for _, m := range object {
		if m.Name == path {
			return m.Value, true
		}
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		for _, m := range object {
			if m.Name != path[:i] {
				continue
			}
			if value, found := find(m.Value, path[i+1:]); found {
				return value, true
			}
		}
	}
	return "", false
}

// find is lookup in the text of an object that is known to be strictly valid. It stops at the claim
// and allocates nothing.
func find(object, path string) (string, bool) {
	if value, found, _ := strictjson.Find(object, path); found {
		return value, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if nested, found, _ := strictjson.Find(object, path[:i]); found {
			if value, found := find(nested, path[i+1:]); found {
				return value, true
			}
		}
	}
	return "", false
}

// appendStrings appends the values of a claim that is a string or an array of strings (RFC 7519
// section 4.1.3). ok is false for anything else.
func appendStrings(list []string, value string) (appended []string, ok bool) {
	if s, ok := strictjson.String(value); ok {
		return append(list, s), true
	}
	return strictjson.AppendStrings(list, value)
}

// fewValues is how many values are compared one by one to find repetitions.
const fewValues = 32

// distinct is a list of non-empty values without repetitions.
type distinct struct {
	values []string
	index  map[string]bool // of the values; nil while they are few
}

func (d *distinct) add(value string) {
	if value == "" || d.holds(value) {
		return
	}
	d.values = append(d.values, value)
	if d.index != nil {
		d.index[value] = true
	} else if len(d.values) > fewValues { // comparing thousands of values with each other would take too long
		d.index = make(map[string]bool, 4*fewValues)
		for _, v := range d.values {
			d.index[v] = true
		}
	}
}

func (d *distinct) holds(value string) bool {
	if d.index != nil {
		return d.index[value]
	}
	return slices.Contains(d.values, value)
}

// addRoles reads a roles claim: one role as a string, or an array of them, and what the options
// allow beside that. A value of any other type adds nothing.
func (n *claimNames) addRoles(roles *distinct, value string) {
	switch {
	case n.rolesFromMembers && value[0] == '{':
		members, _ := strictjson.Members(value)
		for _, m := range members {
			if m.Value != "null" && m.Value != "false" { // says that the role is not granted
				roles.add(m.Name)
			}
		}
	case n.rolesFromWords:
		roles.addScopes(value)
	default:
		roles.addAll(value)
	}
}

// addScopes reads a scope claim: a string of scopes separated by U+0020 alone (RFC 6749 section
// 3.3), or an array of them. A value of any other type grants nothing.
func (d *distinct) addScopes(value string) {
	if s, ok := strictjson.String(value); ok {
		for scope := range strings.SplitSeq(s, " ") {
			d.add(scope)
		}
		return
	}
	d.addAll(value)
}

// addAll reads a claim that is one value as a string, or an array of them. A value of any other
// type adds nothing.
func (d *distinct) addAll(value string) {
	var array [8]string
	list, _ := appendStrings(array[:0], value)
	for _, v := range list {
		d.add(v)
	}
}

// appendNew appends the non-empty values that the list does not have yet.
func appendNew(list, values []string) []string {
	d := distinct{values: list}
	for _, v := range values {
		d.add(v)
	}
	return d.values
}
