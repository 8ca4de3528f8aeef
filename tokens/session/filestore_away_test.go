package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// awayCalls are the errors of each method for a record.
func awayCalls(t *testing.T, store session.Store, name string) map[string]error {
	t.Helper()
	_, _, load := store.Load(t.Context(), name)
	_, save := store.Save(t.Context(), name, []byte("elsewhere"), 0)
	return map[string]error{"Load": load, "Save": save, "Delete": store.Delete(t.Context(), name)}
}

// A volume is unmounted for a moment. Where it was there is nothing, or the empty directory that it
// was mounted on.
func TestFileStoreWhoseDirectoryIsAwayIsNotEmpty(t *testing.T) {
	for what, inItsPlace := range map[string]func(t *testing.T, dir string){
		"nothing": func(*testing.T, string) {},
		"an empty directory": func(t *testing.T, dir string) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			base := t.TempDir()
			mounted, away, dir := filepath.Join(base, "mnt"), filepath.Join(base, "away"), filepath.Join(base, "mnt", "sessions")
			store := storeInFiles(t, dir, storeKeys(1))
			version := storeSave(t, store, "a", "first", 0)
			for round := range 2 {
				if err := os.Rename(mounted, away); err != nil {
					t.Fatal(err)
				}
				inItsPlace(t, dir)
				for _, name := range []string{"a", "b"} {
					for method, err := range awayCalls(t, store, name) {
						if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) || !strings.Contains(err.Error(), dir) {
							t.Errorf("round %d: %s of %s: %v, want an error that names the directory", round, method, name, err)
						}
					}
				}
				unlock, err := store.Lock(t.Context(), "a", time.Minute)
				if err == nil {
					unlock()
				}
				if records, _ := filepath.Glob(filepath.Join(dir, "*.record")); records != nil {
					t.Errorf("in its place there are now %q", records)
				}
				if _, err := os.Stat(dir); what == "nothing" && err == nil {
					t.Error("the directory was made in its place")
				}
				if err := os.RemoveAll(mounted); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(away, mounted); err != nil {
					t.Fatal(err)
				}
				version = storeSave(t, store, "a", fmt.Sprint("round ", round), version)
				storeSave(t, store, fmt.Sprint("new ", round), "x", 0)
			}
		})
	}
}

// One that comes back as another directory is the same store when it has the records.
func TestFileStoreTakesADirectoryWithItsRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	store := storeInFiles(t, dir, storeKeys(1))
	storeSave(t, store, "a", "data", 0)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(dir+".old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Load(t.Context(), "b"); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("before one of its records was found there, Load of none is %v", err)
	}
	storeWant(t, store, "a", "data")
	if _, _, err := store.Load(t.Context(), "b"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("afterwards Load of none is %v", err)
	}
	storeSave(t, store, "b", "x", 0)
}

// A store in which there was never a record is empty, wherever its directory is: a service may
// begin before its volume is there.
func TestFileStoreThatBeganBeforeItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	other := storeInFiles(t, dir+".volume", storeKeys(1))
	storeSave(t, other, "a", "on the volume", 0)
	store := storeInFiles(t, dir, storeKeys(1))
	for _, name := range []string{"a", "b"} {
		if _, _, err := store.Load(t.Context(), name); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
		if err := store.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Load or Delete made the directory")
	}
	if err := os.Rename(dir+".volume", dir); err != nil {
		t.Fatal(err)
	}
	storeWant(t, store, "a", "on the volume")
	storeSave(t, store, "b", "x", 0)
}

// awayServer is an authorization server that rotates refresh tokens and notes what it is sent.
type awayServer struct {
	mu            sync.Mutex
	current       int
	sent, revoked []string
}

func (s *awayServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, body := http.StatusOK, map[string]any{}
	switch refresh := r.FormValue("refresh_token"); {
	case r.URL.Path == "/revoke":
		s.revoked = append(s.revoked, r.FormValue("token"))
	case refresh != fmt.Sprintf("rt%d", s.current):
		s.sent = append(s.sent, refresh)
		status, body = http.StatusBadRequest, map[string]any{"error": "invalid_grant"}
	default:
		s.sent = append(s.sent, refresh)
		s.current++
		body = map[string]any{
			"access_token": fmt.Sprintf("at%d", s.current), "refresh_token": fmt.Sprintf("rt%d", s.current),
			"token_type": "Bearer", "expires_in": 60,
		}
	}
	text, err := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(text))), Request: r,
	}, err
}

// seen returns the refresh tokens that were sent, and the tokens that were revoked.
func (s *awayServer) seen() (sent, revoked []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent), slices.Clone(s.revoked)
}

