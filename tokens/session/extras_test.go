package session_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// The other members of an answer are in the record, so that another process has them too.
func TestExtrasAreKeptInTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.wire.answer(200, map[string]any{
			"access_token": "a", "token_type": "Bearer", "expires_in": 300, "refresh_token": "next", "instance_url": "https://my.example", "n": 7,
		})
		first := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
		again := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
		for _, g := range []*tokens.Response{first, again} {
			if g.Extra("instance_url") != "https://my.example" || g.Extra("n") != "7" || g.Extra("refresh_token") != "" {
				t.Errorf("reused %t: %q", g.Reused, g.Extras.Reveal())
			}
		}
		if !again.Reused || w.wire.asked() != 1 {
			t.Errorf("reused %t, %d requests", again.Reused, w.wire.asked())
		}
		if token := w.mustToken(t); token.Extra("instance_url") != "https://my.example" {
			t.Error("a Token has none")
		}
	})
}

// A login has them as well.
func TestExtrasOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		w.wire.answer(200, map[string]any{"access_token": "a", "refresh_token": "r", "instance_url": "https://my.example"})
		w.logIn(t)
		if token := w.mustToken(t); token.Extra("instance_url") != "https://my.example" || w.wire.asked() != 1 {
			t.Errorf("%q, %d requests", token.Extra("instance_url"), w.wire.asked())
		}
	})
}

// Extra members are the first to go when a record is full, those of the oldest token first. No
// access token goes for them.
func TestExtrasGiveWayInTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		keys := sessionKeys(6)
		for i, key := range keys { // together 90 KiB, of which 60 are access tokens
			w.wire.answer(200, map[string]any{
				"access_token": strings.Repeat("a", 10<<10), "token_type": "Bearer", "expires_in": 300,
				"refresh_token": fmt.Sprintf("next-%d", i), "x": strings.Repeat("b", 4<<10-10), "y": strings.Repeat("c", 1<<10),
			})
			mustFetch(t, f, tokens.Request{Key: key})
		}
		asked := w.wire.asked()
		var with []int
		for i, key := range keys {
			g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: key})
			if !g.Reused {
				t.Errorf("the token of key %d is not there", i)
			}
			if g.Extra("x") != "" {
				with = append(with, i)
			}
		}
		// 60 KiB of tokens and the keys leave room for none of them beside the refresh token.
		if len(with) > 0 || w.wire.asked() != asked || w.store.record(t)["refresh_token"] != "next-5" {
			t.Errorf("%v have them, %d requests", with, w.wire.asked()-asked)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		keys := sessionKeys(3)
		for i, key := range keys { // together 81 KiB, of which 45 are access tokens
			w.wire.answer(200, map[string]any{
				"access_token": strings.Repeat("a", 15<<10), "token_type": "Bearer", "expires_in": 300,
				"refresh_token": fmt.Sprintf("next-%d", i), "x": strings.Repeat("b", 4<<10-10), "y": strings.Repeat("c", 4<<10-10), "z": strings.Repeat("d", 4<<10-10),
			})
			mustFetch(t, f, tokens.Request{Key: key})
		}
		var with []int
		for i, key := range keys {
			g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: key})
			if !g.Reused {
				t.Errorf("the token of key %d is not there", i)
			}
			if g.Extra("x") != "" {
				with = append(with, i)
			}
		}
		if fmt.Sprint(with) != "[2]" {
			t.Errorf("%v have them, want the newest", with)
		}
	})
}
