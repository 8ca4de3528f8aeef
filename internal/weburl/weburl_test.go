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
	for _, url := range []string{"https://svc:hunter2@a.example/x", "https://hunter2@a.example", "https://svc:hunter2@%zz", "hunter2@\x00"} {
		if got := weburl.Redacted(url); strings.Contains(got, "hunter2") || !strings.Contains(got, "redacted") {
			t.Errorf("Redacted(%q) = %q", url, got)
		}
	}
	for _, url := range []string{"", "https://a.example/@x?y=@", "a b", "%zz"} {
		if got := weburl.Redacted(url); got != url {
			t.Errorf("Redacted(%q) = %q", url, got)
		}
	}
}
