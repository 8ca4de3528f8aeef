package oauth_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const formType = "application/x-www-form-urlencoded"

// whole answers with a body whose length is known.
func whole(status int, contentType, body string, header ...string) tokenstest.Handler {
	return func(r *http.Request, form url.Values) (*http.Response, error) {
		response, err := tokenstest.Gives(status, contentType, body, header...)(r, form)
		response.ContentLength = int64(len(body))
		return response, err
	}
}

// fetchWith asks a server whose token endpoint answers so.
func fetchWith(t *testing.T, handler tokenstest.Handler, opts ...oauth.ClientOption) (*tokens.Response, error) {
	t.Helper()
	server := tokenstest.NewServer()
	server.On("/token", handler)
	return fetchFrom(t, server, opts...)
}

// JSON is read under whatever content type, if it is one complete object.
func TestJSONIsReadUnderAnyType(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{
		"text/html", "text/plain; charset=utf-8", "text/javascript", "image/svg+json", "application/json; charset", " ", "nonsense;;", formType,
	} {
		if got, err := fetchWith(t, tokenstest.Gives(http.StatusOK, contentType, tokenstest.Good)); err != nil || got.ExpiresIn != time.Hour {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

// Any success that has a body is one; see TestErrorAnswers for the others.
func TestAnySuccessWithATokenIsOne(t *testing.T) {
	t.Parallel()
	for status := 200; status < 300; status++ {
		_, err := fetchWith(t, tokenstest.JSON(status, tokenstest.Good))
		if want := status != 204 && status != 205 && status != 206; (err == nil) != want {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// An error that is not empty makes a refusal of every answer, and its code is shown.
func TestErrorBesideATokenIsARefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 299} {
		for value, code := range map[string]string{
			`"invalid_scope"`: "invalid_scope", `"own_code"`: "own_code", `{"code":7}`: "", `"no code"`: "", `true`: "", `0`: "", `[]`: "",
		} {
			_, err := fetchWith(t, tokenstest.JSON(status, `{"error":`+value+`,`+tokenstest.Good[1:]))
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != status || e.Code != code {
				t.Errorf("%d, %s: %v", status, value, err)
			}
		}
	}
}

// A form is read under its own type, if all of it came.
func TestFormIsRead(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{formType, "Application/X-WWW-Form-Urlencoded; charset=utf-8"} {
		got, err := fetchWith(t, whole(http.StatusOK, contentType,
			"access_token=gho_16C7e42F292c6912E7710c838347Ae178B4a&scope=repo%2Cgist&token_type=bearer&expires_in=28800&refresh_token=ghr_1&"+
				"instance_url=https%3A%2F%2Fmy.example&error=&note=%22+%3C%26"))
		if err != nil {
			t.Fatal(err)
		}
		if got.AccessToken.Reveal() != "gho_16C7e42F292c6912E7710c838347Ae178B4a" || got.Scope != "repo,gist" || got.TokenType != "Bearer" ||
			got.ExpiresIn != 8*time.Hour || got.RefreshToken.Reveal() != "ghr_1" || got.Extra("instance_url") != "https://my.example" ||
			got.Extra("note") != `" <&` {
			t.Errorf("%q, scope %q, life %s, extras %s", got.AccessToken.Reveal(), got.Scope, got.ExpiresIn, got.Extras.Reveal())
		}
	}
}

func TestFormsThatAreRefused(t *testing.T) {
	t.Parallel()
	const good = "access_token=a&token_type=bearer"
	for body, want := range map[string]string{
		good + "&access_token=b":      "occurs twice",
		good + "&expires_in=1":        "",
		good + "&x=1&x=2":             "occurs twice",
		good + "&error=&error=x":      "occurs twice",
		good + "&x=%":                 "not the form",
		good + "&x=%ff":               "not the form",
		good + "&%ff=x":               "not the form",
		good + ";x=1":                 "not the form",
		"token_type=bearer":           "no access_token",
		"access_token=a%0d%0ab":       "no access_token",
		"access_token=a&scope=%22":    "scope has a character",
		"access_token=a&token_type=x": "a type that is not Bearer",
		"<!doctype html>":             "no access_token",
		"":                            "no access_token",
	} {
		got, err := fetchWith(t, whole(http.StatusOK, formType, body))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", body, got, err, want)
		}
	}
	_, err := fetchWith(t, tokenstest.Gives(http.StatusOK, formType, good))
	if err == nil || !strings.Contains(err.Error(), "whether all of it came is not known") {
		t.Errorf("without a length: %v", err)
	}
}

// GitHub says what is wrong in a form, with the status 200.
func TestErrorInAForm(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400} {
		_, err := fetchWith(t, whole(status, formType, "error=incorrect_client_credentials&error_description=The+client_id+is+incorrect."))
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Code != "incorrect_client_credentials" || e.Description != "The client_id is incorrect." || e.Status != status {
			t.Errorf("%d: %+v", status, err)
		}
	}
}

// A token without a type is a bearer token. Others need an option, and are sent as Bearer as well.
func TestTokenTypes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string][3]bool{ // by default, with "bot" and "MAC", with "N_A"
		"":           {true, true, true},
		`null`:       {true, true, true},
		`""`:         {true, true, true},
		`"Bearer"`:   {true, true, true},
		`"bEARER"`:   {true, true, true},
		`"bot"`:      {false, true, false},
		`"BOT"`:      {false, true, false},
		`"mac"`:      {false, true, false},
		`"N_A"`:      {false, false, true},
		`"n_a"`:      {false, false, true},
		`"DPoP"`:     {},
		`"dpop"`:     {},
		`"Bearer "`:  {},
		`"bo\u0165"`: {},
		`7`:          {},
	} {
		for i, opts := range [][]oauth.ClientOption{nil, {oauth.WithTokenTypes("bot", "MAC")}, {oauth.WithTokenTypes("N_A")}} {
			got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("token_type", kind)), opts...)
			if (err == nil) != want[i] || err == nil && got.TokenType != "Bearer" {
				t.Errorf("%s, options %d: %v", kind, i, err)
			}
		}
	}
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusOK, endpointWith("token_type", `"bot"`)))
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenTypes("bot"))
	token := tokenstest.MustToken(t, tokenstest.NewManager(t, c.ClientCredentials()).Source(tokens.Key{}))
	if got := token.Authorization(); got != "Bearer 2YotnFZFEjr1zCsicMWpAA" {
		t.Error(got)
	}
}

