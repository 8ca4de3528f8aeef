package sqlstore_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/bearer-go/bearer/examples/sqlstore"
	"github.com/bearer-go/bearer/tokens/session"
	"github.com/bearer-go/bearer/tokens/session/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) session.Store { return openSQLite(t, newFile(t)) },
		storetest.Shared(func(t *testing.T) (one, other session.Store) {
			file := newFile(t)
			return openSQLite(t, file), openSQLite(t, file)
		}))
}

func TestSealedSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) session.Store { return seal(t, openSQLite(t, newFile(t))) },
		storetest.Shared(func(t *testing.T) (one, other session.Store) {
			file := newFile(t)
			return seal(t, openSQLite(t, file)), seal(t, openSQLite(t, file))
		}))
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t)
	storetest.Run(t, func(t *testing.T) session.Store { return openPostgreSQL(t, server.newDatabase(t)) },
		storetest.Shared(func(t *testing.T) (one, other session.Store) {
			address := server.newDatabase(t)
			return openPostgreSQL(t, address), openPostgreSQL(t, address)
		}),
		storetest.Stalled(func(t *testing.T) session.Store { return stalled(t, server) }))
}

func TestOpenMakesTheTablesOnceForManyProcesses(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t)
	address := server.newDatabase(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			db := openDB(t, "pgx", address)
			if _, err := sqlstore.Open(t.Context(), db, sqlstore.PostgreSQL); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A service need not have the right to make tables where an administrator has made them.
func TestOpenWithTheRightsOfAService(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t)
	address := server.newDatabase(t)
	_ = openPostgreSQL(t, address)
	if _, err := openDB(t, "pgx", address).ExecContext(t.Context(),
		"CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON bearer_records, bearer_locks TO app"); err != nil {
		t.Fatal(err)
	}
	store := openPostgreSQL(t, strings.Replace(address, "postgres@", "app@", 1))
	if _, err := store.Save(t.Context(), "alice", []byte("x"), 0); err != nil {
		t.Error(err)
	}
}

// Callers wait for a lock also where the database is set to a stricter isolation.
func TestLockOfAStrictDatabase(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t)
	for _, isolation := range []string{"repeatable%20read", "serializable"} {
		store := openPostgreSQL(t, server.newDatabase(t)+"&default_transaction_isolation="+isolation)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 40 {
					unlock, err := store.Lock(t.Context(), "alice", time.Minute)
					if err != nil {
						t.Errorf("%s: %v", isolation, err)
						return
					}
					unlock()
				}
			})
		}
		all.Wait()
	}
}

// A database that fails half way is an error that says so. It must not look like a session that was
// logged out, or that another process has changed.
func TestOutageIsNoAnswer(t *testing.T) {
	t.Parallel()
	db := openDB(t, "sqlite", newFile(t))
	store, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	version, err := store.Save(t.Context(), "alice", []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, loaded := store.Load(t.Context(), "alice")
	_, saved := store.Save(t.Context(), "alice", []byte("y"), version)
	_, locked := store.Lock(t.Context(), "alice", 1)
	for what, err := range map[string]error{
		"Load": loaded, "Save": saved, "Delete": store.Delete(t.Context(), "alice"), "Lock": locked,
	} {
		if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
			t.Errorf("%s of a closed database: %v", what, err)
		}
	}
}

func newFile(t *testing.T) string {
	return "file:" + filepath.Join(t.TempDir(), "sessions.db") + "?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_pragma=synchronous(full)&_txlock=immediate"
}

func openSQLite(t *testing.T, file string) session.Store {
	store, err := sqlstore.Open(t.Context(), openDB(t, "sqlite", file), sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func openPostgreSQL(t *testing.T, address string) session.Store {
	store, err := sqlstore.Open(t.Context(), openDB(t, "pgx", address), sqlstore.PostgreSQL)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func openDB(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func seal(t *testing.T, store session.Store) session.Store {
	t.Helper()
	sealed, err := session.NewSealedStore(store, storetestKeys)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
