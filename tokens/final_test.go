package tokens_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// A token that is final is handed out until its end and not renewed before, also when the server
// has said when.
func TestFinalTokenIsNotRenewedAheadOfItsEnd(t *testing.T) {
	for _, refreshIn := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var fetches atomic.Int32
			m := tokenstest.NewManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
				fetches.Add(1)
				return &tokens.Response{
					AccessToken: tokens.NewSecret("a"), TokenType: "Bearer", ExpiresIn: 1000 * time.Second, RefreshIn: refreshIn, Final: true,
				}, nil
			}))
			source := m.Source(tokens.Key{})
			for range 990 { // it is handed out until 10 seconds before its end
				tokenstest.MustToken(t, source)
				<-time.After(time.Second)
				synctest.Wait()
			}
			if n := fetches.Load(); n != 1 {
				t.Errorf("%d fetches", n)
			}
			tokenstest.MustToken(t, source)
			if n := fetches.Load(); n != 2 {
				t.Errorf("%d fetches after its end", n)
			}
		})
	}
}
