package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
)

// program is the program while it serves.
type program struct {
	url    string
	output string // what it printed until it served
	stderr *lockedBuffer
	stop   func() (exitCode int)
}

// lockedBuffer is written by the program's goroutines and read by the test's.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

var servedAt = regexp.MustCompile(`at (http://127\.0\.0\.1:\d+)`)

// start runs the program on a free port until it says that it serves. It ends with the test, or
// with stop.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, writer := io.Pipe()
	p := &program{stderr: new(lockedBuffer)}
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, append(args, "-listen", "127.0.0.1:0"), strings.NewReader(""), writer, p.stderr)
		_ = writer.Close()
	}()
	p.stop = sync.OnceValue(func() int {
		cancel()
		_, _ = io.Copy(io.Discard, stdout)
		return <-exit
	})
	t.Cleanup(func() { p.stop() })

	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.output += lines.Text() + "\n"
		if lines.Text() == "Serving until Ctrl-C." {
			p.url = servedAt.FindStringSubmatch(p.output)[1]
			return p
		}
	}
	t.Fatalf("ended with %d before it served:\n%s%s", p.stop(), p.output, p.stderr)
	return nil
}

// playground starts the program for the issuer's tokens, with further flags.
func playground(t *testing.T, issuer *bearertest.Issuer, args ...string) *program {
	t.Helper()
	return start(t, append([]string{"-issuer", issuer.URL(), "-audience", issuer.Audience()}, args...)...)
}

// runOnce runs the program to its end, which it brings about if the program goes on to serve.
func runOnce(t *testing.T, args ...string) (exitCode int, stdout, stderr string) {
	t.Helper()
	return runWith(t, "", args...)
}

// runWith is runOnce with something on standard input.
func runWith(t *testing.T, input string, args ...string) (exitCode int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	stop := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("Serving")) {
			cancel()
		}
		return out.Write(p)
	})
	exitCode = run(ctx, args, strings.NewReader(input), stop, &errs)
	return exitCode, out.String(), errs.String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type reply struct {
	status int
	header http.Header
	body   string
}

// code returns the body's stable code of the refusal.
func (r reply) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(r.body), &problem)
	return problem.Code
}

func send(t *testing.T, request *http.Request) reply {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, strings.TrimSpace(string(body))}
}

func newRequest(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// get asks with a token in the header, or with none.
func (p *program) get(t *testing.T, path, token string) reply {
	t.Helper()
	request := newRequest(t, http.MethodGet, p.url+path, http.NoBody)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return send(t, request)
}

var mounts = []string{"/nethttp", "/gin", "/echo"}

func TestCheckMakesFourRequestsToEachFramework(t *testing.T) {
	code, stdout, stderr := runOnce(t, "-check")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, want 0; stderr %q, want nothing", code, stderr)
	}
	for _, want := range []string{
		`GET /orders with a good token +nethttp 200 +gin 200 +echo 200\n +\[\{"id":1,.*\n +Why: .*\n +Next: examples/quickstart/api.go\n`,
		`GET /orders with an expired token +nethttp 401 +gin 401 +echo 401\n +WWW-Authenticate: Bearer error="invalid_token", .*\n.*"token_expired"`,
		`GET /orders with a forged token +nethttp 401 +gin 401 +echo 401\n +WWW-Authenticate: Bearer error="invalid_token", .*\n.*"bad_signature"`,
		`GET /orders with a token without the scope +nethttp 403 +gin 403 +echo 403\n +WWW-Authenticate: Bearer error="insufficient_scope", .*scope="orders:read"\n.*"insufficient_scope"`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("nothing printed matches %s", want)
		}
	}
	if strings.Contains(stdout, "WRONG") || strings.Contains(stdout, "Serving") {
		t.Error("it found a wrong answer, or went on to serve")
	}
	if t.Failed() {
		t.Log(stdout)
	}
}

