package storetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/storetest"
)

func TestRunPassesMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) tokens.Store { return tokens.NewMemoryStore() }, storetest.Unshared())
}

func TestRunPassesMemoryInBubblesAndShared(t *testing.T) {
	storetest.Run(t,
		func(*testing.T) tokens.Store { return tokens.NewMemoryStore() },
		storetest.Shared(func(*testing.T) (one, other tokens.Store) {
			memory := tokens.NewMemoryStore()
			return &part{Store: memory}, &part{Store: memory}
		}),
		storetest.Stalled(func(*testing.T) tokens.Store { return stalled(nil) }),
		storetest.Bubble())
}

// What processes share is not tested by one Store, and one Store twice is one.
func TestRunDemandsSharedStores(t *testing.T) {
	shared := storetest.Shared(func(*testing.T) (one, other tokens.Store) { return nil, nil })
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
	memory := tokens.NewMemoryStore()
	if !storetest.IsOne(memory, memory) || storetest.IsOne(&part{Store: memory}, &part{Store: memory}) {
		t.Error("two Stores are told apart by what they are over")
	}
}

// stalled is a Store whose methods wait for their contexts to end, but for one, which waits on.
func stalled(wreck func(p *part, wait func(context.Context) error)) tokens.Store {
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
		failures := storetest.StalledFailures(t, func() tokens.Store { return stalled(wreck) })
		if name := method + " returns when the context ends"; len(failures) != 1 || len(failures[name]) == 0 {
			t.Errorf("%s waits on, and what fails is %q", method, failures)
		}
	}
	// An outage is not for the caller to take for a logout.
	failures := storetest.StalledFailures(t, func() tokens.Store {
		return stalled(func(p *part, _ func(context.Context) error) {
			p.load = func(ctx context.Context, _ string) ([]byte, int64, error) {
				<-ctx.Done()
				return nil, 0, tokens.ErrNotFound
			}
		})
	})
	if len(failures["Load returns when the context ends"]) == 0 {
		t.Error("a Load that says ErrNotFound when the context ends is not noticed")
	}
}

// part is a Store of which one part is replaced.
type part struct {
	tokens.Store
	load   func(ctx context.Context, name string) ([]byte, int64, error)
	save   func(ctx context.Context, name string, data []byte, version int64) (int64, error)
	delete func(ctx context.Context, name string) error
	lock   func(ctx context.Context, name string, lease time.Duration) (func(), error)
}

func (p *part) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if p.load == nil {
		return p.Store.Load(ctx, name)
	}
	return p.load(ctx, name)
}

func (p *part) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	if p.save == nil {
		return p.Store.Save(ctx, name, data, version)
	}
	return p.save(ctx, name, data, version)
}

func (p *part) Delete(ctx context.Context, name string) error {
	if p.delete == nil {
		return p.Store.Delete(ctx, name)
	}
	return p.delete(ctx, name)
}

func (p *part) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	if p.lock == nil {
		return p.Store.Lock(ctx, name, lease)
	}
	return p.lock(ctx, name, lease)
}

// current is the version that a record is in, 0 if there is none.
func (p *part) current(ctx context.Context, name string) int64 {
	_, version, _ := p.Store.Load(ctx, name)
	return version
}

// named is a Store that has its records under other names.
func named(rename func(name string) string) func(p *part) {
	return func(p *part) {
		p.load = func(ctx context.Context, name string) ([]byte, int64, error) { return p.Store.Load(ctx, rename(name)) }
		p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
			return p.Store.Save(ctx, rename(name), data, version)
		}
		p.delete = func(ctx context.Context, name string) error { return p.Store.Delete(ctx, rename(name)) }
		p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
			return p.Store.Lock(ctx, rename(name), lease)
		}
	}
}

// written is a Store that changes the data.
func written(change func(data []byte) []byte) func(p *part) {
	return func(p *part) {
		p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
			return p.Store.Save(ctx, name, change(data), version)
		}
	}
}

