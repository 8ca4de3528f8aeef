package main

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// person reads what the program prints, and does something with the code in it.
type person struct {
	strings.Builder
	does func(code string)
}

func (p *person) Write(text []byte) (int, error) {
	if code := regexp.MustCompile(`code (\S+)\.\n`).FindSubmatch(text); code != nil {
		p.does(string(code[1]))
	}
	return p.Builder.Write(text)
}

func TestDeviceLogin(t *testing.T) {
	dir := t.TempDir() + "/config"
	synctest.Test(t, func(t *testing.T) {
		issuer := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithPublicClient("cli"))
		client, err := oauth.NewClient(issuer.URL(), "cli", oauth.NoClientAuth(), oauth.WithHTTPClient(issuer.Client()))
		if err != nil {
			t.Fatal(err)
		}
		start := func(does func(code string)) (string, error) {
			out := &person{does: does}
			err := run(t.Context(), out, dir, client, "openid", "offline_access")
			return out.String(), err
		}
		if printed, err := start(issuer.DenyDevice); err == nil || !strings.Contains(err.Error(), "access_denied") {
			t.Errorf("a person who does not agree: %v\n%s", err, printed)
		}
		if printed, err := start(func(code string) { issuer.ApproveDevice(code, "alice") }); err != nil || !strings.Contains(printed, "Logged in as \"alice\".\nThe token") {
			t.Errorf("%v\n%s", err, printed)
		}
		printed, err := start(func(string) { t.Error("another login") })
		if err != nil || !strings.HasPrefix(printed, "The token") {
			t.Errorf("after a restart: %v\n%s", err, printed)
		}
	})
}
