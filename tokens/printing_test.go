package tokens_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// What must not be printed.
const (
	printAccess      = "printing-access-token"
	printRefresh     = "printing-refresh-token"
	printNext        = "printing-next-refresh-token"
	printExtra       = "printing-extra-member"
	printSecret      = "printing-client-secret"
	printDevice      = "printing-device-code"
	printUser        = "PRNT-USER-CODE"
	printDescription = "what alice said"
)

// printed is a value that a package gives out, in each of the ways in which a user may hold it.
type printed struct {
	name  string // of its type, or of the function that returned it
	value any
	held  []any // the value in something else
	fixed bool  // it prints as "[secret]"
}

func printedAs[T any](name string, fixed bool, v T) printed {
	type open struct{ V T }
	type closed struct{ v T }
	p, o, c := &v, &open{v}, &closed{v}
	held := []any{
		p, &p, *o, o, &o, *c, c, &c,
		[]T{v},
		[1]T{v},
		[]*T{p},
		map[string]T{"k": v},
		map[string]closed{"k": *c},
		[]any{v},
		struct{ c closed }{*c},
		struct{ v any }{v},
		struct{ V any }{v},
		reflect.ValueOf(v), reflect.ValueOf(*c).Field(0),
	}
	if t := reflect.TypeOf(v); t.Comparable() {
		keys := reflect.MakeMap(reflect.MapOf(t, reflect.TypeFor[int]()))
		keys.SetMapIndex(reflect.ValueOf(v), reflect.ValueOf(1))
		held = append(held, keys.Interface())
	}
	return printed{name, v, held, fixed}
}

// printParts are a Manager, Sources, a Session and a Store in use.
type printParts struct {
	client  *oauth.Client
	manager *tokens.Manager
	source  *tokens.Source // has a token
	failed  *tokens.Source // has a failure
	token   *tokens.Token
	store   session.Store // has a refresh token
	session *session.Session
	many    *session.Sessions // has a session with a refresh token
	login   *session.Login
	device  *session.DeviceLogin
	unsaved tokens.Fetcher // keeps a refresh token that could not be saved
}

type printWire func(*http.Request) (*http.Response, error)

