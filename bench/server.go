package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// serveFlag makes this program the server of an end-to-end measurement. It is not for people.
const serveFlag = "-serve"

// order is the first line that a server reads.
type order struct {
	Guard string `json:"guard"`
	Alg   string `json:"alg"`
	JWKS  []byte `json:"jwks"`
}

// serve is the server. It reads an order from in and writes its address to out. Each further line of
// in asks for the processor time that it has used so far. It ends with in.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("no order")
	}
	var o order
	if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
		return err
	}
	var handler http.Handler = http.HandlerFunc(protected)
	if !isOpen(o.Guard) {
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
		for lines.Scan() {
			fmt.Fprintln(out, int64(usedProcessor()))
		}
		_ = server.Close()
	}()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// usedProcessor is the processor time that this process has used, in user code and in the kernel.
func usedProcessor() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		wrong("getrusage: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// target is a server under load.
type target struct {
	name    string
	address string
	open    bool // without a guard

	processor func() (time.Duration, error) // that it has used so far
	stop      func() error
}

// startServer starts a server in a process of its own, with one core.
func (b *bench) startServer(name string) (t *target, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := b.scenes["RS256"]
	text, err := json.Marshal(order{name, s.alg, s.jwks})
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
	pipe, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	out := bufio.NewReader(pipe)
	ask := func(line []byte, answer any) error {
		if _, err := in.Write(append(line, '\n')); err != nil {
			return err
		}
		_, err := fmt.Fscanln(out, answer)
		return err
	}
	t = &target{name: name, open: isOpen(name)}
	t.stop = func() error {
		_ = in.Close()
		return command.Wait()
	}
	t.processor = func() (used time.Duration, err error) {
		return used, ask(nil, (*int64)(&used))
	}
	if err := ask(text, &t.address); err != nil {
		return nil, errors.Join(fmt.Errorf("the server %q does not start: %w", name, err), t.stop())
	}
	return t, nil
}
