// Package bearer protects HTTP handlers with OAuth 2.0 bearer tokens in the form of JWTs (RFC 6750,
// RFC 7519, RFC 9068).
//
//	auth, err := bearer.New(bearer.WithIssuer("https://login.example.com", "orders"))
//	...
//	mux.Handle("GET /orders", auth.Handler(orders, bearer.Scopes("orders:read")))
//
// A handler behind the guard finds the verified claims with [FromContext]. Adapters for Gin and
// Echo are modules of their own. Every other framework that uses net/http takes
// [Middleware.Require]. An adapter holds a [Guard] and is two calls: [Guard.Authenticate] decides,
// and [Guard.WriteError] writes the answer.
//
// # What is checked
//
// Every token passes the same steps in the same order, cheap ones first: exactly one credential;
// size and shape; the header; a known issuer, an allowed algorithm and type; the key, from that
// issuer's own set; the signature; the claims, read strictly; exp, nbf, iat, the audience; and what
// the route requires. The first step that fails names the [Reason]. Only an option whose name
// starts with Insecure switches a check off. An empty value never does. docs/rules.md lists every
// check.
//
// # What it protects against
//
//   - Forged tokens: alg none, an HMAC made with a public key, a key the token brings along (jwk,
//     jku, x5u, x5c), a key of another issuer, a weak key.
//   - Tokens meant for something else: for another service (aud), of another kind (ID, logout and
//     event tokens), bound to a client's key that was not proven (cnf).
//   - Documents with two readings: duplicate names, names that differ in case, invalid UTF-8,
//     padding, trailing data.
//   - Floods: every input is bounded, tokens of unknown issuers and algorithms are refused before
//     any key is looked for, and any number of made-up key ids causes at most five fetches at once
//     and then one every 4 seconds, 900 in an hour.
//   - An issuer that is slow or down: known keys keep verifying, and what cannot be decided is 503
//     with Retry-After, never "your token is invalid".
//
// # When an issuer fails
//
// This table says what happens to tokens while their issuer fails. The names are those of package
// bearertest, whose issuer can do all of it to your own service. A warm service has the issuer's
// keys and is in use, so that they are refreshed ahead of their end. If it was not used for longer,
// requests wait for newer keys for at most 2 seconds. A cold service has no keys. Everything here
// is per issuer, and each row is a test of this package. The 24 hours count from the last fetch
// that worked.
//
//	the issuer           warm                                    cold
//	Down                 200 for 24 hours, then 503; 200 again   503 at once, with Retry-After; 200 again within one
//	                     within 4 seconds of its return          pause (4 seconds) of its return
//	Slow                 200 at once                             200 when the keys are there, 503 after 5 seconds
//	Hang                 200 at once                             503 after 5 seconds, to all who wait at the same time
//	Drip                 200 at once                             503 after 5 seconds
//	Huge                 200 at once, no more than 1 MiB read    503
//	HTML200              200 at once                             503
//	EmptyKeys            200 at once; 401 when it said so in     503
//	                     three fetches and for an hour
//	PoisonedEntry        200 at once, the entry is skipped       200, the entry is skipped
//	PoisonedDocument     200 at once                             503
//	Redirect             200 at once, not followed               503, not followed
//	Moved                200 at once, found again if the place   200
//	                     answers 404 or 410, else within a day
//	FirstRequests                                                200 to all, with one fetch for them together
//	Rotate               200 to all, old key and new, with one   200
//	                     fetch for all who have the new key
//	RotateWithoutOverlap 401 for the old key after the next      200
//	                     refresh, 200 for the new one at once
//	ReusedKeyID          200 after the next refresh              200
//	ForgedKeyIDs         401 with five fetches at most and one   401
//	                     each 4 seconds, which the others wait
//	                     for; 200 for known keys meanwhile,
//	                     even if the fetch hangs
//	Trickle              200 for a new key, however long forged
//	                     or withdrawn key ids came before it:
//	                     at once, or within 4 seconds if new
//	                     ones came faster than that
//	NewKeyWhileDown      503 for the new key, 200 for the old;
//	                     200 for both within 4 seconds of its
//	                     return
//	Unsteady             as often as it fails and rotates, 503
//	                     for keys first published while it fails,
//	                     until 5 seconds later, and 200 for others
//	Restart                                                      200 with jwks.WithLastKnownGood, once the issuer failed
//	                                                             or 5 seconds passed, otherwise 503
//	ClientGone           the fetch goes on for the others        the fetch goes on for the others
//	Close                503, and nothing runs any more          503
//
// A 503 with the code [ReasonKeysUnavailable] means that the issuer is unreachable, and not that
// this instance is unhealthy. Unknown key ids also get 503 while the issuer is down, and anyone can
// make up key ids. So exclude 503s with this code from outlier ejection and from alerts on the
// service, and watch [Middleware.Stats]. The code is in the body. A proxy that cannot see it
// excludes 503s with a Retry-After on protected routes.
//
// A request with a made-up key id may wait up to 4 seconds while there are many of them. It counts
// where the number of concurrent requests is limited. A shorter jwks.WithColdWait turns the wait
// into a 503.
//
// # What the surrounding system must do
//
//   - Speak TLS up to the process, or to a proxy on a network that may see tokens. A bearer token
//     works for everyone who can read it.
//   - Let no proxy answer protected routes from a cache, and let none merge or drop Authorization
//     header lines.
//   - Log no Authorization header, and no URL of a route that takes tokens from the query.
//   - Put the handler for CORS outside the guard: a preflight request carries no token, and OPTIONS
//     is not exempt here.
//   - Limit the rate of requests where that matters. A refusal is cheap but not free.
//   - Keep the clock right, to within [Leeway].
//   - Serve unready instances no traffic: [Middleware.ReadyHandler] says when keys are available.
//
// A verified token is good until it expires: keep lifetimes short.
//
// # What is cached
//
// The cache stores verified tokens ([WithCache]), so that their signatures are not verified again.
// It never stores a decision. On every request, and on every pass of a nested guard, the key must
// be in the issuer's set, the token must not have expired, and the route's requirements are
// checked. So is what can differ between requests: the audience of an [AudienceFunc], what the
// function of an [IssuerTemplate] says, and whether a [Registry] still has the issuer. A key that
// leaves the set takes the tokens with it that it signed.
package bearer
