package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens/oauth"
)

var (
	errLoginBrowser = errors.New("session: login: the browser's id is empty; give it one in a cookie before the login begins")
	errLoginStore   = errors.New("session: login: the Store is nil; give one, such as NewMemoryStore()")
	errLoginSize    = fmt.Errorf("session: login: it is longer than the %d bytes of a record; ask for fewer scopes", maxData)
	errNoLogin      = fmt.Errorf("session: login: this browser has no such login, or not any more; begin a new one: %w", ErrNotFound)
)

// Save keeps the login in a [Store], so that [LoadLogin] can go on with it in another process. The
// browser is an id that only the browser of this login has: at least 128 random bits in a cookie of
// its own, with the attributes that [Login.SetCookie] gives. The login is found with it and
// [Login.State] together, and never with the state alone, which an attacker can know.
//
// Unless the Store is sealed ([NewSealedStore], [NewFileStore]) it has the login's secrets as they
// are; without the code of the same login they open nothing.
//
// A Store deletes nothing by itself, and many logins are never finished. The names of their records
// begin with "login-" and those of sessions do not: delete the ones that were saved more than 11
// minutes ago. A file does not show the name of its record, so that with [NewFileStore] logins go
// into a directory of their own, where old files can be deleted.
//
// A login can be saved again, which is how one that LoadLogin has removed is put back. The errors
// are [ErrLoginUsed], [ErrLoginExpired], a [*StoreError], that the login is too long for a record,
// and that the browser is "" or the Store nil.
func (l *Login) Save(ctx context.Context, store Store, browser string) error {
	switch {
	case store == nil:
		return errLoginStore
	case browser == "":
		return errLoginBrowser
	}
	data, err := l.encode()
	switch {
	case err != nil:
		return err
	case len(data) > maxData:
		return errLoginSize
	}
	name := loginName(l.client, browser, l.state)
	_, err = store.Save(ctx, name, data, 0)
	if errors.Is(err, ErrConflict) { // it was saved before, or LoadLogin has left its mark
		_, version, failed := store.Load(ctx, name)
		if failed != nil {
			return &StoreError{"load", failed}
		}
		_, err = store.Save(ctx, name, data, version)
	}
	if err != nil {
		return &StoreError{"save", err}
	}
	return nil
}

// LoadLogin removes a login from a [Store] and returns it: the one with this state, which is a
// parameter of the answer, that [Login.Save] has kept for this browser, with an [oauth.Client] of
// the same issuer and client id. Of several calls, at once or one after the other, one has the
// login. Its [Login.URL], its session and its end are as [OpenLogin] says.
//
// A login that is removed is gone with the process. When [Login.Finish] or [Session.Finish] fails,
// Save puts it back, and returns [ErrLoginUsed] if it cannot be finished any more:
//
//	identity, err := s.Finish(ctx, login, back)
//	if err != nil {
//		_ = login.Save(context.WithoutCancel(ctx), store, browser) // so that the browser can reload the page
//		return err
//	}
//
// The errors are [ErrNotFound] when this browser has no such login or it was loaded before,
// [ErrLoginExpired], a [*StoreError], and that the browser is "". After a StoreError that says save
// the login may be gone. A mistake in the configuration is a [*ConfigError].
func LoadLogin(ctx context.Context, client *oauth.Client, store Store, browser, state string) (*Login, error) {
	wire := oauthwire.Of(client)
	var m optional.Mistakes
	if wire == nil {
		m.Add("LoadLogin", "nil", "the Client is nil; make one with oauth.NewClient")
	}
	if store == nil {
		m.Add("LoadLogin", "nil", "the Store is nil; give one, such as NewMemoryStore()")
	}
	if err := configErrors(m.All); err != nil {
		return nil, err
	}
	if browser == "" {
		return nil, errLoginBrowser
	}
	name := loginName(wire, browser, state)
	data, version, err := store.Load(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && len(data) == 0:
		return nil, errNoLogin
	case err != nil:
		return nil, &StoreError{"load", err}
	}
	l, err := decodeLogin(client, data)
	if err == nil && l.state != state {
		err = errLoginRecord
	}
	switch {
	case errors.Is(err, ErrLoginExpired):
		_ = store.Delete(ctx, name)
		return nil, err
	case err != nil:
		return nil, &StoreError{"load", err}
	}
	// Delete takes no version, and a lock ends with its lease. Of two that have loaded one record
	// only one can empty it, which is what makes the login its own.
	switch _, err := store.Save(ctx, name, nil, version); {
	case errors.Is(err, ErrConflict):
		return nil, errNoLogin
	case err != nil:
		return nil, &StoreError{"save", err}
	}
	_ = store.Delete(ctx, name) // an empty record is as good as none
	return l, nil
}

// loginName is the name of a login's record. It is a hash, as that of a session is.
func loginName(c *oauthwire.Client, browser, state string) string {
	return "login-" + hashedName("bearer login", c.Issuer, c.ID, browser, state)
}
