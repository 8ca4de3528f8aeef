package jwks_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// keep is the file of a set, and what a test does with it.
type keep struct {
	*testing.T
	w    *web
	path string
}

// newKeep is a file that a set with this key has written.
func newKeep(t *testing.T, key jwk) keep {
	t.Helper()
	k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
	k.w.put(keysURL, says(200, keySet(key)))
	set := k.open()
	want(t, set, key["kid"].(string), "EdDSA", "found")
	_ = set.Close()
	return k
}

// open makes a set with the file, as at a restart.
func (k keep) open(options ...jwks.Option) *jwks.Set {
	k.Helper()
	return k.w.remote(k.T, append(options, jwks.WithLastKnownGood(k.path, 30*day))...)
}

func (k keep) read() string {
	k.Helper()
	content, err := os.ReadFile(k.path)
	if err != nil {
		k.Error(err)
	}
	return string(content)
}

func (k keep) write(content string) {
	k.Helper()
	if err := os.WriteFile(k.path, []byte(content), 0o600); err != nil {
		k.Error(err)
	}
}

// wantEntries looks at what is in the directory of the file.
func (k keep) wantEntries(names ...string) {
	k.Helper()
	entries, err := os.ReadDir(filepath.Dir(k.path))
	if err != nil {
		k.Error(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if !slices.Equal(found, names) {
		k.Errorf("the directory holds %q, want %q", found, names)
	}
}

// wantUsed restarts during an outage and expects the key of the file to be used.
func (k keep) wantUsed(kid string) {
	k.Helper()
	k.w.put(keysURL, down)
	var log logs
	set := k.open(jwks.WithLogger(log.logger()))
	want(k.T, set, kid, "EdDSA", "found")
	want(k.T, set, "made-up", "EdDSA", "unavailable")
	_ = set.Close()
	if n := len(log.lines("were read from a file", k.path)); n != 1 {
		k.Errorf("logged %d times that the file was read: %s", n, log.lines(""))
	}
}

// wantNotUsed restarts during an outage and expects that the file is not used, logged once, and
// left alone.
func (k keep) wantNotUsed(name, says string, secret any) {
	k.Helper()
	k.w.put(keysURL, down)
	var log logs
	set := k.open(jwks.WithLogger(log.logger()))
	for range 3 {
		var got string
		if wait := took(func() { got = outcome(set.Keys(k.Context(), "old", "EdDSA")) }); got != "unavailable" || wait != 0 {
			k.Errorf("%s: %s after %s", name, got, wait)
		}
		<-time.After(5 * time.Second)
	}
	if stats := set.Stats(); stats.State != jwks.StateCold || stats.Keys != 0 || stats.Failures == 0 {
		k.Errorf("%s: %+v", name, stats)
	}
	_ = set.Close()
	all := log.lines("last known good")
	if len(all) != 1 || len(log.lines("is not used", `"level":"WARN"`, k.path, says)) != 1 {
		k.Errorf("%s: logged %q, want one line with %q", name, all, says)
	}
	if text, _ := secret.(string); text != "" && len(log.lines(text)) > 0 {
		k.Errorf("%s: the log has the key in it: %q", name, log.lines(text))
	}
}

// wantReplaced restarts with an issuer that answers: whatever the file holds, its keys are the
// issuer's from then on.
func (k keep) wantReplaced(name string) {
	k.Helper()
	k.w.put(keysURL, says(200, keySet(edJWK("new"))))
	set := k.open()
	var got string
	if wait := took(func() { got = outcome(set.Keys(k.Context(), "new", "EdDSA")) }); got != "found" || wait != 0 {
		k.Errorf("%s: %s after %s", name, got, wait)
	}
	want(k.T, set, "old", "EdDSA", "not found")
	_ = set.Close()
	k.wantEntries("keys")
	k.wantUsed("new")
}

// everywhere is a network on which all URLs are one page.
type everywhere page

func (p everywhere) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }
