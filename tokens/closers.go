package tokens

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/bearer-go/bearer/internal/flight"
)

// AtClose registers a value with the [Manager] that made the request. [Manager.Close] closes it
// after all fetches have returned, and once: only if that fails does the next [Manager.Close] close
// it again. It is for work that a Fetcher has put off.
//
// Registering a value twice has no effect, so a Fetcher can do it at each request. The value must
// be comparable, as a pointer is, or AtClose panics. The Manager keeps it until it is closed, so it
// should live as long as the Fetcher. Its Close method must not close the Manager; a panic of it is
// a failure, and logged. When several Managers have one Fetcher, each of them closes the value, and
// the others may fetch after that.
//
// AtClose has no effect for nil, and on a Request that no Manager made. Then the caller of Fetch
// closes what has to be closed.
func (r Request) AtClose(c io.Closer) {
	if r.source != nil && c != nil {
		r.source.m.closers.add(c)
	}
}

// closers are what a Manager closes.
type closers struct {
	closing sync.Mutex // by one at a time

	mu  sync.Mutex // guards what follows
	all map[io.Closer]struct{}
}

func (s *closers) add(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[io.Closer]struct{})
	}
	s.all[c] = struct{}{}
}

func (s *closers) remove(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *closers) registered() []io.Closer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.all))
}

// close closes what is registered, and keeps what could not be closed.
func (s *closers) close(logger *slog.Logger) error {
	s.closing.Lock()
	defer s.closing.Unlock()
	var errs []error
	for _, c := range s.registered() {
		flight.Contain(context.Background(), logger, "a Closer", c.Close, func(err error) {
			if err == nil {
				s.remove(c)
			}
			errs = append(errs, err)
		})
	}
	return errors.Join(errs...)
}