// What becomes of a list after the options were made changes nothing: a token that is bound to a key
// stays refused.
func TestAnswerOptionsKeepTheirLists(t *testing.T) {
	t.Parallel()
	types, codes := []string{"bot"}, []string{"session_gone"}
	opts := []oauth.ClientOption{oauth.WithTokenTypes(types...), oauth.WithLoginRequiredCodes(codes...)}
	types[0], codes[0] = "DPoP", "invalid_client"
	if _, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("token_type", `"bot"`)), opts...); err != nil {
		t.Error(err)
	}
	if _, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("token_type", `"DPoP"`)), opts...); err == nil {
		t.Error("a token that is bound to a key is used")
	}
}

// A letter that only Unicode folds to another is not that one.
func TestTokenTypesAreComparedInASCII(t *testing.T) {
	t.Parallel()
	_, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("token_type", `"\u212aey"`)), oauth.WithTokenTypes("key"))
	if err == nil {
		t.Error("the Kelvin sign is a k")
	}
}

func TestScopeInAList(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`["read","write"]`: "read write", `["read"]`: "read", `[]`: "", `["a b","c"]`: "a b c", `[ "\u0061" ]`: "a", `"a,b"`: "a,b", `["a,b"]`: "a,b",
		`["` + strings.Repeat("a", 16<<10) + `"]`: strings.Repeat("a", 16<<10),
	} {
		if got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("scope", value))); err != nil || got.Scope != want {
			t.Errorf("%.40s: %v", value, err)
		}
	}
}

