package bearer_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// docs/errors.md has a table of what goes wrong most often. This is how each of it comes about.

// mistake is one row of the table: a service that trusts one issuer, and a request.
type mistake struct {
	url    string // of the issuer; "" for that of NewIssuer
	trusts string // the configured issuer; "" for the issuer's URL
	opts   []bearer.IssuerOption
	places []bearer.TokenLocation
	route  []bearer.RouteOption

	alg            string            // of the issuer; "" for ES256
	header, claims bearertest.Claims // laid over those of a good token
	token          string            // instead of the issuer's
	signer         *bearertest.Issuer
	send           func(token string) *http.Request
	serve          map[string]any // what the issuer answers instead, by path
}

const (
	entraTenant = "https://login.microsoftonline.test/11111111-2222-4333-8444-555555555555/v2.0"
	graphID     = "00000003-0000-0000-c000-000000000000"
)

func mistakes() map[string]mistake {
	staging := bearertest.NewIssuer()
	return map[string]mistake{
		"issuer-slash":       {url: "https://login.test/", trusts: "https://login.test"},
		"issuer-case":        {url: "https://login.test/Realm", trusts: "https://login.test/realm"},
		"issuer-scheme":      {url: "http://login.test", trusts: "https://login.test"},
		"issuer-version":     {url: "https://sts.test/1111/", trusts: entraTenant},
		"issuer-common":      {url: entraTenant, trusts: "https://login.microsoftonline.test/common/v2.0"},
		"audience-of-client": {claims: bearertest.Claims{"aud": "https://other.test"}},
		"audience-account":   {claims: bearertest.Claims{"aud": "account"}},
		"audience-missing":   {claims: bearertest.Claims{"aud": nil}},
		"audience-empty":     {claims: bearertest.Claims{"aud": []string{}}},
		"graph-audience":     {claims: bearertest.Claims{"aud": graphID}},
		"graph-nonce": {
			alg: "RS256", signer: bearertest.NewIssuer(bearertest.WithAlgorithm("RS256")),
			header: bearertest.Claims{"nonce": "unhashed"}, claims: bearertest.Claims{"aud": graphID},
		},
		"encrypted":      {token: b64(`{"alg":"dir","enc":"A256GCM"}`) + "..aXY.Y2lwaGVy.dGFn"},
		"opaque":         {token: "vdFDvAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"},
		"quoted":         {send: func(token string) *http.Request { return get(`Bearer "` + token + `"`) }},
		"scheme-missing": {send: get},
		"two-places": {
			places: []bearer.TokenLocation{bearer.FromHeader(), bearer.FromCookie("__session")},
			send: func(token string) *http.Request {
				r := get("Bearer " + token)
				r.AddCookie(&http.Cookie{Name: "__session", Value: token})
				return r
			},
		},
		"id-token":          {claims: bearertest.Claims{"at_hash": "b7yTf3P0"}, header: bearertest.Claims{"typ": "JWT"}},
		"refresh-token":     {claims: bearertest.Claims{"typ": "Refresh"}, header: bearertest.Claims{"typ": "JWT"}},
		"type":              {header: bearertest.Claims{"typ": "application/okta-internal-at+jwt"}},
		"secret-missing":    {header: bearertest.Claims{"alg": "HS256"}},
		"algorithm":         {header: bearertest.Claims{"alg": "RS512"}},
		"other-environment": {header: bearertest.Claims{"kid": "of-staging"}},
		"same-kid":          {signer: staging},
		"no-document":       {serve: map[string]any{"/.well-known/openid-configuration": nil}},
		"document-of-other": {serve: map[string]any{
			"/.well-known/openid-configuration": map[string]string{
				"issuer": "https://login.internal.test", "jwks_uri": "https://login.internal.test/jwks",
			},
		}},
		"no-key-set": {
			opts:  []bearer.IssuerOption{bearer.JWKSURL("https://issuer.test/certificates")},
			serve: map[string]any{"/certificates": map[string]string{"key-1": "-----BEGIN CERTIFICATE-----"}},
		},
		"clock":         {claims: bearertest.Claims{"iat": inSeconds(120), "exp": inSeconds(420)}},
		"expired":       {claims: bearertest.Claims{"exp": inSeconds(-300)}},
		"milliseconds":  {claims: bearertest.Claims{"exp": 1000 * inSeconds(300)}},
		"number-as-sub": {claims: bearertest.Claims{"sub": 17}},
		"no-exp":        {claims: bearertest.Claims{"exp": nil}},
		"bound":         {claims: bearertest.Claims{"cnf": map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}},
		"roles-elsewhere": {
			claims: bearertest.Claims{"realm_access": map[string]any{"roles": []string{"clerk"}}},
			route:  []bearer.RouteOption{bearer.Roles("clerk")},
		},
		"scope-as-uri": {
			claims: bearertest.Claims{"scp": "read"}, route: []bearer.RouteOption{bearer.Scopes("api://orders/read")},
		},
	}
}

