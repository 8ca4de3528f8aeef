package storetest_test

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// part is a Store of which one part is replaced.
type part struct {
	session.Store
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
