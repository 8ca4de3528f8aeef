package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/http"

	"github.com/bearer-go/bearer/examples/sqlstore"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	cookie = "__Host-session" // a browser takes one with this prefix from this very host alone
	prefix = "person-"        // of the records that say who has a session
)

// logins is the part to copy: people log in, are known again by a cookie, and log out.
type logins struct {
	client   *oauth.Client
	callback string // where the browser comes back to, as it is registered at the issuer
	scope    session.LoginOption
	keys     session.SealKeys // of the logins that browsers are on their way with
	store    session.Store    // of the refresh tokens, and of who the people are
	sessions *session.Sessions
}

// open keeps the sessions in a database, sealed with the first of the keys.
func (l *logins) open(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect, keys session.SealKeys) error {
	table, err := sqlstore.Open(ctx, db, dialect)
	if err != nil {
		return err
	}
	if l.store, err = session.NewSealedStore(table, keys); err != nil {
		return err
	}
	l.sessions, err = session.NewSessions(l.client, l.store)
	return err
}

// login sends the browser to the issuer. Any replica can finish what it begins: the login is in a
// cookie meanwhile.
func (l *logins) login(w http.ResponseWriter, r *http.Request) error {
	login, err := session.NewLogin(r.Context(), l.client, l.callback, l.scope)
	if err != nil {
		return err
	}
	if err := login.SetCookie(r.Context(), w, l.keys); err != nil {
		return err
	}
	http.Redirect(w, r, login.URL(), http.StatusFound)
	return nil
}

// finish is what the browser comes back to. Each login has a new session, by an id that no other
// browser can know.
func (l *logins) finish(w http.ResponseWriter, r *http.Request) error {
	login, back, err := session.LoginFromCookie(r, l.client, l.keys)
	if err != nil {
		return err
	}
	id := rand.Text()
	s, err := l.sessions.Session(id)
	if err != nil {
		return err
	}
	identity, err := s.Finish(r.Context(), login, back)
	if err != nil {
		return err
	}
	if _, err := l.store.Save(r.Context(), prefix+id, []byte(identity.Subject()), 0); err != nil {
		return errors.Join(err, s.Logout(context.WithoutCancel(r.Context()))) // the browser may be gone
	}
	login.ClearCookie(w)
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// person returns who makes a request, the name of that record, and the session that has the tokens.
// The record is read each time: so a logout counts at once, also one at another replica, and an id
// that was made up takes no room among the sessions. The prefix keeps the other records of the
// Store from being asked for by a cookie.
func (l *logins) person(r *http.Request) (subject, record string, s *session.Session, err error) {
	id, err := r.Cookie(cookie)
	if err != nil {
		return "", "", nil, err
	}
	data, _, err := l.store.Load(r.Context(), prefix+id.Value)
	if err != nil {
		return "", "", nil, err
	}
	s, err = l.sessions.Session(id.Value)
	return string(data), prefix + id.Value, s, err
}

// logout ends the session here, and at an issuer that revokes refresh tokens. It takes a POST, with
// which a browser sends the cookie from no other site.
func (l *logins) logout(w http.ResponseWriter, r *http.Request) error {
	_, record, s, err := l.person(r)
	if err != nil {
		return err
	}
	if err := s.Logout(r.Context()); err != nil && !errors.Is(err, session.ErrNotRevoked) { // Entra ID revokes nothing
		return err
	}
	if err := l.store.Delete(context.WithoutCancel(r.Context()), record); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
