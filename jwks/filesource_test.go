package jwks_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// keysFile is a file of keys, and its set. Its times are those of the bubble.
type keysFile struct {
	t    *testing.T
	path string
	log  logs
	set  *jwks.Set
}

func newKeysFile(t *testing.T, content string, options ...jwks.Option) *keysFile {
	t.Helper()
	f := &keysFile{t: t, path: filepath.Join(t.TempDir(), "keys")}
	f.write(content)
	<-time.After(time.Second)
	f.set = open(t, jwks.File(f.path, append(options, jwks.WithLogger(f.log.logger()))...), newWeb())
	return f
}

// write writes the file in its place.
func (f *keysFile) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
	f.touch()
}

func (f *keysFile) touch() {
	f.t.Helper()
	if err := os.Chtimes(f.path, time.Now(), time.Now()); err != nil {
		f.t.Fatal(err)
	}
}

// replace renames a complete file over it.
func (f *keysFile) replace(content string) {
	f.t.Helper()
	other := &keysFile{t: f.t, path: f.path + ".new"}
	other.write(content)
	if err := os.Rename(other.path, f.path); err != nil {
		f.t.Fatal(err)
	}
}

// Rules: key.file.
func TestFileHasAKeySetOrPEM(t *testing.T) {
	for name, test := range map[string]struct{ content, kid, alg string }{
		"a JWK Set":              {keySet(edJWK("a")), "a", "EdDSA"},
		"with white space":       {"\n\t" + keySet(edJWK("a")) + "\n", "a", "EdDSA"},
		"a byte order mark":      {"\ufeff" + keySet(edJWK("a")), "a", "EdDSA"},
		"PEM":                    {pkix(edKey.Public()), "any", "EdDSA"},
		"PEM, token without kid": {pkix(edKey.Public()) + pkix(newEdKey().Public()), "", "EdDSA"},
		"PEM with an order mark": {"\ufeff" + pkix(edKey.Public()), "any", "EdDSA"},
		"a certificate":          {certificate(rsaKey), "any", "RS256"},
		"without kid":            {keySet(edJWK("")), "any", "EdDSA"},
		"two, token without kid": {keySet(edJWK("a"), edJWK("b")), "", "EdDSA"},
		"the longest":            {keySet(edJWK("a")) + strings.Repeat(" ", 1<<20-len(keySet(edJWK("a")))), "a", "EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newKeysFile(t, test.content)
				want(t, f.set, test.kid, test.alg, "found")
				want(t, f.set, "any", "ES512", "not found")
				if stats := f.set.Stats(); stats.Source != f.path || stats.State != jwks.StateFresh || stats.Failures != 0 {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

// A renewed file is noticed within 5 seconds while tokens come, at once after a pause, and at once
// for a new key id. What was removed is refused as soon.
// Rules: key.file.
func TestFileThatIsRenewedIsNoticed(t *testing.T) {
	for name, renew := range map[string]func(*keysFile, string){"in place": (*keysFile).write, "replaced": (*keysFile).replace} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newKeysFile(t, keySet(edJWK("a")))
				want(t, f.set, "a", "EdDSA", "found")
				renew(f, keySet(edJWK("b")))
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
					_, _ = f.set.Keys(t.Context(), "a", "EdDSA")
				}
				want(t, f.set, "a", "EdDSA", "not found")
				want(t, f.set, "b", "EdDSA", "found")

				renew(f, keySet(edJWK("b"), edJWK("c")))
				<-time.After(time.Second)
				wantAfter(t, f.set, "c", "found", 0) // looked for

				renew(f, keySet(edJWK("d")))
				<-time.After(10 * time.Second)
				wantAfter(t, f.set, "b", "not found", 0)
			})
			synctest.Test(t, func(t *testing.T) { // PEM has no key ids to look for
				old, renewed := newEdKey(), newEdKey()
				f := newKeysFile(t, pkix(old.Public()))
				want(t, f.set, "a", "EdDSA", "found")
				renew(f, pkix(renewed.Public()))
				<-time.After(5 * time.Second)
				keys, err := f.set.Keys(t.Context(), "a", "EdDSA")
				if err != nil || len(keys) != 1 || pkix(keys[0].Public()) != pkix(renewed.Public()) {
					t.Errorf("%d keys, %v", len(keys), err)
				}
			})
		})
	}
}

