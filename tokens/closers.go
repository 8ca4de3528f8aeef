package tokens

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
)

// AtClose registers what is to be closed with the [Manager] that made the request, such as work that
// a Fetcher has put off: [Manager.Close] closes it when all fetches have returned. Closing it again does
// not happen unless the error says that it failed; then the next [Manager.Close] tries again. To
// register the same value twice has no effect, so a Fetcher can do it at each request. The value must
// be comparable, as a pointer is, and should live as long as the Fetcher, because the Manager keeps it
// until then. A panic of Close is a failure, and logged. When a Fetcher serves several Managers each of them closes it, and others may still fetch.
//
// It has no effect on a Request that no Manager made, and for nil: then it is for the caller of Fetch
// to close what needs it.
func (r Request) AtClose(c io.Closer) {
	if r.closers != nil && c != nil {
		r.closers.add(c)
	}
}

// closers are what a Manager closes.
type closers struct {
	closing sync.Mutex // by one at a time

	mu   sync.Mutex // guards what follows
	list []io.Closer
}

func (s *closers) add(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.list, c) {
		s.list = append(s.list, c)
	}
}

func (s *closers) remove(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(other io.Closer) bool { return other == c })
}

// close closes what is registered, and keeps what could not be closed.
func (s *closers) close(logger *slog.Logger) error {
	s.closing.Lock()
	defer s.closing.Unlock()
	s.mu.Lock()
	list := slices.Clone(s.list)
	s.mu.Unlock()
	var errs []error
	for _, c := range list {
		contain(context.Background(), logger, "a Closer", c.Close, func(err error) {
			if err == nil {
				s.remove(c)
			}
			errs = append(errs, err)
		})
	}
	return errors.Join(errs...)
}
