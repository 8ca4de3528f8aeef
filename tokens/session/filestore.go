package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/atomicfile"
	"github.com/bearer-go/bearer/internal/flight"
)

// NewFileStore returns a [Store] that keeps each record in a file of its own in one directory,
// sealed as by [NewSealedStore]; processes of one machine share it by naming the same directory. A
// relative name is of the directory that the process is in now, wherever it goes later. It must be
// on a local file system: network file systems do not lock reliably.
//
// A directory that is not there has no records. The first Save or Lock makes it, for this user
// alone (0700). Once a record was read or saved in it, this Store says of no record that it is not
// there while the directory is away, or while another is in its place, such as the empty one that
// its volume was mounted on: that is an error, and no record is made there. It goes on when the
// directory is back, and in another one when it reads a record there. After a restart it knows
// nothing of this. So let a service start after its volume is mounted (RequiresMountsFor= of
// systemd), or let the place where that is mounted be one that the service may not write.
//
// A directory that others may write, or that belongs to another user than this one or root,
// is refused. The directories above it are not looked at: who may rename in one of them can put
// another directory of the same user in its place. Let none but this user and root write there, as
// in /var/lib.
//
// A record survives kill -9 and a power cut: its file is written beside the old one, brought to the
// disk and put in its place, so that there is always the old one or the new one as a whole. The
// names of the files are hashes of the records' names: they show no name, though who guesses one
// can confirm it. [ErrCannotUnseal] is a record that cannot be opened; nothing replaces it until it
// is deleted. What cannot be detected is an old file that is put back, by an attacker or from a
// backup.
//
// With one key for two directories, a record of one opens in the other under the same name. Give
// each directory a key of its own, or a label, [WithLabel]. Save gives up when its
// context ends before the record is in its place; what the system does meanwhile, such as bringing
// a file to a slow disk, is waited for.
//
// On a file system that is read-only, Load works, and the others are errors.
//
// A lock ends at once when its process does. One that is merely stopped (SIGSTOP) holds its locks
// on, until it is ended or goes on.
//
// Linux, macOS, the BSDs and Windows have such locks; on other systems NewFileStore returns an
// error. Windows has other permissions than those above, which are not looked at: make the
// directory where only this user can write.
//
// The error is every mistake in the configuration, each a [*ConfigError].
func NewFileStore(dir string, keys SealKeys, opts ...StoreOption) (Store, error) {
	c := configureStore("NewFileStore", keys, opts)
	if dir == "" {
		c.Add("NewFileStore", `""`, "the directory of the file store is empty; name one")
	}
	if !canLockFiles {
		c.Add("NewFileStore", "", "there is no file store on %s, which has no file locks", runtime.GOOS)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		c.Add("NewFileStore", strconv.Quote(dir), "the directory cannot be found: %v", err)
	}
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	b := binding{sealedForFile, c.label.Get()}
	return &fileStore{hiddenFile: &hiddenFile{&fileState{dir: absolute, keys: keys, binding: b}}}, nil
}

type fileStore struct {
	opaque
	*hiddenFile
}

type hiddenFile struct{ *fileState }

type fileState struct {
	dir     string
	keys    SealKeys
	binding binding
	home    atomic.Pointer[os.FileInfo] // the directory in which a record was read or saved last; nil before the first
}

// The files, by the hexadecimal SHA-256 of a record's name:
//
//	<hash>.record  the record; its version, in eight bytes, is sealed before its data
//	<hash>.lock    there while it is locked, or was when a process ended
//	save-<h>.lock  held while a record whose hash begins with this digit is saved or deleted; it is never removed
//	save-<h>.new   the file being written by who holds that lock; one that a process left behind is removed by the next
type recordFiles struct {
	record, lock, saveLock, saveNew string
}

func filesOf(name string) recordFiles {
	sum := sha256.Sum256([]byte(name))
	hash := hex.EncodeToString(sum[:])
	return recordFiles{hash + ".record", hash + ".lock", "save-" + hash[:1] + ".lock", "save-" + hash[:1] + ".new"}
}

// A lock that another has is tried again after a pause at random within a bound, which doubles from
// the first to the second.
const (
	shortestPoll = time.Millisecond
	longestPoll  = 100 * time.Millisecond
)

const versionSize = 8 // bytes of a version in a file

func (s *fileStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if err := checkName(ctx, name); err != nil {
		return nil, 0, err
	}
	dir, err := s.openDir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = dir.Close() }()
	sealers, err := s.keys.sealers(ctx)
	if err != nil {
		return nil, 0, err
	}
	return s.read(dir, name, sealers)
}

