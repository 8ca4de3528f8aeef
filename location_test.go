package bearer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// fields makes a request with these header fields, each a name and a value.
func fields(names ...string) *http.Request {
	r := get("")
	for i := 0; i < len(names); i += 2 {
		r.Header.Add(names[i], names[i+1])
	}
	return r
}

// A named header holds the token alone, on one line.
// Rules: request.header.
func TestNamedHeaderHoldsTheTokenAlone(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	const name = "X-Goog-IAP-JWT-Assertion"
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromHeader("x-goog-iap-jwt-assertion")))
	for what, test := range map[string]struct {
		r    *http.Request
		want bearer.Reason
	}{
		"the token":                 {fields(name, token), ""},
		"in another case":           {fields("X-GOOG-IAP-JWT-ASSERTION", token), ""},
		"absent":                    {get(""), bearer.ReasonMissingToken},
		"in Authorization":          {inHeader(token), bearer.ReasonMissingToken},
		"beside Basic":              {fields(name, token, "Authorization", "Basic YTpi"), ""},
		"beside two Authorizations": {fields(name, token, "Authorization", "Basic a", "Authorization", "Basic b"), bearer.ReasonMultipleTokens},
		"empty":                     {fields(name, ""), bearer.ReasonMalformedRequest},
		"two lines":                 {fields(name, token, name, token), bearer.ReasonMultipleTokens},
		"two lines, one empty":      {fields(name, token, name, ""), bearer.ReasonMultipleTokens},
		"two empty lines":           {fields(name, "", name, ""), bearer.ReasonMultipleTokens},
		"with a scheme":             {fields(name, "Bearer "+token), bearer.ReasonMalformedRequest},
		"two joined":                {fields(name, token+", "+token), bearer.ReasonMalformedRequest},
		"two joined without space":  {fields(name, token+","+token), bearer.ReasonMalformedToken},
		"a space behind":            {fields(name, token+" "), bearer.ReasonMalformedRequest},
		"forged":                    {fields(name, forged(token)), bearer.ReasonSignature},
		"another header":            {fields("X-Goog-IAP-JWT", token), bearer.ReasonMissingToken},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := auth.Guard().Authenticate(test.r)
			if got := reasonOf(t, err); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

// A header can have another scheme than Bearer, compared without case and nothing else.
// Rules: request.header, request.scheme.
func TestHeaderWithAnotherScheme(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	only := bearer.TokensFrom(bearer.FromHeaderScheme("authorization", "Token"))
	both := bearer.TokensFrom(bearer.FromHeader(), bearer.FromHeaderScheme("Authorization", "Token"))
	other := bearer.TokensFrom(bearer.FromHeaderScheme("X-Forwarded-Authorization", "bearer"))
	auth := newAuth(t, issuer)
	for what, test := range map[string]struct {
		route bearer.RouteOption
		r     *http.Request
		want  bearer.Reason
	}{
		"the scheme":                       {only, get("Token " + token), ""},
		"in another case":                  {only, get("tOKEN   " + token), ""},
		"Bearer":                           {only, get("Bearer " + token), bearer.ReasonOtherScheme},
		"a letter like k":                  {only, get("To\u212aen " + token), bearer.ReasonMalformedRequest},
		"alone":                            {only, get("Token"), bearer.ReasonMalformedRequest},
		"and a space":                      {only, get("Token "), bearer.ReasonMalformedRequest},
		"two words":                        {only, get("Token " + token + " x"), bearer.ReasonMalformedRequest},
		"a tab":                            {only, get("Token \t" + token), bearer.ReasonMalformedRequest},
		"a longer scheme":                  {only, get("Tokens " + token), bearer.ReasonOtherScheme},
		"no scheme":                        {only, get(token), bearer.ReasonOtherScheme},
		"Bearer beside it":                 {only, fields("Authorization", "Token "+token, "Authorization", "Bearer "+token), bearer.ReasonMultipleTokens},
		"either: Bearer":                   {both, get("Bearer " + token), ""},
		"either: Token":                    {both, get("Token " + token), ""},
		"either: Basic":                    {both, get("Basic YTpi"), bearer.ReasonOtherScheme},
		"either: both":                     {both, fields("Authorization", "Token "+token, "Authorization", "Bearer "+token), bearer.ReasonMultipleTokens},
		"another header":                   {other, fields("X-Forwarded-Authorization", "Bearer "+token), ""},
		"another header without a scheme":  {other, fields("X-Forwarded-Authorization", token), bearer.ReasonOtherScheme},
		"another header, another scheme":   {other, fields("X-Forwarded-Authorization", "Basic YTpi"), bearer.ReasonOtherScheme},
		"another header twice":             {other, fields("X-Forwarded-Authorization", "Bearer "+token, "X-Forwarded-Authorization", "Basic a"), bearer.ReasonMultipleTokens},
		"another header, and no character": {other, fields("X-Forwarded-Authorization", ""), bearer.ReasonMalformedRequest},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := auth.Guard(test.route, bearer.Optional()).Authenticate(test.r)
			if got := reasonOf(t, err); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

// One cookie with an empty value is no credential. Two cookies of a name are refused, whatever they
// hold.
// Rules: request.empty-cookie, request.single-credential.
func TestEmptyCookieIsNoCredential(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromCookie(), bearer.FromHeader()))
	for cookie, test := range map[string]struct{ alone, optional, beside bearer.Reason }{
		"access_token=":                            {bearer.ReasonMissingToken, "", ""},
		`access_token=""`:                          {bearer.ReasonMissingToken, "", ""},
		"a=b; access_token=; c=d":                  {bearer.ReasonMissingToken, "", ""},
		"access_token":                             {bearer.ReasonMalformedRequest, bearer.ReasonMalformedRequest, bearer.ReasonMalformedRequest},
		"access_token=; access_token=":             {bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens},
		"access_token=; access_token=" + token:     {bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens},
		"access_token=" + token + ";access_token=": {bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens, bearer.ReasonMultipleTokens},
		`access_token=" "`:                         {bearer.ReasonMalformedToken, bearer.ReasonMalformedToken, bearer.ReasonMultipleTokens},
	} {
		for how, want := range map[string]bearer.Reason{"alone": test.alone, "optional": test.optional, "beside": test.beside} {
			r := fields("Cookie", cookie)
			var opts []bearer.RouteOption
			switch how {
			case "optional":
				opts = append(opts, bearer.Optional())
			case "beside":
				r.Header.Set("Authorization", "Bearer "+token)
			}
			passed, err := auth.Guard(opts...).Authenticate(r)
			if got := reasonOf(t, err); got != want {
				t.Errorf("%.40s, %s: reason %q, want %q", cookie, how, got, want)
			}
			if err == nil {
				if _, found := bearer.FromContext(passed.Context()); found != (how == "beside") {
					t.Errorf("%.40s, %s: claims %v", cookie, how, found)
				}
			}
		}
	}
}

// Of a FirstOf the first place that holds a credential counts, also if the credential is bad.
// Rules: request.precedence.
func TestFirstOfTakesTheFirstPlaceWithACredential(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	alice, bob := issuer.Token(c{"sub": "alice"}), issuer.Token(c{"sub": "bob"})
	headerFirst := bearer.FirstOf(bearer.FromHeader(), bearer.FromCookie(), bearer.FromForm())
	cookieFirst := bearer.FirstOf(bearer.FromCookie(), bearer.FromHeader())
	auth := newAuth(t, issuer)
	cookie := func(value string) string { return "access_token=" + value }
	form := func(names ...string) *http.Request {
		r := inForm(bob)
		for name, values := range fields(names...).Header {
			r.Header[name] = values
		}
		return r
	}
	for what, test := range map[string]struct {
		from    []bearer.TokenLocation
		r       *http.Request
		want    bearer.Reason
		subject string
	}{
		"both, header first":           {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(bob)), "", "alice"},
		"both, cookie first":           {[]bearer.TokenLocation{cookieFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(bob)), "", "bob"},
		"the second alone":             {[]bearer.TokenLocation{headerFirst}, fields("Cookie", cookie(bob)), "", "bob"},
		"the first alone":              {[]bearer.TokenLocation{headerFirst}, inHeader(alice), "", "alice"},
		"the first is bad":             {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "Bearer "+forged(alice), "Cookie", cookie(bob)), bearer.ReasonSignature, ""},
		"the first is empty":           {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "Bearer", "Cookie", cookie(bob)), bearer.ReasonMalformedRequest, ""},
		"the first is malformed":       {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "", "Cookie", cookie(bob)), bearer.ReasonMalformedRequest, ""},
		"the first has two":            {[]bearer.TokenLocation{cookieFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(bob)+"; "+cookie(bob)), bearer.ReasonMultipleTokens, ""},
		"the first is unreadable":      {[]bearer.TokenLocation{cookieFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(`a\b`)), bearer.ReasonMalformedRequest, ""},
		"the second has two":           {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(bob)+"; "+cookie(bob)), "", "alice"},
		"the first is an empty cookie": {[]bearer.TokenLocation{cookieFirst}, fields("Authorization", "Bearer "+alice, "Cookie", cookie("")), "", "alice"},
		"another scheme":               {[]bearer.TokenLocation{headerFirst}, fields("Authorization", "Basic YTpi", "Cookie", cookie(bob)), "", "bob"},
		"two headers":                  {[]bearer.TokenLocation{cookieFirst}, fields("Authorization", "Basic a", "Authorization", "Basic b", "Cookie", cookie(bob)), bearer.ReasonMultipleTokens, ""},
		"none":                         {[]bearer.TokenLocation{headerFirst}, get(""), bearer.ReasonMissingToken, ""},
		"the form alone":               {[]bearer.TokenLocation{headerFirst}, form(), "", "bob"},
		"the form and the header":      {[]bearer.TokenLocation{headerFirst}, form("Authorization", "Bearer "+alice), "", "alice"},
		"another source beside":        {[]bearer.TokenLocation{headerFirst, bearer.FromQuery()}, inQuery(bob), "", "bob"},
		"another source as well":       {[]bearer.TokenLocation{bearer.FromQuery(), headerFirst}, func() *http.Request { r := inQuery(bob); r.Header.Set("Authorization", "Bearer "+alice); return r }(), bearer.ReasonMultipleTokens, ""},
		"without FirstOf":              {[]bearer.TokenLocation{bearer.FromHeader(), bearer.FromCookie()}, fields("Authorization", "Bearer "+alice, "Cookie", cookie(bob)), bearer.ReasonMultipleTokens, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			passed, err := auth.Guard(bearer.TokensFrom(test.from...)).Authenticate(test.r)
			if got := reasonOf(t, err); got != test.want {
				t.Fatalf("reason %q, want %q", got, test.want)
			}
			if err == nil {
				if claims, _ := bearer.FromContext(passed.Context()); claims.Subject() != test.subject {
					t.Errorf("the handler sees %s, want %s", claims.Subject(), test.subject)
				}
			}
		})
	}
}

