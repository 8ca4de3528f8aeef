package vectors

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// Provider is what one identity provider publishes and signs, with invented hosts and names.
//
// A string such as "$rs.n" stands for a part of a key that the test makes. "$now+300" stands for a
// time in seconds since 1970, 300 seconds from now.
type Provider struct {
	File    string         `json:"-"` // the file's name, without ".json"
	Name    string         `json:"provider"`
	Sources []string       `json:"sources"`
	Serve   map[string]any `json:"serve"` // by URL; see Answer
	Shapes  []Shape        `json:"tokens"`
	Clients []Client       `json:"clients"` // of the token endpoint
}

// Shape is one token, how the service that gets it is configured, and what comes of it.
type Shape struct {
	Case    string         `json:"case"`
	Kind    string         `json:"kind"`
	Words   string         `json:"words"` // why, for readers
	Issuers []Configured   `json:"issuers"`
	Options []Setting      `json:"options"` // of New
	Require []Setting      `json:"require"` // of the route
	Key     string         `json:"key"`     // which signs, or "hs:" and a secret
	Header  map[string]any `json:"header"`
	Claims  map[string]any `json:"claims"`
	Raw     string         `json:"raw"` // the whole credential, instead of a token
	Serve   map[string]any `json:"serve"`
	// Send says where the token goes: the name of a cookie under "cookie", and values of header
	// fields with "$token" in them. Without it the token is in the Authorization header.
	Send   map[string]string `json:"send"`
	Expect Expected          `json:"expect"`
}

// The kinds of Shape.
const (
	KindMinimal    = "minimal"    // issuer and audience alone
	KindConfigured = "configured" // with options
	KindGuard      = "guard"      // stays refused, or is explained in a text
	KindWish       = "wish"       // with options that did not exist when the shape was written
)

// Configured is one issuer that the service trusts.
type Configured struct {
	Issuer   string    `json:"issuer"`
	Audience string    `json:"audience"`
	Options  []Setting `json:"options"`
}

// Setting is an option's name and its values.
type Setting []any

// Name is that of the option.
func (s Setting) Name() string {
	name, _ := s[0].(string)
	return name
}

// Expected is what comes of a token. A member that is nil is not looked at.
type Expected struct {
	Status   int       `json:"status"` // 0 for a token that is let through
	Code     string    `json:"code"`
	Subject  *string   `json:"subject"`
	ClientID *string   `json:"client_id"`
	Scopes   *[]string `json:"scopes"`
	Roles    *[]string `json:"roles"`
	Audience *[]string `json:"audience"`
	LogSays  []string  `json:"log_says"`
	LogMute  bool      `json:"log_is_mute"`
	NewSays  []string  `json:"new_says"` // words of New's error
}

// Refused reports whether the token must not be let through.
func (e Expected) Refused() bool { return e.Status != 0 || e.Code != "" || e.NewSays != nil }

// Client is a client of a provider's token endpoint, what the endpoint answers, and what comes of
// it.
type Client struct {
	Case     string            `json:"case"`
	Kind     string            `json:"kind"`
	Words    string            `json:"words"` // why, for readers
	Issuer   string            `json:"issuer"`
	ID       string            `json:"id"`
	Auth     []string          `json:"auth"` // the function's name, and its secret
	Options  []Setting         `json:"options"`
	Grant    string            `json:"grant"` // "client_credentials", "refresh", "login", "exchange" or "jwt_bearer"
	Endpoint string            `json:"endpoint"`
	Key      map[string]string `json:"key"`
	Token    string            `json:"token"`    // that the grant needs: a refresh token, an assertion, a subject token
	Login    []string          `json:"login"`    // the scopes
	Callback map[string]string `json:"callback"` // what the browser brings back, but for the state
	Answers  []ClientAnswer    `json:"answers"`  // of the endpoint, in turn
	Sends    map[string]string `json:"sends"`    // parameters of the first request; "" for one that is not sent
	Expect   ClientExpected    `json:"expect"`
}

// ClientAnswer is an answer of a token endpoint.
type ClientAnswer struct {
	Status      int    `json:"status"`       // 0 for 200
	ContentType string `json:"content_type"` // "" for application/json
	Body        any    `json:"body"`
	Raw         string `json:"raw"` // instead of Body
}

// ClientExpected is what comes of a token request. A member that is nil is not looked at.
type ClientExpected struct {
	Token         string    `json:"token"`
	Second        string    `json:"second"` // the token after a renewal
	ExpiresIn     float64   `json:"expires_in"`
	Scopes        *[]string `json:"scopes"`
	Code          string    `json:"code"`
	Status        int       `json:"status"`
	Permanent     *bool     `json:"permanent"`
	LoginRequired bool      `json:"login_required"`
}

// providersFolder is where the files are in the folder of the vectors.
const providersFolder = "providers"

// Providers returns the shapes of every provider, ordered by file. The files with these names must
// be among them.
func Providers(t testing.TB, names ...string) (all []Provider) {
	t.Helper()
	for _, name := range names {
		Read(t, new(json.RawMessage), path.Join(providersFolder, name+".json")) // also skips
	}
	files, err := fs.Glob(os.DirFS(os.Getenv(Variable)), path.Join(providersFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		var raw json.RawMessage
		Read(t, &raw, file)
		var provider Provider
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields() // a member that the test does not know would not be tested
		if err := decoder.Decode(&provider); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		provider.File = strings.TrimSuffix(path.Base(file), ".json")
		all = append(all, provider)
	}
	return all
}
