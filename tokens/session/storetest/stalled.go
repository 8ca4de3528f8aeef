package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// stalledCases are for a Store that waits for something that does not come.
var stalledCases = []struct {
	name string
	run  func(*trial)
}{
	{"Load returns when the context ends", func(t *trial) {
		t.wantReturn("Load", func(ctx context.Context) error {
			_, _, err := t.one.Load(ctx, "a")
			return err
		})
	}},
	{"Save returns when the context ends", func(t *trial) {
		t.wantReturn("Save", func(ctx context.Context) error {
			_, err := t.one.Save(ctx, "a", []byte("x"), 0)
			return err
		})
	}},
	{"Delete returns when the context ends", func(t *trial) {
		t.wantReturn("Delete", func(ctx context.Context) error { return t.one.Delete(ctx, "a") })
	}},
	{"Lock returns when the context ends", func(t *trial) {
		t.wantReturn("Lock", func(ctx context.Context) error {
			unlock, err := t.one.Lock(ctx, "a", shortLease)
			if err == nil {
				unlock()
			}
			return err
		})
	}},
}

// wantReturn checks that a method returns when its context ends, and then says nothing of a record.
func (t *trial) wantReturn(method string, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), passed)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		err := call(ctx)
		if ctx.Err() == nil { // it needed nothing
			err = nil
		}
		result <- err
	}()
	select {
	case err := <-result:
		if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
			t.Errorf("the context ended, and %s says %v of a record that it cannot know of", method, err)
		}
	case <-time.After(patience):
		t.Fatalf("the context ended and %s still waits", method)
	}
}
