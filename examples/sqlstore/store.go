// Package sqlstore is a [session.Store] in a SQL database: PostgreSQL, or SQLite for the processes
// of one machine. It is an example to copy: two tables, nine statements, and nothing of the driver
// but [database/sql].
//
//	db, err := sql.Open("pgx", "postgres://app@db.example.com/app")
//	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
//	sealed, err := session.NewSealedStore(store, session.SealKeysFromFile("/etc/app/seal.keys"))
//
// Records are bytes to the database. Wrap the Store in [session.NewSealedStore]: then neither the
// database nor its backups can be read for refresh tokens.
package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bearer-go/bearer/tokens/session"
)

const (
	maxName = 256      // characters of a record's name
	maxData = 65 << 10 // bytes of a record, with the room that NewSealedStore needs

	firstPoll = 5 * time.Millisecond   // between two looks at a lock that another caller has
	maxPoll   = 100 * time.Millisecond // which the pause doubles to

	// releaseTime is how long unlock may take. A lock that could not be released ends with its
	// lease. A Session's Close, which takes up to 35 seconds, has no more than this left for it.
	releaseTime = 2 * time.Second
)

var (
	errName  = fmt.Errorf("sqlstore: the name of a record must have 1 to %d characters of UTF-8 and no control character", maxName)
	errData  = fmt.Errorf("sqlstore: the data of a record is longer than %d bytes", maxData)
	errLease = errors.New("sqlstore: the lease of a lock must be above zero")
)

// Dialect is what two databases say differently.
type Dialect struct {
	name   string
	schema string
	now    string // milliseconds by the clock of the database: all processes share it
}

var (
	// PostgreSQL is for PostgreSQL 12 and later.
	PostgreSQL = Dialect{"PostgreSQL", postgreSQLSchema, "(extract(epoch from clock_timestamp()) * 1000)::bigint"}

	// SQLite is for SQLite 3.42 and later. Open its file with a busy timeout, so that processes wait
	// for each other, and in WAL mode. A method that waits so is not ended by its context: give 5
	// seconds at most.
	SQLite = Dialect{"SQLite", sqliteSchema, "cast(unixepoch('subsec') * 1000 as integer)"}
)

// Store keeps sessions in a database. It is safe for concurrent use by any number of processes.
//
// A record that is saved has a random version of 63 bits, so that no version comes back, also after
// a record was deleted. A lock is a row with the time at which its lease ends, by the clock of the
// database. Locks that ended without unlock are overwritten by the next one of the name.
type Store struct {
	db *sql.DB

	load, insert, update, remove, lock, unlock string
}

var _ session.Store = (*Store)(nil)

// Open returns the Store in a database, and makes the two tables if they are not there: only for
// that is the right to make tables needed. The caller closes the database when the last session is
// closed.
func Open(ctx context.Context, db *sql.DB, d Dialect) (*Store, error) {
	if _, err := db.ExecContext(ctx, `SELECT 1 FROM bearer_records, bearer_locks WHERE 1 = 0`); err != nil {
		if _, err := db.ExecContext(ctx, d.schema); err != nil {
			return nil, fmt.Errorf("sqlstore: the tables cannot be made in %s: %w", d.name, err)
		}
	}
	return &Store{
		db:     db,
		load:   `SELECT data, version FROM bearer_records WHERE name = $1`,
		insert: `INSERT INTO bearer_records (name, data, version, saved) VALUES ($1, $2, $3, ` + d.now + `) ON CONFLICT (name) DO NOTHING`,
		update: `UPDATE bearer_records SET data = $2, version = $3, saved = ` + d.now + ` WHERE name = $1 AND version = $4`,
		remove: `DELETE FROM bearer_records WHERE name = $1`,
		lock: `INSERT INTO bearer_locks (name, holder, ends) VALUES ($1, $2, ` + d.now + ` + $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends = excluded.ends
			WHERE bearer_locks.ends <= ` + d.now + ` OR bearer_locks.holder = excluded.holder`, // a driver may send it twice
		unlock: `DELETE FROM bearer_locks WHERE name = $1 AND holder = $2`,
	}, nil
}

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, name string) (data []byte, version int64, err error) {
	if err := check(ctx, name); err != nil {
		return nil, 0, err
	}
	err = s.db.QueryRowContext(ctx, s.load, name).Scan(&data, &version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, 0, session.ErrNotFound
	case err != nil:
		return nil, 0, failed(ctx, err)
	}
	return data, version, nil
}

// Save implements [session.Store].
func (s *Store) Save(ctx context.Context, name string, data []byte, version int64) (saved int64, err error) {
	if err := check(ctx, name); err != nil {
		return 0, err
	}
	if len(data) > maxData {
		return 0, errData
	}
	if data == nil {
		data = []byte{} // nil is NULL
	}
	next := randomVersion()
	var changed bool
	if version == 0 {
		changed, err = s.exec(ctx, s.insert, name, data, next)
	} else {
		changed, err = s.exec(ctx, s.update, name, data, next, version)
	}
	switch {
	case err != nil:
		return 0, err
	case !changed:
		return 0, session.ErrConflict
	}
	return next, nil
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	_, err := s.exec(ctx, s.remove, name)
	return err
}

// Lock implements [session.Store]. It looks again and again whether the lock is free, at first
// after 5 ms, later after 100: callers that wait hold no connection.
func (s *Store) Lock(ctx context.Context, name string, lease time.Duration) (unlock func(), err error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	if lease <= 0 {
		return nil, errLease
	}
	holder := rand.Text()
	unlock = func() {
		// The caller's context may have ended; the lock must be released all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		_, _ = s.exec(ctx, s.unlock, name, holder)
	}
	for pause := firstPoll; ; pause = min(2*pause, maxPoll) {
		locked, err := s.exec(ctx, s.lock, name, holder, lease.Milliseconds()+1) // never shorter than it was asked for
		if err != nil && !isContended(err) {
			go unlock() // the row may be there nevertheless; it must not take the caller's time
			return nil, err
		}
		if locked {
			return unlock, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// exec runs a statement, and reports whether it changed a row.
func (s *Store) exec(ctx context.Context, statement string, args ...any) (changed bool, err error) {
	result, err := s.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return false, failed(ctx, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, failed(ctx, err)
	}
	return n > 0, nil
}

// isContended reports whether a database that is set to a stricter isolation than read committed
// says that another caller took the lock at the same moment.
func isContended(err error) bool {
	e, ok := errors.AsType[interface {
		error
		SQLState() string // of the drivers for PostgreSQL
	}](err)
	return ok && e.SQLState() == "40001"
}

// failed is the error of a statement: the context's own, if it has ended.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("sqlstore: %w", err)
}

// check judges what every method begins with.
func check(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, unicode.IsControl) {
		return errName
	}
	return nil
}

// randomVersion is above zero.
func randomVersion() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return max(1, int64(binary.LittleEndian.Uint64(b[:])&math.MaxInt64))
}
