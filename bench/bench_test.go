package main_test

import (
	"encoding/xml"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bench "github.com/bearer-go/bearer/bench"
)

// Every guard lets the good token through, and refuses one that is forged, expired, of another issuer
// or for another audience.
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
	for _, want := range []string{
		"<svg", ">ES256<", ">bearer, cached<", ">golang-jwt v5 + keyfunc v3<", " µs<", `text-anchor="end"`, "prefers-color-scheme: dark",
	} {
		if !strings.Contains(string(chart), want) {
			t.Errorf("the chart has no %q", want)
		}
	}
}

// The rows of the chart are sorted by the first algorithm, and a missing figure leaves a gap.
func TestChartIsSorted(t *testing.T) {
	chart := bench.Chart(map[string][3]float64{
		"slow": {30_000, 60_000, math.NaN()}, "fast": {150, 160, 170}, "<middle>": {900, 800, 700},
	})
	last := 0
	for _, row := range []string{">fast<", ">&lt;middle&gt;<", ">slow<"} {
		at := strings.Index(chart, row)
		if at < last {
			t.Errorf("%s is not in its place", row)
		}
		last = at
	}
	if n := strings.Count(chart, `class="value"`); n != 8 {
		t.Errorf("%d values, want 8", n)
	}
	if err := xml.Unmarshal([]byte(chart), new(struct{})); err != nil {
		t.Errorf("the chart is not XML: %v", err)
	}
}
