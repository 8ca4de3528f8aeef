package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	loginFormat  = 1           // of a Login that leaves the process
	maxLoginSkew = time.Minute // by which the clock of the process that began a login may be ahead
)

var (
	errLoginRecord = errors.New("the login cannot be read by this version of the library; begin a new one")
	errLoginFuture = fmt.Errorf("the login was begun more than %s from now; set the clocks of the processes right", maxLoginSkew)
)

// loginRecord is a Login that leaves the process. It is for encoding/json. What may be something
// else than UTF-8, which that would change, is bytes here.
//
// A process with an older version of this library passes over members that it does not know. One
// that an answer is judged by needs a new format.
type loginRecord struct {
	Format       int            `json:"v"`
	End          int64          `json:"end"`               // in milliseconds since 1970
	Session      []byte         `json:"session,omitempty"` // the name
	Scope        string         `json:"scope,omitempty"`
	Audience     string         `json:"audience,omitempty"`
	Resources    []string       `json:"resources,omitempty"`
	RedirectURI  []byte         `json:"redirect_uri"`
	State        string         `json:"state"`
	Verifier     string         `json:"verifier"`
	Nonce        string         `json:"nonce,omitempty"`
	MaxAge       *time.Duration `json:"max_age,omitempty"` // nanoseconds
	IssParameter bool           `json:"iss,omitempty"`
	FormPost     bool           `json:"form_post,omitempty"`
}

// encode returns what a Login is elsewhere, if it can still be finished.
func (l *Login) encode() ([]byte, error) {
	switch {
	case l.used.Load():
		return nil, ErrLoginUsed
	case l.over(time.Now()):
		return nil, ErrLoginExpired
	}
	return json.Marshal(loginRecord{
		Format: loginFormat, End: l.endWall.UnixMilli(), Session: []byte(l.session),
		Scope: l.key.Scope, Audience: l.key.Audience, Resources: l.resources, RedirectURI: []byte(l.redirectURI),
		State: l.state, Verifier: l.verifier, Nonce: l.nonce, MaxAge: l.maxAge, IssParameter: l.issParameter, FormPost: l.formPost,
	})
}

// decodeLogin returns the Login of a client that encode has made the data of. The error is
// [ErrLoginExpired], or says why the data is none.
func decodeLogin(client *oauth.Client, data []byte) (*Login, error) {
	var r loginRecord
	if err := strictjson.Unmarshal(data, &r); err != nil || r.Format != loginFormat || r.State == "" || r.Verifier == "" {
		return nil, errLoginRecord // and not what encoding/json says, which quotes
	}
	now, end := time.Now(), time.UnixMilli(r.End)
	left := end.Sub(now)
	switch {
	case left <= 0:
		return nil, ErrLoginExpired
	case left > loginLifetime+maxLoginSkew:
		return nil, errLoginFuture
	}
	key := tokens.Key{Scope: r.Scope, Audience: r.Audience}
	if len(r.Resources) > 0 {
		key.Resource = r.Resources[0]
	}
	return &Login{hiddenLogin: &hiddenLogin{&loginState{
		client: oauthwire.Of(client), issuer: client, session: string(r.Session), key: key, resources: r.Resources,
		redirectURI: string(r.RedirectURI), state: r.State, verifier: r.Verifier, nonce: r.Nonce, maxAge: r.MaxAge, issParameter: r.IssParameter, formPost: r.FormPost,
		end: now.Add(left), endWall: end,
	}}}, nil
}
