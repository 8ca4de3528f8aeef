package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bench "github.com/bearer-go/bearer/bench"
)

// Every guard lets the good token through, and none that is forged, expired, or meant for or made by somebody else.
func TestGuardsAreGuards(t *testing.T) {
	for _, alg := range bench.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			seen := 0
			err := bench.CheckGuards(alg, func(guard string, err error) {
				seen++
				if err != nil {
					t.Errorf("%s: %v", guard, err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if seen < 9 {
				t.Errorf("only %d guards were looked at", seen)
			}
		})
	}
}

// The tokens are as long as the report's earlier figures were measured with.
func TestTokenSizes(t *testing.T) {
	for alg, want := range map[string]int{"RS256": 813, "ES256": 557, "EdDSA": 557} {
		got, err := bench.TokenSize(alg)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %d bytes, want %d", alg, got, want)
		}
	}
}

// All that needs no sockets runs from end to end, and the report has what was measured. What the figures are is not looked at.
func TestSmoke(t *testing.T) {
	folder := t.TempDir()
	report, err := bench.Smoke(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Targets", "### RS256", "### ES256", "### EdDSA", "### HS256", "| jwx v3 |", "| 1 MB of dots |", "bytes of heap",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if n := strings.Count(report, "NOT MEASURED"); n != 3 && n != 5 { // with one core also without those that need two
		t.Errorf("%d sections were not measured, want the three that need sockets:\n%s", n, report)
	}
	chart, err := os.ReadFile(filepath.Join(folder, "benchmarks.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(chart), "<svg") || !strings.Contains(string(chart), "ES256") {
		t.Error("the chart is no chart")
	}
}
