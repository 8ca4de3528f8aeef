package storetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/tokens/session"
)

var brokenLocks = []broken{
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
					return nil, session.ErrNotFound
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
					return 0, session.ErrConflict
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
					return nil, 0, session.ErrNotFound
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
				if errors.Is(err, session.ErrConflict) {
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
