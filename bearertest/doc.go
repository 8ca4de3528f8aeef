// Package bearertest tests services that are protected with package bearer: an issuer under the
// test's control, tokens good and bad, and claims for a handler that is tested alone.
//
// Which part serves which test:
//
//   - [NewIssuer] is an issuer inside the test process, without a socket or a goroutine, reached
//     through [Issuer.Client]. It works inside a [testing/synctest] bubble, where sockets do not:
//     there a test lets tokens expire without waiting.
//   - [NewServer] is the same issuer on a loopback socket, for a service that cannot be given an
//     [http.Client].
//   - [Client] reaches several issuers, for a service that trusts more than one.
//   - [Issuer.Token] makes a token the service accepts; [Issuer.Sign] and [Issuer.SignRaw] make
//     every other one.
//   - [Issuer.SetFault] makes the issuer misbehave, with a socket and without. It shows whether the
//     service goes on with the keys it has, and what it answers when it has none.
//   - [NewContext] puts claims into a context for testing a handler alone, with no token and no
//     middleware in sight.
//   - [Attack] fires forged and malformed credentials at the service's own handler, and tries the
//     ways around its guard.
//   - [TestAdapter] tests an adapter for a framework that this project has none for.
//
// Package bearertest/oauthtest makes an authorization server of an issuer, for testing a client.
//
// A service under test trusts an issuer like this:
//
//	issuer := bearertest.NewIssuer()
//	auth, err := bearer.New(
//		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
//		bearer.WithHTTPClient(issuer.Client()),
//	)
//
// The functions of this package that take no [testing.TB] panic when they are misused, with a text
// that begins with "bearertest:", as those of [net/http/httptest] do. Nothing of this package
// belongs in a production program: keys live in memory, and code that holds the issuer signs what
// it likes.
package bearertest