func (f printWire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newPrintParts(t *testing.T) printParts {
	t.Helper()
	wire := printWire(func(r *http.Request) (*http.Response, error) {
		status, body := http.StatusOK, map[string]any{"access_token": printAccess, "token_type": "Bearer", "expires_in": 3600, "extra": printExtra}
		switch {
		case r.FormValue("scope") == "refused":
			status, body = http.StatusBadRequest, map[string]any{"error": "invalid_scope", "error_description": printDescription}
		case r.FormValue("grant_type") == "refresh_token":
			body["refresh_token"] = printNext
		case r.URL.Path == "/device_authorization":
			body = map[string]any{
				"device_code": printDevice, "user_code": printUser, "verification_uri": "https://login.example/device",
				"verification_uri_complete": "https://login.example/device?user_code=" + printUser,
			}
		}
		text, err := json.Marshal(body)
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r,
		}, err
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var p printParts
	var err error
	p.client, err = oauth.NewClient("https://login.example", "orders", oauth.ClientSecretPost(tokens.NewSecret(printSecret)),
		oauth.WithTokenEndpoint("https://login.example/token"), oauth.WithAuthorizationEndpoint("https://login.example/authorize"),
		oauth.WithDeviceAuthorizationEndpoint("https://login.example/device_authorization"),
		oauth.WithHTTPClient(&http.Client{Transport: wire}))
	must(err)
	quiet := tokens.WithLogger(slog.New(slog.DiscardHandler))
	p.manager, err = tokens.NewManager(p.client.ClientCredentials(), quiet)
	must(err)
	t.Cleanup(func() { _ = p.manager.Close() })
	p.source, p.failed = p.manager.Source(tokens.Key{Scope: "granted"}), p.manager.Source(tokens.Key{Scope: "refused"})
	p.token, err = p.source.Token(t.Context())
	must(err)
	if _, err := p.failed.Token(t.Context()); err == nil {
		t.Fatal("a scope was to be refused")
	}
	p.store = session.NewMemoryStore()
	p.session, err = session.New(p.client, p.store, "alice", quiet)
	must(err)
	t.Cleanup(func() { _ = p.session.Close() })
	must(p.session.Adopt(t.Context(), tokens.NewSecret(printRefresh)))
	p.many, err = session.NewSessions(p.client, p.store, session.WithManagerOptions(quiet))
	must(err)
	t.Cleanup(func() { _ = p.many.Close() })
	carol, err := p.many.Session("carol")
	must(err)
	must(carol.Adopt(t.Context(), tokens.NewSecret(printRefresh)))
	p.login, err = p.session.Login(t.Context(), "https://app.example/callback", session.WithScope("openid"))
	must(err)
	p.device, err = p.session.DeviceLogin(t.Context())
	must(err)

	full := &printFullStore{Store: p.store}
	p.unsaved = session.RefreshToken(p.client, full)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = p.unsaved.Fetch(ctx, tokens.Request{Key: tokens.Key{Subject: "alice"}})
	must(err)
	return p
}

// printFullStore does not save.
type printFullStore struct{ session.Store }

func (printFullStore) Save(context.Context, string, []byte, int64) (int64, error) {
	return 0, errors.New("no space left")
}

// samples has a value of each exported type of the three packages, by its name, and of each
// exported function that returns an interface of one of them, by that of the function.
func (p printParts) samples(t *testing.T) []printed {
	t.Helper()
	secret := tokens.NewSecret(printAccess)
	security := oauth.SecurityToken{Token: secret}
	keys := session.SealKeys(func(context.Context) ([][]byte, error) { return [][]byte{[]byte(printSecret)}, nil })
	files, err := session.NewFileStore(t.TempDir(), keys)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := session.NewSealedStore(p.store, keys)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := p.source.Transport(printWire(nil), tokens.WithOrigins("https://billing.example"))
	if err != nil {
		t.Fatal(err)
	}
	response := tokens.Response{AccessToken: secret, RefreshToken: tokens.NewSecret(printRefresh), IDToken: secret, Extras: tokens.NewSecret(`{"extra":"` + printExtra + `"}`)}
	grant := func(context.Context, tokens.Key) (oauth.SecurityToken, error) { return security, nil }
	failure := p.failed.Stats().LastError
	refused, ok := errors.AsType[*tokens.Error](failure)
	if !ok || refused.Description != printDescription {
		t.Fatalf("the failure is %v, want an Error with the description", failure)
	}
	unavailable := &tokens.UnavailableError{Err: failure}
	auth := oauth.ClientSecretPost(tokens.NewSecret(printSecret))
	parameters := func(context.Context, tokens.Key) (url.Values, error) {
		return url.Values{"password": {printSecret}}, nil
	}
	assertion := func(context.Context, tokens.Key) (tokens.Secret, error) { return secret, nil }
	const password = "https://orders:" + printSecret + "@login.example"
	_, badIssuer := oauth.NewClient(password, "orders", auth, oauth.WithTokenEndpoint(password))
	_, badSecret := oauth.NewClient("https://login.example", "orders", oauth.ClientSecretPost(tokens.NewSecret(printSecret+"\n")))
	_, badLogin := session.NewLogin(t.Context(), p.client, password, session.WithParameter("state", printSecret))
	_, badStore := session.NewFileStore("", keys)
	_, badManager := tokens.NewManager(nil)
	_, badTransport := p.source.Transport(nil, tokens.WithOrigins(password))
	byClient := tokens.FetcherByClient(func(context.Context, string, string) (tokens.Fetcher, error) { return p.unsaved, nil })
	if _, err := byClient.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: "alice"}}); err != nil {
		t.Fatal(err)
	}
	identity, userInfo := printIdentities(t)
	return []printed{
		printedAs("tokens.ConfigError", false, mistake[*tokens.ConfigError](t, badManager)),
		printedAs("tokens.ConfigError", false, *mistake[*tokens.ConfigError](t, badTransport)),
		printedAs("oauth.ConfigError", false, mistake[*oauth.ConfigError](t, badIssuer)),
		printedAs("oauth.ConfigError", false, *mistake[*oauth.ConfigError](t, badSecret)),
		printedAs("oauth.ClientAuth", true, oauth.ClientSecretBasic(tokens.NewSecret(printSecret+"\n"))),
		printedAs("session.ConfigError", false, mistake[*session.ConfigError](t, badLogin)),
		printedAs("session.ConfigError", false, *mistake[*session.ConfigError](t, badStore)),
		printedAs("oauth.AssertionOption", false, oauth.WithRS256()),
		printedAs("oauth.BasicOption", false, oauth.WithoutFormEncoding()),
		printedAs("oauth.Client", true, p.client),
		printedAs("oauth.Client", true, *p.client),
		printedAs("oauth.ClientAuth", true, auth),
		printedAs("oauth.ClientAuth", true, oauth.ClientSecretBasic(tokens.NewSecret(printSecret))),
		printedAs("oauth.ClientAuth", true, oauth.ClientSecretBasic(tokens.Secret{})),
		printedAs("oauth.ClientAuth", true, oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) { return secret, nil })),
		printedAs("oauth.ClientOption", false, oauth.WithHTTPClient(http.DefaultClient)),
		printedAs("session.DeviceLogin", true, p.device),
		printedAs("session.DeviceLogin", true, *p.device),
		printedAs("oauth.IDTokenOption", false, oauth.WithAccessToken(secret)),
		printedAs("oauth.Identity", true, identity),
		printedAs("oauth.Identity", true, *identity),
		printedAs("oauth.UserInfo", true, userInfo),
		printedAs("oauth.UserInfo", true, *userInfo),
		printedAs("tokens.Error", false, refused),
		printedAs("tokens.Event", false, tokens.Event{Kind: "failure", Err: failure}),
		printedAs("tokens.Event", false, tokens.Event{Kind: "backoff", Err: unavailable}),
		printedAs("tokens.FetcherFunc", true, tokens.FetcherFunc(p.unsaved.Fetch)),
		printedAs("oauth.GrantOption", false, oauth.WithParameter("login_hint", printSecret)),
		printedAs("tokens.Key", false, p.source.Key()),
		printedAs("session.Login", true, p.login),
		printedAs("session.Login", true, *p.login),
		printedAs("session.LoginOption", false, session.WithParameter("login_hint", printSecret)),
		printedAs("tokens.Manager", true, p.manager),
		printedAs("tokens.Manager", true, *p.manager),
		printedAs("tokens.ManagerOption", false, tokens.WithMaxKeys(1)),
		printedAs("tokens.Request", false, tokens.Request{Previous: p.token}),
		printedAs("tokens.Response", true, response),
		printedAs("tokens.Response", true, &response),
		printedAs("session.SealKeys", true, keys),
		printedAs("tokens.Secret", true, secret),
		printedAs("oauth.SecurityToken", true, security),
		printedAs("session.Session", true, p.session),
		printedAs("session.Session", true, *p.session),
		printedAs("session.Sessions", true, p.many),
		printedAs("session.Sessions", true, *p.many),
		printedAs("session.SessionsOption", false, session.WithMaxSessions(1)),
		printedAs("session.SessionsStats", false, p.many.Stats()),
		printedAs("tokens.Source", true, p.source),
		printedAs("tokens.Source", true, *p.source),
		printedAs("tokens.Stats", false, p.source.Stats()),
		printedAs("tokens.Stats", false, p.failed.Stats()),
		printedAs("session.StoreOption", false, session.WithLabel("production")),
		printedAs("session.StoreError", false, &session.StoreError{Op: "load", Err: refused}),
		printedAs("tokens.Token", true, p.token),
		printedAs("tokens.Token", true, *p.token),
		printedAs("tokens.Transport", true, transport),
		printedAs("tokens.Transport", true, *transport),
		printedAs("tokens.TransportOption", false, tokens.WithOrigins("https://billing.example")),
		printedAs("tokens.UnavailableError", false, unavailable),

		printedAs("oauth.Client.ClientCredentials", true, p.client.ClientCredentials()),
		printedAs("oauth.Client.CustomGrant", true, p.client.CustomGrant("password", parameters)),
		printedAs("oauth.Client.Exchange", true, p.client.Exchange(grant)),
		printedAs("oauth.Client.ExchangeWithActor", true, p.client.ExchangeWithActor(grant, grant)),
		printedAs("oauth.Client.JWTBearer", true, p.client.JWTBearer(grant)),
		printedAs("oauth.Client.JWTBearerPerKey", true, p.client.JWTBearerPerKey(assertion)),
		printedAs("session.RefreshToken", true, p.unsaved),
		printedAs("tokens.FetcherByClient", true, byClient),
		printedAs("session.NewFileStore", true, files),
		printedAs("session.NewMemoryStore", true, p.store),
		printedAs("session.NewSealedStore", true, sealed),
	}
}

