package oauthtest_test

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

func TestFederatedClientProvesItselfByItsPlatform(t *testing.T) {
	t.Parallel()
	type claims = bearertest.Claims
	const pod, cluster = "system:serviceaccount:shop:orders", "https://cluster.test"
	for _, test := range []struct {
		name   string
		claims func() claims
		change func(url.Values)
		want   string
	}{
		{name: "as it should be", want: "200"},
		{name: "aud as a list", claims: func() claims { return claims{"aud": []string{"https://other.test", "https://issuer.test"}} }, want: "200"},
		{name: "a year", claims: func() claims { return claims{"exp": time.Now().AddDate(1, 0, 0)} }, want: "200"},
		{name: "another subject", claims: func() claims { return claims{"sub": "system:serviceaccount:shop:billing"} }, want: "401 invalid_client"},
		{name: "another iss", claims: func() claims { return claims{"iss": "orders"} }, want: "401 invalid_client"},
		{name: "another aud", claims: func() claims { return claims{"aud": "https://api.test"} }, want: "401 invalid_client"},
		{name: "no exp", claims: func() claims { return claims{"exp": nil} }, want: "401 invalid_client"},
		{name: "exp now", claims: func() claims { return claims{"exp": time.Now()} }, want: "401 invalid_client"},
		{name: "nbf in a second", claims: func() claims { return claims{"nbf": time.Now().Add(time.Second)} }, want: "401 invalid_client"},
		{name: "no client_id", change: func(form url.Values) { form.Del("client_id") }, want: "401 invalid_client"},
		{name: "another client_id", change: func(form url.Values) { form.Set("client_id", "orders") }, want: "401 invalid_client"},
		{name: "no assertion", change: func(form url.Values) { form.Del("client_assertion"); form.Del("client_assertion_type") }, want: "401 invalid_client"},
		{name: "its own issuer's", change: func(form url.Values) {
			form.Set("client_assertion", bearertest.NewIssuer().Token(claims{"iss": cluster, "sub": pod, "aud": "https://issuer.test"}))
		}, want: "401 invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				platform := bearertest.NewIssuer(bearertest.WithURL(cluster), bearertest.WithAudience("https://issuer.test"))
				server := newServer(oauthtest.WithFederatedClient("federated", platform, pod))
				more := claims{}
				if test.claims != nil {
					more = test.claims()
				}
				form := with(assertionForm(platform.Token(claims{"sub": pod}, more)), "client_id", "federated")
				if test.change != nil {
					test.change(form)
				}
				for range 2 { // an assertion is good for many requests
					if got := post(t, server, "/token", form); got.outcome() != test.want {
						t.Errorf("it answers %s, want %s", got.outcome(), test.want)
					}
				}
			})
		})
	}
}

func TestFederatedClientNeedsAPlatform(t *testing.T) {
	t.Parallel()
	for name, register := range map[string]func(){
		"no issuer":  func() { oauthtest.WithFederatedClient("orders", nil, "pod") },
		"no subject": func() { oauthtest.WithFederatedClient("orders", bearertest.NewIssuer(), "") },
		"no id":      func() { oauthtest.WithFederatedClient("", bearertest.NewIssuer(), "pod") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			register()
		})
	}
}
