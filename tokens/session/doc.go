// Package session keeps people logged in: the authorization code grant (RFC 6749 section 4.1) with
// PKCE, and refresh tokens that survive the process and are shared by several.
//
//	s, err := session.New(client, store, "alice")
//	login, err := s.Login(ctx, "https://app.example.com/callback", session.WithScope("offline_access", "billing:read"))
//	http.Redirect(w, r, login.URL(), http.StatusFound) // and when the browser is back at /callback:
//	identity, err := s.Finish(r.Context(), login, r.URL.Query())
//	token, err := s.Token(ctx)
//
// A [Session] is one person's login that goes on. [Sessions] has those of many users, each by its
// name. A [Store] keeps their refresh tokens. [RefreshToken] is the grant alone, for a
// [tokens.Manager] over many sessions, and [NewLogin] a login alone.
//
// A browser may come back to another process than the one that began its login. Then the login is
// in a cookie in between ([Login.SetCookie] and [LoginFromCookie]), or in a Store ([Login.Save] and
// [LoadLogin]). From a cookie it can be opened as often as the browser likes, while a Store gives
// it out once.
//
// Where there is no browser, as on a command line, [Session.DeviceLogin] lets the person use
// another device.
//
// # Refresh tokens
//
// A server that rotates refresh tokens takes a second use of one for a theft and ends the session
// (RFC 9700 section 4.14.2). So one is used by one process at a time (Lock of a [Store]), the next
// is saved before it is used, and a process whose refresh token is refused looks whether another
// has renewed it meanwhile. If none has, the error is [tokens.ErrLoginRequired].
package session
