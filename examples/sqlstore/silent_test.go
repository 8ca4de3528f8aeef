package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/examples/sqlstore"
)

// silentDB is a driver whose database answers nothing about locks.
type silentDB struct{ driver.Conn }

func (d silentDB) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d silentDB) Driver() driver.Driver                        { return nil }
func (d silentDB) Close() error                                 { return nil }

func (d silentDB) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if strings.Contains(query, "INTO bearer_locks") || strings.Contains(query, "FROM bearer_locks WHERE") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return driver.RowsAffected(0), nil
}

// Releasing a lock that may be there nevertheless does not keep the caller.
func TestLockOfASilentDatabaseEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(silentDB{})
		defer db.Close()
		store, err := sqlstore.Open(t.Context(), db, sqlstore.PostgreSQL)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := store.Lock(ctx, "alice", time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