func (s *fileStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	if err := checkName(ctx, name); err != nil {
		return 0, err
	}
	if len(data) > maxData {
		return 0, errData
	}
	sealers, err := s.keys.sealers(ctx)
	if err != nil {
		return 0, err
	}
	dir, err := s.makeDir()
	if err != nil {
		return 0, err
	}
	saved := int64(0)
	err = s.change(ctx, dir, name, func(dir *os.Root, files recordFiles) error {
		_, current, err := s.read(dir, name, sealers)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if current != version {
			return ErrConflict
		}
		saved = newVersion(current)
		plain, err := binary.Append(make([]byte, 0, versionSize+len(data)), binary.BigEndian, saved)
		if err != nil {
			return err
		}
		sealed := sealRecord(sealers, s.binding, name, append(plain, data...))
		if err := atomicfile.Write(dir, files.saveNew, sealed); err != nil {
			return err
		}
		if ctx.Err() != nil { // bringing it to the disk may have taken a while
			_ = dir.Remove(files.saveNew)
			return context.Cause(ctx)
		}
		if err := dir.Rename(files.saveNew, files.record); err != nil {
			return err
		}
		s.noteHome(dir)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return saved, nil
}

func (s *fileStore) Delete(ctx context.Context, name string) error {
	if err := checkName(ctx, name); err != nil {
		return err
	}
	dir, err := s.openDir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.change(ctx, dir, name, func(dir *os.Root, files recordFiles) error {
		err := dir.Remove(files.record)
		if errors.Is(err, fs.ErrNotExist) {
			return s.missing(dir)
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *fileStore) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	if err := checkLock(ctx, name, lease); err != nil {
		return nil, err
	}
	dir, err := s.makeDir()
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(ctx, dir, filesOf(name).lock)
	if err != nil {
		_ = dir.Close()
		return nil, s.failed(err)
	}
	release := sync.OnceFunc(func() {
		lock.remove(dir)
		_ = dir.Close()
	})
	timer := time.AfterFunc(lease, release)
	return func() {
		timer.Stop()
		release()
	}, nil
}

// change does what changes a record, while no other does, and brings it to the disk. It closes
// the directory.
func (s *fileStore) change(ctx context.Context, dir *os.Root, name string, do func(dir *os.Root, files recordFiles) error) error {
	defer func() { _ = dir.Close() }()
	files := filesOf(name)
	lock, err := lockFile(ctx, dir, files.saveLock)
	if err != nil {
		return s.failed(err)
	}
	defer lock.release()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := do(dir, files); err != nil {
		return s.failed(err)
	}
	return s.failed(atomicfile.SyncDir(dir))
}

// failed names the directory in the system's errors, which have no more than a file's name.
func (s *fileStore) failed(err error) error {
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isLink := errors.AsType[*os.LinkError](err)
	if isPath || isLink {
		return fmt.Errorf("session: the directory %s: %w", s.dir, err)
	}
	return err
}

// makeDir opens the directory, which is made if it is not there, and never was.
func (s *fileStore) makeDir() (*os.Root, error) {
	dir, err := s.openDir()
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	// What is in a directory is lost with it.
	if parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(s.dir))); err == nil {
		err = atomicfile.SyncDir(parent)
		_ = parent.Close()
		if err != nil {
			return nil, err
		}
	}
	return s.openDir()
}

// openDir opens the directory and judges it. The error is [fs.ErrNotExist] when there is none, and
// never was.
func (s *fileStore) openDir() (*os.Root, error) {
	dir, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) && s.home.Load() != nil {
		return nil, s.away()
	}
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat(".")
	switch {
	case err != nil:
	case atomicfile.Allows(info, 0o022):
		err = fmt.Errorf("session: others may write the directory %s: allow only its owner to write (chmod 0700)", s.dir)
	case atomicfile.IsStrangers(info):
		err = fmt.Errorf("session: the directory %s belongs to another user than this process runs as", s.dir)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// read reads a record.
func (s *fileStore) read(dir *os.Root, name string, sealers []sealer) (data []byte, version int64, err error) {
	data, version, err = readRecord(dir, s.binding, name, sealers)
	switch {
	case err == nil:
		s.noteHome(dir)
	case errors.Is(err, ErrNotFound):
		err = s.missing(dir)
	}
	return data, version, s.failed(err)
}

// noteHome notes that a record is in a directory.
func (s *fileStore) noteHome(dir *os.Root) {
	if info, err := dir.Stat("."); err == nil {
		if home := s.home.Load(); home == nil || !os.SameFile(*home, info) {
			s.home.Store(&info)
		}
	}
}

// missing is what is to be said of a record that is not in a directory. In another one than where
// records were before, such as the place where a volume was mounted, it says nothing about the
// record.
func (s *fileStore) missing(dir *os.Root) error {
	home := s.home.Load()
	if home == nil {
		return ErrNotFound
	}
	info, err := dir.Stat(".")
	switch {
	case err != nil:
		return err
	case !os.SameFile(*home, info):
		return s.away()
	}
	return ErrNotFound
}

// away is why nothing can be said of a record.
func (s *fileStore) away() error {
	return fmt.Errorf("session: the directory %s is not the one in which there were records before: mount its volume, or put it back; "+
		"if it was replaced on purpose, restart the process", s.dir)
}

// lockFile waits until no other caller has locked a file, and locks it.
func lockFile(ctx context.Context, dir *os.Root, name string) (*fileLock, error) {
	for pause := shortestPoll; ; pause = min(2*pause, longestPoll) {
		lock, err := tryLockFile(dir, name)
		if lock != nil || err != nil {
			return lock, err
		}
		d := mathrand.N(pause) //nolint:gosec // it spreads attempts and is no secret
		if !flight.Sleep(ctx, d, nil) {
			return nil, context.Cause(ctx)
		}
	}
}

func readRecord(dir *os.Root, b binding, name string, sealers []sealer) (data []byte, version int64, err error) {
	sealed, err := atomicfile.Read(dir.OpenFile, filesOf(name).record, maxKept, func(info fs.FileInfo) error {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: it is not a regular file", ErrCannotUnseal)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	plain, err := openRecord(sealers, b, name, sealed)
	if err != nil {
		return nil, 0, err
	}
	if _, err := binary.Decode(plain, binary.BigEndian, &version); err != nil {
		return nil, 0, fmt.Errorf("%w: it has no version", ErrCannotUnseal)
	}
	return plain[versionSize:], version, nil
}

// newVersion is random: so it needs no memory of the versions that a deleted record had, and no
// clock that is never set back.
func newVersion(current int64) int64 {
	for {
		var b [versionSize]byte
		_, _ = rand.Read(b[:]) // never fails
		if version := int64(binary.BigEndian.Uint64(b[:]) >> 1); version != 0 && version != current {
			return version
		}
	}
}
