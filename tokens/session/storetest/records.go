package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// recordStays looks whether a record ends by itself. One that ends after more than a moment is
// found in a bubble alone.
func recordStays(t *trial) {
	stays := moment
	if t.bubble {
		stays = 400 * 24 * time.Hour
	}
	a, b := t.save(t.one, "a", "x", 0), t.save(t.one, "b", "x", 0)
	b = t.save(t.one, "b", "y", b)
	<-time.After(stays)
	t.want(t.other, "a", "x", a)
	t.want(t.other, "b", "y", b)
}

func wholeRecords(t *trial) {
	type record struct {
		data    string
		version int64
	}
	data := func(saver, n int) string { return strings.Repeat(fmt.Sprintf("saver %d, %d. ", saver, n), 512) }
	var mu sync.Mutex
	first := record{data(0, 0), t.save(t.one, "a", data(0, 0), 0)}
	saved, loaded := map[int64]string{first.version: first.data}, []record{}
	t.crowd(func(store session.Store, saver int) {
		for n := range 12 {
			there, version, err := store.Load(t.context(), "a")
			if err != nil {
				t.Errorf("Load: %v", err)
				return
			}
			next, saveErr := int64(0), session.ErrConflict
			if n%2 == 0 {
				next, saveErr = store.Save(t.context(), "a", []byte(data(saver, n)), version)
			}
			if saveErr != nil && !errors.Is(saveErr, session.ErrConflict) {
				t.Errorf("Save: %v", saveErr)
				return
			}
			mu.Lock()
			loaded = append(loaded, record{string(there), version})
			if saveErr == nil {
				saved[next] = data(saver, n)
			}
			mu.Unlock()
		}
	})
	for _, r := range loaded {
		if saved[r.version] != r.data {
			t.Fatalf("Load returned %.20q (%d bytes) in version %d, in which %.20q (%d bytes) was saved",
				r.data, len(r.data), r.version, saved[r.version], len(saved[r.version]))
		}
	}
}

// saveAndDelete: when Delete comes first the version is gone, and when Save does Delete removes
// what it saved.
func saveAndDelete(t *trial) {
	for round := range 8 {
		version := t.save(t.one, "a", "x", 0)
		save := func() {
			if _, err := t.one.Save(t.context(), "a", []byte("y"), version); err != nil && !errors.Is(err, session.ErrConflict) {
				t.Errorf("Save: %v", err)
			}
		}
		remove := func() {
			if err := t.other.Delete(t.context(), "a"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
		var both sync.WaitGroup
		if round%2 == 0 { // the one that is started last is often the first
			save, remove = remove, save
		}
		both.Go(save)
		both.Go(remove)
		both.Wait()
		t.wantNone(t.one, "a")
	}
}
