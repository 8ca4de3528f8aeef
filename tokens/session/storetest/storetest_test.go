package storetest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
	"github.com/bearer-go/bearer/tokens/session/storetest"
)

func TestRunPassesMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) session.Store { return session.NewMemoryStore() }, storetest.Unshared())
}

func TestRunPassesMemoryInBubblesAndShared(t *testing.T) {
	storetest.Run(t,
		func(*testing.T) session.Store { return session.NewMemoryStore() },
		storetest.Shared(func(*testing.T) (one, other session.Store) {
			memory := session.NewMemoryStore()
			return &part{Store: memory}, &part{Store: memory}
		}),
		storetest.Stalled(func(*testing.T) session.Store { return stalled(nil) }),
		storetest.Bubble())
}

// What processes share is not tested by one Store, and one Store twice is one.
func TestRunDemandsSharedStores(t *testing.T) {
	shared := storetest.Shared(func(*testing.T) (one, other session.Store) { return nil, nil })
	for _, test := range []struct {
		opts []storetest.Option
		says string
	}{
		{nil, "give Shared, or Unshared"},
		{[]storetest.Option{storetest.Bubble()}, "give Shared, or Unshared"},
		{[]storetest.Option{shared, storetest.Unshared()}, "keep one"},
		{[]storetest.Option{shared}, ""},
		{[]storetest.Option{storetest.Unshared()}, ""},
	} {
		if says := storetest.Mistake(test.opts...); !strings.Contains(says, test.says) || test.says == "" && says != "" {
			t.Errorf("%d options: %q, want %q", len(test.opts), says, test.says)
		}
	}
	memory := session.NewMemoryStore()
	if !storetest.IsOne(memory, memory) || storetest.IsOne(&part{Store: memory}, &part{Store: memory}) {
		t.Error("two Stores are told apart by what they are over")
	}
}

// stalled is a Store whose methods wait for their contexts to end, but for one, which waits on.
func stalled(wreck func(p *part, wait func(context.Context) error)) session.Store {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	p := &part{
		load:   func(ctx context.Context, _ string) ([]byte, int64, error) { return nil, 0, wait(ctx) },
		save:   func(ctx context.Context, _ string, _ []byte, _ int64) (int64, error) { return 0, wait(ctx) },
		delete: func(ctx context.Context, _ string) error { return wait(ctx) },
		lock:   func(ctx context.Context, _ string, _ time.Duration) (func(), error) { return nil, wait(ctx) },
	}
	if wreck != nil {
		wreck(p, func(context.Context) error {
			<-time.After(time.Hour)
			return errors.New("too late")
		})
	}
	return p
}

func TestRunFailsStoresThatWaitOn(t *testing.T) {
	for method, wreck := range map[string]func(p *part, wait func(context.Context) error){
		"Load": func(p *part, wait func(context.Context) error) {
			p.load = func(ctx context.Context, _ string) ([]byte, int64, error) { return nil, 0, wait(ctx) }
		},
		"Save": func(p *part, wait func(context.Context) error) {
			p.save = func(ctx context.Context, _ string, _ []byte, _ int64) (int64, error) { return 0, wait(ctx) }
		},
		"Delete": func(p *part, wait func(context.Context) error) {
			p.delete = func(ctx context.Context, _ string) error { return wait(ctx) }
		},
		"Lock": func(p *part, wait func(context.Context) error) {
			p.lock = func(ctx context.Context, _ string, _ time.Duration) (func(), error) { return nil, wait(ctx) }
		},
	} {
		failures := storetest.StalledFailures(t, func() session.Store { return stalled(wreck) })
		if name := method + " returns when the context ends"; len(failures) != 1 || len(failures[name]) == 0 {
			t.Errorf("%s waits on, and what fails is %q", method, failures)
		}
	}
	// An outage is not for the caller to take for a logout.
	failures := storetest.StalledFailures(t, func() session.Store {
		return stalled(func(p *part, _ func(context.Context) error) {
			p.load = func(ctx context.Context, _ string) ([]byte, int64, error) {
				<-ctx.Done()
				return nil, 0, session.ErrNotFound
			}
		})
	})
	if len(failures["Load returns when the context ends"]) == 0 {
		t.Error("a Load that says ErrNotFound when the context ends is not noticed")
	}
}

func TestRunFailsBrokenStores(t *testing.T) {
	noticed := map[string]bool{}
	for _, b := range slices.Concat(brokenRecords, brokenLocks) {
		t.Run(b.name, func(t *testing.T) {
			failures := storetest.Failures(t, b.bubble, func() (one, other session.Store) {
				store := &part{Store: session.NewMemoryStore()}
				b.wreck(store)
				return store, store
			})
			for _, name := range b.fails {
				if len(failures[name]) == 0 {
					t.Errorf("%q did not notice", name)
				}
				noticed[name] = true
			}
			t.Logf("%d subtests noticed: %q", len(failures), slices.Sorted(maps.Keys(failures)))
		})
	}
	for _, name := range storetest.Cases() {
		if !noticed[name] {
			t.Errorf("no broken store is there to show that %q can fail", name)
		}
	}
}

// Two Stores that are shared by nothing but their name.
func TestRunFailsStoresThatDoNotShare(t *testing.T) {
	for what, test := range map[string]struct {
		wreck func(one, other *part)
		fails []string
	}{
		"records": {
			wreck: func(_, other *part) {
				memory := session.NewMemoryStore()
				other.load, other.save, other.delete = memory.Load, memory.Save, memory.Delete
			},
			fails: []string{
				"Load returns what Save saved, and its version",
				"Save of version 0 does not replace a record",
				"of many who make a record one does",
				"no change is lost",
			},
		},
		"locks": {
			wreck: func(_, other *part) { other.lock = session.NewMemoryStore().Lock },
			fails: []string{"Lock keeps others out until unlock", "Lock lets one at a time in"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			failures := storetest.Failures(t, false, func() (session.Store, session.Store) {
				memory := session.NewMemoryStore()
				one, other := &part{Store: memory}, &part{Store: memory}
				test.wreck(one, other)
				return one, other
			})
			for _, name := range test.fails {
				if len(failures[name]) == 0 {
					t.Errorf("%q did not notice", name)
				}
			}
		})
	}
}
