package bearer_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
)

// The token and key-set shapes of real identity providers get the answers that their files expect.
// TestLineOfEachProviderFitsItsShapes runs the lines of docs/providers.md on them.

// providerFiles must be in the folder. A file beside them is tested as well.
var providerFiles = []string{
	"auth0", "authentik", "azure-ad-b2c", "clerk", "cognito", "dex", "entra-multi-tenant", "entra-v2-single-tenant",
	"firebase", "github-actions", "google-iap", "google-id-tokens", "keycloak", "kubernetes", "okta", "ory-hydra",
	"shopify", "slack", "supabase", "zitadel",
}

// shapeOptions are the issuer's options by the names that the files have for them. A function that
// the application would write accepts everything.
var shapeOptions = map[string]any{
	"Algorithms":           bearer.Algorithms,
	"AnyClaimPresent":      bearer.AnyClaimPresent,
	"ClientIDClaim":        bearer.ClientIDClaim,
	"HMACSecretBesideKeys": bearer.HMACSecretBesideKeys,
	"InsecureIDTokens":     bearer.InsecureIDTokens,
	"InsecureNoIssuer":     bearer.InsecureNoIssuer,
	"RolesFromMembers":     bearer.RolesFromMembers,
	"MetadataURL":          bearer.MetadataURL,
	"IssuerTemplate":       bearer.IssuerTemplate,
	"AudienceClaim":        bearer.AudienceClaim,
	"HMACSecret":           bearer.HMACSecret,
	"InsecureAnyAudience":  bearer.InsecureAnyAudience,
	"InsecureHTTP":         bearer.InsecureHTTP,
	"InsecureNoExpiry":     bearer.InsecureNoExpiry,
	"JWKSURL":              bearer.JWKSURL,
	"RFC9068":              bearer.RFC9068,
	"RolesClaim":           bearer.RolesClaim,
	"RolesClaims":          bearer.RolesClaim,
	"ScopeClaim":           bearer.ScopeClaim,
	"ScopeClaims":          bearer.ScopeClaim,

	"KeysDiscoveredWithAuthorization": discovered,
	"KeysRemoteWithAuthorization":     remote,
	"KeysTokenFile":                   discoveredWithFile,
}

// shapeLocations are the places where a token may be.
var shapeLocations = map[string]any{
	"FromHeader": bearer.FromHeader,
	"FromCookie": bearer.FromCookie,
}

// shapeRequirements are what a route demands.
var shapeRequirements = map[string]any{
	"HasClaim": bearer.HasClaim,
	"Roles":    bearer.Roles,
	"Scopes":   bearer.Scopes,
}

// optionNames are the names in the files that differ from those of this package.
var optionNames = map[string]string{
	"RolesClaims":                     "RolesClaim",
	"ScopeClaims":                     "ScopeClaim",
	"KeysDiscoveredWithAuthorization": "Keys",
	"KeysRemoteWithAuthorization":     "Keys",
	"KeysTokenFile":                   "Keys",
}

// otherwise has the shapes that the library decides in another way than their file hopes for, with
// issuer and audience as the file configures them. With the line of docs/providers.md each of them
// gets what its file expects.
var otherwise = map[string]struct{ answer, why string }{
	"authentik/an ID token":                                             {"", "nothing marks it; the line demands azp or uid"},
	"azure-ad-b2c/issuer as in the token":                               {"keys_unavailable", "the document is not below the issuer; the line says where it is"},
	"clerk/issuer and audience alone":                                   {"wrong_audience", "there is no aud; the line names azp"},
	"cognito/access token, issuer and audience alone":                   {"wrong_audience", "there is no aud; the line names client_id"},
	"dex/access token":                                                  {"not_an_access_token", "it has the mark of an ID token; the line says Insecure"},
	"entra-v2-single-tenant/an ID token of one" + "'s own registration": {"", "nothing marks it; the line demands azp"},
	"google-iap/issuer and audience alone":                              {"keys_unavailable", "there is no document; the line says where the keys are"},
	"kubernetes/issuer and audience alone, inside the cluster":          {"keys_unavailable", "the document takes a token; the line has a client that sends it"},
	"zitadel/roles are the names of an object":                          {"", "an object has no roles; the line reads its names"},
}

func TestShapesOfProviders(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, provider := range vectors.Providers(t, providerFiles...) {
		for _, shape := range provider.Shapes {
			name := shapeName(provider, shape)
			seen[name] = true
			t.Run(name, func(t *testing.T) {
				if problem := misfiled(shape); problem != "" {
					t.Fatal(problem)
				}
				problems := judged(t, provider, shape)
				if differs, ok := otherwise[name]; ok {
					if len(problems) == 0 {
						t.Errorf("it is as the file hopes: remove it from otherwise (%s)", differs.why)
					}
					problems = answered(t, provider, shape, differs.answer)
				}
				for _, problem := range problems {
					t.Error(problem)
				}
			})
		}
	}
	for name := range otherwise {
		if !seen[name] {
			t.Errorf("otherwise has %s, which is no shape", name)
		}
	}
}

