package bearer_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// The Authorization header has one scheme and one token (RFC 6750 section 2.1, RFC 9110 section 11).
// Rules: request.scheme, request.grammar.
func TestAuthorizationHeaderHasOneSchemeAndOneToken(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, token := newAuth(t, issuer), issuer.Token()
	tests := []struct {
		name   string
		values []string
		status int
		code   string
	}{
		{"Bearer", []string{"Bearer " + token}, 204, ""},
		{"bearer", []string{"bearer " + token}, 204, ""},
		{"BEARER", []string{"BEARER " + token}, 204, ""},
		{"several spaces", []string{"Bearer    " + token}, 204, ""},
		{"absent", nil, 401, "missing_token"},
		{"Basic", []string{"Basic " + token}, 401, "other_scheme"},
		{"DPoP", []string{"DPoP " + token}, 401, "other_scheme"},
		{"Bearers", []string{"Bearers " + token}, 401, "other_scheme"},
		{"scheme that folds to it", []string{"BeareR"}, 400, "malformed_request"},
		{"token alone", []string{token}, 401, "other_scheme"},
		{"empty", []string{""}, 400, "malformed_request"},
		{"space", []string{" "}, 400, "malformed_request"},
		{"leading space", []string{" Bearer " + token}, 400, "malformed_request"},
		{"no separator", []string{"Bearer"}, 400, "malformed_request"},
		{"tab as separator", []string{"Bearer\t" + token}, 400, "malformed_request"},
		{"no-break space as separator", []string{"Bearer\u00a0" + token}, 400, "malformed_request"},
		{"tab after the space", []string{"Bearer \t" + token}, 400, "malformed_request"},
		{"two words", []string{"Bearer " + token + " x"}, 400, "malformed_request"},
		{"a long word and another", []string{"Bearer " + strings.Repeat("x", 4<<10) + " x"}, 400, "malformed_request"},
		{"a longer word and another", []string{"Bearer " + strings.Repeat("x", 4<<10+1) + " x"}, 401, "malformed_token"},
		{"trailing space", []string{"Bearer " + token + " "}, 400, "malformed_request"},
		{"colon", []string{"Bearer: " + token}, 400, "malformed_request"},
		{"comma", []string{"Bearer " + token + ","}, 401, "malformed_token"},
		{"joined by a proxy", []string{"Bearer " + token + ", Bearer " + token}, 400, "malformed_request"},
		{"line break", []string{"Bearer " + token + "\r\nX: y"}, 400, "malformed_request"},
		{"quoted", []string{`Bearer "` + token + `"`}, 401, "malformed_token"},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, 400, "multiple_tokens"},
		{"two headers, the second empty", []string{"Bearer " + token, ""}, 400, "multiple_tokens"},
		{"two headers, the first Basic", []string{"Basic YTpi", "Bearer " + token}, 400, "multiple_tokens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := get("")
			for _, v := range tt.values {
				r.Header.Add("authorization", v)
			}
			w, _ := serve(t, auth, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if tt.code != "" {
				checkProblem(t, w, tt.status, tt.code)
			}
		})
	}
}

// A token counts in an enabled place, and nowhere else.
// Rules: request.location.
func TestTokenCountsOnlyInEnabledPlaces(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	for enabled, where := range places {
		auth := newAuth(t, issuer, bearer.WithTokensFrom(where.from))
		byDefault := newAuth(t, issuer)
		for name, p := range places {
			t.Run(enabled+" enabled, token in "+name, func(t *testing.T) {
				want := 401
				if name == enabled {
					want = 204
				}
				if w, _ := serve(t, auth, p.put(token)); w.Code != want {
					t.Errorf("status %d, want %d", w.Code, want)
				}
				if w, _ := serve(t, byDefault, p.put(token), bearer.TokensFrom(where.from)); w.Code != want {
					t.Errorf("per route: status %d, want %d", w.Code, want)
				}
			})
		}
		t.Run(enabled+" with a bad token", func(t *testing.T) {
			w, _ := serve(t, auth, where.put("x.y.z"))
			checkProblem(t, w, 401, "malformed_token")
		})
		t.Run(enabled+" with an empty token", func(t *testing.T) {
			want := 400
			if enabled == "cookie" {
				want = 401 // an empty cookie is no credential
			}
			if w, _ := serve(t, auth, where.put("")); w.Code != want {
				t.Errorf("status %d, want %d", w.Code, want)
			}
		})
	}
}

