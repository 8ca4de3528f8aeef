package bearer_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// What handlers outside the guard challenge with, for other schemes, is kept behind the guard's own
// challenge. Bearer challenges are the guard's to say.
// Rules: guard.other-challenges.
func TestChallengesOfOtherSchemesSurvive(t *testing.T) {
	t.Parallel()
	issuer, down := bearertest.NewIssuer(), bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	auths := map[string]*bearer.Middleware{
		"plain": newAuth(t, issuer, quiet()),
		"an error handler": newAuth(t, issuer, quiet(), bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			_, _ = w.Write([]byte("a page"))
		})),
		"one that takes away": newAuth(t, issuer, quiet(), bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			clear(w.Header())
			_, _ = w.Write([]byte("a page"))
		})),
		"one that does nothing": newAuth(t, issuer, quiet(), bearer.WithErrorHandler(func(http.ResponseWriter, *http.Request, *bearer.Error) {})),
	}
	adds := newAuth(t, issuer, quiet(), bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
		w.Header().Add("WWW-Authenticate", `Basic realm="page"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="page"`)
		_, _ = w.Write([]byte("a page"))
	}))
	unavailable := newAuth(t, down, quiet())
	for name, test := range map[string]struct{ set, want []string }{
		"none":                         {nil, nil},
		"Basic":                        {[]string{`Basic realm="a"`}, []string{`Basic realm="a"`}},
		"Negotiate and Basic":          {[]string{"Negotiate", `Basic realm="a"`}, []string{"Negotiate", `Basic realm="a"`}},
		"Bearer":                       {[]string{`Bearer realm="a"`}, nil},
		"bearer alone":                 {[]string{"bearer"}, nil},
		"Bearer beside Basic":          {[]string{`Bearer realm="a"`, `Basic realm="a"`}, []string{`Basic realm="a"`}},
		"one line, Bearer first":       {[]string{`Bearer realm="a", error="x", Basic realm="b", charset="UTF-8"`}, []string{`Basic realm="b", charset="UTF-8"`}},
		"one line, Bearer last":        {[]string{`Basic realm="b", charset="UTF-8", BEARER realm="a", error="x"`}, []string{`Basic realm="b", charset="UTF-8"`}},
		"one line, Bearer between":     {[]string{`Negotiate, Bearer, Basic realm="b"`}, []string{`Negotiate, Basic realm="b"`}},
		"Bearer in quotation marks":    {[]string{`Basic realm="a, Bearer realm=b"`}, []string{`Basic realm="a, Bearer realm=b"`}},
		"a quoted quotation mark":      {[]string{`Basic realm="a\", Bearer x", Bearer realm="b"`}, []string{`Basic realm="a\", Bearer x"`}},
		"spaces before an equals sign": {[]string{`Digest realm = "a" , bearer = "b"`}, []string{`Digest realm = "a" , bearer = "b"`}},
		"a token68":                    {[]string{"Negotiate a87421000492aa874209af8bc028=="}, []string{"Negotiate a87421000492aa874209af8bc028=="}},
		"a longer name":                {[]string{"Bearers x=y"}, []string{"Bearers x=y"}},
		"the same twice":               {[]string{"Negotiate", "Negotiate"}, []string{"Negotiate"}},
		"no challenge":                 {[]string{"", `"`}, []string{`"`}},
	} {
		send := func(auth *bearer.Middleware, authorization string) []string {
			w := httptest.NewRecorder()
			w.Header()["Www-Authenticate"] = slices.Clone(test.set)
			auth.Handler(&spy{}).ServeHTTP(w, get(authorization))
			return w.Header()["Www-Authenticate"]
		}
		for how, auth := range auths {
			if got := send(auth, ""); !slices.Equal(got, append([]string{"Bearer"}, test.want...)) {
				t.Errorf("%s, %s: %q, want Bearer and %q", name, how, got, test.want)
			}
		}
		want := append([]string{"Bearer"}, test.want...)
		if page := `Basic realm="page"`; !slices.Contains(want, page) {
			want = append(want, page)
		}
		if got := send(adds, ""); !slices.Equal(got, want) {
			t.Errorf("%s, one that adds: %q, want %q", name, got, want)
		}
		if got := send(unavailable, "Bearer "+down.Token()); !slices.Equal(got, test.want) {
			t.Errorf("%s, 503: %q, want %q", name, got, test.want)
		}
	}
}

