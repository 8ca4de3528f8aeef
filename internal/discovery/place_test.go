package discovery_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/discovery"
)

// A place of its own is the only one that is asked, and the document there must name the issuer all
// the same.
func TestFetchAsksAtTheGivenPlaceAlone(t *testing.T) {
	const place = "https://meta.example/document"
	for name, tt := range map[string]struct {
		documents map[string]string
		status    int
		want      string
	}{
		"good":           {map[string]string{place: `{"issuer":"https://a.example/b"}`}, 0, ""},
		"another issuer": {map[string]string{place: `{"issuer":"https://meta.example"}`}, 0, `it names "https://meta.example"; try this`},
		"404":            {map[string]string{openIDURL: `{"issuer":"https://a.example/b"}`, oauthURL: `{"issuer":"https://a.example/b"}`}, 404, "no answer; try this"},
	} {
		s := &site{documents: tt.documents, statuses: map[string]int{place: tt.status}}
		_, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer, URL: place, Help: "try this"}, s.get)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if len(s.asked) != 1 || s.asked[0] != place {
			t.Errorf("%s: asked at %q", name, s.asked)
		}
	}
}

// The issuer may be a template, which the document then has as its issuer.
func TestFetchComparesATemplateAsText(t *testing.T) {
	const template, place = "https://a.example/{tenantid}/v2.0", "https://a.example/common/document"
	for found, good := range map[string]bool{template: true, "https://a.example/1/v2.0": false, "https://a.example/{tenant}/v2.0": false} {
		s := &site{documents: map[string]string{place: `{"issuer":"` + found + `"}`}}
		if _, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: template, URL: place}, s.get); (err == nil) != good {
			t.Errorf("%s: %v", found, err)
		}
	}
}

func TestErrorsNameBothPlacesAndWhatHelps(t *testing.T) {
	s := &site{statuses: map[string]int{openIDURL: 403, oauthURL: 404}}
	_, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer, Help: "try this"}, s.get)
	if want := "no answer; before that, GET " + openIDURL + ": status 403; try this"; err == nil || err.Error() != want || !errors.Is(err, errGet) {
		t.Errorf("%v, want %q", err, want)
	}
	s = &site{statuses: map[string]int{openIDURL: 403}, documents: map[string]string{oauthURL: `{"issuer":"https://b.example"}`}}
	_, err = discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer, Help: "try this"}, s.get)
	for _, want := range []string{oauthURL, "https://b.example", "try this", "before that, GET " + openIDURL + ": status 403"} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s = &site{statuses: map[string]int{openIDURL: 503}}
	if _, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer, Help: "try this"}, s.get); err == nil || err.Error() != "no answer" {
		t.Errorf("%v", err)
	}
}

// The issuer of the document is the other side's text: printable, and no more than 64 bytes of it.
func TestFoundIssuerIsShownPrintableAndShort(t *testing.T) {
	for found, want := range map[string]string{
		`"https://evil.example"`:                         `it names "https://evil.example"`,
		`"` + strings.Repeat("x", 64) + `"`:              `it names "` + strings.Repeat("x", 64) + `"`,
		`"` + strings.Repeat("x", 65) + `"`:              `it names one that begins with "` + strings.Repeat("x", 64) + `"`,
		`"` + strings.Repeat(`\u001b[2J\n\"`, 100) + `"`: `it names one that begins with "?[2J`,
		`"https://\u202eexample"`:                        `it names "https://?example"`,
		`""`:                                             `it names none`, `null`: `it names none`, `["` + issuer + `"]`: `it names none`,
	} {
		s := &site{documents: map[string]string{openIDURL: `{"issuer":` + found + `}`}}
		_, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer}, s.get)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\x1b\n\u202e") || len(err.Error()) > 300 {
			t.Errorf("%.40s: %q, want %q", found, err, want)
		}
	}
}

func TestByteOrderMarkBeforeTheDocumentIsSkipped(t *testing.T) {
	s := &site{documents: map[string]string{openIDURL: "\ufeff" + `{"issuer":"https://a.example/b"}`}}
	if _, err := discovery.Fetch(t.Context(), discovery.Place{Issuer: issuer}, s.get); err != nil {
		t.Error(err)
	}
}