// Exactly one credential: tokens in two enabled places are refused, also when they are equal.
// Rules: request.single-credential.
func TestTokensInTwoPlacesAreRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	for name, p := range places {
		if name == "header" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromHeader(), p.from))
			r := p.put(token)
			if w, _ := serve(t, auth, r); w.Code != 204 {
				t.Fatalf("one token: status %d", w.Code)
			}
			r = p.put(token)
			r.Header.Set("Authorization", "Bearer "+token)
			w, _ := serve(t, auth, r)
			checkProblem(t, w, 400, "multiple_tokens")
		})
	}
	two := map[string]*http.Request{
		"query":     httptest.NewRequest("GET", "/?access_token="+token+"&access_token="+token, nil),
		"form":      inForm(token + "&access_token=" + token),
		"cookie":    inCookie(token),
		"websocket": inWebSocket(token),
	}
	two["cookie"].AddCookie(&http.Cookie{Name: "access_token", Value: token})
	two["websocket"].Header.Add("Sec-WebSocket-Protocol", "base64url.bearer.authorization."+b64(token))
	for name, r := range two {
		t.Run("twice in "+name, func(t *testing.T) {
			auth := newAuth(t, issuer, bearer.WithTokensFrom(places[name].from))
			w, _ := serve(t, auth, r)
			checkProblem(t, w, 400, "multiple_tokens")
		})
	}
}

// More than one Authorization header is refused for every place of tokens, and before the guard
// reads a form.
// Rules: request.single-credential.
func TestTwoAuthorizationHeadersAreRefusedWithAnySource(t *testing.T) {
	issuer := bearertest.NewIssuer()
	for name, r := range map[string]*http.Request{"cookie": inCookie(issuer.Token()), "form": inForm("")} {
		auth := newAuth(t, issuer, bearer.WithTokensFrom(places[name].from, bearer.FromHeader()))
		r.Header["Authorization"] = []string{"Basic x", "Basic y"}
		r.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
			t.Errorf("%s: the body was read", name)
			return 0, io.EOF
		}))
		w, _ := serve(t, auth, r)
		checkProblem(t, w, 400, "multiple_tokens")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Package net/http skips a cookie that it cannot read. The guard counts it as a credential that was
// sent.
// Rules: request.readable.
func TestUnreadableCookieIsRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, good := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromCookie())), "access_token="+issuer.Token()
	for cookie, status := range map[string]int{
		good: 204, "a=b; " + good + "; c=d": 204, "a=access_token; " + good: 204, "Access_token=x; " + good: 204,
		`access_token=a\b`: 400, "access_token=a\x01b": 400, "access_token": 400, good + `; access_token=a\b`: 400,
		good + strings.Repeat("; a=b", 4000): 400,
	} {
		r := get("")
		r.Header.Set("Cookie", cookie)
		if w, _ := serve(t, auth, r, bearer.Optional()); w.Code != status {
			t.Errorf("%.40s: status %d, want %d", cookie, w.Code, status)
		}
	}
}

// Rules: request.location.
func TestTokenSourcesTakeNames(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromQuery("jwt"), bearer.FromCookie("session")))
	if w, _ := serve(t, auth, httptest.NewRequest("GET", "/?jwt="+token, nil)); w.Code != 204 {
		t.Errorf("query: status %d", w.Code)
	}
	r := get("")
	r.AddCookie(&http.Cookie{Name: "session", Value: token})
	if w, _ := serve(t, auth, r); w.Code != 204 {
		t.Errorf("cookie: status %d", w.Code)
	}
	if w, _ := serve(t, auth, inQuery(token)); w.Code != 401 {
		t.Errorf("default name: status %d", w.Code)
	}
}

