package oauthwire_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/oauthwire"
)

func TestSalvageJSON(t *testing.T) {
	longest := strings.Repeat("a", accesstoken.MaxSize)
	for body, want := range map[string]string{
		`{"refresh_token":"new"}`:                                   "new",
		"\ufeff" + `{"refresh_token":"new"}`:                        "new",
		` { "refresh_token" : "new" } `:                             "new",
		`{"refresh\u005ftoken":"n\u0065w"}`:                         "new",
		"{\"name\":\"Ren\xe9\",\"refresh_token\":\"new\"}":          "new",
		`{"name":"\ud800","refresh_token":"new"}`:                   "new",
		`{"scope":"a","scope":"b","refresh_token":"new"}`:           "new",
		`{"refresh_token":"first","refresh_token":"last"}`:          "last",
		`{"refresh_token":"first","refresh_token":null}`:            "first",
		`{"refresh_token":"first","refresh_token":"\n"}`:            "first",
		`{"refresh_token":"new","error":null}`:                      "new",
		`{"refresh_token":"new","error":""}`:                        "new",
		`{"refresh_token":"new","error":false}`:                     "new",
		`{"refresh_token":"` + longest + `"}`:                       longest,
		`{"refresh_token":"` + longest + `a"}`:                      "",
		`{"refresh_token":"new","error":"server_error"}`:            "",
		`{"error":"server_error","error":"","refresh_token":"new"}`: "",
		`{"refresh_token":"new","error":{"code":7}}`:                "",
		`{"refresh_token":""}`:                                      "",
		`{"refresh_token":null}`:                                    "",
		`{"refresh_token":["new"]}`:                                 "",
		`{"refresh_token":{"refresh_token":"new"}}`:                 "",
		`{"request":{"refresh_token":"new"}}`:                       "",
		`{"Refresh_Token":"new"}`:                                   "",
		"{\"refresh_token\":\"n\xe9w\"}":                            "",
		`{"refresh_token":"n\u00e9w"}`:                              "",
		`{"refresh_token":"\ud800"}`:                                "",
		`{"refresh_token":"a\r\nb"}`:                                "",
		`{"refresh_token":"new"`:                                    "",
		`{"refresh_token":"new",`:                                   "",
		`{"refresh_token":"new"}{}`:                                 "",
		`{"refresh_token":"new"}<html>`:                             "",
		`["refresh_token","new"]`:                                   "",
		`"refresh_token"`:                                           "",
		`{}`:                                                        "",
		``:                                                          "",
	} {
		if got := oauthwire.SalvageJSON(body); got != want {
			t.Errorf("%.60q: %.60q, want %.60q", body, got, want)
		}
	}
}

func TestSalvageForm(t *testing.T) {
	for body, want := range map[string]string{
		"refresh_token=new":                              "new",
		"access_token=a&refresh_token=n%65w":             "new",
		"refresh_token=new&error=":                       "new",
		"refresh_token=new&error=server_error":           "",
		"refresh_token=new&error=&error=server_error":    "",
		"refresh_token=first&refresh_token=last":         "",
		"refresh_token=&refresh_token=last":              "",
		"refresh_token=a%0Ab":                            "",
		"refresh_token=":                                 "",
		"access_token=a":                                 "",
		"refresh_token=new;x":                            "",
		"refresh_token=new&x=%":                          "",
		"refresh_token=" + strings.Repeat("a", 64<<10+1): "",
	} {
		if got := oauthwire.SalvageForm(body); got != want {
			t.Errorf("%.60q: %.60q, want %q", body, got, want)
		}
	}
}

// FuzzSalvageJSON: what is returned is a complete string at the top level of a complete object, and
// what the strict reader reads where that accepts the object.
func FuzzSalvageJSON(f *testing.F) {
	for _, body := range []string{
		`{"refresh_token":"new"}`, `{"refresh_token":"a","refresh_token":"b"}`, "{\"a\":\"\xe9\",\"refresh_token\":\"new\"}",
		`{"error":"x","refresh_token":"new"}`, `{"error":"","refresh_token":"new"}`, `{"a":{"refresh_token":"new"}}`,
		`{"refresh\u005ftoken":"\u006eew"}`, "\ufeff{}", `{"refresh_token":null}`, `{"refresh_token":"`, `[]`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 1<<10 {
			return // every beginning of it is read
		}
		got := oauthwire.SalvageJSON(body)
		if want, ok := oauthwire.StrictRefreshToken(body); ok && got != want {
			t.Errorf("%q: %q, and the strict reader %q", body, got, want)
		}
		if got == "" {
			return
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || len(got) > accesstoken.MaxSize {
			t.Errorf("%q: %q cannot be sent", body, got)
		}
		whole := strings.TrimRight(body, " \t\r\n")
		for end := range len(whole) {
			if cut := oauthwire.SalvageJSON(whole[:end]); cut != "" {
				t.Errorf("%q: %q is read out of %q", body, cut, whole[:end])
			}
		}
		object := strings.TrimPrefix(whole, "\ufeff")
		for _, around := range []string{"[" + object + "]", `{"a":` + object + "}", object + object, object + "x"} {
			if inner := oauthwire.SalvageJSON(around); inner != "" {
				t.Errorf("%q: %q is read out of %q", body, inner, around)
			}
		}
		if said := oauthwire.SalvageJSON(`{"error":"x",` + strings.TrimLeft(object, " \t\r\n")[1:]); said != "" {
			t.Errorf("%q: %q is read in spite of an error", body, said)
		}
	})
}
