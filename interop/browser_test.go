package interop_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browserLimit is far more than a browser needs to start and to open a few connections.
const browserLimit = 2 * time.Minute

// openBrowser opens a page in Chromium, which lives until it is closed, or the test ends. What it
// wrote to its standard error is complete when it is closed.
func openBrowser(t *testing.T, path, url string) (wrote *strings.Builder, closeIt func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--no-first-run", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", url)
	wrote = new(strings.Builder)
	cmd.Stderr, cmd.WaitDelay = wrote, 10*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	closeIt = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(closeIt)
	return wrote, closeIt
}

// requireBrowser returns the path of Chromium. Without it it skips the test, or fails it when the
// real parts are required.
func requireBrowser(t *testing.T) (path string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err == nil {
		return path
	}
	complain := t.Skipf
	if os.Getenv("BEARER_INTEROP") == "require" {
		complain = t.Fatalf
	}
	complain("NOT TESTED against a real browser (%v): install Chromium", err)
	return ""
}
