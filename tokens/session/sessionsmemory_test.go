package session_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// sameStore has one record under every name.
type sameStore struct {
	session.Store
	data []byte
}

func (s sameStore) Load(context.Context, string) ([]byte, int64, error) { return s.data, 1, nil }

// idleSize returns how many bytes a session takes whose last token is in the process.
func idleSize(tb testing.TB, sessions int) int64 {
	tb.Helper()
	issuer := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithPublicClient(sessionClientID, sessionRedirect))
	client, err := oauth.NewClient(issuer.URL(), sessionClientID, oauth.NoClientAuth(), oauth.WithHTTPClient(issuer.Client()))
	if err != nil {
		tb.Fatal(err)
	}
	record := fmt.Sprintf(`{"v":1,"refresh_token":"r","tokens":[{"access_token":%q,"type":"Bearer","requested":%q,"expires_in":%d}]}`,
		strings.Repeat("a", 40), time.Now().UTC().Format(time.RFC3339), 24*time.Hour)
	all, err := session.NewSessions(client, sameStore{session.NewMemoryStore(), []byte(record)}, session.WithMaxSessions(sessions), quietManager)
	if err != nil {
		tb.Fatal(err)
	}
	defer all.Close()
	before := heapSize()
	for i := range sessions {
		s, err := all.Session(fmt.Sprint("user-", i))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := s.Token(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	size := (heapSize() - before) / int64(sessions)
	runtime.KeepAlive(all)
	return size
}

func heapSize() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has swept
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// WithMaxSessions says how much one takes.
func TestIdleSessionTakesAboutThreeKilobytes(t *testing.T) {
	if size := idleSize(t, 1024); size < 1<<10 || size > 7<<9 {
		t.Errorf("%d bytes", size)
	}
}

func BenchmarkIdleSession(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(idleSize(b, 4096)), "bytes/session")
	}
}
