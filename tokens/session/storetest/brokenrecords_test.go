package storetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// broken is a Store that breaks a promise.
type broken struct {
	name   string
	wreck  func(p *part)
	fails  []string // the subtests that must notice
	bubble bool     // if they are in a bubble
}

var brokenRecords = []broken{
	{
		name: "no record is an empty one",
		wreck: func(p *part) {
			p.load = func(ctx context.Context, name string) ([]byte, int64, error) {
				data, version, err := p.Store.Load(ctx, name)
				if errors.Is(err, session.ErrNotFound) {
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
					return nil, 0, session.ErrNotFound
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
					err = session.ErrConflict
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
					return session.ErrNotFound
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
					return 0, session.ErrConflict
				}
				<-time.After(time.Millisecond)
				for {
					saved, err := p.Store.Save(ctx, name, data, p.current(ctx, name))
					if !errors.Is(err, session.ErrConflict) {
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
}
