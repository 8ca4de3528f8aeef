// Package tokens gives a service its own access tokens, for its calls to other services. It obtains
// them from an authorization server (RFC 6749), keeps them, renews them ahead of their end,
// attaches them to requests, and is quiet while the server is down.
//
//	client, err := oauth.NewClient("https://login.example.com", "orders", oauth.ClientSecretBasic(secret))
//	manager, err := tokens.NewManager(client.ClientCredentials())
//	source := manager.Source(tokens.Key{Resource: "https://billing.example.com", Scope: "billing:write"})
//	transport, err := source.Transport(nil)
//	billing := &http.Client{Transport: transport}
//
// Which field of a [Key] names the service is the server's choice. Resource is RFC 8707. Auth0
// reads Audience instead. Okta and Entra ID read Scope, and Entra ID refuses a Resource. Without
// one [WithOrigins] says where the token goes.
//
// # The parts
//
// A [Manager] over a [Fetcher] keeps one token for each [Key] and hands it out through a [Source].
// A [Transport] attaches it to requests. Package oauth has the Fetchers of an OAuth client, one for
// each grant. Package session has logins: it keeps refresh tokens beyond the life of a process.
//
// # The life of a token
//
// A token is fresh until its refresh point. A server may name one (refresh_in): it counts from a
// tenth of the token's life and 10 seconds, and a process comes shortly after it, within a tenth of
// the time that is left then. Otherwise it is a random point between 70 and 85 % of its life. So a
// fleet does not ask all at once. From then on the token is stale: it is still handed out, while
// one request for the next is made in the background. It is expired when its life is over but for
// 10 seconds or a tenth, whichever is less, because a request takes a while to arrive. A life
// begins when the token was asked for; one that the server does not name is five minutes, or what
// the option for it says in package oauth. What the token itself says of its times is never read:
// an access token is opaque to a client (RFC 9068 section 6).
//
// Two clocks are asked, and a token is over when either says so: the monotonic one stands still
// while a machine is suspended, and the wall clock can be set back.
//
// # When the authorization server fails
//
// Callers that need the token of a key at the same time share one request. Each waits as long as
// its own context allows, and all get the same result, a failure as well as a token. After a
// failure nothing is asked for that key for a while: a random time within a bound that doubles from
// half a second to 30 seconds, on top of Retry-After, which is honoured up to 5 minutes. After a
// Retry-After the bound is at least twice that time, up to the same 30 seconds, because a whole
// fleet was told the same. During the pause, Token returns an [*UnavailableError] at once unless
// there is a token that is not expired. Permanent errors such as invalid_client are retried after
// 30 seconds to 5 minutes, but [ErrLoginRequired] like any other: the person may have logged in
// through another process.
//
// # Tokens of callers
//
// Some Fetchers of package oauth obtain a token for one that the caller brings. Equal keys are not
// enough to share it: the callers' own tokens must be equal, too.
//
// # Secrets
//
// No token, secret or key is printed. Each type that holds or leads to one is "[secret]" for every
// verb of package fmt, for package log/slog and in JSON, and an error for package encoding/gob.
// Where package fmt asks no value how to print itself (%p, %w of what is no error, an unexported
// field) it shows addresses. The functions that are options print as addresses everywhere. Printing
// waits for no lock. Errors name no secret. [Stats] and [Event] print their fields, of an error its
// text. All of this holds for packages oauth and session as well.
//
// Secrets come out where they are asked for by name: [Secret.Reveal], [Token.AccessToken],
// [Token.Authorization], and the URL of a login. What reads unexported memory by reflection and
// follows every pointer, as a debugger does, finds them.
package tokens
