package bearertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
)

// request is [http.NewRequestWithContext] for arguments that are known to be good.
func request(ctx context.Context, method, address string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		panic(err)
	}
	return r
}

// answer is a response whose body has been read and closed.
type answer struct {
	*http.Response
	body []byte
}

// exchange sends a request and reads the answer to its end. The answer is there even when its body breaks off.
func exchange(client *http.Client, r *http.Request) (answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return answer{Response: &http.Response{}}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response, body}, err
}

// fatal runs f with a test of its own and returns the text that test failed with, or "" when it did not fail.
func fatal(tb testing.TB, f func(testing.TB)) string {
	tb.Helper()
	recorder := &failing{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(recorder)
	}()
	<-done
	return recorder.text
}

// failing is a test that notes how it failed instead of failing the test it runs in.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
