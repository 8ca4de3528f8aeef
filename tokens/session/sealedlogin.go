package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// maxSealedLogin is how many characters a sealed Login has at most. A browser keeps a cookie of
// 4096 bytes (RFC 6265 section 6.1), of which this leaves 512 to its name and attributes.
const maxSealedLogin = 4096 - 512

var (
	errSealedLoginSize = fmt.Errorf("session: login: it is too long to be sealed in %d characters, which fit a cookie; "+
		"ask for fewer scopes and resources, or keep it in a Store with Login.Save", maxSealedLogin)
	errNoLoginKeys = errors.New("session: login: the keys to seal it with are nil; see SealKeysFromFile")
)

// Seal returns the login as a text for a cookie of the browser that it belongs to, so that
// [OpenLogin] can go on with it in another process. [Login.SetCookie] does the same with the cookie
// included. The text is sealed with AES-256-GCM for this client, and shows only how long it is and
// which key it was sealed with. It has up to 3584 letters, digits, "-" and "_", which leaves 512 of
// the 4096 bytes of a cookie to its name and attributes.
//
// The owner of the cookie can have the login opened again as long as it lasts: [ErrLoginUsed] is a
// matter of one *Login. The code can be used once, and it is the server that holds that; some
// servers also revoke what a code has brought when it comes again (RFC 6749 section 4.1.2). So
// delete the cookie when the login is finished. [Login.Save] is for logins that must be opened
// once.
//
// Anyone can have a login begun, and each one uses up a little of a key; see [SealKeys]. Give
// logins keys of their own. A key that seals no more can go after 11 minutes.
//
// The errors are [ErrLoginUsed] and [ErrLoginExpired], that the login is too long, and that there
// is no key.
func (l *Login) Seal(ctx context.Context, keys SealKeys) (string, error) {
	if keys == nil {
		return "", errNoLoginKeys
	}
	data, err := l.encode()
	if err != nil {
		return "", err
	}
	sealers, err := keys.sealers(ctx)
	if err != nil {
		return "", err
	}
	text := jws.Encode(sealRecord(sealers, binding{purpose: sealedForLogin}, sealedLoginName(l.client), data))
	if len(text) > maxSealedLogin {
		return "", errSealedLoginSize
	}
	return text, nil
}

// OpenLogin returns the login that [Login.Seal] made this text of, with an [oauth.Client] of the
// same issuer and client id, in any process, and with any of the keys. A login of [Session.Login]
// is still for the session of that name, which must have this client. Its [Login.URL] is "": the
// browser was there.
//
// A login ends 10 minutes after it was begun by the clock of the process that has opened it: with
// one that is ahead of the other's it ends that much earlier, and later with one that is behind. A
// difference of more than a minute is an error, before a login could last longer than 11 minutes.
//
// The error is [ErrLoginExpired], or [ErrCannotUnseal] for a text that is of another client, has
// been changed, or cannot be opened for another reason: the person begins a new login then. Other
// errors are that there is no key now, and mistakes in the configuration, each a [*ConfigError].
func OpenLogin(ctx context.Context, client *oauth.Client, keys SealKeys, text string) (*Login, error) {
	wire := oauthwire.Of(client)
	var m optional.Mistakes
	if wire == nil {
		m.Add("OpenLogin", "nil", "the Client is nil; make one with oauth.NewClient")
	}
	if keys == nil {
		m.Add("OpenLogin", "nil", "the keys to open the login with are nil; see SealKeysFromFile")
	}
	if err := configErrors(m.All); err != nil {
		return nil, err
	}
	if len(text) > maxSealedLogin {
		return nil, fmt.Errorf("%w: it is longer than %d characters", ErrCannotUnseal, maxSealedLogin)
	}
	sealed, _, ok := jws.Decode(text, make([]byte, len(text)))
	if !ok {
		return nil, fmt.Errorf("%w: it is not base64url", ErrCannotUnseal)
	}
	sealers, err := keys.sealers(ctx)
	if err != nil {
		return nil, err
	}
	data, err := openRecord(sealers, binding{purpose: sealedForLogin}, sealedLoginName(wire), sealed)
	if err != nil {
		return nil, err
	}
	l, err := decodeLogin(client, data)
	if err != nil && !errors.Is(err, ErrLoginExpired) {
		return nil, fmt.Errorf("%w: %w", ErrCannotUnseal, err)
	}
	return l, err
}

// sealedLoginName is what stands for the client where a record has its name.
func sealedLoginName(c *oauthwire.Client) string {
	return hashedName("bearer sealed login", c.Issuer, c.ID)
}