// mistake returns the first mistake of a constructor.
func mistake[E error](t *testing.T, err error) E {
	t.Helper()
	first, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("a %T has no %T in it", err, first)
	}
	return first
}

// leaks are the forms in which something printed can be seen, beside itself.
func printLeaks(p printParts) (leaks []string) {
	back, _ := url.Parse(p.login.URL())
	for _, secret := range []string{
		printAccess, printRefresh, printNext, printExtra, printSecret, printPerson, printDevice, printUser,
		back.Query().Get("state"), back.Query().Get("nonce"),
	} {
		numbers := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
		leaks = append(leaks, secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), numbers,
			strings.ReplaceAll(numbers, " ", ","), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "=")[:8])
	}
	return leaks
}

// printFormats is every verb, and some that are none, with flags.
func printFormats() (formats []string) {
	for _, flags := range []string{"", "+", "#", "+#", "-30.3"} {
		for verb := 'A'; verb <= 'z'; verb++ {
			if verb != 'n' && verb != '[' {
				formats = append(formats, "%"+flags+string(verb))
			}
		}
	}
	return formats
}

// printEach calls a function with every text that a value is printed as.
func printEach(v any, formats []string, each func(how, text string)) {
	for _, format := range formats {
		each(format, fmt.Sprintf(format, v))
	}
	for _, format := range []string{"%w", "%+w", "%#w"} {
		each(format, fmt.Errorf(format, v).Error())
	}
	var text, object bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&object, nil)).Info("m", "v", v)
	each("slog, as text", text.String())
	each("slog, as JSON", object.String())
	document, err := json.Marshal(v)
	each("JSON", fmt.Sprintf("%s %v", document, err))
	encoded, err := printGob(v)
	each("gob", fmt.Sprintf("%s %v", encoded, err))
}