// Each answer comes with its reason, and with a file to open next that exists.
func TestEachAnswerNamesAReasonAndAFile(t *testing.T) {
	_, stdout, _ := runOnce(t, "-check")
	next := regexp.MustCompile(`(?m)^  Why:  \S.*\n  Next: (\S+)$`).FindAllStringSubmatch(stdout, -1)
	if len(next) != 4 {
		t.Errorf("%d answers have a reason and a file, want 4:\n%s", len(next), stdout)
	}
	for _, match := range next {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(match[1]))); err != nil {
			t.Errorf("the file to open next: %v", err)
		}
	}
}

func TestWhatItPrintsForPastingWorks(t *testing.T) {
	p := start(t)
	token := regexp.MustCompile(`TOKEN='([^']+)'`).FindStringSubmatch(p.output)
	curls := regexp.MustCompile(`(?m)^  curl -i (-H "Authorization: Bearer \$TOKEN" )?(http\S+)$`).FindAllStringSubmatch(p.output, -1)
	if token == nil || len(curls) != 4 {
		t.Fatalf("want a token and four curl lines:\n%s", p.output)
	}
	for _, curl := range curls {
		request, want := newRequest(t, http.MethodGet, curl[2], http.NoBody), http.StatusUnauthorized
		if curl[1] != "" {
			request.Header.Set("Authorization", "Bearer "+token[1])
			want = http.StatusOK
		}
		if got := send(t, request); got.status != want {
			t.Errorf("%s: status %d, want %d: %s", curl[0], got.status, want, got.body)
		}
	}
	if code := p.stop(); code != 0 || p.stderr.String() != "" {
		t.Errorf("exit code %d, want 0; stderr %q, want nothing", code, p.stderr)
	}
}

func TestPlaygroundServesTheTokensOfARealIssuer(t *testing.T) {
	issuer := bearertest.NewServer(t)
	p := playground(t, issuer)
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	token := issuer.Token(bearertest.Claims{"scope": "orders:read profile", "exp": expires})

	for _, mount := range mounts {
		t.Run(mount[1:], func(t *testing.T) {
			got := p.get(t, mount+"/me", token)
			var me map[string]any
			if err := json.Unmarshal([]byte(got.body), &me); err != nil || got.status != http.StatusOK {
				t.Fatalf("/me: status %d, want 200 with JSON: %s", got.status, got.body)
			}
			want, _ := json.Marshal(map[string]any{
				"issuer": issuer.URL(), "subject": "alice", "audience": []string{issuer.Audience()},
				"scopes": []string{"orders:read", "profile"}, "expires": expires.UTC().Format(time.RFC3339),
			})
			if have, _ := json.Marshal(me); string(have) != string(want) {
				t.Errorf("/me: %s, want %s", have, want)
			}
			if !strings.Contains(p.get(t, mount+"/me", issuer.Token()).body, `"scopes":[]`) {
				t.Error("/me: a token without scopes has to give an empty list")
			}
			for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				request := newRequest(t, method, p.url+mount+"/me", http.NoBody)
				if got := send(t, request).status; got != http.StatusUnauthorized {
					t.Errorf("%s /me without a token: status %d, want 401", method, got)
				}
				request.Header.Set("Authorization", "Bearer "+token)
				if got := send(t, request).status; got != http.StatusOK {
					t.Errorf("%s /me: status %d, want 200", method, got)
				}
			}
			for _, test := range []struct {
				name, token string
				status      int
				code        string
			}{
				{"the scope", token, 200, ""},
				{"no scope", issuer.Token(), 403, "insufficient_scope"},
				{"another audience", issuer.Token(bearertest.Claims{"aud": "billing"}), 401, "wrong_audience"},
				{"no token", "", 401, "missing_token"},
				{"another issuer", bearertest.NewIssuer().Token(), 401, "unknown_issuer"},
			} {
				if got := p.get(t, mount+"/orders", test.token); got.status != test.status || got.code() != test.code {
					t.Errorf("/orders with %s: %d %q, want %d %q", test.name, got.status, got.code(), test.status, test.code)
				}
			}
		})
	}
	if got := p.get(t, "/readyz", ""); got.status != http.StatusOK {
		t.Errorf("/readyz: status %d, want 200", got.status)
	}
	if logged := p.stderr.String(); !strings.Contains(logged, "reason=wrong_audience") || strings.Contains(logged, token) {
		t.Errorf("the log has to carry the reason of a refusal and no token:\n%s", logged)
	}
}

