// Command devicelogin logs a person in from a command line, with a browser that may be on another
// machine (RFC 8628), and stays logged in: the next start asks for nothing while the session lasts.
//
//	go run ./examples/devicelogin -issuer https://login.example.com -client my-cli
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func main() {
	issuer := flag.String("issuer", "", "the `URL` of the authorization server")
	id := flag.String("client", "", "the `id` of the public client that is registered there for the device grant")
	scope := flag.String("scope", "openid offline_access", "the scopes to ask for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	client, err := oauth.NewClient(*issuer, *id, oauth.NoClientAuth())
	config, errConfig := os.UserConfigDir()
	if err = errors.Join(err, errConfig); err == nil {
		err = run(ctx, os.Stdout, filepath.Join(config, "devicelogin"), client, strings.Fields(*scope)...)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "devicelogin:", err)
		os.Exit(1)
	}
}

// run says what access token there is, after a login if that is required.
func run(ctx context.Context, out io.Writer, dir string, client *oauth.Client, scopes ...string) (err error) {
	key, err := keyFile(dir)
	if err != nil {
		return err
	}
	store, err := session.NewFileStore(filepath.Join(dir, "sessions"), session.SealKeysFromFile(key))
	if err != nil {
		return err
	}
	me, err := session.New(client, store, "me", tokens.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, me.Close()) }() // it saves what could not be saved before
	token, err := me.Token(ctx)
	if errors.Is(err, tokens.ErrLoginRequired) {
		login, errLogin := me.DeviceLogin(ctx, session.WithScope(scopes...))
		if errLogin != nil {
			return errLogin
		}
		fmt.Fprintf(out, "Open %s and enter the code %s.\n", login.VerificationURI(), login.UserCode())
		identity, errLogin := me.FinishDevice(ctx, login) // it waits for the person
		if errLogin != nil {
			return errLogin
		}
		if identity != nil { // the scope has openid
			fmt.Fprintf(out, "Logged in as %q.\n", identity.Subject())
		}
		token, err = me.Token(ctx)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The token is for %q, until %s.\n", token.Scopes(), token.Expiry().Format("15:04:05"))
	return err
}

// keyFile returns the file with the key that seals the store. The first start makes it.
func keyFile(dir string) (string, error) {
	path := filepath.Join(dir, "key")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)                    // it never fails
	file, err := os.CreateTemp(dir, "key-*") // mode 0600, and no key until it is whole
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(file.Name(), path)
}