// The body of a form is not read when an earlier place of FirstOf holds a credential.
// Rules: request.precedence.
func TestFirstOfReadsNoBodyThatDoesNotCount(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FirstOf(bearer.FromHeader(), bearer.FromForm())))
	r := inForm("x")
	r.Header.Set("Authorization", "Bearer "+issuer.Token())
	body := r.Body
	passed, err := auth.Guard().Authenticate(r)
	if err != nil || passed.Body != body {
		t.Errorf("error %v, the body was read: %v", err, passed != nil && passed.Body != body)
	}
}

// Every mistake in a location is reported, together with all others.
// Rules: config.no-empty-value, config.all-mistakes.
func TestMistakesInTokenLocations(t *testing.T) {
	t.Parallel()
	header, cookie := bearer.FromHeader(), bearer.FromCookie()
	for what, test := range map[string]struct {
		from []bearer.TokenLocation
		want string
	}{
		"an empty name":              {[]bearer.TokenLocation{bearer.FromHeader("")}, "one name that is not empty"},
		"two names":                  {[]bearer.TokenLocation{bearer.FromHeader("A", "B")}, "one name"},
		"no name of a header":        {[]bearer.TokenLocation{bearer.FromHeader("X Token")}, "no name of a header"},
		"Authorization, bare":        {[]bearer.TokenLocation{bearer.FromHeader("authorization")}, "use FromHeader() for Bearer, or FromHeaderScheme"},
		"Cookie":                     {[]bearer.TokenLocation{bearer.FromHeader("cookie")}, "read by FromCookie"},
		"a handshake":                {[]bearer.TokenLocation{bearer.FromHeader("Sec-WebSocket-Protocol")}, "read by FromWebSocket"},
		"hop by hop":                 {[]bearer.TokenLocation{bearer.FromHeader("connection")}, "belongs to the connection"},
		"for a proxy":                {[]bearer.TokenLocation{bearer.FromHeaderScheme("Proxy-Authorization", "Bearer")}, "belongs to the connection"},
		"Host":                       {[]bearer.TokenLocation{bearer.FromHeader("Host")}, "belongs to the connection"},
		"a scheme without a header":  {[]bearer.TokenLocation{bearer.FromHeaderScheme("", "Token")}, "no name of a header"},
		"an empty scheme":            {[]bearer.TokenLocation{bearer.FromHeaderScheme("X-Token", "")}, "FromHeader(name) is for a header without a scheme"},
		"two schemes":                {[]bearer.TokenLocation{bearer.FromHeaderScheme("X-Token", "A B")}, "no token of RFC 9110"},
		"DPoP":                       {[]bearer.TokenLocation{bearer.FromHeaderScheme("Authorization", "dpop")}, "needs a proof"},
		"Bearer twice":               {[]bearer.TokenLocation{header, bearer.FromHeaderScheme("authorization", "bearer")}, "names a source twice"},
		"a scheme twice":             {[]bearer.TokenLocation{bearer.FromHeaderScheme("Authorization", "Token"), bearer.FromHeaderScheme("Authorization", "TOKEN")}, "names the header Authorization twice"},
		"bare and with a scheme":     {[]bearer.TokenLocation{bearer.FromHeader("x-token"), bearer.FromHeaderScheme("X-Token", "Token")}, "names the header X-Token twice"},
		"FirstOf nothing":            {[]bearer.TokenLocation{bearer.FirstOf()}, "fewer than two sources"},
		"FirstOf one":                {[]bearer.TokenLocation{bearer.FirstOf(header)}, "fewer than two sources"},
		"FirstOf in FirstOf":         {[]bearer.TokenLocation{bearer.FirstOf(bearer.FirstOf(header, cookie), bearer.FromQuery())}, "one of its sources is a FirstOf"},
		"two FirstOf":                {[]bearer.TokenLocation{bearer.FirstOf(header, cookie), bearer.FirstOf(bearer.FromQuery(), bearer.FromWebSocket())}, "more than one FirstOf"},
		"FirstOf with a form before": {[]bearer.TokenLocation{bearer.FirstOf(bearer.FromForm(), header)}, "FromForm is not the last"},
		"a source in and beside":     {[]bearer.TokenLocation{cookie, bearer.FirstOf(header, cookie)}, "names a source twice"},
		"a mistake in FirstOf":       {[]bearer.TokenLocation{bearer.FirstOf(header, bearer.FromCookie(""))}, "one name that is not empty"},
		"a cookie with a space":      {[]bearer.TokenLocation{bearer.FromCookie("session ")}, `"session " is no name of a cookie`},
		"an empty one in FirstOf":    {[]bearer.TokenLocation{bearer.FirstOf(header, bearer.TokenLocation{})}, "holds an empty TokenLocation"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			second := bearer.FromQuery("")
			_, err := bearer.New(bearer.WithIssuer("https://one.example", "api"), bearer.WithTokensFrom(append(test.from, second)...))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), "WithTokensFrom") < 2 {
				t.Errorf("New: %v, want %q and the second mistake", err, test.want)
			}
			_, err = mustNew(t, bearer.WithIssuer("https://one.example", "api")).NewGuard(bearer.TokensFrom(test.from...))
			var mistake *bearer.ConfigError
			if !errors.As(err, &mistake) || mistake.Option != "TokensFrom" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewGuard: %v, want %q", err, test.want)
			}
		})
	}
	sound := []bearer.TokenLocation{header, bearer.FromHeaderScheme("Authorization", "Token"), bearer.FromHeaderScheme("X-Token", "A"), bearer.FromHeaderScheme("X-Token", "B"), bearer.FirstOf(cookie, bearer.FromForm())}
	if _, err := bearer.New(bearer.WithIssuer("https://one.example", "api"), bearer.WithTokensFrom(sound...)); err != nil {
		t.Error(err)
	}
}