func TestPlaygroundAnswers503WhileTheIssuerIsDown(t *testing.T) {
	issuer := bearertest.NewServer(t)
	issuer.SetFault(bearertest.Down)
	p := playground(t, issuer)
	if !strings.Contains(p.output, "cannot be fetched") {
		t.Errorf("it has to say that the keys are missing:\n%s", p.output)
	}
	if got := p.get(t, "/readyz", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: status %d, want 503", got.status)
	}
	for _, mount := range mounts {
		t.Run(mount[1:], func(t *testing.T) {
			got := p.get(t, mount+"/me", issuer.Token())
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("/me: status %d, want 503 with Retry-After: %v", got.status, got.header)
			}
		})
	}
}

func TestSourcesSayWhereTokensAreLookedFor(t *testing.T) {
	issuer := bearertest.NewServer(t)
	token := issuer.Token()
	carriers := map[string]func(t *testing.T, target string) *http.Request{
		"header": func(t *testing.T, target string) *http.Request {
			t.Helper()
			request := newRequest(t, http.MethodGet, target, http.NoBody)
			request.Header.Set("Authorization", "Bearer "+token)
			return request
		},
		"query": func(t *testing.T, target string) *http.Request {
			t.Helper()
			return newRequest(t, http.MethodGet, target+"?access_token="+token, http.NoBody)
		},
		"cookie": func(t *testing.T, target string) *http.Request {
			t.Helper()
			request := newRequest(t, http.MethodGet, target, http.NoBody)
			request.AddCookie(&http.Cookie{Name: "access_token", Value: token})
			return request
		},
		"form": func(t *testing.T, target string) *http.Request {
			t.Helper()
			form := url.Values{"access_token": {token}}.Encode()
			request := newRequest(t, http.MethodPost, target, strings.NewReader(form))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return request
		},
	}
	for _, enabled := range []string{"", "header", "query", "cookie", "form", "query,cookie", "header,query,cookie,form"} {
		t.Run("-sources "+enabled, func(t *testing.T) {
			var args []string
			if enabled != "" {
				args = []string{"-sources", enabled}
			}
			p := playground(t, issuer, args...)
			for _, mount := range mounts {
				t.Run(mount[1:], func(t *testing.T) {
					for source, carry := range carriers {
						want := http.StatusUnauthorized
						if strings.Contains(enabled, source) || enabled+source == "header" {
							want = http.StatusOK
						}
						if got := send(t, carry(t, p.url+mount+"/me")); got.status != want {
							t.Errorf("a token in the %s: status %d, want %d: %s", source, got.status, want, got.body)
						}
					}
				})
			}
		})
	}
}

func TestOptionalLetsMeAloneBeAnonymous(t *testing.T) {
	issuer := bearertest.NewServer(t)
	p := playground(t, issuer, "-optional")
	for _, mount := range mounts {
		t.Run(mount[1:], func(t *testing.T) {
			if got := p.get(t, mount+"/me", ""); got.status != http.StatusOK || got.body != `{"anonymous":true}` {
				t.Errorf("/me without a token: %d %s, want 200 and anonymous", got.status, got.body)
			}
			if got := p.get(t, mount+"/me", issuer.Token()); !strings.Contains(got.body, `"subject":"alice"`) {
				t.Errorf("/me with a token: %d %s, want alice", got.status, got.body)
			}
			if got := p.get(t, mount+"/me", "forged"); got.status != http.StatusUnauthorized {
				t.Errorf("/me with a bad token: status %d, want 401", got.status)
			}
			if got := p.get(t, mount+"/orders", ""); got.status != http.StatusUnauthorized {
				t.Errorf("/orders without a token: status %d, want 401", got.status)
			}
		})
	}
}

