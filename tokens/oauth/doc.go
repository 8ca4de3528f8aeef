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
// # On behalf of the caller
//
// A service that is guarded with package bearer exchanges the token of the request that it serves
// for one that the next service takes. What comes is kept for that very token, and ends with it.
//
//	manager, err := tokens.NewManager(client.Exchange(func(ctx context.Context, _ tokens.Key) (oauth.SecurityToken, error) {
//		token, _ := bearer.TokenFromContext(ctx)
//		claims, _ := bearer.FromContext(ctx)
//		return oauth.SecurityToken{Token: tokens.NewSecret(token.Reveal()), Expiry: claims.Expiry()}, nil
//	}))
//	if err != nil {
//		return nil, err
//	}
//	return manager.Source(tokens.Key{Resource: "https://billing.example.com", Subject: "callers"}).Transport(nil)
//
// Requests through the Transport have the context of the request that is being served. Without a
// caller the token is empty, and the request is not made. For Microsoft Entra ID, JWTBearer with
// WithParameter("requested_token_use", "on_behalf_of") takes the place of Exchange, and a Scope
// that of the Resource.
//
// # When the authorization server fails
//
// What is about the server and not about a key holds for all keys of a [Client]: Retry-After with
// 429 or 503 of the token endpoint, for that endpoint alone, and a discovery that failed. So does
// invalid_client, and unauthorized_client for all requests with the same grant type, until there is
// another secret, key or assertion, or the pause is over: a server that counts refusals would lock
// the client otherwise. Once 4 in a row were refused, the pause holds for whatever comes next. It
// is 5 minutes at most. When such a refusal may be about something else, it holds for nothing if
// the server has accepted the client within 10 minutes, and otherwise for half a minute at most.
// One for what came from outside, such as another client's code or a subject token, holds for such
// requests alone, and so does a Retry-After in the answer to one. unauthorized_client may be about
// the person whom a refresh token or an assertion is for; where Atlassian says it of a refresh
// token, it holds for nothing else. The code of a login ends soon, and no Retry-After holds it
// back; one in the answer to it holds nothing else back, because any person can send a code. Nor
// does one in the answer to a device login: that login alone waits. A Client makes a bounded number
// of requests at once; see [WithMaxRequests].
package oauth
