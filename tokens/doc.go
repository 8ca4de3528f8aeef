// Package tokens gives a service its own access tokens, for its calls to other services: it obtains them from an authorization
// server (RFC 6749), keeps them, renews them ahead of their end, attaches them to requests, and is quiet while the server is down.
//
//	client, err := tokens.NewClient("https://login.example.com", "orders", tokens.ClientSecretBasic(secret))
//	manager, err := tokens.NewManager(client.ClientCredentials())
//	source := manager.Source(tokens.Key{Resource: "https://billing.example.com", Scope: "billing:write"})
//	transport, err := source.Transport(nil)
//	billing := &http.Client{Transport: transport}
//
// # The parts
//
// A [Client] is this service as its authorization server knows it: an identifier and a way to prove it. Its methods make a
// [Fetcher] for each grant. A [Manager] over a Fetcher keeps one token for each [Key] and hands it out through a [Source]. A
// [Transport] attaches it to requests. A [Store] keeps refresh tokens beyond the life of a process, and a [Session] is all of
// it for a person who logged in.
//
// # The life of a token
//
// A token is fresh until its refresh point. A server may name one (refresh_in): it counts from a
// tenth of the token's life and 10 seconds, and a process comes shortly after it, within a tenth of
// the time that is left then. Else it is a random point between 70 and 85 % of its life. So a fleet
// does not ask all at once. From then on the token is stale: it is still handed out, while one
// request for the next is made in the background. It is expired when its life is over but for 10
// seconds or a tenth, whichever is less, because a request takes a while to arrive. A life begins
// when the token was asked for; one that the server does not name is five minutes. What the token
// itself says of its times is never read: an access token is opaque to a client (RFC 9068 section
// 6).
//
// Two clocks are asked, and a token is over when either says so: the monotonic one stands still while a machine is suspended,
// and the wall clock can be set back.
//
// # When the authorization server fails
//
// All who need the token of a key at once wait for one request, each for as long as its own context allows, and share what comes of
// it, a failure as well as a token. After a failure nothing is asked for that key for a while, at random within a bound that doubles
// from half a second to 30 seconds, on top of what Retry-After says, of which up to 5 minutes count. After
// a Retry-After the bound is at least twice that time, up to the same 30 seconds, because a whole fleet
// was told the same. A caller who needs the token meanwhile, when there is none that is good, gets an
// [*UnavailableError] at once. A failure that does not pass by itself, such as invalid_client, is asked
// about again after 30 seconds to 5 minutes, but [ErrLoginRequired] as any other: the person may have
// logged in by way of another process. A token that is not expired is handed out all the while.
//
// What is about the server and not about a key holds for all keys of a [Client]: Retry-After with 429 or
// 503 of the token endpoint, for that endpoint alone, and a discovery that failed. So does
// invalid_client, and unauthorized_client for all requests with the same grant type, until there is
// another secret or the pause is over: a server that counts refusals would lock the client otherwise.
// When such a refusal may be about what came from outside, such as another client's code or a subject
// token, it holds for nothing if the server has accepted the client within 10 minutes, and otherwise
// for such requests alone and half a minute at most. A Client makes a bounded number of requests at
// once; see [MaxRequests].
//
// # Tokens of callers
//
// With [Client.Exchange] and [Client.JWTBearer] a token is obtained for one that the caller brings. Equal
// keys are not enough to share it: the callers' own tokens must be equal, too.
//
// # Refresh tokens
//
// A server that rotates refresh tokens takes a second use of one for a theft and ends the session (RFC 9700 section 4.14.2). So
// one is used by one process at a time ([Store].Lock), the next is saved before it is used, and a process
// that is told invalid_grant looks whether another has renewed it meanwhile. What cannot be mended is [ErrLoginRequired].
//
// # Secrets
//
// No token, secret or key is printed. Each type that holds or leads to one is "[secret]" for every
// verb of package fmt, for package log/slog and in JSON, and an error for package encoding/gob.
// Where package fmt asks no value how to print itself (%p, %w of what is no error, an unexported
// field) it shows addresses. The functions that are options print as addresses everywhere. Printing
// waits for no lock. Errors name no secret. [Stats] and [Event] print their fields, of an error its
// text.
//
// Secrets come out where they are asked for by name: [Secret.Reveal], [Token.AccessToken],
// [Token.Authorization] and [Login.URL]. What reads unexported memory by reflection and follows
// every pointer, as a debugger does, finds them.
package tokens
