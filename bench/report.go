package main

import (
	_ "embed"
	"fmt"
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

// terms explain the rows that the tables share.
const terms = `- **bearer, cached**: the token was verified before, and bearer remembers that. What can change is checked again.
- **bearer, cache off**: every token is verified in full. *Cold* in the targets.
- **a miss**: the token is not in the cache. It is verified and stored.
- **raw crypto**: the hash and the verification of the signature, and nothing else.
- **golang-jwt's SigningMethod alone**: the same through the part of golang-jwt that bearer uses.
- **handing over alone**: a value is put into the request's context, and nothing is verified.
- **Gin without auth**, **Echo without auth**: the router alone, on the same request.

`

// page is the report as it is written.
type page struct{ text strings.Builder }

// say writes a paragraph.
func (p *page) say(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n\n", args...) }

// put writes a table.
func (p *page) put(t *table) { p.text.WriteString(t.text.String() + "\n") }

// section writes a heading, and reports whether there is something to write below it.
func (p *page) section(title string, measured bool) bool {
	p.say("## %s", title)
	if !measured {
		p.say("NOT MEASURED in this run.")
	}
	return measured
}

// has reports whether a figure was measured.
func (b *bench) has(name string) bool {
	_, ok := b.figures[name]
	return ok
}

// markdown writes the whole report.
func (b *bench) markdown(short bool) string {
	p := new(page)
	p.say("# Benchmarks")
	p.say("`make bench` writes this page. Compare the ratios; the times are those of one machine. A time is the median of %d rounds "+
		"of %v, in which all subjects take turns. A ratio is the median of the rounds' ratios.", b.rounds, b.round)
	if short {
		p.say("**This was a smoke run (-short). Its figures mean nothing.**")
	}
	p.say("%s", machine())
	p.say("The token is a JWT access token with %d claims: %d bytes with RS256 (2048 bits), %d with ES256 and EdDSA, %d with HS256. "+
		"The handler does nothing, and the ResponseWriter costs nothing. Every guard has one pinned key, and checks signature, "+
		"algorithm, issuer, audience and times; the program first makes sure that it refuses bad tokens. GOGC is 100 unless a table "+
		"says otherwise.",
		numClaims, len(b.scenes["RS256"].token), len(b.scenes["ES256"].token), len(b.scenes["HS256"].token))
	p.text.WriteString(terms)
	p.section("Targets", true)
	p.put(b.goalTable())
	b.writePeers(p)
	b.writeCache(p)
	b.writeTokens(p)
	b.writeServers(p)
	p.text.WriteString(notes)
	return p.text.String()
}

// writePeers writes what one request costs, and what a refusal costs.
func (b *bench) writePeers(p *page) {
	if p.section("One request, one token", b.has("peers/RS256/"+rawName)) {
		p.say("![Time of one request, on a logarithmic scale](%s)", chartName)
		p.put(b.summary(peerRows()))
		for _, alg := range b.algorithms {
			p.say("### %s", alg)
			p.put(b.peerTable(alg))
		}
		p.say("### A token that is not in the cache")
		p.say("%d tokens take turns in a cache of %d. Each has left the cache before it comes again.", missTokens, missEntries)
		p.put(b.missTable())
		p.say("### Versions and configuration")
		p.put(versionTable())
	}
	if p.section("Refusals", b.has("refusals/no token/"+decidedName)) {
		p.say("RS256. *Decided* is Authenticate alone. *Answered* is the whole guard with its answer written; compare the peers' " +
			"columns with it.")
		p.put(b.refusalTable())
		p.say("In the same run, decoding the base64 of the 8 KB token takes %s, and raw crypto takes %s.",
			duration(b.figures.ns("refusals/"+bigKidName+"/"+decodeName)), duration(b.figures.ns("refusals/"+badName+"/"+rawName)))
	}
}

// writeCache writes what the cache does with many tokens, on two cores, in a flood, and in memory.
func (b *bench) writeCache(p *page) {
	if p.section("Tokens that rotate", b.has("rotating/"+hotName)) {
		p.say("Cached requests with one token, and with %s that take turns, so that each has left the processor's cache.", grouped(b.tokens))
		p.put(b.rotatingTable())
	}
	if p.section("Two cores", b.has(scalingKey(hotRow, 100, 1))) {
		p.say("Requests per second of all cores together, RS256. With GOGC=100 and a tiny heap, garbage collection is a large part of " +
			"the time. A service with a heap of its own is nearer to GOGC=400.")
		p.put(b.scalingTable())
	}
	if p.section("A flood of forged tokens", b.has("flood/"+quietRow+"/p99")) {
		p.say("Latency of good tokens, which are cached, while one core sends distinct forged ones as fast as it can.")
		p.put(b.floodTable())
	}
	if p.section("Memory", b.has("memory/token")) {
		f := b.figures
		p.say("A cached token of %d bytes takes %s bytes of heap in all: the mean of %s tokens, RS256.",
			len(b.scenes["RS256"].token), grouped(int(f["memory/token"].bytes)), grouped(b.tokens))
		p.say("%s good tokens come once each, through a cache that holds a tenth of them. One request in %d has one of %s tokens that "+
			"come again and again: %s of these are hits. The heap grows by %s bytes; the cache's bound is %s.",
			grouped(b.scan), scanPerHot+1, grouped(int(f.ns("scan/hot"))), percent(f.ns("scan/hits")),
			grouped(int(f["scan/heap"].bytes)), grouped(int(f["scan/bound"].bytes)))
	}
}

// writeTokens writes what package tokens does.
func (b *bench) writeTokens(p *page) {
	if p.section("The token manager: a fresh token", b.has(freshKey(sourceRow, 1))) {
		p.say("The token is already there: Source.Token of package tokens, ReuseTokenSource of x/oauth2 %s and NewCachedTokenProvider "+
			"of cloud.google.com/go/auth %s. On two cores, two callers ask for the same token; the figures are the calls of both.",
			version("golang.org/x/oauth2"), version("cloud.google.com/go/auth"))
		p.put(b.freshTable())
	}
	if p.section("The token manager: an issuer that is down", b.has(herdKey(sourceRow, "calls"))) {
		p.say("%d callers need a token at once, each within %v. The issuer, on loopback, answers 503 after %v. Then it recovers, and one "+
			"caller asks every %v until there is a token, for which the issuer takes as long. One run each. The peers do not pause "+
			"after a failure: they ask for every caller, one after the other, and so have a token sooner afterwards.",
			herdCallers, herdPatience, b.answer, herdPoll)
		p.put(b.herdTable())
	}
}

// writeServers writes what requests over loopback cost.
func (b *bench) writeServers(p *page) {
	if p.section("End to end", b.has(endToEndKey(openServer, 1))) {
		p.say("Processor time of the server for a request over loopback, in user code and in the kernel (getrusage); RS256, %d "+
			"connections that are kept alive. Each server is a process with one core. All get the same requests, with the token. They "+
			"take turns of %v, %d times, and are started %d times. *Of %s* is the median of the starts, and *spread* the middle half "+
			"of them. The second process without a guard shows how exact this is. *Busy* is the part of its core that a server used.",
			connections, b.load, b.loads, b.starts, openServer)
		p.put(b.endToEndTable())
	}
	if p.section("HAProxy", b.report.haproxyVersion != "") {
		p.say("%s, one thread, the same client and tokens. HAProxy answers by itself.", b.report.haproxyVersion)
		p.put(b.haproxyTable())
	}
}

// machine is what this was measured on.
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
