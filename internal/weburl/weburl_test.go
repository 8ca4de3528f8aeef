package weburl_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/weburl"
)

func TestCheck(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://a.example": true, "https://a.example:8443/x?y": true, "http://localhost/x": true, "http://LOCALHOST:1": true,
		"http://127.0.0.1:8080": true, "http://127.9.9.9": true, "http://[::1]/": true,
		"": false, "a.example": false, "/x": false, "https://": false, "https://:443": false, "ftp://a.example": false, "https:a.example": false,
		"http://a.example": false, "http://localhost.example": false, "http://127.0.0.1.example": false, "http://10.0.0.1": false,
		"https://u@a.example": false, "https://u:p@a.example": false, "https://a.example/#": false, "https://a.example/#f": false, "https://%zz": false,
	} {
		if err := weburl.Check(url, false); (err == nil) != ok {
			t.Errorf("Check(%q) = %v", url, err)
		}
	}
	if err := weburl.Check("http://a.example", true); err != nil {
		t.Error(err)
	}
}

func TestRedacted(t *testing.T) {
	for _, url := range []string{
		"https://svc:hunter2@a.example/x", "https://hunter2@a.example", "https://svc:hunter2@%zz", "hunter2@\x00", "svc:hunter2@a.example/x",
		"https:/svc:hunter2@a.example", "https//svc:hunter2@a.example",
	} {
		if got := weburl.Redacted(url); strings.Contains(got, "hunter2") || !strings.Contains(got, "redacted") {
			t.Errorf("Redacted(%q) = %q", url, got)
		}
	}
	for _, url := range []string{"", "https://a.example/@x?y=@", "urn:a:b", "com.example.app:/x?y=@", "a b", "%zz"} {
		if got := weburl.Redacted(url); got != url {
			t.Errorf("Redacted(%q) = %q", url, got)
		}
	}
}

func TestCheckIssuer(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://a.example": true, "https://a.example/tenant/": true, "http://127.0.0.1": true,
		"": false, "https://a.example?": false, "https://a.example?x": false, "https://a.example#x": false, "a.example": false, "http://a.example": false,
	} {
		if err := weburl.CheckIssuer(issuer, false); (err == nil) != ok {
			t.Errorf("CheckIssuer(%q) = %v", issuer, err)
		}
	}
}

// An issuer behind TLS leads nowhere without it, however the scheme is written.
func TestCheckOf(t *testing.T) {
	for _, tt := range []struct {
		issuer, url  string
		insecureHTTP bool
		ok           bool
	}{
		{"https://a.example", "https://b.example/x", false, true},
		{"https://a.example", "http://127.0.0.1/x", false, false},
		{"https://a.example", "HTTP://127.0.0.1/x", false, false},
		{"HTTPS://a.example", "http://127.0.0.1/x", false, false},
		{"https://a.example", "http://127.0.0.1/x", true, true},
		{"https://a.example", "http://b.example/x", true, true},
		{"http://127.0.0.1", "http://127.0.0.1/x", false, true},
		{"HTTP://127.0.0.1", "http://127.0.0.1/x", false, true},
		{"http://127.0.0.1", "http://b.example/x", false, false},
		{"https://a.example", "ftp://b.example/x", false, false},
	} {
		if err := weburl.CheckOf(tt.issuer, tt.url, tt.insecureHTTP); (err == nil) != tt.ok {
			t.Errorf("CheckOf(%q, %q, %v) = %v", tt.issuer, tt.url, tt.insecureHTTP, err)
		}
	}
}

func TestWellKnown(t *testing.T) {
	for issuer, want := range map[string][2]string{
		"https://a.example":          {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example/":         {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example:1/b/c%2F": {"https://a.example:1/b/c%2F/.well-known/openid-configuration", "https://a.example:1/.well-known/oauth-authorization-server/b/c%2F"},
	} {
		if openID, oauth := weburl.WellKnown(issuer); openID != want[0] || oauth != want[1] {
			t.Errorf("WellKnown(%q) = %q, %q", issuer, openID, oauth)
		}
	}
}

func TestSameIssuer(t *testing.T) {
	for _, tt := range []struct{ document, want string }{
		{"https://a.example", ""},
		{"https://a.example/", "differs"},
		{"https://A.example", "not for"},
		{"", "not for"},
	} {
		err := weburl.SameIssuer(tt.document, "https://a.example")
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("SameIssuer(%q): %v, want %q", tt.document, err, tt.want)
		}
	}
}
