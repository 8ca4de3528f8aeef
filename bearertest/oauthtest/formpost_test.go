package oauthtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

// The page has a form that brings the answer back, and nothing of the request can break out of it.
func TestFormPost(t *testing.T) {
	issuer := newServer()
	page := func(pairs ...string) string {
		got, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), http.MethodGet,
			issuer.URL()+"/authorize?"+loginForm(append([]string{"response_mode", "form_post"}, pairs...)...).Encode(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != http.StatusOK || got.Header.Get("Location") != "" || got.Header.Get("Cache-Control") != "no-store" ||
			!strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
			t.Errorf("status %d, header %v", got.StatusCode, got.Header)
		}
		return string(got.Content)
	}
	text := page("state", `"><b>`)
	for _, part := range []string{
		`<form method="post" action="https://app.test/callback">`, `name="code" value="`, `name="iss" value="` + issuer.URL() + `"`,
		`name="state" value="&#34;&gt;&lt;b&gt;"`, "submit()",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page has no %s: %s", part, text)
		}
	}
	if text := page("scope", "\x01"); !strings.Contains(text, `name="error" value="`) || strings.Contains(text, `name="code"`) {
		t.Errorf("a refusal is %s", text)
	}
}

func TestResponseModes(t *testing.T) {
	issuer := newServer()
	for mode, code := range map[string]bool{"": true, "query": true, "fragment": false, "form_post.jwt": false} {
		_, _, back := visit(t, issuer, loginForm("response_mode", mode).Encode())
		if back.Has("code") != code || (back.Get("error") == "invalid_request") == code {
			t.Errorf("%q: %v", mode, back)
		}
	}
}
