// Package flight is for work that one goroutine does and many callers wait for, such as fetching
// keys or a token: they share its result and its failure, and each caller waits no longer than its
// own context allows.
//
// What the work is, when it begins and what its result means is for the package that owns it.
//
// Work runs code of the application, such as a RoundTripper or a Store. A panic of that code ends
// here and becomes a failure: on a goroutine that a library has started no server recovers it, and
// it would end the process. Every goroutine that packages jwks, tokens, oauth and session start and
// that runs such code uses this package. On a goroutine of the application a panic goes to the
// caller, except one of an Observer, a log handler or a Closer.
package flight
