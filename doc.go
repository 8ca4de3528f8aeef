// Package bearer protects HTTP handlers with OAuth 2.0 bearer tokens in the form of JWTs (RFC 6750, RFC 7519, RFC 9068).
//
//	auth, err := bearer.New(bearer.WithIssuer("https://login.example.com", "orders"))
//	...
//	mux.Handle("GET /orders", auth.Handler(orders, bearer.Scopes("orders:read")))
//
// A handler behind the guard finds the verified claims with [FromContext]. Adapters for Gin and Echo are modules of their
// own; every other framework that speaks net/http uses [Middleware.Require], and an adapter is two calls:
// [Middleware.Authenticate] decides, [Middleware.WriteError] speaks.
//
// # What is checked
//
// Every token passes the same steps in the same order, cheap ones first: exactly one credential; size and shape; the header;
// a known issuer, an allowed algorithm and type; the key, from that issuer's own set; the signature; the claims, read
// strictly; exp, nbf, iat, the audience; and the route's requirements. The first step that fails names the [Reason]. A
// check can be switched off only by an option whose name starts with Insecure, and an empty value never switches one off.
//
// # What it protects against
//
//   - Forged tokens: alg none, an HMAC made with a public key, a key the token brings along (jwk, jku, x5u, x5c), a key of
//     another issuer, a weak key.
//   - Tokens meant for something else: for another service (aud), of another kind (ID, logout and event tokens), bound to a
//     client's key that nobody proved (cnf).
//   - Documents with two readings: duplicate names, names that differ in case, invalid UTF-8, padding, trailing data.
//   - Floods: every input is bounded, unknown issuers and algorithms end before any key is looked for, and any number of
//     made-up key ids causes two fetches at most at once and one each half minute.
//   - An issuer that is slow or down: known keys keep verifying, and what cannot be decided is 503 with Retry-After, never
//     "your token is invalid".
//
// # What the surrounding system must do
//
//   - Speak TLS up to the process, or to a proxy on a network that may see tokens. A bearer token works for whoever reads it.
//   - Let no proxy answer protected routes from a cache, and let none merge or drop Authorization header lines.
//   - Log no Authorization header, and no URL of a route that takes tokens from the query.
//   - Put the handler for CORS outside the guard: a preflight request carries no token, and OPTIONS is not exempt here.
//   - Limit the rate of requests where that matters; a refusal is cheap but not free.
//   - Keep the clock right, to within [Leeway].
//   - Serve unready instances no traffic: [Middleware.Ready] says when keys are there.
//
// A token that was verified is good until it expires: keep lifetimes short.
package bearer