// A life that is no life means the configured one.
func TestDefaultLifetime(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "null", "0", "-0", "-1", "-3600", `""`, `"one hour"`, `"NaN"`, `"Inf"`, `"0x10"`, `"-3600"`, `"."`, `"1.2.3"`, "true", "[3600]", "{}",
		"1e-10", "1e999", "1e-999", "3153600001", fmt.Sprint(uint64(math.MaxUint64)), `"0"`,
	} {
		for want, opts := range map[time.Duration][]oauth.ClientOption{
			5 * time.Minute: nil, time.Hour: {oauth.WithDefaultLifetime(time.Hour)},
			876000 * time.Hour: {oauth.WithDefaultLifetime(876000 * time.Hour)},
		} {
			got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("expires_in", value)), opts...)
			if err != nil || got.ExpiresIn != want {
				t.Errorf("%s: %v, want %s", value, err, want)
			}
		}
	}
	for value, want := range map[string]time.Duration{
		"1": time.Second, "3153600000": 876000 * time.Hour, `"1.5"`: 1500 * time.Millisecond, `"3600"`: time.Hour, "0.5": time.Second / 2,
	} {
		got, err := fetchWith(t, tokenstest.JSON(http.StatusOK, endpointWith("expires_in", value)), oauth.WithDefaultLifetime(time.Minute))
		if err != nil || got.ExpiresIn != want {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
}

func TestAnswerOptionsAreJudged(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string][]oauth.ClientOption{
		"WithTokenTypes: there is no type":                                   {oauth.WithTokenTypes()},
		`WithTokenTypes(""): the type is empty`:                              {oauth.WithTokenTypes("bot", "")},
		`WithTokenTypes("a b"): the type is empty or has`:                    {oauth.WithTokenTypes("a b")},
		`WithTokenTypes("DPoP"): such a token is bound`:                      {oauth.WithTokenTypes("bot", "DPoP")},
		`WithTokenTypes("dpop"): such a token is bound`:                      {oauth.WithTokenTypes("dpop")},
		`WithTokenTypes("PoP"): such a token is bound`:                       {oauth.WithTokenTypes("PoP")},
		`WithTokenTypes("mac"): set more than once`:                          {oauth.WithTokenTypes("bot"), oauth.WithTokenTypes("mac")},
		"WithDefaultLifetime(0s): give a time":                               {oauth.WithDefaultLifetime(0)},
		"WithDefaultLifetime(-1s): give a time":                              {oauth.WithDefaultLifetime(-time.Second)},
		"WithDefaultLifetime(876000h0m0.000000001s): give a time":            {oauth.WithDefaultLifetime(876000*time.Hour + 1)},
		"WithDefaultLifetime(2m0s): set more than once":                      {oauth.WithDefaultLifetime(1), oauth.WithDefaultLifetime(2 * time.Minute)},
		"WithLoginRequiredCodes: there is no code":                           {oauth.WithLoginRequiredCodes()},
		`WithLoginRequiredCodes(""): it is no error code`:                    {oauth.WithLoginRequiredCodes("")},
		`WithLoginRequiredCodes("a b"): it is no error code`:                 {oauth.WithLoginRequiredCodes("a b")},
		strings.Repeat("x", 65) + `"): it is no error code`:                  {oauth.WithLoginRequiredCodes(strings.Repeat("x", 65))},
		`WithLoginRequiredCodes("invalid_client"): it is not about`:          {oauth.WithLoginRequiredCodes("x", "invalid_client")},
		`WithLoginRequiredCodes("server_error"): it is not about`:            {oauth.WithLoginRequiredCodes("server_error")},
		`WithLoginRequiredCodes("temporarily_unavailable"): it is not about`: {oauth.WithLoginRequiredCodes("temporarily_unavailable")},
		`WithLoginRequiredCodes("y"): set more than once`:                    {oauth.WithLoginRequiredCodes("x"), oauth.WithLoginRequiredCodes("y")},
		"": {
			oauth.WithTokenTypes("bot", "urn:example:type"), oauth.WithDefaultLifetime(time.Nanosecond),
			oauth.WithLoginRequiredCodes(strings.Repeat("x", 64), "unauthorized_client"),
		},
	} {
		_, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), opts...)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
