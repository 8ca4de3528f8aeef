package main

import (
	"strings"
	"testing"
)

func TestOnBehalfOf(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	orders := func(request ...string) string {
		asked := "  orders asks the issuer:\n    " + strings.Join(request, "\n    ") + "\n"
		var story string
		for _, person := range []string{"alice", "bob"} { // each token is obtained once
			story += asked + strings.Repeat("  "+person+": POST /orders: 201 charged "+person+", called by orders\n", 2)
		}
		return story
	}
	want := "Token exchange (RFC 8693)\n" + orders(
		"grant_type=urn:ietf:params:oauth:grant-type:token-exchange",
		"requested_token_type=urn:ietf:params:oauth:token-type:access_token",
		"resource=http://billing",
		"scope=billing:write",
		"subject_token=...",
		"subject_token_type=urn:ietf:params:oauth:token-type:access_token",
	) + "Microsoft Entra ID's on-behalf-of flow\n" + orders(
		"assertion=...",
		"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer",
		"requested_token_use=on_behalf_of",
		"scope=api://billing/billing:write",
	)
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