// The document of RFC 9728 names the methods of RFC 6750, and no other place is one of them.
func TestMetadataNamesTheMethodsOfFirstOf(t *testing.T) {
	t.Parallel()
	for want, from := range map[string]bearer.TokenLocation{
		`"bearer_methods_supported":["header","query","body"]`: bearer.FirstOf(bearer.FromHeader(), bearer.FromQuery(), bearer.FromForm()),
		`"bearer_methods_supported":[]`:                        bearer.FirstOf(bearer.FromHeader("X-Token"), bearer.FromHeaderScheme("Authorization", "Token")),
	} {
		auth := mustNew(t, bearer.WithIssuer("https://one.example", "api"), bearer.WithTokensFrom(from),
			bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"}))
		_, handler := auth.ResourceMetadata()
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, get("")); !strings.Contains(w.Body.String(), want) {
			t.Errorf("the document is %s, want %s in it", w.Body, want)
		}
	}
}

// A request counts as verified only with the credential in the place where it was found, or none.
// Rules: guard.nested.
func TestRequestCountsAsVerifiedOnlyWithWhatItsPlaceHolds(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	alice, bob := issuer.Token(c{"sub": "alice"}), issuer.Token(c{"sub": "bob"})
	in := func(name, before string) func(string) *http.Request {
		return func(token string) *http.Request { return fields(name, before+token) }
	}
	for what, place := range map[string]struct {
		from bearer.TokenLocation
		put  func(token string) *http.Request
	}{
		"a header":                {bearer.FromHeader("X-Token"), in("X-Token", "")},
		"a header with a scheme":  {bearer.FromHeaderScheme("X-Token", "Token"), in("X-Token", "Token ")},
		"Authorization":           {bearer.FromHeaderScheme("Authorization", "Token"), in("Authorization", "Token ")},
		"Authorization, unusual":  {bearer.FromHeaderScheme("Authorization", "Token"), in("Authorization", "token  ")},
		"a cookie":                {bearer.FromCookie(), inCookie},
		"the query":               {bearer.FromQuery(), inQuery},
		"a WebSocket handshake":   {bearer.FromWebSocket(), inWebSocket},
		"the first of two places": {bearer.FirstOf(bearer.FromHeader("X-Token"), bearer.FromCookie()), in("X-Token", "")},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			events := 0
			auth := newAuth(t, issuer, bearer.WithTokensFrom(place.from),
				observing(func(bearer.Event) { events++ }))
			verified, err := auth.Guard().Authenticate(place.put(alice))
			if err != nil {
				t.Fatal(err)
			}
			for name, test := range map[string]struct {
				r       *http.Request
				covered bool
				want    bearer.Reason
				subject string
			}{
				"the same":      {verified, true, "", "alice"},
				"sent again":    {place.put(alice).WithContext(verified.Context()), true, "", "alice"},
				"none":          {get("").WithContext(verified.Context()), true, "", "alice"},
				"another token": {place.put(bob).WithContext(verified.Context()), false, "", "bob"},
				"a bad token":   {place.put("x").WithContext(verified.Context()), false, bearer.ReasonMalformedToken, ""},
			} {
				events = 0
				passed, err := auth.Guard().Authenticate(test.r)
				if got := reasonOf(t, err); got != test.want {
					t.Errorf("%s: reason %q, want %q", name, got, test.want)
					continue
				}
				if covered := events == 0; covered != test.covered {
					t.Errorf("%s: counts as verified: %v, want %v", name, covered, test.covered)
				}
				if err == nil {
					if claims, _ := bearer.FromContext(passed.Context()); claims.Subject() != test.subject {
						t.Errorf("%s: the handler sees %s", name, claims.Subject())
					}
				}
			}
		})
	}
}