func (s *awayServer) open(t *testing.T, store session.Store) *session.Session {
	t.Helper()
	client, err := oauth.NewClient("https://login.example", "orders", oauth.ClientSecretBasic(tokens.NewSecret("a-client-secret")),
		oauth.WithTokenEndpoint("https://login.example/token"), oauth.WithRevocationEndpoint("https://login.example/revoke"),
		oauth.WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := session.New(client, store, "alice", tokens.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close() })
	return alice
}

// The disk is full while a refresh token is rotated, and is unmounted to be repaired.
func TestSessionOutlivesAStoreThatIsAway(t *testing.T) {
	base := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(base, "mnt", "sessions")
		server, store := &awayServer{}, storeInFiles(t, dir, storeKeys(1))
		alice := server.open(t, store)
		if err := alice.Adopt(t.Context(), tokens.NewSecret("rt0")); err != nil {
			t.Fatal(err)
		}
		for _, h := range "0123456789abcdef" { // no Save succeeds
			if err := os.MkdirAll(filepath.Join(dir, "save-"+string(h)+".new", "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := alice.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(base, "mnt"), filepath.Join(base, "away")); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Minute) // of flushes
		if _, revoked := server.seen(); revoked != nil {
			t.Errorf("while the store was away %q were revoked", revoked)
		}
		if err := os.Rename(filepath.Join(base, "away"), filepath.Join(base, "mnt")); err != nil {
			t.Fatal(err)
		}
		full, _ := filepath.Glob(filepath.Join(dir, "*.new"))
		for _, path := range full {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := alice.Token(t.Context()); err != nil {
			t.Error(err)
		}
		if sent, _ := server.seen(); !slices.Equal(sent, []string{"rt0", "rt1"}) {
			t.Errorf("the server was sent %q", sent)
		}
	})
}

// awayStore does not save, or has lost everything.
type awayStore struct {
	session.Store
	full, lost atomic.Bool
}

func (s *awayStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	if s.full.Load() {
		return 0, errors.New("no space left")
	}
	return s.Store.Save(ctx, name, data, version)
}

func (s *awayStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if s.lost.Load() {
		return nil, 0, session.ErrNotFound
	}
	return s.Store.Load(ctx, name)
}

// A Store that has lost a record is no logout.
func TestFlushRevokesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, store := &awayServer{}, &awayStore{Store: session.NewMemoryStore()}
		alice := server.open(t, store)
		if err := alice.Adopt(t.Context(), tokens.NewSecret("rt0")); err != nil {
			t.Fatal(err)
		}
		store.full.Store(true)
		if _, err := alice.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.lost.Store(true)
		<-time.After(10 * time.Minute)
		if _, revoked := server.seen(); revoked != nil {
			t.Errorf("%q were revoked", revoked)
		}
		if err := alice.Close(); err != nil {
			t.Error(err)
		}
		if _, revoked := server.seen(); revoked != nil {
			t.Errorf("Close revoked %q", revoked)
		}
	})
}

// After an I/O error a file system is read-only: locks cannot be made, and what was saved can be
// read.
func TestStoredTokenOutlivesALockThatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		server := &awayServer{}
		before := server.open(t, storeInFiles(t, dir, storeKeys(1)))
		if err := before.Adopt(t.Context(), tokens.NewSecret("rt0")); err != nil {
			t.Fatal(err)
		}
		if _, err := before.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		records, _ := filepath.Glob(filepath.Join(dir, "*.record"))
		if len(records) != 1 {
			t.Fatalf("the records are %q", records)
		}
		// A directory of this name is as good as a file system that is read-only, and root may not
		// write it either.
		if err := os.Mkdir(strings.TrimSuffix(records[0], ".record")+".lock", 0o700); err != nil {
			t.Fatal(err)
		}
		after := server.open(t, storeInFiles(t, dir, storeKeys(1)))
		for range 5 { // the token is good for a minute but for 6 seconds, and is to be renewed after 42
			token, err := after.Token(t.Context())
			if err != nil || token.AccessToken() != "at1" {
				t.Fatalf("after the restart: %v, error %v", token, err)
			}
			<-time.After(10 * time.Second)
		}
		<-time.After(10 * time.Second)
		_, err := after.Token(t.Context())
		if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "lock" || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("when the token has ended: %v, want the StoreError", err)
		}
		if sent, _ := server.seen(); !slices.Equal(sent, []string{"rt0"}) {
			t.Errorf("the server was sent %q: without a lock a refresh token is not used", sent)
		}
	})
}
