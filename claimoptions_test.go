package bearer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// ES384 and ES512 are accepted by default, and the other algorithms with a larger hash are not.
// Rules: jws.alg-allowed.
func TestES384AndES512AreDefaults(t *testing.T) {
	t.Parallel()
	for alg, want := range map[string]bearer.Reason{
		"ES384": "", "ES512": "", "RS384": bearer.ReasonAlgorithm, "PS512": bearer.ReasonAlgorithm, "HS384": bearer.ReasonAlgorithm,
	} {
		issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(alg))
		t.Run(alg, func(t *testing.T) { wantReason(t, newAuth(t, issuer), issuer.Token(), want) })
	}
}

// Without crit, b64 is a member like any other (RFC 7515 section 4): true says what is so anyway.
// Rules: jws.crit.
func TestB64TrueIsIgnored(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	payload := payloadOf(t, issuer.Token())
	for header, want := range map[string]bearer.Reason{
		`{"alg":"ES256","b64":true}`:                    "",
		`{"alg":"ES256","b64": true }`:                  "",
		`{"alg":"ES256","b64":false}`:                   bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","b64":"true"}`:                  bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","b64":null}`:                    bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","b64":1}`:                       bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","b64":[true]}`:                  bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","b64":true,"b64":true}`:         bearer.ReasonMalformedToken,
		`{"alg":"ES256","b64":true,"crit":["b64"]}`:     bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","crit":["b64"],"b64":true}`:     bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","\u0062\u00364":false}`:         bearer.ReasonUnsupportedHeader,
		`{"alg":"ES256","B64":false,"x":{"b64":false}}`: "",
	} {
		t.Run(header, func(t *testing.T) { wantReason(t, auth, issuer.SignRaw([]byte(header), payload), want) })
	}
}

// "application/" may be left out only where no other slash follows (RFC 7515 section 4.1.9).
// Rules: jws.typ-allowed.
func TestTokenTypesAreMediaTypes(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	for _, tt := range []struct {
		list, typ string
		want      bearer.Reason
	}{
		{"at+jwt", "application/at+jwt", ""},
		{"application/at+jwt", "at+jwt", ""},
		{"application/AT+JWT", "At+Jwt", ""},
		{"application/okta-internal-at+jwt", "application/okta-internal-at+jwt", ""},
		{"foo/bar", "foo/bar", ""},
		{"foo/bar", "FOO/Bar", ""},
		{"foo/bar", "application/foo/bar", bearer.ReasonType},
		{"application/foo/bar", "foo/bar", bearer.ReasonType},
		{"application/foo/bar", "application/foo/bar", ""},
		{"bar", "foo/bar", bearer.ReasonType},
		{"at+jwt", "text/at+jwt", bearer.ReasonType},
		{"at+jwt", "application/application/at+jwt", bearer.ReasonType},
		{`x;part="1/2"`, `application/x;part="1/2"`, bearer.ReasonType},
		{"at+jwt", "application/", bearer.ReasonType},
	} {
		t.Run(tt.list+" "+tt.typ, func(t *testing.T) {
			wantReason(t, newTuple(t, issuer, bearer.TokenTypes(tt.list)), issuer.Sign(c{"typ": tt.typ}), tt.want)
		})
	}
}

