package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/bearer-go/bearer/internal/atomicfile"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/webclient"
)

// maxFile is the most bytes that a file can have: the longest key set, and room for what stands
// around it.
const maxFile = webclient.MaxBody + 64<<10

// file keeps the last known good keys of one source. It holds a JSON object of three members: the
// source, when its keys were asked for (RFC 3339), and the JWK Set as it was fetched, which is
// judged again when it is read.
type file struct {
	path, source string
	jwtSVID      bool // see [WithJWTSVIDKeys]
}

// kept is what a file holds.
type kept struct {
	keys   keySet
	loaded time.Time
}

var (
	errIrregular   = errors.New("it is not a regular file")
	errWritable    = errors.New("everybody may write it")
	errLongFile    = fmt.Errorf("it is longer than %d bytes", maxFile)
	errOtherSource = errors.New("it holds the keys of another source")
	errFileTime    = errors.New("its time is missing or malformed")
	errFuture      = errors.New("its time is in the future")
)

// read returns what the file holds. The error is [fs.ErrNotExist] when there is no file.
func (f *file) read() (kept, error) {
	document, err := atomicfile.Read(os.OpenFile, f.path, maxFile, func(info fs.FileInfo) error {
		switch {
		case !info.Mode().IsRegular():
			return errIrregular
		case atomicfile.Allows(info, 0o002):
			return errWritable
		}
		return nil
	})
	if err != nil {
		return kept{}, err
	}
	return f.parse(string(document))
}

func (f *file) parse(document string) (kept, error) {
	if len(document) > maxFile {
		return kept{}, errLongFile
	}
	members, err := strictjson.Envelope(document)
	if err != nil {
		return kept{}, err
	}
	if members.Text("source") != f.source {
		return kept{}, errOtherSource
	}
	loaded, err := time.Parse(time.RFC3339Nano, members.Text("loaded"))
	if err != nil {
		return kept{}, errFileTime
	}
	keys, err := parse(members.Value("jwks"), f.jwtSVID)
	return kept{keys, loaded}, err
}

// judge refuses keys that are too old, or of a time that does not tell how old they are.
func (k kept) judge(now time.Time, maxAge time.Duration) error {
	switch age := now.Sub(k.loaded); {
	case age < 0:
		return errFuture
	case age >= maxAge:
		return fmt.Errorf("its keys are older than %s", maxAge)
	default:
		return nil
	}
}

// remove removes the file, which has keys that the issuer withdrew.
func (f *file) remove() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write replaces the file as a whole. A reader finds the keys before or these, even after a crash.
func (f *file) write(document string, loaded time.Time) error {
	source, err := json.Marshal(f.source)
	if err != nil {
		return err
	}
	// The text of the keys stands in it as it came: package json would make it up to six times as
	// long.
	content := fmt.Appendf(nil, "{\"source\":%s,\n\"loaded\":%q,\n\"jwks\":%s}\n",
		source, loaded.UTC().Format(time.RFC3339Nano), document)
	// The file that is there is better than one that cannot be read.
	if _, err := f.parse(string(content)); err != nil {
		return fmt.Errorf("it could not be read back: %w", err)
	}

	dir, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	_, name := filepath.Split(f.path)                       // "" if the path is that of a folder, which is an error below
	temporary := fmt.Sprintf(".%s.%d", name, rand.Uint32()) //nolint:gosec // it tells processes apart and is no secret
	if err := atomicfile.Write(dir, temporary, content); err != nil {
		return err
	}
	if err := dir.Rename(temporary, name); err != nil {
		_ = dir.Remove(temporary)
		return err
	}
	return atomicfile.SyncDir(dir)
}