// printGob encodes a value. Package gob panics for some pointers to pointers, whatever they point
// to.
func printGob(v any) (encoded []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("package gob panicked: %v", r)
		}
	}()
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func TestNothingPrintsASecret(t *testing.T) { synctest.Test(t, testNothingPrintsASecret) }

func testNothingPrintsASecret(t *testing.T) {
	p := newPrintParts(t)
	leaks, formats := printLeaks(p), printFormats()
	for _, s := range p.samples(t) {
		for _, v := range append([]any{s.value}, s.held...) {
			printEach(v, formats, func(how, text string) {
				for _, leak := range leaks {
					if strings.Contains(text, leak) {
						t.Errorf("%s: a %T with %s shows %q: %.300s", s.name, v, how, leak, text)
					}
				}
			})
		}
	}
}

func TestWhatHoldsSecretsPrintsAFixedText(t *testing.T) {
	synctest.Test(t, testWhatHoldsSecretsPrintsAFixedText)
}

func testWhatHoldsSecretsPrintsAFixedText(t *testing.T) {
	const want = "[secret]"
	for _, s := range newPrintParts(t).samples(t) {
		if !s.fixed {
			continue
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%08.3f", "%!"} {
			if text := strings.TrimSuffix(fmt.Sprintf(format, s.value), "%!(NOVERB)"); text != want {
				t.Errorf("%s with %s prints %.100q", s.name, format, text)
			}
		}
		if text, err := json.Marshal(s.value); err != nil || string(text) != `"[secret]"` {
			t.Errorf("%s is in JSON %.100s, error %v", s.name, text, err)
		}
		var text, object bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", s.value)
		slog.New(slog.NewJSONHandler(&object, nil)).Info("m", "v", s.value)
		if !strings.HasSuffix(text.String(), " v=[secret]\n") || !strings.HasSuffix(object.String(), `,"v":"[secret]"}`+"\n") {
			t.Errorf("%s is logged as %.200s%.200s", s.name, text.String(), object.String())
		}
		if _, err := printGob(s.value); err == nil {
			t.Errorf("package gob encodes %s", s.name)
		}
	}
}

