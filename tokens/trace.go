package tokens

import (
	"context"
	"net/http/httptrace"
)

// untraced is a context without the hooks of net/http/httptrace in it. They are for the caller's own requests: here they would be
// shown the client's secret, and be called after the caller has gone.
type untraced struct{ context.Context }

// withoutTrace returns it. Package net finds some of the hooks by a key that no other package can
// name; those are replaced by one that does nothing.
func withoutTrace(ctx context.Context) context.Context {
	return untraced{httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) {}})}
}

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}
