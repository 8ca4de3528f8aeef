// Package oauth is a client of an OAuth 2.0 authorization server: its grants, the ways in which it
// proves who it is, discovery, revocation, and who logged in (OpenID Connect).
//
//	client, err := oauth.NewClient("https://login.example.com", "orders", oauth.ClientSecretBasic(secret))
//	manager, err := tokens.NewManager(client.ClientCredentials())
//
// A [Client] is this service as its authorization server knows it: an identifier and a way to prove
// it. Its methods make a [tokens.Fetcher] for each grant. Package session has the grants of a
// person who logs in. [Client.VerifyIDToken] and [Client.UserInfo] say who that is.
//
// # When the authorization server fails
//
// What is about the server and not about a key holds for all keys of a [Client]: Retry-After with
// 429 or 503 of the token endpoint, for that endpoint alone, and a discovery that failed. So does
// invalid_client, and unauthorized_client for all requests with the same grant type, until there is
// another secret or the pause is over: a server that counts refusals would lock the client
// otherwise. When such a refusal may be about something else, it holds for nothing if the server
// has accepted the client within 10 minutes, and otherwise for half a minute at most. One for what
// came from outside, such as another client's code or a subject token, holds for such requests
// alone. unauthorized_client may be about the person whom a refresh token or an assertion is for. A
// Client makes a bounded number of requests at once; see [WithMaxRequests].
package oauth