// A query that cannot be read in full could hide a second token.
// Rules: request.readable.
func TestUnreadableQueryIsRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromQuery()))
	r := inHeader(issuer.Token())
	r.URL.RawQuery = "access_token=%zz"
	w, _ := serve(t, auth, r)
	checkProblem(t, w, 400, "malformed_request")
}

// The handler reads a form as if the guard had not read it (RFC 6750 section 2.2).
func TestFormSourceLeavesTheFormToTheHandler(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromForm()))

	_, inner := serve(t, auth, inForm(token))
	if body, err := io.ReadAll(inner.request.Body); err != nil || string(body) != "a=1&access_token="+token {
		t.Errorf("the handler reads %q, %v", body, err)
	}

	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"GET":                   {func(r *http.Request) { r.Method = "GET" }, 401},
		"another type":          {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 401},
		"no type":               {func(r *http.Request) { r.Header.Del("Content-Type") }, 401},
		"malformed":             {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("access_token=%zz")) }, 400},
		"broken connection":     {func(r *http.Request) { r.Body = io.NopCloser(failingReader{}) }, 400},
		"at the limit":          {func(r *http.Request) { r.Body = formOf(1<<20, token) }, 204},
		"a byte over the limit": {func(r *http.Request) { r.Body = formOf(1<<20+1, token) }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := inForm(token)
			tt.change(r)
			if w, _ := serve(t, auth, r); w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
}

