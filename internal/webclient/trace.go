package webclient

import (
	"context"
	"net/http/httptrace"
)

// untraced is a context without the hooks of net/http/httptrace in it.
type untraced struct{ context.Context }

// WithoutTrace returns a context without the hooks of net/http/httptrace. They are for the caller's
// own requests: in ours they would be shown the client's secret, and be called after the caller has
// gone. Package net finds some of the hooks by a key that no other package can name; those are
// replaced by one that does nothing.
func WithoutTrace(ctx context.Context) context.Context {
	return untraced{httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) {}})}
}

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}
