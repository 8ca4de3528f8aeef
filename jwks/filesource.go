package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/atomicfile"
	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/webclient"
)

const (
	// fileLifetime is how long the keys of a file are used without a look at it.
	fileLifetime = 5 * time.Second
	// fileRest is how long a file must not have changed before it is read: one that is written in
	// place would be read in parts.
	fileRest = 500 * time.Millisecond
	// fileLooks is how often a fetch looks at a file that goes on changing.
	fileLooks = 3
	// fileAgain is how long a file that looks unchanged is not read again.
	fileAgain = time.Hour
	// fileTimeout is how long a look at the file may take, on a file system that may be stuck.
	fileTimeout = fetchTimeout
)

// File reads the keys from a file of this machine, and notices when it is renewed: a JWK Set (RFC
// 7517 section 5), or PEM blocks by the rules of [PEM]. It is for keys that another program
// provides, such as a mounted Kubernetes secret or a SPIFFE bundle. The keys count as chosen by the
// operator, like those of [PEM] and [Static], and at most 4 of them can be without a kid.
//
// The file is looked at when its keys are needed and the last look is 5 seconds ago (see
// [WithLifetime]), and when a token names a key id that it does not have. It is read if it looks
// different: by its time, its size, its permissions, or because another file has its name. So a new
// key is used, and a removed one refused, 5 seconds after the change at the latest if tokens come
// all the time, and at once if none came for as long.
//
// A file that cannot be read, is longer than 1 MiB, is not a regular file, may be written by
// everyone (not checked on Windows) or has something else in it fails as a fetch does: the last
// good keys stay in use up to [WithMaxStaleness], the failure is logged, and the file is looked at
// again within a minute. One that changed in the last half-second is read half a second later, so
// that it is not read while it is being written. Rename a complete file over the old one, and there
// is no such moment.
//
// A file system that is stuck is a failure as well, after 5 seconds. One goroutine waits for it,
// and [Set.Close] does not.
//
// An empty path is an error, and so is [WithLastKnownGood]. Options about HTTP mean nothing here.
func File(path string, options ...Option) Source {
	return Source{name: path, options: slices.Clone(options), open: func(c *config) opened {
		if path == "" {
			c.Add("File", strconv.Quote(path), "the path is empty; name a file")
		}
		if c.file.Given() {
			c.Add("WithLastKnownGood", c.file.Get().String(), "is for keys that are fetched; leave it out for a File")
		}
		c.usual = &lifetimes{fileLifetime, maxLifetime}
		c.judgeStaleness()
		return opened{fetcher: &keyFile{path: path, jwtSVID: c.jwtSVID, stat: os.Stat}}
	}}
}

// keyFile is the file of [File].
type keyFile struct {
	path    string
	jwtSVID bool
	stat    func(path string) (fs.FileInfo, error)

	looking <-chan struct{} // closed when the last look came to an end; until then the rest is its own

	info  fs.FileInfo // of the file that was read last; nil if there is none
	last  answer      // what was in it
	empty emptied
}

var (
	errRestless   = errors.New("it is being written")
	errStuck      = fmt.Errorf("there is no answer from its file system within %s", fileTimeout)
	errLongSource = fmt.Errorf("it is longer than %d bytes", webclient.MaxBody)
)

func (f *keyFile) String() string { return "file " + f.path }

// fetch returns the keys of the file, and reads it if need be.
func (f *keyFile) fetch(ctx context.Context, _ bool) (answer, error) {
	a, err := f.lookInTime(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("the file %s cannot be used: %w", f.path, err)
	}
	return a, nil
}

// lookInTime is look for a file system that may not answer. A look that is late goes on, and until
// it ends there is no other. What it finds is there for the next.
func (f *keyFile) lookInTime(ctx context.Context) (answer, error) {
	if f.looking != nil {
		select {
		case <-f.looking:
		default:
			return answer{}, errStuck
		}
	}
	done := make(chan struct{})
	f.looking = done
	var a answer
	var err error
	go func() {
		flight.Recover("looking at it", func() (err error) {
			a, err = f.look(ctx)
			return err
		}, func(failure error) {
			if err = failure; err != nil {
				f.info = nil // it is read again, whatever it looks like
			}
			close(done)
		})
	}()
	timer := time.NewTimer(fileTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return a, err
	case <-timer.C:
		return answer{}, errStuck
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

func (f *keyFile) look(ctx context.Context) (answer, error) {
	for range fileLooks {
		info, err := f.stat(f.path)
		if err != nil {
			f.empty.end()
			return answer{}, err
		}
		now := time.Now()
		if f.info != nil && sameFile(info, f.info) && elapsed(f.last.at, now) < fileAgain {
			return f.last, nil
		}
		// A time in the future is another machine's, and says nothing.
		if age := now.Sub(info.ModTime()); age >= 0 && age < fileRest {
			if !flight.Sleep(ctx, fileRest-age, nil) {
				return answer{}, context.Cause(ctx)
			}
			continue
		}
		content, read, err := f.read()
		if err != nil {
			f.empty.end()
			return answer{}, err
		}
		if after, err := f.stat(f.path); err != nil || !sameFile(after, read) || !sameFile(info, read) {
			continue
		}
		keys, err := f.parse(content)
		withdrawn := f.empty.withdrawn(err, now)
		if err != nil && !withdrawn {
			return answer{}, err
		}
		f.info, f.last = read, answer{keys: keys, withdrawn: withdrawn, lifetime: fileLifetime, at: now}
		return f.last, nil
	}
	f.empty.end()
	return answer{}, errRestless
}

// sameFile reports whether a file looks as it did.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// read returns the content of the file, and what it looked like when it was opened.
func (f *keyFile) read() (content []byte, opened fs.FileInfo, err error) {
	content, err = atomicfile.Read(os.OpenFile, f.path, webclient.MaxBody, func(info fs.FileInfo) error {
		opened = info
		switch {
		case !info.Mode().IsRegular():
			return errIrregular
		case atomicfile.Allows(info, 0o002):
			return errWritable
		}
		return nil
	})
	if err == nil && len(content) > webclient.MaxBody {
		err = errLongSource
	}
	return content, opened, err
}

// parse reads a JWK Set, which begins with a brace, or PEM blocks.
func (f *keyFile) parse(content []byte) (keys keySet, err error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(content, []byte(byteOrderMark)))
	if bytes.HasPrefix(text, []byte("{")) {
		keys, err = parse(string(text), f.jwtSVID)
	} else {
		keys, err = parsePEMKeys(text)
	}
	if err != nil {
		return keySet{}, err
	}
	keys.chosen = true
	return keys, keys.judgeUnnamed()
}

// parsePEMKeys reads PEM blocks, of which each must be a key that can be used.
func parsePEMKeys(text []byte) (keySet, error) {
	public, err := parsePEM(text)
	if err != nil {
		return keySet{}, err
	}
	keys, mistakes := copyKeys("PEM", "block", public)
	if len(mistakes.All) > 0 {
		problems := make([]string, len(mistakes.All))
		for i, m := range mistakes.All {
			problems[i] = m.Problem
		}
		return keySet{}, errors.New(strings.Join(problems, "; "))
	}
	return keys, nil
}