// A file that cannot be used leaves the last good keys in use for a day, and is looked at again
// within a minute.
// Rules: key.file.
func TestFileThatCannotBeUsedLeavesTheLastKeys(t *testing.T) {
	good := pkix(edKey.Public()) + pkix(rsaKey.Public())
	for name, test := range map[string]struct{ content, says string }{
		"half of it":         {good[:len(good)-40], "something other than a PEM block"},
		"half a JWK Set":     {keySet(edJWK("a"))[:60], "invalid JSON"},
		"nothing":            {"", "no PEM block"},
		"a private key":      {strings.ReplaceAll(good, "PUBLIC", "PRIVATE"), "private key"},
		"five without kid":   {keySet(edJWK(""), edJWK(""), edJWK(""), edJWK(""), edJWK("")), "5 keys have no kid"},
		"a small key":        {keySet(jwk{"kty": "RSA"}) + "x", "invalid JSON"},
		"an unusable block":  {pkix(newECKey(p256Key.Curve).Public()) + "x", "block 2"},
		"an empty set":       {none, "an empty array of keys"},
		"too long":           {keySet(edJWK("a")) + strings.Repeat(" ", 1<<20), "longer than 1048576 bytes"},
		"of an unknown kind": {"ssh-ed25519 AAAA", "block 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newKeysFile(t, good)
				want(t, f.set, "any", "EdDSA", "found")
				f.write(test.content)
				for range 30 {
					<-time.After(time.Minute)
					want(t, f.set, "any", "EdDSA", "found")
				}
				synctest.Wait()
				if n := len(f.log.lines("fetching keys fails", f.path, test.says)); n < 1 || n > 2 {
					t.Errorf("%d lines in the log: %q", n, f.log.lines(""))
				}
				f.replace(keySet(edJWK("new")))
				<-time.After(time.Minute)
				want(t, f.set, "any", "EdDSA", "found") // starts the look
				synctest.Wait()
				want(t, f.set, "new", "EdDSA", "found")
				want(t, f.set, "any", "EdDSA", "not found")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newKeysFile(t, good)
		want(t, f.set, "any", "EdDSA", "found")
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		for range 23 {
			<-time.After(time.Hour)
			want(t, f.set, "any", "EdDSA", "found")
		}
		<-time.After(2 * time.Hour)
		want(t, f.set, "any", "EdDSA", "unavailable")
	})
}

// A file that was just written is given half a second to become complete. Nothing but a new key
// waits for that.
// Rules: key.file.
func TestFileIsNotReadWhileItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newEdKey(), newEdKey()
		f := newKeysFile(t, keySet(newJWK("a", first.Public())))
		want(t, f.set, "a", "EdDSA", "found")
		f.write("")
		go func() {
			for _, part := range []string{pkix(first.Public()), pkix(first.Public()) + pkix(second.Public())[:50], pkix(first.Public()) + pkix(second.Public())} {
				<-time.After(200 * time.Millisecond)
				f.write(part)
			}
		}()
		<-time.After(250 * time.Millisecond) // the first part is a whole PEM block
		start := time.Now()
		keys, err := f.set.Keys(t.Context(), "b", "EdDSA")
		if err != nil || len(keys) != 2 || time.Since(start) < 500*time.Millisecond || time.Since(start) > 2*time.Second {
			t.Errorf("%d keys, %v, after %s", len(keys), err, time.Since(start))
		}
		if f.set.Stats().Failures != 0 {
			t.Errorf("%+v", f.set.Stats())
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that goes on changing is not read
		f := newKeysFile(t, keySet(edJWK("a")))
		want(t, f.set, "a", "EdDSA", "found")
		var ended atomic.Bool
		go func() {
			for !ended.Load() {
				f.write(keySet(edJWK("b")))
				<-time.After(100 * time.Millisecond)
			}
		}()
		<-time.After(time.Minute)
		want(t, f.set, "a", "EdDSA", "found")
		want(t, f.set, "b", "EdDSA", "unavailable")
		ended.Store(true)
		<-time.After(5 * time.Second)
		want(t, f.set, "b", "EdDSA", "found")
	})
	synctest.Test(t, func(t *testing.T) { // the clock of another machine says nothing
		f := newKeysFile(t, keySet(edJWK("a")))
		if err := os.Chtimes(f.path, time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantAfter(t, f.set, "a", "found", 0)
	})
}

// A file that looks unchanged is not read, which its reader would see.
// Rules: key.file.
func TestFileThatLooksUnchangedIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newKeysFile(t, keySet(edJWK("a")))
		want(t, f.set, "a", "EdDSA", "found")
		info, err := os.Stat(f.path)
		if err != nil {
			t.Fatal(err)
		}
		f.write(keySet(edJWK("b")))
		if err := os.Chtimes(f.path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			<-time.After(6 * time.Second)
			want(t, f.set, "a", "EdDSA", "found")
		}
		<-time.After(time.Hour) // but not for ever
		want(t, f.set, "a", "EdDSA", "not found")
	})
}