// The guard refuses a form that net/http or another reader finds and that the guard cannot read.
// Otherwise the request would be anonymous on an optional route, and a second token could hide
// behind a good one.
// Rules: request.readable.
func TestUnreadableFormIsRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromForm()))
	const form = "application/x-www-form-urlencoded"
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	types := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = values }
	}
	encoded := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Encoding"] = values }
	}
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	parse := func(r *http.Request) { _ = r.ParseForm() }
	formValue := func(r *http.Request) { _ = r.FormValue("_method") }
	restored := func(read func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(text)))
			read(r)
			r.Body = io.NopCloser(strings.NewReader(string(text)))
		}
	}
	drain := func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	const (
		anonymous = ""
		malformed = bearer.ReasonMalformedRequest
		badToken  = bearer.ReasonMalformedToken
		two       = bearer.ReasonMultipleTokens
	)
	for name, test := range map[string]struct {
		changes []func(*http.Request)
		alone   bearer.Reason // without another credential, on an optional route
		second  bearer.Reason // with a good token in the header
	}{
		"plain":                   {nil, badToken, two},
		"upper case":              {[]func(*http.Request){types("APPLICATION/X-WWW-Form-URLEncoded")}, badToken, two},
		"white space":             {[]func(*http.Request){types(" " + form + " ; a=b ")}, badToken, two},
		"PUT":                     {[]func(*http.Request){method("PUT")}, badToken, two},
		"PATCH":                   {[]func(*http.Request){method("PATCH")}, badToken, two},
		"DELETE":                  {[]func(*http.Request){method("DELETE")}, badToken, two},
		"GET":                     {[]func(*http.Request){method("GET")}, anonymous, ""},
		"chunked":                 {[]func(*http.Request){chunked}, badToken, two},
		"a bad parameter":         {[]func(*http.Request){types(form + "; charset")}, malformed, malformed},
		"a letter like i":         {[]func(*http.Request){types("appl\u0130cation/x-www-form-urlencoded")}, badToken, two},
		"and a bad parameter":     {[]func(*http.Request){types("appl\u0130cation/x-www-form-urlencoded; charset")}, malformed, malformed},
		"a parameter twice":       {[]func(*http.Request){types(form + "; a=1; a=2")}, malformed, malformed},
		"two types in a line":     {[]func(*http.Request){types(form + ", text/plain")}, malformed, malformed},
		"the form behind":         {[]func(*http.Request){types("text/plain", form)}, malformed, malformed},
		"the form before":         {[]func(*http.Request){types(form, "text/plain")}, malformed, malformed},
		"the form twice":          {[]func(*http.Request){types(form, form)}, malformed, malformed},
		"a bad one behind":        {[]func(*http.Request){types("text/plain", form+"; charset")}, malformed, malformed},
		"other types":             {[]func(*http.Request){types("text/plain", "text/html")}, anonymous, ""},
		"another type, malformed": {[]func(*http.Request){types("text/plain; charset")}, anonymous, ""},
		"a longer name":           {[]func(*http.Request){types(form + "2")}, anonymous, ""},
		"compressed":              {[]func(*http.Request){encoded("gzip")}, malformed, malformed},
		"encoded twice":           {[]func(*http.Request){encoded("identity", "gzip")}, malformed, malformed},
		"not compressed":          {[]func(*http.Request){encoded("Identity")}, badToken, two},
		"compressed, no form":     {[]func(*http.Request){types("text/plain"), encoded("gzip")}, anonymous, ""},
		"multipart":               {[]func(*http.Request){types("multipart/form-data; boundary=b")}, anonymous, ""},
		"a bad escape":            {[]func(*http.Request){body("access_token=bad%zz")}, malformed, malformed},
		"read, a bad escape":      {[]func(*http.Request){body("access_token=bad%zz"), formValue}, malformed, malformed},
		"read chunked":            {[]func(*http.Request){body("access_token=bad%zz"), chunked, formValue}, malformed, malformed},
		"parsed":                  {[]func(*http.Request){parse}, malformed, malformed},
		"parsed and put back":     {[]func(*http.Request){restored(parse)}, badToken, two},
		"read and put back":       {[]func(*http.Request){body("access_token=bad%zz"), restored(formValue)}, malformed, malformed},
		"drained":                 {[]func(*http.Request){drain}, malformed, malformed},
		"begun":                   {[]func(*http.Request){func(r *http.Request) { _, _ = r.Body.Read(make([]byte, 20)) }}, malformed, malformed},
		"another name":            {[]func(*http.Request){body("token=bad")}, anonymous, ""},
		"another name, parsed":    {[]func(*http.Request){body("token=bad"), parse}, malformed, malformed},
		"empty":                   {[]func(*http.Request){body("")}, anonymous, ""},
		"empty, parsed":           {[]func(*http.Request){body(""), parse}, anonymous, ""},
		"empty, chunked":          {[]func(*http.Request){body(""), chunked}, anonymous, ""},
		"no body":                 {[]func(*http.Request){func(r *http.Request) { r.Body, r.ContentLength = nil, 0 }}, anonymous, ""},
		"in the query":            {[]func(*http.Request){body(""), func(r *http.Request) { r.URL.RawQuery = "access_token=bad" }}, anonymous, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for authorization, want := range map[string]bearer.Reason{"": test.alone, "Bearer " + issuer.Token(): test.second} {
				r := inForm("bad")
				for _, change := range test.changes {
					change(r)
				}
				if authorization != "" {
					r.Header.Set("Authorization", authorization)
				}
				passed, err := auth.Guard(bearer.Optional()).Authenticate(r)
				if got := reasonOf(t, err); got != want {
					t.Errorf("with %.6q: reason %q, want %q", authorization, got, want)
				}
				if err == nil && passed.Method != http.MethodGet && name != "in the query" {
					if found := passed.PostFormValue("access_token"); found != "" {
						t.Errorf("passed, and the handler finds %q", found)
					}
				}
			}
		})
	}
}