func TestFlagsReachTheMiddleware(t *testing.T) {
	issuer := bearertest.NewServer(t)
	late := bearertest.Claims{"exp": time.Now().Add(-10 * time.Second)}
	plain := bearertest.Claims{"typ": "JWT"}
	for _, test := range []struct {
		name, path, token string
		args              []string
		code              string // of the refusal; "": none
	}{
		{"audience: the second", "/me", issuer.Token(), []string{"-audience", "orders," + issuer.Audience()}, ""},
		{"audience: another", "/me", issuer.Token(), []string{"-audience", "orders"}, "wrong_audience"},
		{"algorithms: with the issuer's", "/me", issuer.Token(), []string{"-algorithms", "RS256,ES256"}, ""},
		{"algorithms: without it", "/me", issuer.Token(), []string{"-algorithms", "RS256"}, "algorithm_not_allowed"},
		{"types: by default JWT", "/me", issuer.Sign(plain), nil, ""},
		{"types: at+jwt alone", "/me", issuer.Sign(plain), []string{"-types", "at+jwt"}, "type_not_allowed"},
		{"leeway: by default 30 s", "/me", issuer.Token(late), nil, ""},
		{"leeway: none", "/me", issuer.Token(late), []string{"-leeway", "0s"}, "token_expired"},
		{"scope: by default orders:read", "/orders", issuer.Token(bearertest.Claims{"scope": "read"}), nil, "insufficient_scope"},
		{"scope: another", "/orders", issuer.Token(bearertest.Claims{"scope": "read"}), []string{"-scope", "read"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"-issuer", issuer.URL()}
			if len(test.args) == 0 || test.args[0] != "-audience" {
				args = append(args, "-audience", issuer.Audience())
			}
			p := start(t, append(args, test.args...)...)
			for _, mount := range mounts {
				t.Run(mount[1:], func(t *testing.T) {
					if got := p.get(t, mount+test.path, test.token); got.code() != test.code || (got.status == 200) != (test.code == "") {
						t.Errorf("%d %q, want the code %q", got.status, got.code(), test.code)
					}
				})
			}
		})
	}
}

func TestJWKSSparesDiscovery(t *testing.T) {
	issuer := bearertest.NewServer(t)
	p := playground(t, issuer, "-jwks", issuer.URL()+"/jwks")
	if got := p.get(t, "/nethttp/me", issuer.Token()); got.status != http.StatusOK {
		t.Errorf("status %d, want 200: %s", got.status, got.body)
	}
	if issuer.Requests() != issuer.Fetches() || issuer.Fetches() == 0 {
		t.Errorf("%d requests of which %d for keys; want requests for keys alone", issuer.Requests(), issuer.Fetches())
	}
}

func TestItStopsServingWhenItsContextEnds(t *testing.T) {
	p := start(t)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	if err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}