// Rules: claims.types.
func TestClientIDComesFromTheNamedClaims(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"client_id": nil}))
	for name, tt := range map[string]struct {
		names  []string
		claims c
		want   string
		reason bearer.Reason
	}{
		"Okta":                            {[]string{"cid"}, c{"cid": "a", "client_id": "b", "azp": "d"}, "a", ""},
		"the first that is there":         {[]string{"appid", "cid"}, c{"cid": "a"}, "a", ""},
		"the first of two":                {[]string{"appid", "cid"}, c{"cid": "a", "appid": "b"}, "b", ""},
		"an empty one is not there":       {[]string{"appid", "cid"}, c{"cid": "a", "appid": ""}, "a", ""},
		"none is there":                   {[]string{"cid"}, c{"client_id": "b", "azp": "d"}, "", ""},
		"a number":                        {[]string{"cid"}, c{"cid": 1}, "", bearer.ReasonMalformedClaims},
		"an array":                        {[]string{"cid"}, c{"cid": []string{"a"}}, "", bearer.ReasonMalformedClaims},
		"the second is a number":          {[]string{"appid", "cid"}, c{"cid": 1, "appid": "b"}, "", bearer.ReasonMalformedClaims},
		"azp":                             {[]string{"azp"}, c{"azp": "d"}, "d", ""},
		"client_id is still a string":     {[]string{"cid"}, c{"cid": "a", "client_id": 1}, "", bearer.ReasonMalformedClaims},
		"a dot is part of the name":       {[]string{"a.b"}, c{"a": c{"b": "x"}, "a.b": "y"}, "y", ""},
		"names are compared case-exactly": {[]string{"cid"}, c{"CID": "a"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			auth := newTuple(t, issuer, bearer.ClientIDClaim(tt.names...))
			token := issuer.Token(tt.claims)
			wantReason(t, auth, token, tt.reason)
			if tt.reason == "" {
				if got := verified(t, auth, token).ClientID(); got != tt.want {
					t.Errorf("client %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// Rules: route.scope, route.role.
func TestScopesAndRolesComeFromSeveralClaims(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newTuple(t, issuer, bearer.ScopeClaim("scope", "ext.permissions"),
		bearer.RolesClaim("realm_access.roles", "resource_access.my.client.roles"))
	claims := verified(t, auth, issuer.Token(c{
		"scope": "a b", "ext": c{"permissions": []string{"b", "d"}}, "scp": "x", "roles": "x",
		"realm_access":    c{"roles": []string{"r", "s"}},
		"resource_access": c{"my.client": c{"roles": []string{"s", "t"}}, "other": c{"roles": "x"}},
	}))
	if got, want := claims.Scopes(), []string{"a", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
	if got, want := claims.Roles(), []string{"r", "s", "t"}; !slices.Equal(got, want) {
		t.Errorf("roles %q, want %q", got, want)
	}
}

// What an option does not name is as it is without it: an object has no roles, and a string is one.
// Rules: route.role.
func TestRolesComeFromMembersAndWordsByOption(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	const zitadel = "urn:zitadel:iam:org:project:roles"
	members, words := bearer.RolesFromMembers(), bearer.RolesSeparatedBySpaces()
	org := c{"1688": "acme.example"}
	many := c{}
	for i := range 200 {
		many[fmt.Sprintf("role%03d", i)] = c{}
	}
	for name, tt := range map[string]struct {
		opts  []bearer.IssuerOption
		roles any
		want  []string
	}{
		"an object, without the option":    {nil, c{"admin": org}, nil},
		"Zitadel":                          {[]bearer.IssuerOption{members}, c{"admin": org, "editor": org}, []string{"admin", "editor"}},
		"an array, too":                    {[]bearer.IssuerOption{members}, []string{"a", "b"}, []string{"a", "b"}},
		"a string is one":                  {[]bearer.IssuerOption{members}, "a b", []string{"a b"}},
		"any value but false and null":     {[]bearer.IssuerOption{members}, c{"a": true, "b": false, "e": 0, "f": "", "g": c{}, "h": []any{}}, []string{"a", "e", "f", "g", "h"}},
		"an empty object":                  {[]bearer.IssuerOption{members}, c{}, nil},
		"an empty name":                    {[]bearer.IssuerOption{members}, c{"": org}, nil},
		"names of the top alone":           {[]bearer.IssuerOption{members}, c{"a": c{"b": c{}}}, []string{"a"}},
		"objects in an array":              {[]bearer.IssuerOption{members}, []any{c{"admin": org}}, nil},
		"a name in escapes":                {[]bearer.IssuerOption{members}, c{"a\"\n": org}, []string{"a\"\n"}},
		"words":                            {[]bearer.IssuerOption{words}, " a  b a", []string{"a", "b"}},
		"words between other white space":  {[]bearer.IssuerOption{words}, "a\tb\u00a0d", []string{"a\tb\u00a0d"}},
		"the elements of an array":         {[]bearer.IssuerOption{words}, []string{"a b", "d"}, []string{"a b", "d"}},
		"an object, with the other option": {[]bearer.IssuerOption{words}, c{"admin": org}, nil},
		"both, an object":                  {[]bearer.IssuerOption{members, words}, c{"a b": org}, []string{"a b"}},
		"both, a string":                   {[]bearer.IssuerOption{members, words}, "a b", []string{"a", "b"}},
		"a number":                         {[]bearer.IssuerOption{members, words}, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			auth := newTuple(t, issuer, append(tt.opts, bearer.RolesClaim(zitadel))...)
			claims := verified(t, auth, issuer.Token(c{zitadel: tt.roles}))
			if got := claims.Roles(); !slices.Equal(slices.Sorted(slices.Values(got)), tt.want) {
				t.Errorf("roles %q, want %q", got, tt.want)
			}
		})
	}
	auth := newTuple(t, issuer, members, bearer.RolesClaim(zitadel))
	if n := len(verified(t, auth, issuer.Token(c{zitadel: many})).Roles()); n != len(many) {
		t.Errorf("%d roles, want %d", n, len(many))
	}
}

// A role that the issuer writes as null in an object is not granted.
// Rules: route.role.
func TestRoleThatIsNullIsNotGranted(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newTuple(t, issuer, bearer.RolesFromMembers())
	payload := strings.Replace(string(payloadOf(t, issuer.Token())), "{", `{"roles":{"a":null,"b":{}},`, 1)
	claims := verified(t, auth, issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload)))
	if got := claims.Roles(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("roles %q", got)
	}
}

// An ID token without a mark is refused where an access token has a claim that it has not.
// Rules: claims.any-present.
func TestAnyClaimPresentIsAPositiveCheck(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newTuple(t, issuer, bearer.AnyClaimPresent("scp", "roles", "a.b"))
	for claims, want := range map[string]bearer.Reason{
		`"scp":"a"`:                  "",
		`"roles":["a"]`:              "",
		`"scp":"","x":1`:             "",
		`"scp":[]`:                   "",
		`"scp":false`:                "",
		`"a.b":1`:                    "",
		`"\u0073cp":"a"`:             "",
		`"scp":null,"roles":["a"]`:   "",
		`"x":1`:                      bearer.ReasonNotAccessToken,
		`"scp":null`:                 bearer.ReasonNotAccessToken,
		`"SCP":"a"`:                  bearer.ReasonNotAccessToken,
		`"a":{"b":1}`:                bearer.ReasonNotAccessToken,
		`"x":{"scp":"a"}`:            bearer.ReasonNotAccessToken,
		`"scp":"a","at_hash":"x"`:    bearer.ReasonNotAccessToken,
		`"nonce":"x","name":"alice"`: bearer.ReasonNotAccessToken,
	} {
		t.Run(claims, func(t *testing.T) {
			payload := strings.Replace(string(payloadOf(t, issuer.Token())), "{", "{"+claims+",", 1)
			wantReason(t, auth, issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload)), want)
			if !strings.Contains(claims, "at_hash") { // a type that declares an access token does not replace the claim
				wantReason(t, auth, issuer.SignRaw([]byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte(payload)), want)
			}
		})
	}
}

// Rules: claims.access-token.
func TestIDTokensPassByOptionAlone(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	other := bearertest.NewIssuer(bearertest.WithURL("https://other.example"))
	auth := mustNew(t,
		bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.InsecureIDTokens(), bearer.Keys(jwks.Static(issuer.KeySet()))),
		bearer.WithIssuer(other.URL(), other.Audience(), bearer.Keys(jwks.Static(other.KeySet()))))
	for name, tt := range map[string]struct {
		claims c
		want   bearer.Reason
	}{
		"Dex":                   {c{"at_hash": "x"}, ""},
		"Cognito":               {c{"at_hash": "x", "token_use": "id"}, ""},
		"Keycloak":              {c{"typ": "ID", "at_hash": "x", "nonce": "n"}, ""},
		"c_hash and s_hash":     {c{"c_hash": "x", "s_hash": "x"}, ""},
		"an access token":       {c{"token_use": "access", "typ": "Bearer"}, ""},
		"a logout token":        {c{"events": c{"http://schemas.openid.net/event/backchannel-logout": c{}}}, bearer.ReasonNotAccessToken},
		"a mark and events":     {c{"at_hash": "x", "nonce": "n", "events": c{}}, bearer.ReasonNotAccessToken},
		"events that are null":  {c{"at_hash": "x", "events": []any{}}, bearer.ReasonNotAccessToken},
		"Keycloak's Refresh":    {c{"typ": "Refresh"}, bearer.ReasonNotAccessToken},
		"Keycloak's Offline":    {c{"typ": "OFFLINE", "at_hash": "x"}, bearer.ReasonNotAccessToken},
		"Keycloak's Logout":     {c{"typ": "Logout", "token_use": "id"}, bearer.ReasonNotAccessToken},
		"token_use refresh":     {c{"token_use": "refresh", "at_hash": "x"}, bearer.ReasonNotAccessToken},
		"token_use ID":          {c{"token_use": "ID"}, bearer.ReasonNotAccessToken},
		"token_use in an array": {c{"token_use": []string{"id"}}, bearer.ReasonNotAccessToken},
		"another audience":      {c{"at_hash": "x", "aud": "other"}, bearer.ReasonAudience},
		"bound to a key":        {c{"at_hash": "x", "cnf": c{"jkt": "x"}}, bearer.ReasonSenderConstrained},
	} {
		t.Run(name, func(t *testing.T) {
			for _, typ := range []any{"JWT", nil} {
				wantReason(t, auth, issuer.Sign(c{"typ": typ}, tt.claims), tt.want)
			}
			wantReason(t, auth, issuer.Sign(c{"typ": "logout+jwt"}, tt.claims), bearer.ReasonType)
		})
	}
	wantReason(t, auth, other.Sign(c{"typ": "JWT"}, c{"at_hash": "x"}), bearer.ReasonNotAccessToken)
}

// A token without a member iss is one issuer's. With any value of iss a token goes by that.
// Rules: claims.iss.
func TestNoIssuerIsNotAnyIssuer(t *testing.T) {
	t.Parallel()
	spire := bearertest.NewIssuer(bearertest.WithURL("https://spire.example"))
	other := bearertest.NewIssuer(bearertest.WithURL("https://other.example"))
	trust := func(opts ...bearer.IssuerOption) []bearer.Option {
		return []bearer.Option{
			bearer.WithIssuer(other.URL(), other.Audience(), bearer.Keys(jwks.Static(other.KeySet()))),
			bearer.WithIssuer(spire.URL(), spire.Audience(), append(opts, bearer.Keys(jwks.Static(spire.KeySet())))...),
		}
	}
	var last bearer.Event
	auth := mustNew(t, append(trust(bearer.InsecureNoIssuer()), seen(&last))...)
	token := spire.Token(c{"iss": nil})
	for range 2 { // the second time from the cache
		wantReason(t, auth, token, "")
		if claims := verified(t, auth, token); claims.Issuer() != spire.URL() || last.Issuer != spire.URL() {
			t.Errorf("issuer %q, in the event %q", claims.Issuer(), last.Issuer)
		}
	}
	wantReason(t, auth, spire.Token(), "")
	wantReason(t, auth, other.Token(), "")
	wantReason(t, auth, other.Token(c{"iss": nil}), bearer.ReasonUnknownKey)
	wantReason(t, auth, other.Sign(c{"kid": nil}, c{"iss": nil}), bearer.ReasonSignature)
	wantReason(t, auth, spire.Token(c{"iss": nil, "aud": "other"}), bearer.ReasonAudience)
	wantReason(t, auth, spire.Token(c{"iss": nil, "exp": nil}), bearer.ReasonMissingClaim)
	wantReason(t, mustNew(t, trust()...), token, bearer.ReasonMissingClaim)

	payload := string(payloadOf(t, token))
	for iss, want := range map[string]bearer.Reason{
		`"iss":""`:                       bearer.ReasonUnknownIssuer,
		`"iss":null`:                     bearer.ReasonMalformedClaims,
		`"iss":1`:                        bearer.ReasonMalformedClaims,
		`"iss":[]`:                       bearer.ReasonMalformedClaims,
		`"iss":{}`:                       bearer.ReasonMalformedClaims,
		`"iss":"https://spire.example/"`: bearer.ReasonUnknownIssuer,
		`"iss":"https://evil.example"`:   bearer.ReasonUnknownIssuer,
		`"iss":"https://other.example"`:  bearer.ReasonUnknownKey,
		`"\u0069ss":"x"`:                 bearer.ReasonUnknownIssuer,
		`"x":{"iss":"x"},"ISS":"x"`:      "", // no member of the claims set is called iss
	} {
		t.Run(iss, func(t *testing.T) {
			for _, text := range []string{strings.Replace(payload, "{", "{"+iss+",", 1), payload[:len(payload)-1] + "," + iss + "}"} {
				header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, spire.KeyID())
				wantReason(t, auth, spire.SignRaw([]byte(header), []byte(text)), want)
			}
		})
	}
	// Under InsecureNoExpiry and with no cache as well.
	both := mustNew(t, append(trust(bearer.InsecureNoIssuer(), bearer.InsecureNoExpiry()), bearer.WithoutCache())...)
	wantReason(t, both, spire.Token(c{"iss": nil, "exp": nil}), "")
}

