package oauth

import (
	"errors"

	"github.com/bearer-go/bearer/internal/optional"
)

// ErrNoRevocation means that the authorization server names no endpoint where tokens are revoked;
// see [Client.Revoke].
var ErrNoRevocation = errors.New("oauth: the server has no revocation endpoint")

// ConfigError is one mistake in a configuration. [NewClient] returns all of them at once, joined
// with [errors.Join], those of its [ClientAuth] among them. Those of a grant's options are returned
// by [tokens.NewManager].
type ConfigError struct {
	// Option is the option or the function at fault, such as "WithTokenEndpoint".
	Option string
	// Subject is what it was given for. It is "" here: every option is for the whole.
	Subject string
	// Value is what was given. It is "" for secrets and for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("oauth") }

// configErrors returns the mistakes as one error, or nil if there are none.
func configErrors(mistakes []optional.Mistake) error {
	return optional.Join(mistakes, asConfigError)
}

func asConfigError(m optional.Mistake) error { return new(ConfigError(m)) }