// capped is a Store whose locks end after this time at the latest.
func capped(longest time.Duration) func(p *part) {
	return func(p *part) {
		p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
			return p.Store.Lock(ctx, name, min(lease, longest))
		}
	}
}

// vanishing is a Store whose records end after a time without a change.
func vanishing(after time.Duration) func(p *part) {
	return func(p *part) {
		p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
			saved, err := p.Store.Save(ctx, name, data, version)
			if err == nil {
				time.AfterFunc(after, func() {
					if ctx := context.WithoutCancel(ctx); p.current(ctx, name) == saved {
						_ = p.Store.Delete(ctx, name)
					}
				})
			}
			return saved, err
		}
	}
}

var broken = []struct {
	name   string
	wreck  func(p *part)
	fails  []string // the subtests that must notice
	bubble bool     // if they are in a bubble
}{
	{
		name: "no record is an empty one",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, version, err := p.Store.Load(ctx, name)
				if errors.Is(err, tokens.ErrNotFound) {
					err = nil
				}
				return data, version, err
			}
		},
		fails: []string{"Load of a record that is not there is ErrNotFound", "Delete removes a record, and none"},
	},
	{
		name: "Load returns another version",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, version, err := p.Store.Load(ctx, name)
				return data, version + 1, err
			}
		},
		fails: []string{"Load returns what Save saved, and its version"},
	},
	{
		name: "Load returns what it returned before",
		wreck: func(p *part) {
			type record struct {
				data    []byte
				version int64
			}
			var mu sync.Mutex
			cache := map[string]record{}
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				mu.Lock()
				defer mu.Unlock()
				if r, ok := cache[name]; ok {
					return bytes.Clone(r.data), r.version, nil
				}
				data, version, err := p.Store.Load(ctx, name)
				if err == nil {
					cache[name] = record{bytes.Clone(data), version}
				}
				return data, version, err
			}
		},
		fails: []string{"Load returns what Save saved, and its version", "Delete removes a record, and none"},
	},
	{
		name: "data is text that ends with a zero byte",
		wreck: written(func(data []byte) []byte {
			text, _, _ := bytes.Cut(data, []byte{0})
			return text
		}),
		fails: []string{"the data is any bytes"},
	},
	{
		name:  "data is UTF-8",
		wreck: written(func(data []byte) []byte { return bytes.ToValidUTF8(data, []byte("?")) }),
		fails: []string{"the data is any bytes"},
	},
	{
		name: "an empty record is none",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, version, err := p.Store.Load(ctx, name)
				if err == nil && len(data) == 0 {
					return nil, 0, tokens.ErrNotFound
				}
				return data, version, err
			}
		},
		fails: []string{"the data may be empty"},
	},
	{
		name: "the data that was saved is kept as it is",
		wreck: func(p *part) {
			var mu sync.Mutex
			kept := map[string][]byte{}
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				saved, err := p.Store.Save(ctx, name, data, version)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					kept[name] = data
				}
				return saved, err
			}
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				_, version, err := p.Store.Load(ctx, name)
				if err != nil {
					return nil, 0, err
				}
				mu.Lock()
				defer mu.Unlock()
				return bytes.Clone(kept[name]), version, nil
			}
		},
		fails: []string{"the data is the caller's"},
	},
	{
		name: "the data that is loaded is everybody's",
		wreck: func(p *part) {
			var mu sync.Mutex
			kept := map[int64][]byte{}
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, version, err := p.Store.Load(ctx, name)
				mu.Lock()
				defer mu.Unlock()
				if kept[version] == nil {
					kept[version] = data
				}
				return kept[version], version, err
			}
		},
		fails: []string{"the data is the caller's"},
	},
	{
		name: "a record has room for 65,535 bytes",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if len(data) > 65535 {
					return 0, errors.New("data too long for the column")
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"data of 64 KiB is kept"},
	},
	{
		name:  "what is too long is cut",
		wreck: written(func(data []byte) []byte { return data[:min(len(data), 65<<10)] }),
		fails: []string{"data of more than 65 KiB is an error and changes nothing"},
	},
	{name: "names are in lower case", wreck: named(strings.ToLower), fails: []string{"names are kept apart to the byte"}},
	{
		name:  "names lose spaces at their end",
		wreck: named(func(name string) string { return strings.TrimRight(name, " ") }),
		fails: []string{"names are kept apart to the byte"},
	},
	{name: "names are paths", wreck: named(path.Clean), fails: []string{"names are kept apart to the byte"}},
	{
		name:  "names are cut",
		wreck: named(func(name string) string { return name[:min(len(name), 255)] }),
		fails: []string{"names are kept apart to the byte", "names are locked apart"},
	},
	{
		name:  "every name is taken",
		wreck: named(func(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }),
		fails: []string{"names that are none are errors"},
	},
	{
		name: "Save of version 0 replaces",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if version == 0 {
					version = p.current(ctx, name)
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"Save of version 0 does not replace a record", "the data may be empty"},
	},
	{
		name: "the version is not looked at",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if version != 0 {
					version = p.current(ctx, name)
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{
			"Save in another version is ErrConflict and changes nothing",
			"Save in a version of a record that is not there is ErrConflict and makes none",
			"a version from before Delete is ErrConflict",
		},
	},
	{
		name: "a conflict is found after the record was replaced",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				current := p.current(ctx, name)
				saved, err := p.Store.Save(ctx, name, data, current)
				if err == nil && current != version {
					err = tokens.ErrConflict
				}
				return saved, err
			}
		},
		fails: []string{
			"Save in another version is ErrConflict and changes nothing",
			"Save in a version of a record that is not there is ErrConflict and makes none",
			"Save of version 0 does not replace a record",
		},
	},
	{
		name: "what is not there is made in any version",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if p.current(ctx, name) == 0 {
					version = 0
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"Save in a version of a record that is not there is ErrConflict and makes none"},
	},
	{
		name: "versions are counted from 1 again after Delete",
		wreck: func(p *part) {
			var mu sync.Mutex
			before := map[string]int64{} // what to take off the versions of a record
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				mu.Lock()
				defer mu.Unlock()
				if version != 0 {
					version += before[name]
				}
				saved, err := p.Store.Save(ctx, name, data, version)
				if version == 0 && err == nil {
					before[name] = saved - 1
				}
				return saved - before[name], err
			}
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				mu.Lock()
				defer mu.Unlock()
				data, version, err := p.Store.Load(ctx, name)
				return data, version - before[name], err
			}
		},
		fails: []string{"a version is above zero and never comes again", "a version from before Delete is ErrConflict"},
	},
	{
		name: "Delete of no record is an error",
		wreck: func(p *part) {
			p.delete = func(ctx context.Context, name string) error {
				if p.current(ctx, name) == 0 {
					return tokens.ErrNotFound
				}
				return p.Store.Delete(ctx, name)
			}
		},
		fails: []string{"Delete removes a record, and none"},
	},
	{
		name:  "Delete does nothing",
		wreck: func(p *part) { p.delete = func(context.Context, string) error { return nil } },
		fails: []string{"Delete removes a record, and none", "names are kept apart to the byte"},
	},
	{
		name: "Save looks first and writes then",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if p.current(ctx, name) != version {
					return 0, tokens.ErrConflict
				}
				<-time.After(time.Millisecond)
				for {
					saved, err := p.Store.Save(ctx, name, data, p.current(ctx, name))
					if !errors.Is(err, tokens.ErrConflict) {
						return saved, err
					}
				}
			}
		},
		fails: []string{
			"of many who make a record one does",
			"of many who save in one version one does",
			"no change is lost",
		},
	},
	{
		name: "contexts are not looked at",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				return p.Store.Load(context.WithoutCancel(ctx), name)
			}
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				return p.Store.Save(context.WithoutCancel(ctx), name, data, version)
			}
			p.delete = func(ctx context.Context, name string) error { return p.Store.Delete(context.WithoutCancel(ctx), name) }
		},
		fails: []string{"a context that has ended is an error and changes nothing"},
	},
	{
		name: "Lock does not look at the context",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				return p.Store.Lock(context.WithoutCancel(ctx), name, lease)
			}
		},
		fails: []string{
			"a context that has ended is an error and changes nothing",
			"Lock returns the cause when the context ends, and has no lock then",
		},
	},
	{
		name: "Lock locks nothing",
		wreck: func(p *part) {
			p.lock = func(context.Context, string, time.Duration) (func(), error) { return func() {}, nil }
		},
		fails: []string{
			"Lock keeps others out until unlock", "Lock lets one at a time in", "names are locked apart",
			"a lock does not stop Load, Save and Delete, and they do not end it",
			"unlock twice does not end another's lock", "unlock after the lease does not end another's lock",
			"a context that ends after Lock does not end the lock, and unlock does",
		},
	},
	{
		name: "Lock lets two in",
		wreck: func(p *part) {
			var mu sync.Mutex
			n := 0
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				mu.Lock()
				n++
				twin := fmt.Sprint(name, n%2)
				mu.Unlock()
				return p.Store.Lock(ctx, twin, lease)
			}
		},
		fails: []string{"Lock keeps others out until unlock", "Lock lets one at a time in"},
	},
	{
		name: "unlock does nothing",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				_, err := p.Store.Lock(ctx, name, lease)
				return func() {}, err
			}
		},
		fails: []string{"Lock keeps others out until unlock", "Lock lets one at a time in"},
	},
	{
		name: "there is one lock for all names",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, _ string, lease time.Duration) (func(), error) {
				return p.Store.Lock(ctx, "all", lease)
			}
		},
		fails: []string{"names are locked apart"},
	},
	{
		name: "only a record can be locked",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if p.current(ctx, name) == 0 {
					return nil, tokens.ErrNotFound
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"Lock needs no record and makes none"},
	},
	{
		name: "Lock makes a record",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				_, _ = p.Store.Save(ctx, name, nil, 0)
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"Lock needs no record and makes none"},
	},
	{
		name: "Delete ends the lock",
		wreck: func(p *part) {
			var mu sync.Mutex
			held := map[string]func(){}
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					held[name] = unlock
				}
				return unlock, err
			}
			p.delete = func(ctx context.Context, name string) error {
				mu.Lock()
				defer mu.Unlock()
				if unlock := held[name]; unlock != nil {
					unlock()
				}
				return p.Store.Delete(ctx, name)
			}
		},
		fails: []string{"a lock does not stop Load, Save and Delete, and they do not end it"},
	},
	{
		name: "Save waits for the lock",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				unlock, err := p.Store.Lock(ctx, name, time.Hour)
				if err != nil {
					return 0, err
				}
				defer unlock()
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"a lock does not stop Load, Save and Delete, and they do not end it"},
	},
	{
		name: "unlock ends whosever lock it is",
		wreck: func(p *part) {
			var mu sync.Mutex
			held := map[string]func(){}
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				held[name] = unlock
				return func() {
					mu.Lock()
					defer mu.Unlock()
					held[name]()
				}, nil
			}
		},
		fails: []string{"unlock twice does not end another's lock", "unlock after the lease does not end another's lock"},
	},
	{
		name: "the lease is a day",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if lease > 0 {
					lease = 24 * time.Hour
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"the lock ends after the lease"},
	},
	{
		name:  "the lease is a moment",
		wreck: capped(50 * time.Millisecond),
		fails: []string{"Lock keeps others out until unlock", "the lock ends after the lease"},
	},
	{
		name:  "the lease is a second",
		wreck: capped(time.Second),
		fails: []string{"the lock does not end before the lease"},
	},
	{
		name:   "the lease is five minutes",
		wreck:  capped(5 * time.Minute),
		fails:  []string{"the lock does not end before the lease"},
		bubble: true,
	},
	{
		name: "a lease that is not above zero is a minute",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if lease <= 0 {
					lease = time.Minute
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"a lease that is not above zero is an error"},
	},
	{
		name: "Lock says the context's error and not its cause",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if ctx.Err() != nil {
					err = ctx.Err()
				}
				return unlock, err
			}
		},
		fails: []string{"Lock returns the cause when the context ends, and has no lock then"},
	},
	{
		name: "who gives up has the lock later",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				type result struct {
					unlock func()
					err    error
				}
				got := make(chan result, 1)
				go func() {
					unlock, err := p.Store.Lock(context.WithoutCancel(ctx), name, lease)
					got <- result{unlock, err}
				}()
				select {
				case r := <-got:
					return r.unlock, r.err
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}
		},
		fails: []string{"Lock returns the cause when the context ends, and has no lock then"},
	},
	{
		name: "the lock ends with the context",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err == nil {
					context.AfterFunc(ctx, unlock)
				}
				return unlock, err
			}
		},
		fails: []string{"a context that ends after Lock does not end the lock, and unlock does"},
	},
	{
		name:  "the lease is three seconds",
		wreck: capped(3 * time.Second),
		fails: []string{"the lock does not end before the lease"},
	},
	{
		name:   "records end after a month",
		wreck:  vanishing(30 * 24 * time.Hour),
		fails:  []string{"a record stays until it is deleted"},
		bubble: true,
	},
	{
		name: "the data is loaded before the version",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, _, err := p.Store.Load(ctx, name)
				if err != nil {
					return nil, 0, err
				}
				<-time.After(time.Millisecond)
				_, version, err := p.Store.Load(ctx, name)
				return data, version, err
			}
		},
		fails: []string{"Load sees a record as a whole"},
	},
	{
		name: "Save brings back what was deleted meanwhile",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				current := p.current(ctx, name)
				if current != version {
					return 0, tokens.ErrConflict
				}
				<-time.After(time.Millisecond)
				if p.current(ctx, name) == 0 {
					version = 0
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"of a Save and a Delete at once none leaves a record"},
	},
	{
		name: "there are sixteen locks for all names",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				return p.Store.Lock(ctx, fmt.Sprint(sha256.Sum256([]byte(name))[0]%16), lease)
			}
		},
		fails: []string{"names are locked apart"},
	},
	{
		name: "each lock takes one of thirty connections",
		wreck: func(p *part) {
			connections := make(chan struct{}, 30)
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				select {
				case connections <- struct{}{}:
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err != nil {
					<-connections
					return nil, err
				}
				return sync.OnceFunc(func() {
					unlock()
					<-connections
				}), nil
			}
		},
		fails: []string{"names are locked apart"},
	},
	{
		name: "versions have 32 bits",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				return p.Store.Save(ctx, name, data, version&math.MaxUint32)
			}
		},
		fails: []string{"Save in another version is ErrConflict and changes nothing"},
	},
	{
		name: "the lock ends with the deadline",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if deadline, ok := ctx.Deadline(); ok && lease > 0 {
					lease = max(1, min(lease, time.Until(deadline)))
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"the deadline of Lock's context does not end the lock, and unlock does"},
	},
	{
		name: "what is not there is told before the context is looked at",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				if p.current(context.WithoutCancel(ctx), name) == 0 {
					return nil, 0, tokens.ErrNotFound
				}
				return p.Store.Load(ctx, name)
			}
		},
		fails: []string{"a context that has ended is an error and changes nothing"},
	},
	{
		name: "a lease is in milliseconds, and 0 is for ever",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if lease > 0 && lease < time.Millisecond {
					lease = 24 * time.Hour
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"a lease may be short and may be long"},
	},
	{
		name: "the end of a lease is counted in nanoseconds since 1970",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				now := time.Now().UnixNano()
				if end := now + int64(lease); end < 0 { // the sum is too large
					lease = 1
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"a lease may be short and may be long"},
	},
	{
		name: "a lease begins when Lock begins to wait",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				began := time.Now()
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err == nil {
					time.AfterFunc(lease-time.Since(began), unlock)
				}
				return unlock, err
			}
		},
		fails: []string{"the lease begins when the lock is taken"},
	},
	{
		name: "unlock removes what has the name",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err != nil {
					return nil, err
				}
				return func() {
					_ = p.Store.Delete(context.WithoutCancel(ctx), name)
					unlock()
				}, nil
			}
		},
		fails: []string{"the end of a lock leaves the record"},
	},
	{
		name: "Delete takes a name for a pattern",
		wreck: func(p *part) {
			var mu sync.Mutex
			var names []string
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				mu.Lock()
				names = append(names, name)
				mu.Unlock()
				return p.Store.Save(ctx, name, data, version)
			}
			p.delete = func(ctx context.Context, pattern string) error {
				mu.Lock()
				defer mu.Unlock()
				for _, name := range names {
					if pattern == "%" || pattern == "_" && len(name) == 1 {
						_ = p.Store.Delete(ctx, name)
					}
				}
				return p.Store.Delete(ctx, pattern)
			}
		},
		fails: []string{"names are kept apart to the byte"},
	},
	{
		name: "unlock goes by the context of Lock",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				return func() {
					if ctx.Err() == nil {
						unlock()
					}
				}, err
			}
		},
		fails: []string{
			"a context that ends after Lock does not end the lock, and unlock does",
			"the deadline of Lock's context does not end the lock, and unlock does",
		},
	},
	{
		name: "one at a time waits for a lock, whatever its name",
		wreck: func(p *part) {
			waits := make(chan struct{}, 1)
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				select {
				case waits <- struct{}{}:
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
				defer func() { <-waits }()
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"those who wait for a lock stop no others"},
	},
	{
		name: "while there is a lock only what is locked is saved",
		wreck: func(p *part) {
			var mu sync.Mutex
			locked := map[string]int{}
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				unlock, err := p.Store.Lock(ctx, name, lease)
				if err == nil {
					mu.Lock()
					locked[name]++
					mu.Unlock()
				}
				return unlock, err
			}
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				mu.Lock()
				defer mu.Unlock()
				if len(locked) > 0 && locked[name] == 0 {
					return 0, errors.New("locked")
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"those who wait for a lock stop no others"},
	},
	{
		name: "names have 512 bytes",
		wreck: named(func(name string) string {
			if utf8.RuneCountInString(name) > 256 {
				return name
			}
			return name[:min(len(name), 512)]
		}),
		fails: []string{"names are kept apart to the byte"},
	},
	{
		name: "a lease has whole seconds",
		wreck: func(p *part) {
			p.lock = func(ctx context.Context, name string, lease time.Duration) (func(), error) {
				if lease > time.Second {
					lease = lease.Truncate(time.Second)
				}
				return p.Store.Lock(ctx, name, lease)
			}
		},
		fails: []string{"the lock does not end before the lease"},
	},
	{
		name: "nil is no data",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				if data == nil {
					return 0, errors.New("NULL")
				}
				return p.Store.Save(ctx, name, data, version)
			}
		},
		fails: []string{"the data may be empty"},
	},
	{
		name: "what is there already is no conflict",
		wreck: func(p *part) {
			p.save = func(ctx context.Context, name string, data []byte, version int64) (int64, error) {
				saved, err := p.Store.Save(ctx, name, data, version)
				if errors.Is(err, tokens.ErrConflict) {
					if there, current, loadErr := p.Store.Load(ctx, name); loadErr == nil && bytes.Equal(there, data) {
						return current, nil
					}
				}
				return saved, err
			}
		},
		fails: []string{"Save in another version is ErrConflict and changes nothing"},
	},
}

func TestRunFailsBrokenStores(t *testing.T) {
	noticed := map[string]bool{}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			failures := storetest.Failures(t, b.bubble, func() (one, other tokens.Store) {
				store := &part{Store: tokens.NewMemoryStore()}
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
				memory := tokens.NewMemoryStore()
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
			wreck: func(_, other *part) { other.lock = tokens.NewMemoryStore().Lock },
			fails: []string{"Lock keeps others out until unlock", "Lock lets one at a time in"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			failures := storetest.Failures(t, false, func() (tokens.Store, tokens.Store) {
				memory := tokens.NewMemoryStore()
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
