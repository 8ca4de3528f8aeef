package jwks_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// breakingHandler notes the message of each record, and then does not return.
type breakingHandler struct {
	slog.Handler
	blow     func()
	mu       *sync.Mutex
	messages *[]string
}

func (breakingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h breakingHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	*h.messages = append(*h.messages, r.Message)
	h.mu.Unlock()
	h.blow()
	return nil
}

// The log is written on the goroutine of a fetch, where a panic would end the process.
func TestLogHandlerThatPanicsChangesNothing(t *testing.T) {
	for name, blow := range map[string]func(){
		"a panic": func() { panic("a log handler's bug") },
		"goexit":  runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var messages []string
				handler := breakingHandler{slog.DiscardHandler, blow, new(sync.Mutex), &messages}
				logger := jwks.WithLogger(slog.New(handler))
				w := issuer(edJWK("a"), jwk{"kty": "X", "kid": "refused"})
				k := keep{t, w, filepath.Join(t.TempDir(), "keys")}
				up := k.w.pages[keysURL]
				open := func(path string) *jwks.Set {
					return k.w.discover(t, jwks.WithLastKnownGood(path, time.Hour), logger)
				}
				down := func(*http.Request) (*http.Response, error) { panic("a transport's bug") }

				k.w.put(keysURL, down)
				set := open(k.path)
				want(t, set, "a", "EdDSA", "unavailable")
				k.w.put(keysURL, up)
				<-time.After(5 * time.Second)
				want(t, set, "a", "EdDSA", "found")
				_ = set.Close()
				k.wantEntries("keys")

				k.w.put(keysURL, down)
				set = open(k.path) // which it is read from
				want(t, set, "a", "EdDSA", "found")
				_ = set.Close()
				k.write("{}")
				k.w.put(keysURL, up)
				set = open(k.path)
				want(t, set, "a", "EdDSA", "found")
				_ = set.Close()

				set = open(filepath.Join(k.path, "beneath", "a file"))
				want(t, set, "a", "EdDSA", "found")
				_ = set.Close()

				for _, message := range []string{
					"fetching keys fails", "fetching keys works again",
					"the last known good keys were read from a file",
					"the file of the last known good keys is not used",
					"the last known good keys cannot be written to a file",
				} {
					if !slices.Contains(messages, message) {
						t.Errorf("the test does not test %q: %q", message, messages)
					}
				}
			})
		})
	}
}
