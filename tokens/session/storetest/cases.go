package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// cases are the promises in the comments of session.Store. Where two are at work, one and other are
// their Stores; it may be one.
var cases = []struct {
	name string
	run  func(*trial)
}{
	{"Load of a record that is not there is ErrNotFound", noRecord},
	{"Load returns what Save saved, and its version", saveAndLoad},
	{"the data is any bytes", anyBytes},
	{"the data may be empty", emptyData},
	{"the data is the caller's", callersData},
	{"data of 64 KiB is kept", longData},
	{"data of more than 65 KiB is an error and changes nothing", tooLongData},
	{"names are kept apart to the byte", namesApart},
	{"names that are none are errors", badNames},
	{"Save of version 0 does not replace a record", makeTwice},
	{"Save in another version is ErrConflict and changes nothing", otherVersion},
	{"Save in a version of a record that is not there is ErrConflict and makes none", versionOfNothing},
	{"a version is above zero and never comes again", versionsDiffer},
	{"a version from before Delete is ErrConflict", versionBeforeDelete},
	{"Delete removes a record, and none", deleteRecord},
	{"a record stays until it is deleted", recordStays},
	{"Load sees a record as a whole", wholeRecords},
	{"of many who make a record one does", manyMakers},
	{"of many who save in one version one does", manySavers},
	{"no change is lost", manyChanges},
	{"of a Save and a Delete at once none leaves a record", saveAndDelete},
	{"a context that has ended is an error and changes nothing", endedContext},
	{"Lock keeps others out until unlock", lockAndUnlock},
	{"Lock lets one at a time in", manyLockers},
	{"names are locked apart", locksApart},
	{"those who wait for a lock stop no others", manyWaiters},
	{"Lock needs no record and makes none", lockWithoutRecord},
	{"a lock does not stop Load, Save and Delete, and they do not end it", lockedRecord},
	{"the end of a lock leaves the record", lockLeavesRecord},
	{"unlock twice does not end another's lock", unlockTwice},
	{"the lock ends after the lease", leaseEnds},
	{"the lock does not end before the lease", leaseLasts},
	{"the lease begins when the lock is taken", leaseBegins},
	{"a lease may be short and may be long", extremeLeases},
	{"unlock after the lease does not end another's lock", unlockAfterLease},
	{"a lease that is not above zero is an error", badLease},
	{"Lock returns the cause when the context ends, and has no lock then", giveUp},
	{"a context that ends after Lock does not end the lock, and unlock does", contextAfterLock},
	{"the deadline of Lock's context does not end the lock, and unlock does", deadlineAfterLock},
}

const (
	patience   = 30 * time.Second        // for what must happen
	moment     = 100 * time.Millisecond  // for what must not happen
	shortLease = 50 * time.Millisecond   // is waited for
	longLease  = 10 * time.Minute        // does not end within a test, except in a bubble
	heldLease  = 4900 * time.Millisecond // is held for most of it, and for more than its whole seconds
	passed     = time.Second             // is waited for where a second is enough

	crowd = 8  // who do something at once
	many  = 48 // names that are locked at once
)

func noRecord(t *trial) {
	t.wantNone(t.one, "a")
	t.save(t.one, "b", "x", 0)
	t.wantNone(t.other, "a")
}

func saveAndLoad(t *trial) {
	version := t.save(t.one, "a", "first", 0)
	t.want(t.one, "a", "first", version)
	t.want(t.other, "a", "first", version)
	version = t.save(t.other, "a", "second", version)
	t.want(t.one, "a", "second", version)
	t.want(t.other, "a", "second", version)
	version = t.save(t.one, "a", "third", version)
	t.want(t.other, "a", "third", version)
}

func anyBytes(t *trial) {
	every := make([]byte, 256)
	for n := range every {
		every[n] = byte(n)
	}
	for n, data := range []string{string(every), "\x00", "\x00 between \x00", "\xff\xfe", " space at the end ", "line\r\n", `"{}'\`} {
		name := fmt.Sprintf("record %d", n)
		t.want(t.other, name, data, t.save(t.one, name, data, 0))
	}
}

func emptyData(t *trial) {
	version := t.save(t.one, "a", "", 0)
	t.want(t.other, "a", "", version)
	t.conflict(t.other, 0)
	version = t.save(t.one, "a", "x", version)
	t.want(t.other, "a", "", t.save(t.one, "a", "", version))
	version, err := t.one.Save(t.context(), "b", nil, 0)
	t.must(err, "Save of nil")
	t.want(t.other, "b", "", version)
}

func callersData(t *trial) {
	data := []byte("saved")
	version, err := t.one.Save(t.context(), "a", data, 0)
	t.must(err, "Save")
	copy(data, "other")
	loaded, _, err := t.one.Load(t.context(), "a")
	t.must(err, "Load")
	if string(loaded) != "saved" {
		t.Errorf("after the saved data was written over, Load returns %q", loaded)
	}
	copy(loaded, "other")
	_ = append(loaded, "more"...)
	t.want(t.one, "a", "saved", version)
	t.want(t.other, "a", "saved", version)
}

func longData(t *trial) {
	data := strings.Repeat("0123456789abcdef", 64<<10/16)
	version := t.save(t.one, "a", data, 0)
	t.want(t.other, "a", data, version)
	version = t.save(t.one, "a", "x", version)
	t.want(t.other, "a", "x", version)
}

func tooLongData(t *trial) {
	long := bytes.Repeat([]byte("x"), 65<<10+1)
	_, err := t.one.Save(t.context(), "a", long, 0)
	t.wantError(err, "Save of too much")
	t.wantNone(t.other, "a")
	version := t.save(t.one, "a", "kept", 0)
	_, err = t.one.Save(t.context(), "a", long, version)
	t.wantError(err, "Save of too much")
	t.want(t.other, "a", "kept", version)
}

func namesApart(t *trial) {
	names := []string{
		"a", "A", " a", "a ", "a.", "a/b", "a/../a", "a\\b", "a%2Fb", "a:b", "/a", "./a", "..", ".", "../../etc/passwd",
		"%", "_", "*", "?", "'", `"`, "';--", "${a}", "$(a)", "CON", "nul.txt", "-rf", "~", "0", "00", "null",
		"\u00e9", "e\u0301", "\u00c9", "\ufb01", "fi", "\u212b", "\u00c5", "\u00df", "ss", "\u0131", "i",
		"\u00a0", "\u200b", "\u202e", "\U0001f511", "\ufeff", "\ufffd",
		strings.Repeat("n", 256), strings.Repeat("n", 255), strings.Repeat("n", 255) + "m",
		strings.Repeat("\u00e9", 256), strings.Repeat("\u00e9", 255) + "m",
		strings.Repeat("\U0001f511", 256), strings.Repeat("\U0001f511", 255) + "m",
	}
	versions := make(map[string]int64, len(names))
	for _, name := range names {
		versions[name] = t.save(t.one, name, "of "+name, 0)
	}
	for _, name := range names {
		t.want(t.other, name, "of "+name, versions[name])
	}
	for _, deleted := range []string{"a", "%", "_", "*", "?", "..", "a.", "$(a)", "\u00e9"} {
		t.must(t.one.Delete(t.context(), deleted), "Delete")
		t.wantNone(t.other, deleted)
		delete(versions, deleted)
		for name, version := range versions {
			t.want(t.other, name, "of "+name, version)
		}
	}
}

func badNames(t *trial) {
	for _, name := range []string{
		"", strings.Repeat("n", 257), strings.Repeat("\u00e9", 257), strings.Repeat("n", 1<<20),
		"\x00", "a\x00", "a\nb", "a\tb", "\x1f", "\x7f", "\u0085", "\xff", "a\xc3", "\xed\xa0\x80",
	} {
		what := fmt.Sprintf("of the name %.20q", name)
		_, _, err := t.one.Load(t.context(), name)
		t.wantError(err, "Load "+what)
		_, err = t.one.Save(t.context(), name, []byte("x"), 0)
		t.wantError(err, "Save "+what)
		t.wantError(t.one.Delete(t.context(), name), "Delete "+what)
		unlock, err := t.one.Lock(t.context(), name, shortLease)
		t.wantError(err, "Lock "+what)
		if err == nil {
			unlock()
		}
	}
}

func makeTwice(t *trial) {
	version := t.save(t.one, "a", "kept", 0)
	t.conflict(t.other, 0)
	t.conflict(t.one, 0)
	t.want(t.other, "a", "kept", version)
	version = t.save(t.other, "a", "next", version)
	t.conflict(t.one, 0)
	t.want(t.one, "a", "next", version)
}

func otherVersion(t *trial) {
	first := t.save(t.one, "a", "first", 0)
	second := t.save(t.one, "a", "second", first)
	b := t.save(t.one, "b", "of b", 0)
	for _, version := range []int64{first, second + 1, second + 1<<32, -second, -1, 1<<63 - 1, b} {
		if version != second {
			t.conflict(t.other, version)
		}
	}
	if _, err := t.other.Save(t.context(), "a", []byte("second"), first); !errors.Is(err, session.ErrConflict) {
		t.Errorf("Save of what is there, in another version: error %v, want ErrConflict", err)
	}
	t.want(t.one, "a", "second", second)
	t.want(t.other, "a", "second", second)
}

func versionOfNothing(t *trial) {
	for _, version := range []int64{1, 2, -1, 1<<63 - 1} {
		t.conflict(t.one, version)
	}
	t.wantNone(t.other, "a")
	version := t.save(t.one, "a", "x", 0)
	t.must(t.other.Delete(t.context(), "a"), "Delete")
	t.conflict(t.one, version)
	t.wantNone(t.other, "a")
}