// Challenges returns what WriteError sends, with the realm, the metadata and the hints of the route.
// Rules: guard.challenges.
func TestErrorHasItsChallenges(t *testing.T) {
	t.Parallel()
	issuer, down := bearertest.NewIssuer(), bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	metadata := bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"})
	const at = `resource_metadata="https://api.example/.well-known/oauth-protected-resource"`
	opts := []bearer.Option{quiet(), bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie())}
	plain, full := newAuth(t, issuer, opts...), newAuth(t, issuer, append(opts, bearer.WithRealm("orders"), metadata)...)
	unavailable := newAuth(t, down, append(opts, bearer.WithRealm("orders"))...)
	scopes := []bearer.RouteOption{bearer.Scopes("a", "b")}
	both := inHeader(issuer.Token())
	both.AddCookie(&http.Cookie{Name: "access_token", Value: "x"})
	for name, test := range map[string]struct {
		auth *bearer.Middleware
		opts []bearer.RouteOption
		r    *http.Request
		want []string
	}{
		"plain":                   {plain, nil, get(""), []string{"Bearer"}},
		"plain, a route":          {plain, scopes, get(""), []string{`Bearer scope="a b"`}},
		"all that is known":       {full, nil, get(""), []string{`Bearer realm="orders", ` + at}},
		"and of the route":        {full, scopes, get(""), []string{`Bearer realm="orders", scope="a b", ` + at}},
		"a table's reason":        {full, nil, get("Bearer x"), []string{`Bearer realm="orders", error="invalid_token", error_description="The access token is malformed", ` + at}},
		"a fixed cause":           {full, nil, get("Basic x"), []string{`Bearer realm="orders", ` + at}},
		"a cause of a place":      {full, nil, both, []string{`Bearer realm="orders", error="invalid_request", error_description="More than one credential was sent", ` + at}},
		"of a place of the route": {full, []bearer.RouteOption{bearer.TokensFrom(bearer.FromQuery())}, get(""), []string{`Bearer realm="orders", ` + at}},
		"503":                     {unavailable, nil, inHeader(down.Token()), nil},
	} {
		guard := test.auth.Guard(test.opts...)
		for range 2 {
			_, err := guard.Authenticate(test.r)
			var refusal *bearer.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("%s: %v", name, err)
			}
			if got := refusal.Challenges(); !slices.Equal(got, test.want) {
				t.Errorf("%s: %q, want %q", name, got, test.want)
			}
			w := httptest.NewRecorder()
			if guard.WriteError(w, test.r, err); !slices.Equal(w.Header()["Www-Authenticate"], test.want) {
				t.Errorf("%s: WriteError sends %q, want %q", name, w.Header()["Www-Authenticate"], test.want)
			}
		}
	}
	_, err := full.Guard(bearer.Scopes("a")).Verify(t.Context(), issuer.Token())
	var refusal *bearer.Error
	want := []string{`Bearer realm="orders", error="insufficient_scope", error_description="The access token lacks a required scope", scope="a", ` + at}
	if !errors.As(err, &refusal) || !slices.Equal(refusal.Challenges(), want) {
		t.Errorf("Verify: %q, want %q", refusal.Challenges(), want)
	}
	if got := new(bearer.Error).Challenges(); got != nil {
		t.Errorf("the zero value: %q", got)
	}
}

