// Command sharedsession shows a login that two processes share, with a server that replaces the
// refresh token at each use and ends the session when one is used twice:
//
//	go run ./examples/sharedsession
//
// It starts a server for trying out, logs in, and starts itself twice more. The two call for tokens
// at the same time, restart in between, and each token that one of them obtains serves both. At the
// end it logs out, which revokes the tokens.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// What the processes share: the server, the directory of the store, and the file with the key that
// it is sealed with.
const (
	issuerVariable = "ISSUER"
	storeVariable  = "STORE"
	keyVariable    = "STORE_KEY_FILE"

	clientID = "desktop"
	callback = "http://127.0.0.1/callback"
)

func main() {
	os.Exit(start())
}

// start is the whole program; a worker is started with the variables above.
func start() int {
	do := run
	if os.Getenv(storeVariable) != "" {
		do = work
	}
	if err := do(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sharedsession:", err)
		return 1
	}
	return 0
}

// newSession is the part to copy from: whichever process calls it has the same session.
func newSession(issuer, dir string) (*session.Session, error) {
	client, err := oauth.NewClient(issuer, clientID, oauth.NoClientAuth())
	if err != nil {
		return nil, err
	}
	store, err := session.NewFileStore(dir, session.SealKeysFromFile(os.Getenv(keyVariable)))
	if err != nil {
		return nil, err
	}
	return session.New(client, store, "alice")
}

// work is what the two processes do: they need a token again and again, for longer than one is good
// for.
func work(ctx context.Context, out io.Writer) (err error) {
	alice, err := newSession(os.Getenv(issuerVariable), os.Getenv(storeVariable))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alice.Close()) }() // it saves what could not be saved before
	seen := make(map[string]bool)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		token, err := alice.Token(ctx)
		if err != nil {
			return err
		}
		seen[token.AccessToken()] = true
	}
	stats := alice.Source(tokens.Key{}).Stats()
	_, err = fmt.Fprintf(out, "    used %d tokens: obtained %d, found %d in the store\n", len(seen), stats.Fetches, stats.Reuses)
	return err
}

func run(ctx context.Context, out io.Writer) (err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL("http://"+listener.Addr().String())),
		oauthtest.WithPublicClient(clientID, callback), oauthtest.WithTokenLifetime(time.Second))
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until Close
	defer func() { _ = server.Close() }()

	dir, err := os.MkdirTemp("", "sharedsession")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	keyFile := filepath.Join(dir, "key")
	if err := makeKey(keyFile); err != nil {
		return err
	}
	if err := os.Setenv(keyVariable, keyFile); err != nil {
		return err
	}
	alice, err := newSession(issuer.URL(), dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alice.Close()) }() // it saves what could not be saved before
	if err := login(ctx, alice); err != nil {
		return err
	}
	fmt.Fprintf(out, "Logged in. Sessions at the server: %d\n", issuer.Sessions())

	for round := range 2 {
		fmt.Fprintf(out, "Two processes use the session, %s:\n", []string{"for the first time", "after a restart"}[round])
		if err := startWorkers(ctx, out, 2, issuerVariable+"="+issuer.URL(), storeVariable+"="+dir); err != nil {
			return err
		}
		fmt.Fprintf(out, "    Sessions at the server: %d\n", issuer.Sessions())
	}
	if err := alice.Logout(ctx); err != nil {
		return err
	}
	_, err = alice.Token(ctx)
	fmt.Fprintf(out, "Logged out. Sessions at the server: %d. A token now: %v\n", issuer.Sessions(), err)
	if !errors.Is(err, tokens.ErrLoginRequired) {
		return fmt.Errorf("after the logout: %w", cmp.Or(err, errors.New("there is a token")))
	}
	return nil
}

// makeKey makes a file with a key, as openssl rand -base64 32 does.
func makeKey(path string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)), 0o600)
}

// startWorkers runs this program so many times at once and waits for all.
func startWorkers(ctx context.Context, out io.Writer, n int, environment ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	workers, outputs := make([]*exec.Cmd, n), make([]strings.Builder, n)
	for i := range workers {
		workers[i] = exec.CommandContext(ctx, program)
		workers[i].Env = append(os.Environ(), environment...)
		workers[i].Stdout, workers[i].Stderr = &outputs[i], os.Stderr
		err = errors.Join(err, workers[i].Start())
	}
	for i := range workers {
		if workers[i].Process != nil {
			err = errors.Join(err, workers[i].Wait())
		}
		_, _ = io.WriteString(out, outputs[i].String())
	}
	return err
}

// login stands for the person and the browser: it goes where the server sends it, up to the
// program's own address.
func login(ctx context.Context, alice *session.Session) error {
	login, err := alice.Login(ctx, callback, session.WithScope("offline_access"))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, login.URL(), http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request) // which does not follow the redirect
	if err != nil {
		return err
	}
	defer response.Body.Close()
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		return err
	}
	_, err = alice.Finish(ctx, login, back.Query())
	return err
}