func versionsDiffer(t *trial) {
	had := map[int64]bool{}
	version := int64(0)
	for n := range 48 {
		store := t.one
		if n%2 == 1 {
			store = t.other
		}
		if n%6 == 5 {
			t.must(store.Delete(t.context(), "a"), "Delete")
			version = 0
			continue
		}
		version = t.save(store, "a", "the same", version)
		if had[version] {
			t.Fatalf("Save returned the version %d a second time", version)
		}
		had[version] = true
	}
}

func versionBeforeDelete(t *trial) {
	first := t.save(t.one, "a", "first", 0)
	second := t.save(t.one, "a", "second", first)
	t.must(t.other.Delete(t.context(), "a"), "Delete")
	again := t.save(t.other, "a", "again", 0)
	t.conflict(t.one, first)
	t.conflict(t.one, second)
	t.want(t.one, "a", "again", again)
}

func deleteRecord(t *trial) {
	t.must(t.one.Delete(t.context(), "a"), "Delete of no record")
	first := t.save(t.one, "a", "x", 0)
	second := t.save(t.one, "a", "y", first)
	t.want(t.one, "a", "y", second)
	t.want(t.other, "a", "y", second)
	b := t.save(t.one, "b", "stays", 0)
	t.must(t.other.Delete(t.context(), "a"), "Delete")
	t.wantNone(t.one, "a")
	t.wantNone(t.other, "a")
	t.must(t.one.Delete(t.context(), "a"), "Delete of no record")
	t.want(t.one, "b", "stays", b)
	t.want(t.other, "a", "again", t.save(t.one, "a", "again", 0))
}

func manyMakers(t *trial) {
	for round := range 4 {
		t.oneSaves(fmt.Sprintf("record %d", round), 0)
	}
}

func manySavers(t *trial) {
	version := t.save(t.one, "a", "start", 0)
	for range 4 {
		version = t.oneSaves("a", version)
	}
}

func manyChanges(t *trial) {
	const each, all = 6, 6 * crowd
	t.save(t.one, "a", "", 0)
	t.crowd(func(store session.Store, _ int) {
		conflicts := 0
		for changes := 0; changes < each; {
			data, version, err := store.Load(t.context(), "a")
			if err != nil {
				t.Errorf("Load: %v", err)
				return
			}
			_, err = store.Save(t.context(), "a", []byte(string(data)+"+"), version)
			switch {
			case err == nil:
				changes++
			case !errors.Is(err, session.ErrConflict):
				t.Errorf("Save: %v", err)
				return
			default:
				conflicts++
			}
			if conflicts > all { // each is another one's change
				t.Errorf("Save in the version that was just loaded is ErrConflict again and again")
				return
			}
		}
	})
	data, _, err := t.one.Load(t.context(), "a")
	t.must(err, "Load")
	if string(data) != strings.Repeat("+", all) {
		t.Errorf("of %d changes there are %d", all, len(data))
	}
}

func endedContext(t *trial) {
	version := t.save(t.one, "a", "kept", 0)
	ended, cancel := context.WithCancel(t.context())
	cancel()
	_, _, err := t.one.Load(ended, "a")
	t.wantError(err, "Load with an ended context")
	_, err = t.one.Save(ended, "a", []byte("x"), version)
	t.wantError(err, "Save with an ended context")
	_, err = t.one.Save(ended, "b", []byte("x"), 0)
	t.wantError(err, "Save with an ended context")
	t.wantError(t.one.Delete(ended, "a"), "Delete with an ended context")
	// What it says of a record is not to be relied on then.
	_, _, err = t.one.Load(ended, "b")
	t.wantError(err, "Load of no record with an ended context")
	_, err = t.one.Save(ended, "a", []byte("x"), 0)
	t.wantError(err, "Save in another version with an ended context")
	t.wantError(t.one.Delete(ended, "b"), "Delete of no record with an ended context")
	t.want(t.other, "a", "kept", version)
	t.wantNone(t.other, "b")
	unlock, err := t.one.Lock(ended, "a", longLease)
	t.wantError(err, "Lock with an ended context")
	if err == nil {
		unlock()
	}
}

func giveUp(t *trial) {
	unlock := t.lock(t.one, "a", longLease)
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.context())
	result := make(chan error, 1)
	go func() {
		_, err := t.other.Lock(ctx, "a", longLease)
		result <- err
	}()
	<-time.After(moment / 2)
	cancel(cause)
	select {
	case err := <-result:
		if !errors.Is(err, cause) {
			t.Errorf("the context ended and Lock says %v, want context.Cause of the context", err)
		}
	case <-time.After(patience):
		t.Fatalf("the context ended and Lock still waits")
	}
	unlock()
	t.lock(t.one, "a", longLease)
}