// A refusal costs no more with a realm and metadata in its challenge.
func TestRefusalWithARealmKeepsToItsAllocations(t *testing.T) { //nolint:paralleltest // it counts allocations
	issuer := bearertest.NewIssuer()
	auth := pinned(t, issuer, quiet(), bearer.WithRealm("orders"),
		bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromHeader("X-Token"), bearer.FromCookie()))
	long := strings.Repeat("x", 4000)
	for name, r := range map[string]*http.Request{
		"none": get(""), "another scheme": get("Basic " + long), "no scheme": get("eyJ" + long), "malformed": get("\x00" + long), "garbage": get("Bearer " + long),
		"two words": get("Bearer " + long + " x"), "two headers": fields("Authorization", long, "Authorization", long), "empty": get("Bearer"),
		"a header twice": fields("X-Token", long, "X-Token", long), "a header of two words": fields("X-Token", long+" "+long), "two places": fields("X-Token", long, "Authorization", "Bearer "+long),
	} {
		guard := auth.Guard()
		_, _ = guard.Authenticate(r)
		if n := testing.AllocsPerRun(100, func() { _, _ = guard.Authenticate(r) }); n > 0 && !raceDetector() {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Every refusal of what a request carries tells the operator what was found, where, and what to do,
// and nothing that the client wrote.
// Rules: request.causes.
func TestRefusedRequestsHaveACause(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	junk := strings.Repeat("\x01\x1b[31m%", 150) // 1 KB of control characters
	all := []bearer.TokenLocation{bearer.FromHeader(), bearer.FromHeader("X-Token"), bearer.FromCookie("session"), bearer.FromQuery("jwt"), bearer.FromWebSocket(), bearer.FromForm()}
	auth := newAuth(t, issuer, quiet(), bearer.WithTokensFrom(all...))
	query := func(raw string) *http.Request {
		r := get("")
		r.URL.RawQuery = raw
		return r
	}
	form := func(body string, fields ...string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		return r
	}
	read := form("access_token=" + token)
	_ = read.ParseForm()
	const entry = "base64url.bearer.authorization."
	for name, test := range map[string]struct {
		r     *http.Request
		cause []string
	}{
		"none":                    {get(""), []string{"no credential in the Authorization header with the scheme Bearer, the header X-Token, the cookie \"session\", the query parameter \"jwt\"", "does a proxy remove it"}},
		"two headers":             {fields("Authorization", junk, "Authorization", junk), []string{"two or more Authorization headers", "does a proxy add one"}},
		"two places":              {fields("Authorization", "Bearer "+token, "X-Token", token), []string{"more than one of these places: the Authorization header", "FirstOf"}},
		"Basic":                   {get("Basic " + junk), []string{"the scheme Basic"}},
		"DPoP":                    {get("dpop " + junk), []string{"the scheme DPoP", "unbound tokens"}},
		"no scheme":               {get(token), []string{"a token without a scheme", `send the scheme, such as "Bearer", a space and the token`}},
		"another scheme":          {get("Digest " + junk), []string{"another scheme", "FromHeaderScheme"}},
		"no token":                {get("Bearer "), []string{"no token in the Authorization header", "is a variable of the client unset?"}},
		"no scheme at all":        {get(junk), []string{"the Authorization header with the scheme Bearer cannot be read"}},
		"a tab":                   {get("Bearer \t" + junk), []string{"cannot be read"}},
		"a second word":           {get("Bearer x " + junk), []string{"more than one token in the Authorization header"}},
		"a header twice":          {fields("X-Token", junk, "X-Token", junk), []string{"the header X-Token was sent more than once"}},
		"a header of two words":   {fields("X-Token", "Bearer "+junk), []string{"more than one word in the header X-Token", "FromHeaderScheme"}},
		"an empty header":         {fields("X-Token", ""), []string{"no token in the header X-Token"}},
		"a cookie twice":          {fields("Cookie", "session=a; session=b"), []string{`the cookie "session" was sent more than once`}},
		"an unreadable cookie":    {fields("Cookie", "session="+junk), []string{`the cookie "session" cannot be read in full`}},
		"a parameter twice":       {query("jwt=a&jwt=b"), []string{`the query parameter "jwt" was sent more than once`}},
		"an empty parameter":      {query("jwt="), []string{`no token in the query parameter "jwt"`}},
		"an unreadable query":     {query("jwt=%zz" + junk), []string{"the query cannot be read in full"}},
		"a bad subprotocol":       {fields("Sec-WebSocket-Protocol", entry+junk), []string{"no base64url without padding"}},
		"two subprotocols":        {fields("Sec-WebSocket-Protocol", entry+"YQ, "+entry+"YQ"), []string{"Sec-WebSocket-Protocol was sent more than once"}},
		"a browser's subprotocol": {fields("Sec-WebSocket-Protocol", entry+b64(token), "Origin", junk), []string{"offers no subprotocol beside the token", "select it"}},
		"a form parameter twice":  {form("access_token=a&access_token=b"), []string{`the form parameter "access_token" was sent more than once`}},
		"an unreadable form":      {form("access_token=%zz" + junk), []string{"the form cannot be read in full"}},
		"a form's type":           {form("a=b", "Content-Type", junk), []string{"the Content-Type or the Content-Encoding of a form"}},
		"a form's encoding":       {form("a=b", "Content-Encoding", junk), []string{"the Content-Type or the Content-Encoding of a form"}},
		"a large form":            {form(strings.Repeat("x", 1<<20+1)), []string{"larger than 1 MiB"}},
		"a form that was read":    {read, []string{"was read before the guard", "must put it back"}},
		"an empty form parameter": {form("access_token="), []string{`no token in the form parameter "access_token"`}},
	} {
		_, err := auth.Guard().Authenticate(test.r)
		cause := errors.Unwrap(err)
		if cause == nil {
			t.Errorf("%s: %v has no cause", name, err)
			continue
		}
		for _, want := range test.cause {
			if !strings.Contains(cause.Error(), want) {
				t.Errorf("%s: the cause is %q, want %q in it", name, cause, want)
			}
		}
		if strings.ContainsAny(cause.Error(), "\x01\x1b%") || len(cause.Error()) > 500 || strings.Contains(fmt.Sprint(cause), token) {
			t.Errorf("%s: the cause has what the client wrote: %q", name, cause)
		}
	}
}
