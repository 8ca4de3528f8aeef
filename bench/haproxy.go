package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The names of the two front ends.
const (
	openProxy   = "HAProxy without jwt_verify"
	guardsProxy = "HAProxy with jwt_verify"
)

// haproxyConfig has two front ends that answer by themselves, on one thread. The checks are those of HAProxy's documentation of
// jwt_verify: algorithm, issuer, audience, expiry, signature.
const haproxyConfig = `global
    nbthread 1
defaults
    mode http
    timeout client 1m
    timeout connect 1m
    timeout server 1m
    timeout http-keep-alive 1m
frontend open
    bind 127.0.0.1:%[1]d
    http-request return status 204
frontend guarded
    bind 127.0.0.1:%[2]d
    http-request deny deny_status 401 unless { req.hdr(authorization) -m found }
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless { var(txn.alg) -m str %[3]s }
    http-request deny deny_status 401 unless { var(txn.iss) -m str %[4]s }
    http-request deny deny_status 401 unless { var(txn.aud) -m str %[5]s }
    http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"%[6]s") -m int 1 }
    http-request return status 204
`

// haproxyKey names a figure.
func haproxyKey(server string, _ int) string { return "haproxy/" + server }

// haproxy measures what a request costs HAProxy with and without jwt_verify, if it is installed.
func (b *bench) haproxy() (err error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		b.say("haproxy: NOT measured: no haproxy is on PATH")
		return nil // the report says so
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	s := b.scenes["RS256"]
	key, err := s.pemKey()
	if err != nil {
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	keyFile, configFile := filepath.Join(folder, "key.pem"), filepath.Join(folder, "haproxy.cfg")
	config := fmt.Sprintf(haproxyConfig, ports[0], ports[1], s.alg, issuerName, audience, keyFile)
	for name, text := range map[string][]byte{keyFile: key, configFile: []byte(config)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	var said bytes.Buffer
	if text, err := exec.CommandContext(context.Background(), program, "-c", "-f", configFile).CombinedOutput(); err != nil {
		b.say("haproxy: NOT measured: it refuses the configuration:\n%s", text)
		return nil // an old one, or one without OpenSSL; the report says so
	}
	command := exec.CommandContext(context.Background(), program, "-db", "-f", configFile)
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		return err
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	targets := []*target{{name: openProxy, open: true}, {name: guardsProxy}}
	for i, t := range targets {
		t.address = fmt.Sprintf("127.0.0.1:%d", ports[i])
		t.processor = func() (time.Duration, error) { return processorOf(command.Process.Pid) }
		if err := listens(t.address); err != nil {
			return fmt.Errorf("%w\n%s", err, said.String())
		}
	}
	b.report.haproxyVersion = haproxyVersion(program)
	return b.underLoad(haproxyKey, targets, b.liveTokens())
}

func haproxyVersion(program string) string {
	text, err := exec.CommandContext(context.Background(), program, "-v").Output()
	if err != nil {
		return "?"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// processorOf is the processor time that the first thread of a process has used, which Linux tells.
func processorOf(pid int) (used time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(text), (*int64)(&used))
	return used, err
}

func freePorts(n int) (ports []int, err error) {
	for range n {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// listens waits until a server does.
func listens(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
