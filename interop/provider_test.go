package interop_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startLimit is far more than any machine needs to start the provider (it makes two RSA keys).
const startLimit = time.Minute

// providerConfig is what provider.mjs reads, and describes.
type providerConfig struct {
	Clients     []clientMetadata `json:"clients,omitempty"`
	TLS         *providerTLS     `json:"tls,omitempty"`
	AnswerDelay int              `json:"answerDelay,omitempty"`
	OddSeed     uint32           `json:"oddSeed,omitempty"`
}

// clientMetadata describes a client (RFC 7591 section 2).
type clientMetadata struct {
	ID            string   `json:"client_id"`
	Secret        string   `json:"client_secret,omitempty"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	SigningAlg    string   `json:"token_endpoint_auth_signing_alg,omitempty"`
	SANDNS        string   `json:"tls_client_auth_san_dns,omitempty"`
	JWKS          *jwks    `json:"jwks,omitempty"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	RedirectURIs  []string `json:"redirect_uris"`
}

type jwks struct {
	Keys []map[string]any `json:"keys"`
}

// providerTLS is PEM.
type providerTLS struct {
	Key  string `json:"key"`
	Cert string `json:"cert"`
	CA   string `json:"ca"`
}

// startProvider runs provider.mjs until the test ends and returns its issuer URL.
func startProvider(t *testing.T) string {
	t.Helper()
	return startProviderWith(t, providerConfig{})
}

// startProviderWith is startProvider with a configuration.
func startProviderWith(t *testing.T, config providerConfig) (issuer string) {
	t.Helper()
	node := requireParts(t)
	line, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), node, "provider.mjs") // The context ends before the cleanup runs.
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe() // Held open; its end tells an orphaned provider to end too.
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // Always an error: the provider is killed.

	tooLate := time.AfterFunc(startLimit, func() { _ = cmd.Process.Kill() })
	defer tooLate.Stop()
	if _, err := stdin.Write(append(line, '\n')); err != nil {
		t.Fatalf("the provider did not start: %v", err)
	}
	issuer, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the provider did not start (%v); what it said is above", err)
	}
	return strings.TrimSpace(issuer)
}

// providerReport is what happened to tokens at the provider.
type providerReport struct {
	Refreshed int               `json:"refreshed"` // refresh tokens that were exchanged for another
	Revoked   int               `json:"revoked"`   // access tokens of clients that were revoked
	Refused   map[string]int    `json:"refused"`   // what was refused: how often, by reason
	Proofs    map[string]string `json:"proofs"`    // how each client proved who it is when it last got a token
	Odd       map[string]int    `json:"odd"`       // odd answers: how many, by name

	// Assertions are the last ones that each client signed.
	Assertions map[string]struct{ Audience, KeyID string } `json:"assertions"`
}

// unusable are the odd answers whose access token is not used, though their refresh token is kept.
// What else is odd is accepted.
var unusable = []string{"a doubled member", "a byte order mark", "not UTF-8"}

// oddities are the names of all odd answers.
var oddities = append([]string{
	"status 201", "text/html", "form", "no token_type", "expires_in as a string",
}, unusable...)

// unusable returns how many answers were such.
func (r providerReport) unusable() (n int) {
	for _, name := range unusable {
		n += r.Odd[name]
	}
	return n
}

// wantAllOddities checks that there was each kind of odd answer.
func (r providerReport) wantAllOddities(t *testing.T) {
	t.Helper()
	t.Logf("odd answers: %v", r.Odd)
	for _, name := range oddities {
		if r.Odd[name] == 0 {
			t.Errorf("no answer was odd by this: %s", name)
		}
	}
	if len(r.Odd) != len(oddities) {
		t.Errorf("there are other odd answers than %q", oddities)
	}
}

// reused is why oidc-provider refuses a refresh token that was used before, when it also ends its
// family.
const reused = "refresh token already used"

// ended is why it refuses another refresh token of that family afterwards.
const ended = "refresh token not found"

func reportOf(t *testing.T, issuer string) (report providerReport) {
	t.Helper()
	response, err := http.DefaultClient.Get(issuer + "/report")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return report
}

// requireParts returns the path of Node.js. Without the parts from npm it skips the test, or fails
// it when they are required.
func requireParts(t *testing.T) (node string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("node_modules/oidc-provider/package.json")
	}
	if err == nil {
		return node
	}
	complain := t.Skipf
	if os.Getenv("BEARER_INTEROP") == "require" {
		complain = t.Fatalf
	}
	complain("NOT TESTED against a real OpenID provider (%v): install Node.js 20 or newer and run `npm ci` in interop/", err)
	return ""
}