// The key set may be shared with other issuers: a key for them alone does not sign tokens without iss.
func TestNoIssuerKeepsToTheIssuersOfAKey(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	set := strings.Replace(string(issuer.KeySet()), `"kty"`, `"issuer":"https://other.example","kty"`, 1)
	auth := newTuple(t, issuer, bearer.InsecureNoIssuer(), bearer.Keys(jwks.Static([]byte(set))))
	wantReason(t, auth, issuer.Token(c{"iss": nil}), bearer.ReasonUnknownKey)
}

// Rules: claims.aud.
func TestEmptyAudBesideAnotherAudienceClaim(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"client_id": "https://api.test"}))
	byClient, byAud := newTuple(t, issuer, bearer.AudienceClaim("client_id")), newAuth(t, issuer)
	for aud, want := range map[string]bearer.Reason{
		`[]`:                 "",
		`[ ]`:                "",
		`""`:                 bearer.ReasonAudience,
		`[""]`:               bearer.ReasonAudience,
		`["other"]`:          bearer.ReasonAudience,
		`{}`:                 bearer.ReasonMalformedClaims,
		`null`:               bearer.ReasonMalformedClaims,
		`"https://api.test"`: "",
	} {
		t.Run(aud, func(t *testing.T) {
			payload := fmt.Sprintf(`{"iss":%q,"client_id":"https://api.test","exp":%d,"aud":%s}`, issuer.URL(), time.Now().Unix()+60, aud)
			token := issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload))
			wantReason(t, byClient, token, want)
			if strings.HasPrefix(aud, "[") {
				wantReason(t, byAud, token, bearer.ReasonAudience)
			}
		})
	}
}

