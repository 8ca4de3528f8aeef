package tokens

import "github.com/bearer-go/bearer/internal/grammar"

// Key says which token is meant. Equal keys stand for one token, which is fetched once, and so do
// keys whose scopes differ in their order or are repeated. What a field means to a [Fetcher] is for
// the Fetcher to say; those of package oauth refuse a key that they cannot serve, and never pass a
// field over.
type Key struct {
	// Issuer is the authorization server's identifier and Client the client's, where one [Fetcher]
	// serves several. "" is the Fetcher's own; any other must equal it.
	Issuer, Client string

	// Resource is the URI of the service that the token is for (RFC 8707 section 2): absolute,
	// without a user name and a fragment. Most servers ignore it where they do not know it, but
	// Microsoft Entra ID refuses it. Audience is the name that some servers use instead (RFC 8693
	// section 2.1), such as Auth0. "" is not sent.
	Resource, Audience string

	// Scope is what the token allows: scopes separated by one space (RFC 6749 section 3.3). "" is
	// not sent, and the server's default. Their order does not matter, and neither does one that is
	// there twice: a Fetcher gets them, and the server does, in the order of their bytes, each
	// once. A text that is not made of scopes is passed on as it is.
	Scope string

	// Subject is for whom the token is: the name of a session, or whatever the application names
	// the subject of an exchange by. "" is the client itself.
	Subject string
}

// canonical returns the key that stands for all that mean the same token.
func (k Key) canonical() Key {
	k.Scope = grammar.ScopeSet(k.Scope)
	return k
}