// Package net/http quotes a trailer that it cannot read. The cause of a refusal does not quote it.
func TestUnreadableTrailerOfAFormIsNotQuoted(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: api.example\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3\r\na=b\r\n0\r\nAuthorization Bearer s3cr3t\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	auth := newAuth(t, bearertest.NewIssuer(), bearer.WithTokensFrom(bearer.FromForm()))
	_, err = auth.Guard().Authenticate(r)
	if got := reasonOf(t, err); got != bearer.ReasonMalformedRequest {
		t.Errorf("reason %q", got)
	}
	if cause := errors.Unwrap(err); cause == nil || strings.Contains(cause.Error(), "s3cr3t") {
		t.Errorf("the cause is %v", cause)
	}
}

// formOf returns a form with exactly this many bytes.
func formOf(size int, token string) io.ReadCloser {
	form := "access_token=" + token + "&x="
	return io.NopCloser(strings.NewReader(form + strings.Repeat("x", size-len(form))))
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The token is stripped from the handshake before the handler runs, so that it is never negotiated or echoed.
func TestWebSocketSourceStripsTheToken(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromWebSocket()))
	r := inWebSocket(token)
	_, inner := serve(t, auth, r)
	if got := inner.request.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != "chat, v2" {
		t.Errorf("the handler sees %q", got)
	}
	if !strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), b64(token)) {
		t.Error("the caller's request was changed")
	}
	alone := get("")
	alone.Header.Set("Sec-WebSocket-Protocol", "base64url.bearer.authorization."+b64(token))
	_, inner = serve(t, auth, alone)
	if _, there := inner.request.Header["Sec-Websocket-Protocol"]; there {
		t.Errorf("the handler sees %q", inner.request.Header)
	}
	for _, bad := range []string{"!", b64(token) + "=", b64(token) + "\r", b64(token)[:8] + "\n" + b64(token)[8:]} {
		r := get("")
		r.Header.Set("Sec-WebSocket-Protocol", "base64url.bearer.authorization."+bad)
		if w, _ := serve(t, auth, r); w.Code != 400 {
			t.Errorf("%q: status %d", bad, w.Code)
		}
	}
}

// Optional lets only a request without any credential pass.
// Rules: request.optional.
func TestOptionalPassesOnlyRequestsWithoutCredential(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"scope": "a"}))
	auth, token := newAuth(t, issuer), issuer.Token()
	tests := []struct {
		name   string
		r      *http.Request
		reqs   []bearer.RouteOption
		status int
	}{
		{"no header", get(""), nil, 204},
		{"good token", get("Bearer " + token), nil, 204},
		{"bad token", get("Bearer x"), nil, 401},
		{"another scheme", get("Basic x"), nil, 401},
		{"Bearer alone", get("Bearer"), nil, 400},
		{"no header, a requirement", get(""), []bearer.RouteOption{bearer.Scopes("a")}, 401},
		{"requirement met", get("Bearer " + token), []bearer.RouteOption{bearer.Scopes("a")}, 204},
		{"requirement not met", get("Bearer " + token), []bearer.RouteOption{bearer.Scopes("b")}, 403},
		{"no cookie", get(""), []bearer.RouteOption{bearer.TokensFrom(bearer.FromCookie())}, 204},
		{"no cookie, but a header", get("Bearer " + token), []bearer.RouteOption{bearer.TokensFrom(bearer.FromCookie())}, 401},
		{"bad cookie", inCookie("x"), []bearer.RouteOption{bearer.TokensFrom(bearer.FromCookie())}, 401},
		{"empty cookie", inCookie(""), []bearer.RouteOption{bearer.TokensFrom(bearer.FromCookie())}, 204},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, inner := serve(t, auth, tt.r, append(tt.reqs, bearer.Optional())...)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			if anonymous := len(tt.r.Header) == 0 || tt.name == "empty cookie"; inner.ran && anonymous != (inner.claims == nil) {
				t.Errorf("claims are %v", inner.claims)
			}
		})
	}
}
