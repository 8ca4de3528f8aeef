package interop_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// deviceClient is a program on a machine without a browser.
var deviceClient = clientMetadata{
	ID: "device", AuthMethod: "none",
	GrantTypes:    []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"},
	ResponseTypes: []string{}, RedirectURIs: []string{},
}

// personLimit is far more than a person needs who has not got all day.
const personLimit = time.Minute

// A person logs in with another device (RFC 8628): the program waits, the person opens the URL,
// compares the code and agrees, and the program has the person's tokens, and renews them.
func TestDeviceLogin(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{deviceClient}})
	way := &polls{first: make(chan struct{})}
	client, err := oauth.NewClient(issuer, deviceClient.ID, oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: way}))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := session.New(client, session.NewMemoryStore(), personName, tokens.WithLogger(testLog(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close() })
	login, err := alice.DeviceLogin(t.Context(), session.WithScope("openid", "offline_access", "orders:read"),
		session.WithResource(orders), session.WithParameter("prompt", "consent"))
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), personLimit)
	defer cancel()
	var person sync.WaitGroup
	person.Go(func() {
		<-way.first // the person has not finished, and the program goes on waiting
		approve(t, login)
	})
	identity, err := alice.FinishDevice(ctx, login)
	person.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if identity.Subject() != personName || identity.Issuer() != issuer {
		t.Errorf("subject %q, issuer %q", identity.Subject(), identity.Issuer())
	}
	report := reportOf(t, issuer)
	if report.Refused["authorization_pending"] == 0 {
		t.Errorf("the program did not wait for the person: %v", report.Refused)
	}
	if _, err := renewed(t, alice.Source(tokens.Key{Resource: orders})); err != nil {
		t.Errorf("the session does not go on: %v", err)
	}
	if got := reportOf(t, issuer).Refreshed; got != 1 {
		t.Errorf("%d tokens were renewed, want 1", got)
	}
}

// approve is what a person does in a browser.
func approve(t *testing.T, login *session.DeviceLogin) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Error(err)
		return
	}
	browser := &http.Client{Jar: jar}
	page := exchange(t, browser, http.MethodGet, login.VerificationURIComplete(), nil)
	page = submit(t, browser, page) // which a script does
	if !strings.Contains(page, login.UserCode()) {
		t.Errorf("the page does not show the code %s:\n%s", login.UserCode(), page)
	}
	if page = submit(t, browser, page); !strings.Contains(page, "Sign-in Success") {
		t.Errorf("the provider answered the person\n%s", page)
	}
}

var (
	formAction = regexp.MustCompile(`<form [^>]*action="([^"]*)"`)
	formInput  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"/>`)
)

// submit sends the one form of a page, and returns the next page.
func submit(t *testing.T, browser *http.Client, page string) (next string) {
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		t.Errorf("there is no form in\n%s", page)
		return ""
	}
	form := url.Values{}
	for _, input := range formInput.FindAllStringSubmatch(page, -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	return exchange(t, browser, http.MethodPost, html.UnescapeString(action[1]), strings.NewReader(form.Encode()))
}

// exchange sends a request, with a form if there is a body, and returns the page that comes.
func exchange(t *testing.T, browser *http.Client, method, address string, body io.Reader) string {
	request, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Error(err)
		return ""
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := browser.Do(request)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return string(page)
}

// polls is a transport that says when the token endpoint has answered for the first time.
type polls struct {
	first chan struct{}
	once  sync.Once
}

func (p *polls) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if strings.HasSuffix(request.URL.Path, "/token") {
		p.once.Do(func() { close(p.first) })
	}
	return response, err
}
