package jwks

import (
	"errors"
	"io/fs"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
)

// restore finishes a fetch with the keys of the file, and reports whether it did. If the file has
// none that can be used, the fetch goes on to the issuer.
func (s *Set) restore(f *fetch) bool {
	kept, err := s.readFile()
	if errors.Is(err, fs.ErrNotExist) {
		return false // as when the service is started for the first time
	}
	now := time.Now()
	if err == nil {
		err = kept.judge(now, s.policy.maxFileAge)
	}
	if err != nil {
		s.running.Go(func() { // the requests wait for the issuer, not for the log
			s.logger.Warn("the file of the last known good keys is not used",
				"source", s.name, "file", s.file.path, "error", err)
		})
		return false
	}
	f.Finish(s.acceptRestored(kept, now))
	s.logger.Info("the last known good keys were read from a file",
		"source", s.name, "file", s.file.path, "age", now.Sub(kept.loaded))
	logRefused(s.logger, s.name, kept.keys.refused, nil)
	return true
}

// readFile makes a panic an error, as start does for the answer of the issuer.
func (s *Set) readFile() (k kept, err error) {
	flight.Recover("reading it", func() (err error) {
		k, err = s.file.read()
		return err
	}, func(failure error) { err = failure })
	return k, err
}

// acceptRestored stores keys of the file, and returns what the waiting requests receive.
func (s *Set) acceptRestored(k kept, now time.Time) (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetch = nil
	if s.closed {
		return nil, &UnavailableError{cause: ErrClosed}
	}
	result := s.policy.restored(k, now)
	s.current.Store(result)
	return result, nil
}

// save writes the last snapshot to the file, unless another goroutine is writing: that one writes
// the last snapshot, too, when it is done. So a disk that hangs holds up one goroutine, and an
// older snapshot never replaces a newer one. A failure is logged once, and so is its end.
func (s *Set) save() {
	for s.unsaved.Load() != nil && s.saving.TryLock() {
		s.saveLast()
	}
}

// saveLast writes the last snapshot. The caller has locked saving, which this unlocks.
func (s *Set) saveLast() {
	defer s.saving.Unlock()
	snap := s.unsaved.Swap(nil)
	if snap == nil {
		return
	}
	failed := s.unwritable
	var err error
	if snap.withdrawn {
		err = s.file.remove()
	} else {
		err = s.file.write(snap.document, snap.loaded)
	}
	s.unwritable = err != nil
	switch {
	case err != nil && !failed:
		s.logger.Warn("the last known good keys cannot be written to a file",
			"source", s.name, "file", s.file.path, "error", err)
	case err == nil && failed:
		s.logger.Warn("the last known good keys can be written to a file again",
			"source", s.name, "file", s.file.path)
	}
}