// Rules: key.file.
func TestFileThatAnyoneMayWriteIsNotUsed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newKeysFile(t, keySet(edJWK("a")))
		if err := os.Chmod(f.path, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := f.set.Keys(t.Context(), "a", "EdDSA")
		if outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), "everybody may write it") {
			t.Errorf("%v", err)
		}
		if err := os.Chmod(f.path, 0o644); err != nil {
			t.Fatal(err)
		}
		<-time.After(4 * time.Second)
		want(t, f.set, "a", "EdDSA", "found")
		if err := os.Chmod(f.path, 0o666); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		want(t, f.set, "a", "EdDSA", "found") // the last keys stay
		synctest.Wait()
		if last := f.set.Stats().LastError; !strings.Contains(last, "everybody may write it") {
			t.Errorf("the last error is %q", last)
		}
	})
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		want(t, open(t, jwks.File(path), newWeb()), "a", "EdDSA", "unavailable")
	}
}

// WithLifetime sets how soon a change is noticed.
func TestFileIsLookedAtAsOftenAsItsLifetimeSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newKeysFile(t, pkix(edKey.Public()), jwks.WithLifetime(time.Minute, time.Hour))
		want(t, f.set, "a", "EdDSA", "found")
		f.write(pkix(rsaKey.Public()))
		<-time.After(40 * time.Second)
		want(t, f.set, "a", "EdDSA", "found")
		synctest.Wait()
		want(t, f.set, "a", "EdDSA", "found")
		<-time.After(30 * time.Second)
		want(t, f.set, "a", "EdDSA", "not found")
	})
}

func TestFilesThatAreRefused(t *testing.T) {
	for says, source := range map[string]jwks.Source{
		"the path is empty":         jwks.File(""),
		"is for keys that are fetc": jwks.File("/x/keys", jwks.WithLastKnownGood("/x/last", time.Hour)),
		"is for Discover alone":     jwks.File("/x/keys", jwks.WithMetadataURL(keysURL)),
		"longest lifetime":          jwks.File("/x/keys", jwks.WithMaxStaleness(time.Minute)),
		"source 2 is there twice":   jwks.AnyOf(jwks.File("/x/keys"), jwks.File("/x/keys")),
	} {
		if _, err := jwks.New(source); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// Rules: key.jwt-svid.
func TestFileMayBeASPIFFEBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bundle := mustJSON(map[string]any{
			"spiffe_sequence": 7, "spiffe_refresh_hint": 300,
			"keys": []jwk{edJWK("a").with(jwk{"use": "jwt-svid"}), edJWK("").with(jwk{"use": "x509-svid"})},
		})
		want(t, newKeysFile(t, bundle, jwks.WithJWTSVIDKeys()).set, "a", "EdDSA", "found")
		want(t, newKeysFile(t, bundle).set, "a", "EdDSA", "not found")
	})
}

// A file system that does not answer fails the fetch, holds up no request for longer than one that
// is slow, and does not hold up Close. The file is looked at again when it answers.
// Rules: key.file.
func TestStuckFileSystemIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Pointer[chan struct{}]
		var looks atomic.Int64
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte(keySet(edJWK("a"))), 0o600); err != nil {
			t.Fatal(err)
		}
		set := open(t, jwks.File(path).WithStat(func(path string) (fs.FileInfo, error) {
			looks.Add(1)
			if release := stuck.Load(); release != nil {
				<-*release
			}
			return os.Stat(path)
		}), newWeb())
		want(t, set, "a", "EdDSA", "found")
		release := make(chan struct{})
		stuck.Store(&release)
		before := looks.Load()
		<-time.After(time.Hour)
		wantAfter(t, set, "a", "found", 2*time.Second)
		<-time.After(10 * time.Second)
		for range 60 {
			wantAfter(t, set, "a", "found", 0)
			<-time.After(time.Minute)
		}
		if last := set.Stats().LastError; !strings.Contains(last, path) || !strings.Contains(last, "its file system") {
			t.Errorf("the last error is %q", last)
		}
		if n := looks.Load() - before; n != 1 {
			t.Errorf("%d looks wait for the file system", n)
		}

		close(release)
		stuck.Store(nil)
		<-time.After(time.Minute)
		want(t, set, "a", "EdDSA", "found")
		synctest.Wait()
		if stats := set.Stats(); stats.State != jwks.StateFresh || stats.LastError != "" {
			t.Errorf("%+v", stats)
		}

		release = make(chan struct{})
		stuck.Store(&release)
		<-time.After(time.Minute)
		want(t, set, "a", "EdDSA", "found")
		if waited := took(func() { _ = set.Close() }); waited != 0 {
			t.Errorf("Close waited %s", waited)
		}
		close(release)
	})
}
