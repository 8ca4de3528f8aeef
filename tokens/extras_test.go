package tokens_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

func TestExtra(t *testing.T) {
	t.Parallel()
	const extras = `{"instance_url":"https://my.example/\u0061","n":7,"list":[1, 2],"object":{"a":"b"},"yes":true,"none":null,` +
		`"empty":"","refresh_token":"r","id_token":"i","Refresh_Token":"x"}`
	response := &tokens.Response{AccessToken: tokens.NewSecret("a"), Extras: tokens.NewSecret(extras)}
	fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) { return response, nil })
	token := tokenstest.MustToken(t, tokenstest.NewManager(t, fetcher).Source(tokens.Key{}))
	for name, want := range map[string]string{
		"instance_url": "https://my.example/a", "n": "7", "list": "[1, 2]", "object": `{"a":"b"}`, "yes": "true", "Refresh_Token": "x",
		"none": "", "empty": "", "absent": "", "": "",
		"access_token": "", "refresh_token": "", "id_token": "", // which have places of their own
	} {
		if got := response.Extra(name); got != want {
			t.Errorf("Response.Extra(%q) = %q, want %q", name, got, want)
		}
		if got := token.Extra(name); got != want {
			t.Errorf("Token.Extra(%q) = %q, want %q", name, got, want)
		}
	}
	if got := new(tokens.Response).Extra("n") + new(tokens.Token).Extra("n"); got != "" {
		t.Errorf("%q of nothing", got)
	}
	for _, v := range []any{response, *response, token, *token, response.Extras} {
		if text := fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v); strings.Contains(text, "my.example") {
			t.Errorf("a %T prints it: %s", v, text)
		}
	}
}

// What a Fetcher says of the other members is an object of at most 16 KiB; see
// TestResponsesThatAreRefused for more.
func TestExtrasHaveABound(t *testing.T) {
	t.Parallel()
	extras := `{"x":"` + strings.Repeat("a", 16<<10-8) + `"}`
	fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		return &tokens.Response{AccessToken: tokens.NewSecret("a"), Extras: tokens.NewSecret(extras)}, nil
	})
	token := tokenstest.MustToken(t, tokenstest.NewManager(t, fetcher).Source(tokens.Key{}))
	if len(extras) != 16<<10 || len(token.Extra("x")) != 16<<10-8 {
		t.Errorf("%d bytes", len(token.Extra("x")))
	}
}

// A Response without a type is one of a bearer token.
func TestResponseWithoutATypeIsBearer(t *testing.T) {
	t.Parallel()
	fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		return &tokens.Response{AccessToken: tokens.NewSecret("a")}, nil
	})
	token := tokenstest.MustToken(t, tokenstest.NewManager(t, fetcher).Source(tokens.Key{}))
	if got := token.Authorization(); got != "Bearer a" {
		t.Error(got)
	}
}
