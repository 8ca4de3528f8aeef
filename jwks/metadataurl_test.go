package jwks_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/jwks"
)

const elsewhereURL = "https://meta.test/tenant/metadata?p=policy"

// WithMetadataURL changes where the document is, and nothing of what it must say.
// Rules: key.metadata.
func TestMetadataURLIsThePlaceOfTheDocumentAlone(t *testing.T) {
	for name, test := range map[string]struct {
		issuer   string
		status   int
		document string
		want     string // in the error; "" for keys
	}{
		"the issuer":                {issuerURL, 200, metadata(issuerURL, keysURL), ""},
		"one that is no URL":        {"accounts.issuer.test", 200, metadata("accounts.issuer.test", keysURL), ""},
		"a template":                {"https://issuer.test/{tenantid}/v2.0", 200, metadata("https://issuer.test/{tenantid}/v2.0", keysURL), ""},
		"another issuer":            {issuerURL, 200, metadata("https://evil.test", keysURL), `it names "https://evil.test"`},
		"that of the place":         {issuerURL, 200, metadata("https://meta.test/tenant", keysURL), `it names "https://meta.test/tenant"`},
		"a slash":                   {issuerURL, 200, metadata(issuerURL+"/", keysURL), "in a slash at the end"},
		"no issuer":                 {issuerURL, 200, `{"jwks_uri":"` + keysURL + `"}`, "it names none"},
		"keys over http":            {issuerURL, 200, metadata(issuerURL, "http://issuer.test/keys"), "is not https"},
		"404, and no other place":   {issuerURL, 404, "", "GET " + elsewhereURL + ": status 404"},
		"nothing for a wrong issue": {issuerURL + "x", 200, metadata(issuerURL, keysURL), "it is not for the issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := issuer(edJWK("a")) // its own place has a good document
			w.put(elsewhereURL, says(test.status, test.document))
			keys, err := open(t, jwks.Discover(test.issuer, jwks.WithMetadataURL(elsewhereURL)), w).Keys(t.Context(), "a", "EdDSA")
			if test.want == "" && err != nil || test.want != "" && (outcome(keys, err) != "unavailable" || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if test.want != "" && err != nil && !strings.Contains(err.Error(), "jwks_uri") && !strings.Contains(err.Error(), "MetadataURL") {
				t.Errorf("the error names no option: %v", err)
			}
			if n := w.count(discoveryURL); n > 0 {
				t.Error("the place that follows from the issuer was asked, too")
			}
		})
	}
}

func TestMetadataURLThatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		source jwks.Source
		says   string
	}{
		"empty":        {jwks.Discover(issuerURL, jwks.WithMetadataURL("")), `WithMetadataURL(""): the URL is not an absolute https URL`},
		"http":         {jwks.Discover(issuerURL, jwks.WithMetadataURL("http://meta.test")), "is not https"},
		"a fragment":   {jwks.Discover(issuerURL, jwks.WithMetadataURL(elsewhereURL+"#a")), "fragment"},
		"a password":   {jwks.Discover(issuerURL, jwks.WithMetadataURL("https://u:hunter2@meta.test")), "user name"},
		"twice":        {jwks.Discover(issuerURL, jwks.WithMetadataURL(elsewhereURL), jwks.WithMetadataURL(elsewhereURL)), "more than once"},
		"no issuer":    {jwks.Discover("", jwks.WithMetadataURL(elsewhereURL)), "the issuer is empty"},
		"Remote":       {jwks.Remote(keysURL, jwks.WithMetadataURL(elsewhereURL)), "is for Discover alone"},
		"PEM":          {jwks.AnyOf(jwks.Static([]byte(keySet(edJWK("a"))), jwks.WithMetadataURL(elsewhereURL))), "is for Discover alone"},
		"a good one":   {jwks.Discover(issuerURL, jwks.WithMetadataURL(elsewhereURL)), ""},
		"on loopback":  {jwks.Discover(issuerURL, jwks.WithMetadataURL("http://127.0.0.1/meta")), ""},
		"http allowed": {jwks.Discover(issuerURL, jwks.WithMetadataURL("http://meta.test"), jwks.InsecureHTTP()), ""},
	} {
		_, err := jwks.New(test.source)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Error("the error has the password in it")
		}
	}
}

// The error of a discovery that fails names both places, what each answered, the issuer that was
// found, printable and short, and the options that help.
// Rules: key.metadata.
func TestDiscoveryErrorsSayWhatWasTriedAndWhatHelps(t *testing.T) {
	const oauthURL = issuerURL + "/.well-known/oauth-authorization-server"
	long := strings.Repeat("x", 1000)
	control := strings.Repeat(`\u001b\n\u202e`, 100)
	for name, test := range map[string]struct {
		first, second page
		says          []string
		not           string
	}{
		"neither": {
			says(403, "secret body"), says(404, ""),
			[]string{"GET " + oauthURL + ": status 404", "GET " + discoveryURL + ": status 403", "MetadataURL", "JWKSURL"},
			"secret",
		},
		"the second is down": {says(403, ""), down, []string{"GET " + oauthURL + ": connection refused", discoveryURL + ": status 403"}, ""},
		"the second is of another": {
			says(401, ""), says(200, metadata("https://other.test", keysURL)),
			[]string{"the answer of " + oauthURL, `it is not for the issuer "https://issuer.test"; it names "https://other.test"`, "MetadataURL"},
			"",
		},
		"a long issuer":  {says(200, metadata(long, keysURL)), nil, []string{`one that begins with "` + long[:64] + `"`}, long[:65]},
		"a hostile one":  {says(200, metadata(control, keysURL)), nil, []string{`it names one that begins with "?`}, "\x1b"},
		"none":           {says(200, `{}`), nil, []string{"it names none"}, ""},
		"a server error": {says(500, ""), nil, []string{"GET " + discoveryURL + ": status 500"}, "MetadataURL"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(discoveryURL, test.first)
			if test.second != nil {
				w.put(oauthURL, test.second)
			}
			_, err := w.discover(t).Keys(t.Context(), "a", "EdDSA")
			for _, says := range test.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%v, want %q", err, says)
				}
			}
			if err != nil && test.not != "" && strings.Contains(err.Error(), test.not) {
				t.Errorf("%q must not be in %q", test.not, err)
			}
		})
	}
}
