package oauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// The other members of an answer are there, and the members that the library reads are not.
func TestExtrasOfAnAnswer(t *testing.T) {
	t.Parallel()
	got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, `{"access_token":"a","token_type":"Bearer","expires_in":1,"refresh_in":1,"scope":"s",`+
		`"refresh_token":"r","id_token":"i","issued_token_type":"u","error":"","error_description":"","error_uri":"",`+
		`"instance_url":"https://my.example","id":{"org":[1, null]},"none":null,"<&>":"\u003c"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"instance_url":"https://my.example","id":{"org":[1, null]},"\u003c\u0026\u003e":"\u003c"}`; got.Extras.Reveal() != want {
		t.Errorf("%s, want %s", got.Extras.Reveal(), want)
	}
	for name, want := range map[string]string{
		"instance_url": "https://my.example", "id": `{"org":[1, null]}`, "<&>": "<", "none": "", "refresh_token": "", "id_token": "", "scope": "",
	} {
		if extra := got.Extra(name); extra != want {
			t.Errorf("%q: %q, want %q", name, extra, want)
		}
	}
}

// One member has at most 4 KiB, all together have 16. What is over is left out.
func TestExtrasAreBounded(t *testing.T) {
	t.Parallel()
	extra := func(name string, size int) string { // of so many bytes
		return fmt.Sprintf(`"%s":"%s"`, name, strings.Repeat("a", size-len(name)-5))
	}
	names := func(members ...string) string {
		got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, tokenstest.Good[:len(tokenstest.Good)-1]+","+strings.Join(members, ",")+"}"))
		if err != nil {
			t.Fatal(err)
		}
		var there []string
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			if got.Extra(name) != "" {
				there = append(there, name)
			}
		}
		if len(got.Extras.Reveal()) > 16<<10 {
			t.Errorf("%d bytes", len(got.Extras.Reveal()))
		}
		return strings.Join(there, "")
	}
	const one = 4 << 10
	for want, members := range map[string][]string{
		"a":    {extra("a", one)},
		"b":    {extra("a", one+1), extra("b", one)},
		"":     {extra("a", one+1)},
		"abcd": {extra("a", one), extra("b", one), extra("c", one), extra("d", one-5)},
		"abc":  {extra("a", one), extra("b", one), extra("c", one), extra("d", one-4)},
		"abce": {extra("a", one), extra("b", one), extra("c", one), extra("d", one-4), extra("e", 10)},
	} {
		if got := names(members...); got != want {
			t.Errorf("%q are there, want %q", got, want)
		}
	}
	long := strings.Repeat("<", one/6+1) // each is six bytes as an escape
	got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, tokenstest.Good[:len(tokenstest.Good)-1]+`,"`+long+`":1}`))
	if err != nil || got.Extra(long) != "" {
		t.Errorf("a name that is long as it is kept: %v, %d bytes", err, len(got.Extras.Reveal()))
	}
}
