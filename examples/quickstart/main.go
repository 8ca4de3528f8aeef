// Command quickstart shows what bearer does, in net/http, Gin and Echo, within a minute:
//
//	go run ./examples/quickstart
//
// It starts an issuer for trying out and one server that trusts it. It makes a good, an expired, a
// forged and an under-scoped request, says why each got its answer and which file to open next, and
// then serves until Ctrl-C for requests of your own. With -check it only makes the requests, and
// its exit code says whether the answers were right. With -issuer and -audience it protects the
// same routes with an issuer of yours:
//
//	go run ./examples/quickstart -issuer https://login.example.com -audience orders
//
// With -explain as well, it reads a token from standard input and says check by check how the route
// /orders judges it:
//
//	go run ./examples/quickstart -issuer https://login.example.com -audience orders -explain < token
//
// The routes, which are the part to copy from, stand in api.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit code: 0, 1 when something went wrong, 2 when it was
// called wrongly.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printHelp(stdout)
		return 0
	}
	if err == nil {
		err = s.start(ctx, stdin, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "quickstart:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(stderr, "(-h lists the flags)")
		return 2
	}
	return 1
}

// start serves until the context ends, or until the check is done.
func (s *settings) start(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: s.logLevel()}))
	failed := make(chan error, 2) // one place for each of the two servers

	var issuer *bearertest.Issuer
	if s.issuer == "" {
		listener, err := listen(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		issuer = bearertest.NewIssuer(bearertest.WithURL(urlOf(listener)))
		defer shutdown(serve(listener, issuer, logger, failed))
		s.issuer, s.audiences = issuer.URL(), []string{issuer.Audience()}
	}

	auth, err := bearer.New(s.options(logger)...)
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = auth.Close() }()
	if s.explain {
		return explain(ctx, auth.Guard(bearer.Scopes(s.scope)), stdin, stdout)
	}

	listener, err := listen(ctx, s.listen)
	if err != nil {
		return err
	}
	defer shutdown(serve(listener, newAPI(auth, s.scope, s.me()...), logger, failed))

	if issuer != nil {
		err = s.showcase(ctx, stdout, urlOf(listener), issuer)
	} else {
		s.playground(ctx, stdout, urlOf(listener), auth)
	}
	if err != nil || s.check {
		return err
	}
	fmt.Fprintln(stdout, "\nServing until Ctrl-C.")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// longestToken is how much of standard input is read, in bytes.
const longestToken = 1 << 20

// explain says how a guard judges the token on standard input. It returns an error unless the token
// is accepted.
func explain(ctx context.Context, guard *bearer.Guard, stdin io.Reader, stdout io.Writer) error {
	text, err := io.ReadAll(io.LimitReader(stdin, longestToken))
	if err != nil {
		return fmt.Errorf("cannot read the token: %w", err)
	}
	report := guard.Explain(ctx, strings.TrimSpace(string(text)))
	fmt.Fprint(stdout, report)
	if report.Verdict != bearer.VerdictAccepted {
		return fmt.Errorf("the token is %s", report.Verdict)
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w (-listen takes another address)", err)
	}
	return listener, nil
}

// urlOf returns where the listener is reached from this machine.
func urlOf(listener net.Listener) string {
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serve starts a server that no client can hold up: each phase of a request has its limit.
func serve(listener net.Listener, handler http.Handler, logger *slog.Logger, failed chan<- error) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	go func() { failed <- server.Serve(listener) }()
	return server
}

// shutdown lets the requests under way come to their end, for a while.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
