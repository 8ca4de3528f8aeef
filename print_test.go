package bearer_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// No value shows a token, a secret or a claim when it is printed, with any verb and in any place.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	for name, dir := range guarded {
		for _, typ := range exportedTypes(apiOf(t, dir)) {
			if full := name + "." + typ.Name(); len(s.samples[full]) == 0 {
				t.Errorf("there is no sample of a %s", full)
			}
		}
	}
	for _, way := range waysToPrint("", "+", "#", " ") {
		var needles []string
		for _, needle := range s.needles {
			needles = append(append(needles, needle, strings.Trim(fmt.Sprint([]byte(needle)), "[]")), way.as(needle)...)
		}
		for name, samples := range s.samples {
			for _, sample := range samples {
				text := way.text(sample)
				for _, needle := range needles {
					if strings.Contains(text, needle) {
						t.Errorf("%s of %s, a %T, shows %q: %.400s", way.how, name, sample, needle, text)
						break
					}
				}
			}
		}
	}
}

// A value in use can be printed at any time: printing reads nothing that changes, and waits for no
// lock.
func TestPrintingNeedsNoLock(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_, _ = s.auth.Guard().Verify(t.Context(), s.token)
				_, _ = s.auth.Guard().Verify(t.Context(), edit(s.token, 2, func(string) string { return fmt.Sprintf("AA%d%d", g, i) }))
				_ = s.auth.Stats()
			}
		})
	}
	ways := waysToPrint("")
	for i, way := range ways {
		if i == 26 {
			_ = s.auth.Close()
		}
		for _, samples := range s.samples {
			for _, sample := range samples {
				_ = way.text(sample)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// The text is fixed, and says what it stands for.
func TestPrintedTextIsFixed(t *testing.T) {
	s := newSecrets(t)
	for _, sample := range []any{s.auth, s.samples["bearer.Claims"][0], s.samples["jwks.Set"][0]} {
		want := strings.TrimPrefix(fmt.Sprintf("%T{...}", sample), "*")
		for _, verb := range "vsqdxXtTbpw" {
			got := fmt.Sprintf("%"+string(verb), sample)
			if fixed := strings.ContainsRune("vsqdxXtb", verb); fixed && got != want {
				t.Errorf("%%%c prints %q, want %q", verb, got, want)
			}
		}
		nothing := reflect.Zero(reflect.TypeOf(sample)).Interface()
		for v, want := range map[any]string{sample: want, nothing: "<nil>"} {
			if got := v.(fmt.Stringer).String(); got != want {
				t.Errorf("String of %T is %q, want %q", v, got, want)
			}
			if got := v.(slog.LogValuer).LogValue().String(); got != want {
				t.Errorf("LogValue of %T is %q, want %q", v, got, want)
			}
			if got := fmt.Sprint(v); got != want {
				t.Errorf("%T prints %q, want %q", v, got, want)
			}
		}
	}
}
