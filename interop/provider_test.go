package interop_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startLimit is far more than any machine needs to start the provider (it makes two RSA keys).
const startLimit = time.Minute

// startProvider runs provider.mjs until the test ends and returns its issuer URL.
func startProvider(t *testing.T) string {
	t.Helper()
	node := requireParts(t)

	cmd := exec.CommandContext(t.Context(), node, "provider.mjs") // The context ends before the cleanup runs.
	cmd.Stderr = t.Output()
	if _, err := cmd.StdinPipe(); err != nil { // Held open; its end tells an orphaned provider to end too.
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
	line, err := bufio.NewReader(stdout).ReadString('\n')
	tooLate.Stop()
	if err != nil {
		t.Fatalf("the provider did not start (%v); what it said is above", err)
	}
	return strings.TrimSpace(line)
}

// requireParts returns the path of Node.js. Without the parts from npm it skips the test, or fails it when they are
// required.
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
