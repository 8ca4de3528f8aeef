package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serveFlag makes this program the server of a measurement. It is not for people.
const serveFlag = "-serve"

// The names of the servers.
const (
	openServer     = "no auth"
	cachedServer   = cachedName
	uncachedServer = uncachedName
	golangServer   = golangName
)

var servers = []string{openServer, cachedServer, uncachedServer, golangServer}

// order is what the child is told, on its standard input, which it reads to the end of its life.
type order struct {
	Guard string `json:"guard"`
	Alg   string `json:"alg"`
	JWKS  []byte `json:"jwks"`
}

// serve is the child: it says on its output where it listens, and ends with its input.
func serve(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var o order
	if err := decoder.Decode(&o); err != nil {
		return err
	}
	var handler http.Handler = http.HandlerFunc(protected)
	if o.Guard != openServer {
		var err error
		if handler, err = guardOf(o.Guard).build(&scene{alg: o.Alg, jwks: o.JWKS}); err != nil {
			return err
		}
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintln(out, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, in) // until the parent ends, however it does
		_ = server.Close()
	}()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// target is a server under load.
type target struct {
	name    string
	address string
	pid     int
	open    bool // to everybody
	stop    func() error
}

// startServer starts a child with one core.
func (b *bench) startServer(guard string) (*target, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := b.scenes["RS256"]
	text, err := json.Marshal(order{guard, s.alg, s.jwks})
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(context.Background(), program, serveFlag)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	stop := func() error {
		_ = in.Close()
		return command.Wait()
	}
	var address string
	if _, err = in.Write(text); err == nil {
		_, err = fmt.Fscanln(out, &address)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server %q does not start: %w", guard, err), stop())
	}
	return &target{guard, address, command.Process.Pid, guard == openServer, stop}, nil
}

// endToEndKey names a figure.
func endToEndKey(server string, tokens int) string {
	return fmt.Sprintf("endtoend/%s/%d", server, tokens)
}

// endToEnd measures requests per second over loopback, with connections that are kept alive. The server is a process of its
// own with one core; the load comes from this one, with what is left. Processes of one program differ in speed by where they
// happen to lie in memory, so the servers are started anew several times.
func (b *bench) endToEnd() error {
	tokens := b.liveTokens()
	for range b.starts {
		if err := b.withServers(func(targets []*target) error {
			return b.underLoad(endToEndKey, targets, tokens[:1], tokens)
		}); err != nil {
			return err
		}
	}
	return nil
}

// withServers starts the servers for a function, and stops them after it.
func (b *bench) withServers(f func([]*target) error) (err error) {
	var targets []*target
	defer func() {
		for _, t := range targets {
			err = errors.Join(err, t.stop())
		}
	}()
	for _, guard := range servers {
		t, err := b.startServer(guard)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	return f(targets)
}

// underLoad loads servers in turns, with each of the lists of tokens, and notes the medians of this and all earlier calls.
func (b *bench) underLoad(key func(string, int) string, targets []*target, lists ...[]string) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(clients()))
	for _, tokens := range lists {
		requests := rawRequests(tokens)
		for _, t := range targets {
			if err := b.warm(t, requests); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		for range b.loads {
			for _, t := range targets {
				rate, busy, err := t.load(requests, b.load)
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				name := key(t.name, len(tokens))
				one := figureOf(append(b.figures[name].runs, 1e9/rate))
				b.busy[name] = append(b.busy[name], busy)
				one.busy = median(slices.Clone(b.busy[name]))
				b.figures[name] = one
			}
		}
	}
	return nil
}

// warm makes sure that a server lets good tokens pass, each of them once, so that what can be cached is, and no forged one.
func (b *bench) warm(t *target, requests [][]byte) error {
	if err := t.each(requests); err != nil {
		return err
	}
	if _, _, err := t.load(requests, b.load); err != nil { // until its heap has the size that it keeps
		return err
	}
	if t.open {
		return nil
	}
	if err := t.each(rawRequests([]string{b.scenes["RS256"].forged})); !errors.Is(err, errRefused) {
		return fmt.Errorf("a forged token is not refused: %w", err)
	}
	return nil
}

// load returns requests per second, and which share of the time the server used a core.
func (t *target) load(requests [][]byte, d time.Duration) (rate, busy float64, err error) {
	c, err := dial(t.address)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	before := processorTime(t.pid)
	rate, err = c.load(requests, d)
	return rate, (processorTime(t.pid) - before).Seconds() / d.Seconds(), err
}

// each sends each request once.
func (t *target) each(requests [][]byte) error {
	c, err := dial(t.address)
	if err != nil {
		return err
	}
	defer c.close()
	return c.each(requests)
}

// clients is how many cores the load may take: one is the server's.
func clients() int { return max(1, runtime.NumCPU()-1) }

// processorTime is what a process has used so far, where /proc tells; elsewhere 0.
func processorTime(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the program's name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond // a tick is 1/100 s to every program
}
