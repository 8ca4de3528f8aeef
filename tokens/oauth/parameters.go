package oauth

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
)

// reserved are the parameters that every grant sends or may send: who the client is, what the key
// names, and the grant itself.
var reserved = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"scope", "resource", "audience",
}

// reservedOfLogins are those that can be used once, and bring refresh tokens. Package session sends
// them.
var reservedOfLogins = []string{"code", "code_verifier", "redirect_uri", "refresh_token", "device_code"}

// reservedOfGrants are those of the grants that have a method, and of revocation. Another grant may
// have them.
var reservedOfGrants = []string{
	"assertion", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"requested_token_type", "token", "token_type_hint",
}

type parameter struct{ name, value string }

// WithParameter adds a parameter to the requests of this grant, such as requested_token_use of
// Microsoft Entra ID. It may be given again for another name. Those that this package sends or has
// an option for are refused, in whatever case, and so are those that [WithTokenParameter] has given
// already. The value is not empty, and is no secret: the server may quote it in
// [tokens.Error].Description. For one that is, see [Client.CustomGrant].
func WithParameter(name, value string) GrantOption {
	return func(c *grantConfig) { c.parameters = append(c.parameters, parameter{name, value}) }
}

// WithTokenParameter adds a parameter to every request for a token, those of package session for
// logins and refreshes included, but to no revocation. It may be given again for another name; see
// [WithParameter] for which names and values there are.
func WithTokenParameter(name, value string) ClientOption {
	return func(c *clientConfig) { c.parameters = append(c.parameters, parameter{name, value}) }
}

// judgeParameters judges the parameters of an option, and returns those that can be sent. The
// client's have no client of their own.
func judgeParameters(m *optional.Mistakes, option string, all []parameter, ofClient url.Values) url.Values {
	found := make(url.Values)
	names := slices.Concat(reserved, reservedOfLogins, reservedOfGrants)
	for _, p := range all {
		problem := oauthwire.ParameterProblem(p.name, p.value, names, found)
		if problem == "" && oauthwire.HasParameter(ofClient, p.name) {
			problem = "the Client has it, by WithTokenParameter; keep one"
		}
		if problem != "" {
			m.Add(option, strconv.Quote(p.name), "%s", problem) // the value may be a person's
			continue
		}
		found.Set(p.name, p.value)
	}
	return found
}
