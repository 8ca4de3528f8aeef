package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
)

// chartName is the chart's file.
const chartName = "benchmarks.svg"

// The chart's measures, in pixels.
const (
	chartWidth = 860
	chartLeft  = 230 // where bars begin; the rows' names end before it
	chartRight = 780 // where the scale ends; the longest bar's value needs the rest
	chartTop   = 84
	barHeight  = 9
	rowHeight  = 3*barHeight + 11
	lineHeight = 18
)

// chartAlgorithms are the bars of a row, from top to bottom.
var chartAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// chartStyle has colors for light and dark pages.
const chartStyle = `<style>
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.ours { font-weight: 600 }
.value { font-size: 9px }
.note, .tick { fill: #59636e }
.page { fill: #ffffff }
.grid { stroke: #d1d9e0 }
.RS256 { fill: #0969da } .ES256 { fill: #bc4c00 } .EdDSA { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note, .tick { fill: #9198a1 }
.page { fill: #0d1117 }
.grid { stroke: #3d444d }
.RS256 { fill: #4493f8 } .ES256 { fill: #db6d28 } .EdDSA { fill: #3fb950 }
}
</style>
`

// chartNotes explain the chart's terms.
var chartNotes = []string{
	"bearer, cached: the token was verified before. bearer, cache off: every token is verified in full.",
	rawName + ": the hash and the verification of the signature, and nothing else. No guard without a cache can be faster.",
	methodName + ": the same through the part of golang-jwt that bearer uses.",
	handOverName + ": a value is put into the request's context, and nothing is verified. No guard can be faster.",
	"RS256, ES256 and EdDSA are the signature algorithms. A token has 13 claims; the handler does nothing.",
}

// chart draws the time of one request into a file. It draws nothing if the peers were not measured.
func (b *bench) chart(file string) error {
	ns := func(row, alg string) float64 { return b.figures.ns("peers/" + alg + "/" + row) }
	if math.IsNaN(ns(rawName, chartAlgorithms[0])) {
		b.say("chart: NOT drawn: its figures were not measured")
		return nil
	}
	return os.WriteFile(file, []byte(drawChart(peerRows(), ns)), 0o644)
}

// drawChart draws the rows, the fastest first.
func drawChart(rows []string, ns func(row, alg string) float64) string {
	slices.SortFunc(rows, func(a, b string) int {
		return cmp.Compare(ns(a, chartAlgorithms[0]), ns(b, chartAlgorithms[0]))
	})
	smallest, largest := math.Inf(1), 0.0
	for _, row := range rows {
		for _, alg := range chartAlgorithms {
			if v := ns(row, alg); !math.IsNaN(v) {
				smallest, largest = min(smallest, v), max(largest, v)
			}
		}
	}
	first, last := math.Floor(math.Log10(smallest)), math.Log10(largest)
	x := func(ns float64) float64 {
		return chartLeft + (math.Log10(ns)-first)/max(last-first, 1)*(chartRight-chartLeft)
	}
	bottom := chartTop + len(rows)*rowHeight
	height := bottom + (len(chartNotes)+3)*lineHeight

	var svg strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&svg, format+"\n", args...) }
	text := func(x float64, y int, anchor, class, text string) {
		put(`<text x="%.1f" y="%d" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
	}
	put(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">`, chartWidth, height)
	put(`<title>bearer: time of one request, beside other Go libraries</title>`)
	svg.WriteString(chartStyle)
	put(`<rect class="page" width="%d" height="%d"/>`, chartWidth, height)
	text(chartLeft, 28, "start", "title", "bearer: time of one request, beside other Go libraries")
	text(chartLeft, 48, "start", "note", "logarithmic scale; shorter is better")
	for i, alg := range chartAlgorithms {
		left := chartLeft + 260 + i*80
		put(`<rect class="%s" x="%d" y="39" width="12" height="%d"/>`, alg, left, barHeight)
		text(float64(left+18), 48, "start", "note", alg)
	}
	for ten := first; ten <= last; ten++ {
		at := x(math.Pow(10, ten))
		put(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at, chartTop-8, at, bottom)
		text(at, chartTop-12, "middle", "tick", roundDuration(math.Pow(10, ten)))
	}
	for i, row := range rows {
		top := chartTop + i*rowHeight
		class := "theirs"
		if strings.HasPrefix(row, libraryName) {
			class = "ours"
		}
		text(chartLeft-10, top+rowHeight/2, "end", class, row)
		for j, alg := range chartAlgorithms {
			value := ns(row, alg)
			if math.IsNaN(value) {
				continue
			}
			put(`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`,
				alg, chartLeft, top+j*barHeight, max(x(value)-chartLeft, 0), barHeight-1)
			text(x(value)+4, top+(j+1)*barHeight-1, "start", "value", duration(value))
		}
	}
	for i, note := range chartNotes {
		text(20, bottom+(i+2)*lineHeight, "start", "note", note)
	}
	put(`</svg>`)
	return svg.String()
}
