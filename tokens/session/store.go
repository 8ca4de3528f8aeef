package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrNotFound means that a [Store] has no record of a name.
	ErrNotFound = errors.New("session: no such record")

	// ErrConflict means that a record is not in the version that was to be replaced.
	ErrConflict = errors.New("session: the record has changed")
)

// A Store keeps records beyond the life of a process: [NewMemoryStore] for tests and for what need
// not survive, [NewFileStore] for the processes of one machine, and one's own over a database for a
// fleet, wrapped in [NewSealedStore]. A record is a name and bytes, which a Store does not
// interpret. Test one's own with tokens/session/storetest.
//
// A name has 1 to 256 characters of UTF-8, none of them a control character. Two names are the same
// when all their bytes are: upper and lower case differ, and so do spaces at the end and different
// ways to write one accent. Data may be empty and has at most 64 KiB; a Store that [NewSealedStore]
// is to wrap takes 1 KiB more, of which that adds less. Other names and more than 65 KiB are an
// error, and so is a context that has ended already; nothing is done then. All methods may be
// called at once, from several processes if the Store is shared by them, and return when the
// context ends. Other errors than those named below mean that the Store cannot say, now.
type Store interface {
	// Load returns a record and its version, or [ErrNotFound]. The data is the caller's to keep.
	Load(ctx context.Context, name string) (data []byte, version int64, err error)

	// Save replaces a record that is in this version, or makes one if the version is 0, and returns
	// its new version, which is above zero and differs from every one that the record has had. When
	// the record is in another version, or is there although the version is 0, or is not although
	// it is not, nothing changes and the error is [ErrConflict]. When Save has returned nil the
	// record survives the end of this process. The data stays the caller's.
	Save(ctx context.Context, name string, data []byte, version int64) (saved int64, err error)

	// Delete removes a record, in whatever version; there need not be one. A record of that name
	// made later has a version that the old one never had.
	Delete(ctx context.Context, name string) error

	// Lock waits until no other caller has locked the name, and locks it. The lock ends with
	// unlock, with the process, or after the lease, whichever is first, so that a caller that is
	// gone stops no other for ever: Save's version is what keeps a late writer from doing harm. The
	// lease is above zero. unlock may be called more than once, and after the lease does nothing.
	// When the context ends first the error is its cause; one that ends later does not end the
	// lock. A name can be locked that has no record, and stays locked when its record is saved or
	// deleted: a lock stops only those who lock.
	Lock(ctx context.Context, name string, lease time.Duration) (unlock func(), err error)
}

const (
	maxName = 256             // characters of a record's name
	maxData = 64 << 10        // bytes of a record
	maxKept = maxData + 1<<10 // bytes of one that may be sealed
)

var (
	errName = fmt.Errorf("session: the name of a record must have 1 to %d characters of UTF-8 and no control character", maxName)
	errData = fmt.Errorf("session: the data of a record is longer than %d bytes", maxData)
	errKept = fmt.Errorf("session: the data of a record is longer than %d bytes, room for a seal included", maxKept)
	errHold = errors.New("session: the lease of a lock must be above zero")
)

// checkName judges what every method of a Store begins with.
func checkName(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !isName(name) {
		return errName
	}
	return nil
}

// isName reports whether a record can have this name. A character has at most four bytes, so that
// longer texts need not be looked through.
func isName(text string) bool {
	return text != "" && len(text) <= maxName*utf8.UTFMax && utf8.RuneCountInString(text) <= maxName &&
		utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// checkLock judges what Lock begins with.
func checkLock(ctx context.Context, name string, lease time.Duration) error {
	if err := checkName(ctx, name); err != nil {
		return err
	}
	if lease <= 0 {
		return errHold
	}
	return nil
}