// What is not secret is for people and machines to read.
func TestStatsEventsAndErrorsPrintUsefully(t *testing.T) {
	synctest.Test(t, testStatsEventsAndErrorsPrintUsefully)
}

func testStatsEventsAndErrorsPrintUsefully(t *testing.T) {
	p := newPrintParts(t)
	stats := p.failed.Stats()
	event := tokens.Event{Kind: "failure", Key: p.failed.Key(), Err: stats.LastError}
	for _, v := range []any{stats, &stats, event, stats.LastError, &tokens.UnavailableError{Err: stats.LastError}} {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(encoded), fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)} {
			if !strings.Contains(text, "invalid_scope") {
				t.Errorf("a %T does not say why: %s", v, text)
			}
		}
	}
	var read struct {
		Key            tokens.Key
		Failures       int
		LastError      string
		FailuresInARow int
	}
	encoded, _ := json.Marshal(stats)
	if err := json.Unmarshal(encoded, &read); err != nil || read.Key != p.failed.Key() || read.Failures != 1 ||
		read.FailuresInARow != 1 || read.LastError != stats.LastError.Error() {
		t.Errorf("%s, error %v", encoded, err)
	}
	encoded, _ = json.Marshal(p.source.Stats())
	if !strings.Contains(string(encoded), `"Fetches":1`) || !strings.Contains(string(encoded), `"LastError":null`) {
		t.Errorf("%s", encoded)
	}
}

// Servers quote persons and what was sent to them in a description.
func TestDescriptionOfAnErrorIsNotPrinted(t *testing.T) {
	synctest.Test(t, testDescriptionOfAnErrorIsNotPrinted)
}

func testDescriptionOfAnErrorIsNotPrinted(t *testing.T) {
	stats := newPrintParts(t).failed.Stats()
	refused, _ := errors.AsType[*tokens.Error](stats.LastError)
	if refused.Description != printDescription {
		t.Fatalf("%#v", refused)
	}
	formats := slices.DeleteFunc(printFormats(), func(format string) bool { return strings.HasSuffix(format, "w") })
	for _, v := range []any{
		refused, *refused, stats, &stats,
		[]tokens.Stats{stats},
		tokens.Event{Err: refused},
		&tokens.Event{Err: refused},
		&tokens.UnavailableError{Err: refused}, &session.StoreError{Err: refused},
		tokens.Event{Err: &tokens.UnavailableError{Err: refused}},
		map[string]any{"v": refused},
		struct{ Err error }{refused},
	} {
		printEach(v, formats, func(how, text string) {
			raw := how == "gob" || strings.HasSuffix(how, "p") || strings.HasSuffix(how, "w") // see Error.Description
			if strings.Contains(text, printDescription) && !raw {
				t.Errorf("a %T with %s shows it: %.300s", v, how, text)
			}
		})
	}
}

// Package fmt reads what it prints while others write.
func TestPrintingDoesNotRace(t *testing.T) { synctest.Test(t, testPrintingDoesNotRace) }

func testPrintingDoesNotRace(t *testing.T) {
	p := newPrintParts(t)
	samples, formats := p.samples(t), []string{"%v", "%+v", "%#v", "%s", "%p"}
	done := make(chan struct{})
	var users sync.WaitGroup
	use := func(do func(n int)) {
		users.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
					do(n)
				}
			}
		})
	}
	use(func(n int) { p.manager.Source(tokens.Key{Subject: fmt.Sprint(n % 10_000)}) })
	use(func(int) {
		p.source.Reset()
		_, _ = p.source.Token(t.Context())
	})
	use(func(n int) { _, _ = p.store.Save(t.Context(), fmt.Sprint(n%1000), []byte(printRefresh), 0) })
	use(func(int) { _ = p.session.Adopt(t.Context(), tokens.NewSecret(printRefresh)) })
	use(func(int) {
		_, _, _ = p.login.Finish(t.Context(), url.Values{"state": {mustQuery(p.login.URL()).Get("state")}})
	})
	use(func(int) { _, _ = p.unsaved.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: "bob"}}) })
	for range 5 {
		for _, s := range samples {
			for _, v := range append([]any{s.value}, s.held...) {
				printEach(v, formats, func(string, string) {})
			}
		}
	}
	close(done)
	users.Wait()
}

