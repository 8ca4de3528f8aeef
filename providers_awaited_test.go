package bearer_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
)

// For the integrator: this whole file is temporary. Other branches bring what it lists. After a merge
// add the new options to shapeOptions, each one line. The tests then name the entries that are right:
// delete them. When both lists are empty, delete the file and what uses it.

// awaitedOptions are those that docs/providers.md or a shape uses and this package does not have yet,
// by the branch that adds them. What needs one is skipped.
var awaitedOptions = map[string]string{
	"AnyClaimPresent":      "claims",
	"ClientIDClaim":        "claims",
	"HMACSecretBesideKeys": "claims",
	"InsecureIDTokens":     "claims",
	"InsecureNoIssuer":     "claims",
	"RolesClaim":           "claims", // with several paths
	"RolesClaims":          "claims", // likewise, as a file calls it
	"RolesFromMembers":     "claims",
	"ScopeClaim":           "claims",  // with several paths
	"ScopeClaims":          "claims",  // likewise, as a file calls it
	"FromHeader":           "request", // with a name
	"IssuerTemplate":       "dynamic",
	"MetadataURL":          "keys",
	"WithJWTSVIDKeys":      "keys", // of package jwks
}

// awaited has the shapes whose answer is not right yet, by the branch that changes it.
var awaited = map[string]string{
	"azure-ad-b2c/the log of the minimal configuration names JWKSURL": "keys",   // the error names the option that helps
	"keycloak/nothing is warned of on a default realm":                "keys",   // encryption keys are skipped at Debug
	"ory-hydra/no audience asked for: client_id instead":              "claims", // an empty aud counts as none
}

// awaitedOption returns the branch that brings the option which a text says is missing, or "".
func awaitedOption(text string) string {
	for name, branch := range awaitedOptions {
		for _, problem := range []string{" is not known", " does not take", " does not exist"} {
			if strings.Contains(text, name+problem) {
				return branch
			}
		}
	}
	return ""
}

// Once the integrator has merged a branch, its options leave the list.
func TestAwaitedOptionsDoNotExistYet(t *testing.T) {
	world := &shapeWorld{t: t}
	for name, branch := range awaitedOptions {
		setting := vectors.Setting{name, "a", "b"}
		_, err := call[bearer.IssuerOption](world, shapeOptions, setting)
		if name == "FromHeader" {
			_, err = call[bearer.TokenLocation](world, shapeLocations, setting[:2])
		}
		if name == "WithJWTSVIDKeys" && exportedIn(t, "jwks")["WithJWTSVIDKeys"] || err == nil {
			t.Errorf("%s exists: remove it from awaitedOptions (%s)", name, branch)
		}
	}
	for name := range exportedIn(t, ".") {
		if _, waits := awaitedOptions[name]; waits && shapeOptions[name] == nil && shapeLocations[name] == nil {
			t.Errorf("%s exists: add it to shapeOptions, and remove it from awaitedOptions", name)
		}
	}
}

// awaitedCauses are the rows of docs/errors.md whose cause is not in the log yet.
var awaitedCauses = map[string]string{
	"audience-of-client": "claims",
	"audience-account":   "claims",
	"audience-missing":   "claims",
	"audience-empty":     "claims",
	"graph-audience":     "claims",
	"graph-nonce":        "claims",
	"id-token":           "claims",
	"refresh-token":      "claims",
	"clock":              "claims",
	"expired":            "claims",
	"milliseconds":       "claims",
	"number-as-sub":      "claims",
	"no-exp":             "claims",
	"bound":              "claims",
	"other-environment":  "keys",
	"same-kid":           "keys",
	"no-document":        "keys",
	"document-of-other":  "keys",
	"scheme-missing":     "request",
	"two-places":         "request",
	"issuer-slash":       "causes",
	"issuer-case":        "causes",
	"issuer-scheme":      "causes",
	"issuer-version":     "causes",
	"issuer-common":      "causes",
	"encrypted":          "causes",
	"opaque":             "causes",
	"quoted":             "causes",
	"type":               "causes",
	"secret-missing":     "causes",
	"algorithm":          "causes",
	"roles-elsewhere":    "causes",
	"scope-as-uri":       "causes",
}
