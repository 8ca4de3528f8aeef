package main

import (
	_ "embed"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// notes are what people wrote about the figures. They end the report.
//
//go:embed notes.md
var notes string

// report is what the sections found beside their figures.
type report struct {
	haproxyVersion string
}

// table is a table in Markdown. Its first column is text, and so are those whose heads begin with "<"; the others are figures.
type table struct {
	text strings.Builder
}

func newTable(head ...string) *table {
	t := &table{}
	names, lines := make([]string, len(head)), make([]string, len(head))
	for i, name := range head {
		var text bool
		names[i], text = strings.CutPrefix(name, "<")
		if lines[i] = "---:"; text || i == 0 {
			lines[i] = "---"
		}
	}
	t.row(names...)
	t.row(lines...)
	return t
}

func (t *table) row(cells ...string) {
	t.text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// markdown writes the whole report.
func (b *bench) markdown(short bool) (string, error) {
	var text strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n\n", args...) }
	section := func(title string, measured bool, lines ...func()) {
		say("## %s", title)
		if !measured {
			say("NOT MEASURED in this run.")
			return
		}
		for _, line := range lines {
			line()
		}
	}
	put := func(t *table) func() { return func() { text.WriteString(t.text.String() + "\n") } }
	tell := func(format string, args ...any) func() { return func() { say(format, args...) } }

	say("# Benchmarks")
	say("Written by `make bench`. Every figure is the median of %d rounds of %v each, in which all subjects take turns; read the "+
		"ratios, for the times are those of this machine. A ratio is the median of the rounds' ratios: what slows the machine for a while "+
		"slows both.", b.rounds, b.round)
	if short {
		say("**This was a smoke run (-short). Its figures mean nothing.**")
	}
	say("%s", machine())
	say("The token is a JWT access token with %d claims: %d bytes with RS256 (2048 bits), %d with ES256 and EdDSA, %d with HS256. "+
		"A request goes through ServeHTTP to a handler that does nothing, with a ResponseWriter that costs nothing. "+
		"Every guard pins one key, and checks signature, algorithm, issuer, audience and times; that it refuses what it must is "+
		"made sure of before it is measured. GOGC is at its default of 100 but where a table says otherwise.",
		numClaims, len(b.scenes["RS256"].token), len(b.scenes["ES256"].token), len(b.scenes["HS256"].token))

	section("Targets", true, put(b.goalTable()))
	_, peers := b.figures["peers/RS256/"+rawName]
	section("One request, one token", peers,
		tell("![Time of one request, on a logarithmic scale](%s)", chartName),
		tell("Time of one request."), put(b.summary(peerRows())))
	if peers {
		for _, alg := range b.algorithms {
			say("### %s", alg)
			put(b.peerTable(alg))()
		}
		say("### A token that is not in the cache")
		say("%d tokens take turns in a cache of %d, so that each has left it before it comes again.", missTokens, missEntries)
		put(b.missTable())()
		say("### Versions and configuration")
		put(versionTable())()
	}
	_, refused := b.figures["refusals/no token/"+decidedName]
	section("Refusals", refused,
		tell("RS256. *Decided* is Authenticate alone, *answered* the whole guard with its answer written; the peers have no such seam, "+
			"so theirs is to be read beside *answered*."), put(b.refusalTable()))
	if refused {
		say("Beside them, in the same run: decoding the base64 of the 8 KB token takes %s; raw crypto takes %s.",
			duration(b.figures.ns("refusals/"+bigKidName+"/"+decodeName)), duration(b.figures.ns("refusals/"+badName+"/"+rawName)))
	}
	_, rotated := b.figures["rotating/"+hotName]
	section("Tokens that rotate", rotated,
		tell("Cached requests: one token all the time, and %s that take turns, so that each has left the processor's cache.",
			grouped(b.tokens)),
		put(b.rotatingTable()))
	_, scaled := b.figures[scalingKey(hotRow, 100, 1)]
	section("Two cores", scaled,
		tell("Requests per second of all cores together, RS256. At GOGC=100 the collector of a tiny heap is a large part of what is "+
			"measured; a service with a heap of its own is nearer to 400."), put(b.scalingTable()))
	_, flooded := b.figures["flood/"+quietRow+"/p99"]
	section("A flood of forged tokens", flooded,
		tell("Latency of good tokens, which are cached, while one core sends distinct forged ones as fast as it can."),
		put(b.floodTable()))
	_, handed := b.figures[freshKey(sourceRow, 1)]
	section("The token manager: a fresh token", handed,
		tell("One token that is at hand, from Source.Token of package tokens, ReuseTokenSource of x/oauth2 %s and "+
			"NewCachedTokenProvider of cloud.google.com/go/auth %s. On two cores, two callers ask for the same one; the figures are "+
			"calls of both together.",
			version("golang.org/x/oauth2"), version("cloud.google.com/go/auth")), put(b.freshTable()))
	_, herded := b.figures[herdKey(sourceRow, "calls")]
	section("The token manager: an issuer that is down", herded,
		tell("%d callers with %v each need a token at once, from an issuer on loopback that answers 503 after %v. Then it is well, and one "+
			"caller asks every %v until there is a token, for which the issuer takes as long. One run each. The others make no "+
			"pause after a failure: they ask for every caller, one after the other, and so have a token sooner afterwards.",
			herdCallers, herdPatience, b.answer, herdPoll), put(b.herdTable()))
	_, held := b.figures["memory/token"]
	section("Memory", held, b.memoryText(say))
	_, served := b.figures[endToEndKey(openServer, 1)]
	section("End to end", served,
		tell("Requests per second over loopback, %d connections that are kept alive, no pipelining; RS256. The server is a process "+
			"with one core. *Busy* is how much of that core it used: below 95 %% the client was the limit. All servers get the same "+
			"requests, token included.", connections), put(b.endToEndTable()))
	section("HAProxy", b.report.haproxyVersion != "",
		tell("%s, one thread, the same client and tokens; a front end that answers by itself.", b.report.haproxyVersion),
		put(b.haproxyTable()))
	text.WriteString(notes)
	return text.String(), nil
}

// machine says what this was measured on.
func machine() string {
	model := "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, GOMAXPROCS %d, %s/%s, %s.",
		model, runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func (b *bench) goalTable() *table {
	t := newTable("target", "<measured", "<met")
	for _, g := range b.goals() {
		t.row(g.text, g.measured, string(g.met))
	}
	return t
}

// peerRows are the rows of the tables of peers: the floors, then all guards.
func peerRows() []string {
	rows := []string{handOverName, rawName, methodName}
	for _, g := range guards {
		rows = append(rows, g.name)
	}
	return rows
}

func (b *bench) summary(rows []string) *table {
	t := newTable(append([]string{""}, b.algorithms...)...)
	for _, row := range rows {
		cells := []string{row}
		for _, alg := range b.algorithms {
			cells = append(cells, duration(b.figures.ns("peers/"+alg+"/"+row)))
		}
		t.row(cells...)
	}
	return t
}

func (b *bench) peerTable(alg string) *table {
	f, prefix := b.figures, "peers/"+alg+"/"
	t := newTable("", "time", "beside raw crypto", "beside "+cachedName, "allocations", "bytes")
	for _, row := range append(peerRows(), bareGinName, bareEchoName) {
		one, ok := f[prefix+row]
		if !ok {
			t.row(row, "cannot", "", "", "", "")
			continue
		}
		t.row(row, duration(one.ns), times(f.ratio(prefix+row, prefix+rawName)), times(f.ratio(prefix+row, prefix+cachedName)),
			plain(one.allocs), grouped(int(one.bytes)))
	}
	return t
}

func (b *bench) missTable() *table {
	t := newTable("", "a miss", "cache off", "ratio")
	for _, alg := range missAlgorithms {
		miss, off := b.figures.ns("miss/"+alg+"/"+missName), b.figures.ns("miss/"+alg+"/"+offName)
		t.row(alg, duration(miss), duration(off), times(b.figures.ratio("miss/"+alg+"/"+missName, "miss/"+alg+"/"+offName)))
	}
	return t
}

func versionTable() *table {
	t := newTable("", "<version", "<configuration")
	for _, g := range guards {
		if g.module != "" {
			t.row(g.name, version(g.module), g.note)
		}
	}
	return t
}

func (b *bench) refusalTable() *table {
	t := newTable(append([]string{"", "decided", "allocations", "answered", "allocations"}, refusalPeers...)...)
	for _, bad := range b.scenes["RS256"].badRequests() {
		prefix := "refusals/" + bad.name + "/"
		decided, answered := b.figures[prefix+decidedName], b.figures[prefix+answeredName]
		cells := []string{
			bad.name, duration(decided.ns), plain(decided.allocs), duration(answered.ns), plain(answered.allocs),
		}
		for _, peer := range refusalPeers {
			cells = append(cells, duration(b.figures.ns(prefix+peer)))
		}
		t.row(cells...)
	}
	return t
}

func (b *bench) rotatingTable() *table {
	t := newTable("", "time", "allocations")
	for _, row := range []string{hotName, rotatingName} {
		one := b.figures["rotating/"+row]
		t.row(row, duration(one.ns), plain(one.allocs))
	}
	return t
}

func (b *bench) scalingTable() *table {
	t := newTable("", "GOGC", "1 core", "2 cores", "gain")
	for _, row := range scalingRows {
		for _, gogc := range scalingGOGC {
			one, two := b.figures.ns(scalingKey(row, gogc, 1)), b.figures.ns(scalingKey(row, gogc, 2))
			t.row(row, fmt.Sprint(gogc), perSecond(one), perSecond(two), times(one/two))
		}
	}
	return t
}

func (b *bench) floodTable() *table {
	f := b.figures
	t := newTable("flood", "forged per second", "p50", "p99", "p99 beside quiet")
	for _, row := range floodRows {
		prefix := "flood/" + row + "/"
		t.row(row, grouped(int(f.ns(prefix+"forged"))), duration(f.ns(prefix+"p50")), duration(f.ns(prefix+"p99")),
			times(f.ratio(prefix+"p99", "flood/"+quietRow+"/p99")))
	}
	return t
}

func (b *bench) freshTable() *table {
	t := newTable("", "time", "beside time.Now", "allocations", "1 core, per second", "2 cores, per second")
	for _, row := range freshRows {
		one := b.figures[freshKey(row, 1)]
		t.row(row, duration(one.ns), times(b.figures.ratio(freshKey(row, 1), freshKey(clockRow, 1))), plain(one.allocs),
			perSecond(one.ns), perSecond(b.figures.ns(freshKey(row, 2))))
	}
	return t
}

func (b *bench) herdTable() *table {
	t := newTable("", "requests at the issuer", "slowest caller", "a token after")
	for _, row := range herdRows {
		f := func(what string) float64 { return b.figures.ns(herdKey(row, what)) }
		t.row(row, plain(f("calls")), seconds(f("slowest")), seconds(f("recovery")))
	}
	return t
}

func (b *bench) memoryText(say func(string, ...any)) func() {
	return func() {
		say("A cached token of %d bytes takes %s bytes of heap, all told: the mean of %s tokens, RS256.",
			len(b.scenes["RS256"].token), grouped(int(b.figures["memory/token"].bytes)), grouped(b.tokens))
		say("%s good tokens that come once, through a cache for a tenth of them, with a hot set of %s between them (one request in %d): "+
			"the heap ends %s bytes larger, where the cache's bound is %s; %s of the hot set's requests are hits.",
			grouped(b.scan), grouped(int(b.figures.ns("scan/hot"))), scanPerHot+1, grouped(int(b.figures["scan/heap"].bytes)),
			grouped(int(b.figures["scan/bound"].bytes)), percent(b.figures.ns("scan/hits")))
	}
}

func (b *bench) endToEndTable() *table {
	t := newTable("", "live tokens", "requests per second", "beside no auth", "busy")
	for _, tokens := range []int{1, b.tokens} {
		for _, server := range servers {
			one := b.figures[endToEndKey(server, tokens)]
			t.row(server, grouped(tokens), perSecond(one.ns),
				percent(b.figures.ratio(endToEndKey(openServer, tokens), endToEndKey(server, tokens))), share(one.busy))
		}
	}
	return t
}

func (b *bench) haproxyTable() *table {
	t := newTable("", "requests per second", "beside no auth", "busy")
	for _, server := range []string{openProxy, guardsProxy} {
		one := b.figures[haproxyKey(server, 0)]
		t.row(server, perSecond(one.ns), percent(b.figures.ratio(haproxyKey(openProxy, 0), haproxyKey(server, 0))), share(one.busy))
	}
	return t
}

// version is that of a module in this binary.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "?"
}

// --- Figures as text ---

const missing = "-"

// duration writes nanoseconds.
func duration(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return missing
	case ns < 100:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 100_000:
		return fmt.Sprintf("%.2f us", ns/1e3)
	}
	return fmt.Sprintf("%.0f us", ns/1e3)
}

// seconds writes nanoseconds that are many.
func seconds(ns float64) string {
	if math.IsNaN(ns) {
		return missing
	}
	return fmt.Sprintf("%.2f s", ns/1e9)
}

func times(ratio float64) string {
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		return missing
	case ratio >= 100:
		return fmt.Sprintf("%.0f x", ratio)
	case ratio >= 10:
		return fmt.Sprintf("%.1f x", ratio)
	}
	return fmt.Sprintf("%.2f x", ratio)
}

// timesOf and plainOf write a figure and whose it is.
func timesOf(name string) func(float64) string {
	return func(v float64) string { return of(times(v), name) }
}

func plainOf(name string) func(float64) string {
	return func(v float64) string { return of(plain(v), name) }
}

func of(text, name string) string {
	if text == missing {
		return missing
	}
	return text + " (" + name + ")"
}

func plain(v float64) string {
	if math.IsNaN(v) {
		return missing
	}
	return fmt.Sprintf("%.0f", v)
}

func percent(ratio float64) string {
	if math.IsNaN(ratio) {
		return missing
	}
	return fmt.Sprintf("%.1f %%", 100*ratio)
}

// share is percent of something that may not be known.
func share(busy float64) string {
	if busy == 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f %%", 100*busy)
}

func perSecond(ns float64) string {
	if math.IsNaN(ns) {
		return missing
	}
	return grouped(int(1e9 / ns))
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