func mustQuery(text string) url.Values {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u.Query()
}

// An Observer prints, and so does a debugger's expression, whatever is locked then.
func TestPrintingWaitsForNoLock(t *testing.T) { synctest.Test(t, testPrintingWaitsForNoLock) }

func testPrintingWaitsForNoLock(t *testing.T) {
	p := newPrintParts(t)
	samples := p.samples(t)
	defer tokens.HoldLocks(p.manager, p.source)()
	for _, s := range samples {
		printEach(s.value, []string{"%v", "%#v", "%s"}, func(string, string) {})
	}
}

// Every exported type has a sample, and so has every exported function that returns an interface of
// the package: behind that there is a type that is not exported.
func TestEveryExportedTypeHasAPrintedSample(t *testing.T) {
	synctest.Test(t, testEveryExportedTypeHasAPrintedSample)
}

func testEveryExportedTypeHasAPrintedSample(t *testing.T) {
	has := map[string]bool{}
	for _, s := range newPrintParts(t).samples(t) {
		has[s.name] = true
	}
	for name := range printedNames(t) {
		if !has[name] {
			t.Errorf("%s has no sample that shows how it prints: add one to samples", name)
		}
		delete(has, name)
	}
	for name := range has {
		t.Errorf("%s has a sample, and is no exported type, nor a function that returns an interface", name)
	}
}

// printedNames are the exported types of packages tokens, oauth and session that are no interfaces,
// and the exported functions and methods that return one of their interfaces.
func printedNames(t *testing.T) map[string]bool {
	t.Helper()
	known, names := ownImporter{}, map[string]bool{}
	for _, dir := range []string{"tokens", "tokens/oauth", "tokens/session"} {
		pkg := known.check(t, dir)
		add := func(name string, f *types.Func) {
			for v := range f.Signature().Results().Variables() {
				if named, ok := v.Type().(*types.Named); ok && known[named.Obj().Pkg()] && types.IsInterface(named) && f.Exported() {
					names[pkg.Name()+"."+name] = true
				}
			}
		}
		for _, name := range pkg.Scope().Names() {
			switch o := pkg.Scope().Lookup(name).(type) {
			case *types.Func:
				add(name, o)
			case *types.TypeName:
				named, ok := o.Type().(*types.Named)
				if !ok || !o.Exported() {
					continue
				}
				if !types.IsInterface(named) {
					names[pkg.Name()+"."+name] = true
				}
				for m := range named.Methods() {
					add(name+"."+m.Name(), m)
				}
			}
		}
	}
	if len(names) < 30 {
		t.Fatalf("there are %d names, which cannot be all", len(names))
	}
	return names
}

// ownImporter has the packages that were checked. Others are not read: it is the types of these
// that count.
type ownImporter map[*types.Package]bool

func (known ownImporter) Import(path string) (*types.Package, error) {
	for pkg := range known {
		if pkg.Path() == path {
			return pkg, nil
		}
	}
	return nil, errors.New(path)
}

// check reads a package of this repository.
func (known ownImporter) check(t *testing.T, dir string) *types.Package {
	t.Helper()
	path := filepath.Join("..", dir)
	found, err := build.ImportDir(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	files, set := []*ast.File{}, token.NewFileSet()
	for _, name := range found.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(path, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	config := types.Config{Importer: known, Error: func(error) {}, IgnoreFuncBodies: true}
	pkg, _ := config.Check("github.com/bearer-go/bearer/"+dir, set, files, nil)
	known[pkg] = true
	return pkg
}
