package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/webclient"
)

// maxFile is what a file can be long: the longest key set, and room for what stands around it.
const maxFile = webclient.MaxBody + 64<<10

// file keeps the last known good keys of one source. It holds a JSON object of three members: the source, when its keys were
// asked for (RFC 3339), and the JWK Set as it was fetched, which is judged anew when it is read.
type file struct {
	path, source string
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
	opened, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // or else a pipe would wait for its other end
	if err != nil {
		return kept{}, err
	}
	defer func() { _ = opened.Close() }()
	info, err := opened.Stat()
	if err != nil {
		return kept{}, err
	}
	if !info.Mode().IsRegular() {
		return kept{}, errIrregular
	}
	// Windows has other permissions than these, and shows every file that is not read-only as one that all may write.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return kept{}, errWritable
	}
	document, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return kept{}, err
	}
	return f.parse(string(document))
}

func (f *file) parse(document string) (kept, error) {
	if len(document) > maxFile {
		return kept{}, errLongFile
	}
	object, err := strictjson.Envelope(document)
	if err != nil {
		return kept{}, err
	}
	members := jwkMembers(object)
	if members.text("source") != f.source {
		return kept{}, errOtherSource
	}
	loaded, err := time.Parse(time.RFC3339Nano, members.text("loaded"))
	if err != nil {
		return kept{}, errFileTime
	}
	keys, err := parse(members.value("jwks"))
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

// write replaces the file as a whole: whoever reads it, even after a crash, finds the keys before or these.
func (f *file) write(document string, loaded time.Time) (err error) {
	source, err := json.Marshal(f.source)
	if err != nil {
		return err
	}
	// The text of the keys stands in it as it came: package json would make it up to six times as long.
	content := fmt.Appendf(nil, "{\"source\":%s,\n\"loaded\":%q,\n\"jwks\":%s}\n", source, loaded.UTC().Format(time.RFC3339Nano), document)
	// The file that is there is better than one that cannot be read.
	if _, err := f.parse(string(content)); err != nil {
		return fmt.Errorf("it could not be read back: %w", err)
	}

	temporary, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*") // with the permissions 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), f.path)
}