func TestWrongCallsAreExplained(t *testing.T) {
	issuer := []string{"-issuer", "https://login.example.com", "-audience", "orders"}
	with := func(args ...string) []string { return append(append([]string{}, issuer...), args...) }
	for _, test := range []struct {
		name string
		args []string
		want string // in the text
	}{
		{"an unknown flag", []string{"-isuer", "x"}, "not defined: -isuer"},
		{"a stray argument", []string{"-check", "gin"}, `unexpected argument "gin"`},
		{"a stray argument behind a boolean", with("-optional", "true"), `unexpected argument "true"`},
		{"an issuer without an audience", []string{"-issuer", "https://login.example.com"}, "-issuer needs -audience"},
		{"an audience without an issuer", []string{"-audience", "orders"}, "-audience needs -issuer"},
		{"an option without an issuer", []string{"-check", "-optional"}, "-optional needs -issuer"},
		{"a check of a real issuer", with("-check"), "-check cannot go with -issuer"},
		{"an empty issuer", []string{"-issuer", "", "-audience", "orders"}, "-issuer: it is empty"},
		{"an empty audience", []string{"-issuer", "https://login.example.com", "-audience", ""}, "-audience: it is empty"},
		{"an empty audience in a list", []string{"-issuer", "https://login.example.com", "-audience", "orders,"}, "one of its values is empty"},
		{"an empty key set URL", with("-jwks", ""), "-jwks: it is empty"},
		{"an empty address", []string{"-listen", ""}, "-listen: it is empty"},
		{"empty algorithms", with("-algorithms", ""), "-algorithms: it is empty"},
		{"empty types", with("-types", ""), "-types: it is empty"},
		{"empty sources", with("-sources", ""), "-sources: it is empty"},
		{"an empty scope", with("-scope", ""), "-scope: it is empty"},
		{"an empty leeway", with("-leeway", ""), "-leeway: it is empty"},
		{"a flag twice", with("-audience", "billing"), "-audience: given twice"},
		{"a flag without its value", with("-scope"), "flag needs an argument: -scope"},
		{"an unknown source", with("-sources", "header,body"), `"body" is none of header, query, cookie and form`},
		{"a source twice", with("-sources", "query,query"), "names a source twice"},
		{"no duration", with("-leeway", "30"), "not a duration such as 30s"},
		{"too much leeway", with("-leeway", "1h"), "must be from 0 to 5m0s"},
		{"an unknown algorithm", with("-algorithms", "rs256"), "not a known algorithm"},
		{"no signature", with("-algorithms", "none"), "never accepted"},
		{"two scopes", with("-scope", "orders:read orders:write"), "a scope is printable ASCII without spaces"},
		{"no address", []string{"-listen", "8080"}, "not an address such as 127.0.0.1:8080"},
		{"no port of this world", []string{"-listen", "127.0.0.1:80800"}, "not an address such as 127.0.0.1:8080"},
		{"an issuer without https", []string{"-issuer", "http://login.example.com", "-audience", "orders"}, "https"},
		{"a key set without https", with("-jwks", "http://login.example.com/jwks"), "https"},
		{"all that is wrong at once", with("-leeway", "1h", "-algorithms", "none"), "never accepted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runOnce(t, test.args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, want 2; stdout %q, want nothing; stderr has to say %q:\n%s", code, stdout, test.want, stderr)
			}
		})
	}
}

// With -explain it says check by check how a token on standard input is judged.
func TestExplainReadsATokenFromStandardInput(t *testing.T) {
	issuer := bearertest.NewServer(t)
	args := []string{"-issuer", issuer.URL(), "-audience", issuer.Audience(), "-explain"}
	code, stdout, stderr := runWith(t, issuer.Token(bearertest.Claims{"scope": "orders:read"})+"\n", args...)
	if code != 0 || !strings.HasPrefix(stdout, "accepted\n") || !strings.Contains(stdout, "route.scope") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = runWith(t, issuer.Token(bearertest.Claims{"exp": 1}), args...)
	if code != 1 || !strings.HasPrefix(stdout, "refused: token_expired\n") || !strings.Contains(stderr, "the token is refused") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	code, _, stderr = runWith(t, "", "-explain")
	if code != 2 || !strings.Contains(stderr, "-explain needs -issuer") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestHelpGoesToStdout(t *testing.T) {
	code, stdout, stderr := runOnce(t, "-h")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "-audience") {
		t.Errorf("exit code %d, want 0; stderr %q, want nothing; stdout has to list the flags:\n%s", code, stderr, stdout)
	}
}

func TestAPortInUseIsExplained(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	code, _, stderr := runOnce(t, "-listen", listener.Addr().String())
	if code != 1 || !strings.Contains(stderr, "cannot listen") || !strings.Contains(stderr, listener.Addr().String()) {
		t.Errorf("exit code %d, want 1; stderr has to name the address:\n%s", code, stderr)
	}
}