// misfiled says how a shape contradicts its kind, or "".
func misfiled(shape vectors.Shape) string {
	options := len(shape.Options)
	for _, issuer := range shape.Issuers {
		options += len(issuer.Options)
	}
	switch shape.Kind {
	case vectors.KindMinimal:
		if options > 0 {
			return "it is minimal and has options"
		}
	case vectors.KindGuard:
		if !shape.Expect.Refused() && !shape.Expect.LogMute {
			return "it guards nothing"
		}
	case vectors.KindConfigured, vectors.KindWish:
	default:
		return "its kind is not known: " + shape.Kind
	}
	return ""
}

func shapeName(provider vectors.Provider, shape vectors.Shape) string {
	return provider.File + "/" + shape.Case
}

// shapeAnswer is what a service answers to a shape, and what it logs.
type shapeAnswer struct {
	status int
	code   string // of the body; "" for a token that is let through
	claims *bearer.Claims
	log    *logged
	newErr error
}

// answerTo sends the token of a shape to a service that is configured as the shape says.
func answerTo(t *testing.T, provider vectors.Provider, shape vectors.Shape) (got shapeAnswer, err error) {
	t.Helper()
	if shape.Key != "" && !strings.HasPrefix(shape.Key, "hs:") {
		providerKey(t, shape.Key) // made outside of the bubble, whose clock stands still
	}
	synctest.Test(t, func(t *testing.T) {
		world := newShapeWorld(t, provider, shape)
		got.log = &logged{}
		opts, route, wrong := world.configured()
		if err = wrong; err != nil {
			return
		}
		opts = append(opts, bearer.WithHTTPClient(world.client()), bearer.WithLogger(got.log.logger()))
		auth, wrong := bearer.New(opts...)
		if wrong != nil {
			got.newErr = wrong
			return
		}
		defer func() { _ = auth.Close() }()
		w, inner := serve(t, auth, world.request(world.credential()), route...)
		got.status, got.claims = w.Code, inner.claims
		if !inner.ran {
			var body struct{ Code string }
			if wrong := json.Unmarshal(w.Body.Bytes(), &body); wrong != nil {
				t.Error(wrong)
			}
			got.code = body.Code
		}
	})
	return got, err
}

// answered compares the code of a shape's answer, "" if it is let through.
func answered(t *testing.T, provider vectors.Provider, shape vectors.Shape, code string) (problems []string) {
	t.Helper()
	got, err := answerTo(t, provider, shape)
	switch {
	case err != nil:
		problems = append(problems, err.Error())
	case got.newErr != nil:
		problems = append(problems, got.newErr.Error())
	case got.code != code:
		problems = append(problems, fmt.Sprintf("the answer is %d %q, want %q", got.status, got.code, code))
	}
	return problems
}

// judged compares the answer to a shape with what its file expects. The problems are those of the
// library and not of the test, so that otherwise can expect them.
func judged(t *testing.T, provider vectors.Provider, shape vectors.Shape) (problems []string) {
	t.Helper()
	got, err := answerTo(t, provider, shape)
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	want := shape.Expect
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if got.newErr != nil {
		if want.NewSays == nil {
			problem("New: %v", got.newErr)
		}
		for _, words := range want.NewSays {
			if !strings.Contains(got.newErr.Error(), words) {
				problem("New's error does not say %q: %v", words, got.newErr)
			}
		}
		return problems
	}
	for _, words := range want.LogSays {
		if !strings.Contains(got.log.shown(), words) {
			problem("the log does not say %q: %s", words, got.log.all())
		}
	}
	if text := got.log.shown(); want.LogMute && text != "" {
		problem("the log says %s", text)
	}
	switch passes := got.claims != nil; {
	case want.NewSays != nil:
		problem("New accepts the configuration")
	case !want.Refused() && !passes:
		problem("it is refused with %d %s: %s", got.status, got.code, got.log.all())
	case want.Status != 0 && got.status != want.Status, want.Code != "" && got.code != want.Code, want.Refused() && passes:
		problem("the answer is %d %q, want %d %q: %s", got.status, got.code, want.Status, want.Code, got.log.all())
	case passes:
		problems = append(problems, misread(got.claims, want)...)
	}
	return problems
}

// misread compares claims with what a file expects of them.
func misread(claims *bearer.Claims, want vectors.Expected) (problems []string) {
	for name, c := range map[string]struct {
		got  string
		want *string
	}{
		"subject":   {claims.Subject(), want.Subject},
		"client_id": {claims.ClientID(), want.ClientID},
	} {
		if c.want != nil && c.got != *c.want {
			problems = append(problems, fmt.Sprintf("%s is %q, want %q", name, c.got, *c.want))
		}
	}
	for name, c := range map[string]struct {
		got  []string
		want *[]string
	}{
		"scopes":   {claims.Scopes(), want.Scopes},
		"roles":    {claims.Roles(), want.Roles},
		"audience": {claims.Audience(), want.Audience},
	} {
		if c.want != nil && !slices.Equal(c.got, *c.want) {
			problems = append(problems, fmt.Sprintf("%s are %q, want %q", name, c.got, *c.want))
		}
	}
	return problems
}