// Each mistake in these options is reported, with the option's name.
func TestNewJudgesClaimOptions(t *testing.T) {
	t.Parallel()
	noIssuer := func(name string) bearer.Option { return bearer.WithIssuer(name, aud, bearer.InsecureNoIssuer()) }
	for name, tt := range map[string]struct {
		opts []bearer.Option
		want string
		text string
	}{
		"no client claim":          {[]bearer.Option{issuerWith(bearer.ClientIDClaim())}, "ClientIDClaim", "unset"},
		"empty client claim":       {[]bearer.Option{issuerWith(bearer.ClientIDClaim("cid", ""))}, "ClientIDClaim", `"cid", ""`},
		"client claim twice":       {[]bearer.Option{issuerWith(bearer.ClientIDClaim("a"), bearer.ClientIDClaim("b"))}, "ClientIDClaim", "more than once"},
		"no scope claim":           {[]bearer.Option{issuerWith(bearer.ScopeClaim())}, "ScopeClaim", "unset"},
		"empty scope claim":        {[]bearer.Option{issuerWith(bearer.ScopeClaim("a", ""))}, "ScopeClaim", `"a", ""`},
		"scope claim twice":        {[]bearer.Option{issuerWith(bearer.ScopeClaim("a"), bearer.ScopeClaim("b"))}, "ScopeClaim", "more than once"},
		"no roles claim":           {[]bearer.Option{issuerWith(bearer.RolesClaim())}, "RolesClaim", "unset"},
		"no present claim":         {[]bearer.Option{issuerWith(bearer.AnyClaimPresent())}, "AnyClaimPresent", "unset"},
		"empty present claim":      {[]bearer.Option{issuerWith(bearer.AnyClaimPresent(""))}, "AnyClaimPresent", `""`},
		"present claim twice":      {[]bearer.Option{issuerWith(bearer.AnyClaimPresent("a"), bearer.AnyClaimPresent("a"))}, "AnyClaimPresent", "more than once"},
		"members twice":            {[]bearer.Option{issuerWith(bearer.RolesFromMembers(), bearer.RolesFromMembers())}, "RolesFromMembers", "more than once"},
		"words twice":              {[]bearer.Option{issuerWith(bearer.RolesSeparatedBySpaces(), bearer.RolesSeparatedBySpaces())}, "RolesSeparatedBySpaces", "more than once"},
		"no issuer twice":          {[]bearer.Option{issuerWith(bearer.InsecureNoIssuer(), bearer.InsecureNoIssuer())}, "InsecureNoIssuer", "more than once"},
		"no issuer, two issuers":   {[]bearer.Option{noIssuer("https://a.example"), noIssuer("https://b.example")}, "InsecureNoIssuer", "another issuer"},
		"no issuer, and RFC 9068":  {[]bearer.Option{issuerWith(bearer.InsecureNoIssuer(), bearer.RFC9068())}, "RFC9068", "contradicts InsecureNoIssuer"},
		"no issuer without a name": {[]bearer.Option{noIssuer("")}, "WithIssuer", "is empty"},
		"ID tokens twice":          {[]bearer.Option{issuerWith(bearer.InsecureIDTokens(), bearer.InsecureIDTokens())}, "InsecureIDTokens", "more than once"},
		"ID tokens, and RFC 9068":  {[]bearer.Option{issuerWith(bearer.InsecureIDTokens(), bearer.RFC9068())}, "RFC9068", "contradicts InsecureIDTokens"},
	} {
		t.Run(name, func(t *testing.T) { wantMistake(t, tt.want, tt.text, tt.opts...) })
	}
}

// wantMistake fails the test unless New reports this mistake alone.
func wantMistake(t *testing.T, option, text string, opts ...bearer.Option) {
	t.Helper()
	_, err := bearer.New(opts...)
	if all := configErrors(t, err); len(all) != 1 || all[0].Option != option || !strings.Contains(all[0].Error(), text) {
		t.Errorf("New fails with %v, want %s and %q", err, option, text)
	}
}
