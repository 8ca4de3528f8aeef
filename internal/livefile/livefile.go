// Package livefile reads small files that another program replaces, such as a mounted secret.
package livefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/atomicfile"
	"github.com/bearer-go/bearer/internal/flight"
)

// Timeout is how long a read may take, on a file system that may be stuck.
const Timeout = 5 * time.Second

var (
	errIrregular = errors.New("it is not a regular file")
	errWritable  = errors.New("everybody may write it")
	errStuck     = fmt.Errorf("there is no answer from its file system within %s", Timeout)
)

// File is one such file. It is safe for concurrent use.
type File struct {
	path  string
	limit int
	open  atomicfile.OpenFunc

	mu      sync.Mutex
	reading *flight.Call[string] // the read under way, or nil
}

// New returns the file at a path, of so many bytes at most. Nothing is read yet.
func New(path string, limit int) *File { return &File{path: path, limit: limit, open: os.OpenFile} }

// Read returns what the file holds now. It follows links. A file that is not regular, that everyone
// may write (not checked on Windows) or that is too long is an error. Who owns it and who may read
// it is not checked: a mounted secret is often for all to read, and another user's.
//
// A reader waits for [Timeout] at most, and no longer than its context allows. While the file
// system does not answer, one goroutine waits for it, and all readers for that one.
func (f *File) Read(ctx context.Context) (string, error) {
	call := f.begin()
	if !call.Wait(ctx, time.Now().Add(Timeout)) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		return "", f.Unusable(errStuck)
	}
	return call.Result()
}

// begin starts a read, or joins the one under way.
func (f *File) begin() *flight.Call[string] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading == nil {
		f.reading = flight.NewCall[string]()
		go f.read(f.reading)
	}
	return f.reading
}

func (f *File) read(call *flight.Call[string]) {
	content, err := atomicfile.Read(f.open, f.path, f.limit, func(info fs.FileInfo) error {
		switch {
		case !info.Mode().IsRegular():
			return errIrregular
		case atomicfile.Allows(info, 0o002):
			return errWritable
		}
		return nil
	})
	if err == nil && len(content) > f.limit {
		err = fmt.Errorf("it is longer than %d bytes", f.limit)
	}
	if err != nil {
		content, err = nil, f.Unusable(err)
	}
	f.mu.Lock()
	f.reading = nil
	f.mu.Unlock()
	call.Finish(string(content), err)
}

// Unusable is the error that the file cannot be used. It names the file once.
func (f *File) Unusable(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the file %s cannot be used: %w", f.path, err)
}