// inSeconds is a time by the clock of a bubble.
func inSeconds(n int64) int64 { return time.Now().Unix() + n }

// The table has a row for each mistake, with the reason of the refusal and words of its cause.
func TestMistakesAreExplained(t *testing.T) {
	t.Parallel()
	var documented []string
	for _, row := range tableRows(t, "docs/errors.md", "Mistakes and odd tokens", 4) {
		id, reason, causes := codeOf(row[0])[0], codeOf(row[1])[0], codeOf(row[2])
		documented = append(documented, id)
		if slices.Contains(row, "") || len(causes) == 0 {
			t.Errorf("the row of %s has an empty cell", id)
		}
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, ok := mistakes()[id]
				if !ok {
					t.Fatal("nothing makes this mistake")
				}
				code, log := m.make(t)
				if code != reason {
					t.Errorf("the reason is %s, and the page says %s", code, reason)
				}
				missing := slices.DeleteFunc(causes, func(words string) bool { return strings.Contains(log, words) })
				if len(missing) > 0 {
					t.Errorf("the log does not say %q: %s", missing, log)
				}
			})
		})
	}
	for id := range mistakes() {
		if !slices.Contains(documented, id) {
			t.Errorf("docs/errors.md does not have %s", id)
		}
	}
	const least = 25
	if len(documented) < least {
		t.Errorf("%d rows, want at least %d", len(documented), least)
	}
}

// make sends the request, and returns the reason and what the log says of the cause.
func (m mistake) make(t *testing.T) (code, log string) {
	t.Helper()
	var settings []bearertest.IssuerOption
	if m.url != "" {
		settings = append(settings, bearertest.WithURL(m.url))
	}
	if m.alg != "" {
		settings = append(settings, bearertest.WithAlgorithm(m.alg))
	}
	issuer := bearertest.NewIssuer(settings...)
	for path, document := range m.serve {
		issuer.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if document == nil {
				http.NotFound(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(document)
		}))
	}
	trusts := m.trusts
	if trusts == "" {
		trusts = issuer.URL()
	}
	var lines logged
	opts := []bearer.Option{
		bearer.WithIssuer(trusts, issuer.Audience(), m.opts...),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithLogger(slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}
	if m.places != nil {
		opts = append(opts, bearer.WithTokensFrom(m.places...))
	}
	auth, err := bearer.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = auth.Close() }()

	send := m.send
	if send == nil {
		send = inHeader
	}
	w, _ := serve(t, auth, send(m.credential(issuer)), m.route...)
	var body struct{ Code string }
	_ = json.Unmarshal(w.Body.Bytes(), &body) // empty for a request that was let through
	return body.Code, lines.causes(t)
}

func (m mistake) credential(issuer *bearertest.Issuer) string {
	switch {
	case m.token != "":
		return m.token
	case m.signer == nil:
		return issuer.Sign(m.header, m.claims)
	}
	header := bearertest.Claims{"kid": issuer.KeyID()}
	claims := bearertest.Claims{"iss": issuer.URL()}
	for name, value := range m.header {
		header[name] = value
	}
	return m.signer.Sign(header, claims, m.claims)
}

// causes returns what the lines say of causes, those of a key set included.
func (l *logged) causes(t *testing.T) string {
	t.Helper()
	var causes []string
	for line := range strings.Lines(l.all()) {
		var record struct{ Cause, Error string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		causes = append(causes, record.Cause, record.Error)
	}
	return strings.Join(causes, "\n")
}
