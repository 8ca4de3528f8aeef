package weburl_test

import (
	"testing"

	"github.com/bearer-go/bearer/internal/weburl"
)

func TestOrigin(t *testing.T) {
	for _, tt := range []struct{ scheme, hostport, want string }{
		{"https", "A.example", "https://a.example:443"},
		{"http", "a.example", "http://a.example:80"},
		{"https", "a.example:8443", "https://a.example:8443"},
		{"https", "a.example:", "https://a.example:443"},
		{"https", "[::1]", "https://[::1]:443"},
		{"https", "[2001:DB8::1]:1", "https://[2001:db8::1]:1"},
		{"ftp", "a.example", "ftp://a.example:"},
	} {
		if got := weburl.OriginOf(tt.scheme, tt.hostport).String(); got != tt.want {
			t.Errorf("OriginOf(%q, %q) = %q, want %q", tt.scheme, tt.hostport, got, tt.want)
		}
	}
	if weburl.OriginOf("https", "a.example") != weburl.OriginOf("https", "A.EXAMPLE:443") {
		t.Error("two spellings of an origin differ")
	}
	for _, other := range []weburl.Origin{
		weburl.OriginOf("http", "a.example"), weburl.OriginOf("https", "a.example:80"), weburl.OriginOf("https", "b.example"), {},
	} {
		if weburl.OriginOf("https", "a.example") == other {
			t.Errorf("%s is taken for another origin", other)
		}
	}
}
