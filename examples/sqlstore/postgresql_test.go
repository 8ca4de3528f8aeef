package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bearer-go/bearer/examples/sqlstore"
	"github.com/bearer-go/bearer/tokens/session"
)

// startLimit is far more than a server needs to start.
const startLimit = time.Minute

// storetestKeys are the keys of a sealed Store.
func storetestKeys(context.Context) ([][]byte, error) { return [][]byte{sealKey}, nil }

var sealKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}()

// postgreSQL is a server of this test.
type postgreSQL struct{ address string }

// startPostgreSQL starts a server, and stops it after the test. Where there is none, the test is
// skipped, unless BEARER_INTEROP=require.
func startPostgreSQL(t *testing.T) *postgreSQL {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if os.Getenv("BEARER_INTEROP") == "require" {
			t.Fatal("PostgreSQL is not installed, and BEARER_INTEROP=require")
		}
		t.Skip("SKIPPED: PostgreSQL is not installed; BEARER_INTEROP=require makes this a failure")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir := t.TempDir()
	as := owner(t, dir)
	data := filepath.Join(dir, "data")
	run(t, as, filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N", "--locale=C.UTF-8")

	port := freePort(t)
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", dir, "-c", "fsync=off", "-c", "max_connections=300")
	server.SysProcAttr = as
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // at once, but in order
		_ = server.Wait()
	})
	p := &postgreSQL{"postgres://postgres@127.0.0.1:" + port + "/"}
	db := openDB(t, "pgx", p.address+"postgres?sslmode=disable")
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	for db.PingContext(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatalf("PostgreSQL does not start: %s", log.String())
		}
	}
	return p
}

// owner returns how to run a program as the owner of a folder: PostgreSQL does not run as root.
func owner(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return as
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	for parent := filepath.Dir(dir); parent != "/" && parent != os.TempDir(); parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as
}

func run(t *testing.T, as *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	command := exec.Command(name, args...)
	command.SysProcAttr = as
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

var databases struct {
	sync.Mutex
	n int
}

// newDatabase makes an empty database, and returns its address.
func (p *postgreSQL) newDatabase(t *testing.T) string {
	t.Helper()
	databases.Lock()
	databases.n++
	name := fmt.Sprintf("test%d", databases.n)
	databases.Unlock()
	db, err := sql.Open("pgx", p.address+"postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return p.address + name + "?sslmode=disable"
}

// stalled returns a Store whose database has gone silent: it takes what is sent, and answers
// nothing.
func stalled(t *testing.T, p *postgreSQL) session.Store {
	t.Helper()
	address := p.newDatabase(t)
	proxy := newProxy(t, strings.TrimSuffix(strings.TrimPrefix(p.address, "postgres://postgres@"), "/"))
	db := openDB(t, "pgx", strings.Replace(address, strings.TrimPrefix(p.address, "postgres://postgres@"), proxy.address+"/", 1))
	store, err := sqlstore.Open(t.Context(), db, sqlstore.PostgreSQL)
	if err != nil {
		t.Fatal(err)
	}
	proxy.silence()
	return store
}

// proxy passes bytes on until it is silenced.
type proxy struct {
	address string

	mu     sync.Mutex
	silent bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })
			all.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
			all.Go(func() { _, _ = io.Copy(muted{client, p}, server); _ = client.Close() })
		}
	})
	return p
}

func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// muted drops what is written once its proxy is silent.
type muted struct {
	io.Writer
	proxy *proxy
}

func (m muted) Write(b []byte) (int, error) {
	m.proxy.mu.Lock()
	silent := m.proxy.silent
	m.proxy.mu.Unlock()
	if silent {
		return len(b), nil
	}
	return m.Writer.Write(b)
}
