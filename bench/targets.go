package main

import (
	"fmt"
	"math"
	"slices"
)

// goal is one of the figures that the library wants to reach.
type goal struct {
	text     string
	measured string
	met      verdict
}

type verdict string

const (
	met         verdict = "yes"
	notMet      verdict = "**no**"
	notMeasured verdict = "not measured"
)

// judge compares a measured value with its limit. NaN was not measured.
func judge(value float64, good bool) verdict {
	switch {
	case math.IsNaN(value):
		return notMeasured
	case good:
		return met
	}
	return notMet
}

func atMost(text string, value, limit float64, format func(float64) string) goal {
	return goal{text, format(value), judge(value, value <= limit)}
}

func atLeast(text string, value, limit float64, format func(float64) string) goal {
	return goal{text, format(value), judge(value, value >= limit)}
}

// worst returns the largest value and its name. One that was not measured makes the whole not measured.
func worst(names []string, value func(string) float64) (largest float64, name string) {
	for i, n := range names {
		if v := value(n); i == 0 || v > largest || math.IsNaN(v) {
			largest, name = v, n
		}
		if math.IsNaN(largest) {
			return largest, name
		}
	}
	return largest, name
}

// goals are all targets, beside what was measured.
func (b *bench) goals() (all []goal) {
	return slices.Concat(b.cachedGoals(), b.coldGoals(), b.refusalGoals(), b.loadGoals(), b.tokenGoals())
}

func (b *bench) cachedGoals() (all []goal) {
	f := b.figures
	ratio, alg := worst(algorithms, func(alg string) float64 {
		return f.ratio("peers/"+alg+"/"+cachedName, "peers/"+alg+"/"+handOverName)
	})
	all = append(all, atMost("cached hit: at most 2.5 x handing over alone", ratio, 2.5, timesOf(alg)))
	more, alg := worst(algorithms, func(alg string) float64 {
		return f.allocs("peers/"+alg+"/"+cachedName) - f.allocs("peers/"+alg+"/"+handOverName)
	})
	all = append(all, atMost("cached hit: at most 2 allocations beyond it", more, 2, plainOf(alg)))

	for _, want := range []struct {
		alg   string
		times float64
	}{{"RS256", 80}, {"ES256", 150}, {"EdDSA", 120}} {
		fastest, name := worst(peerNames(want.alg), func(peer string) float64 {
			return -f.ratio("peers/"+want.alg+"/"+peer, "peers/"+want.alg+"/"+cachedName)
		})
		all = append(all, atLeast(fmt.Sprintf("cached hit, %s: at least %v x faster than the fastest peer", want.alg, want.times),
			-fastest, want.times, timesOf(name)))
	}

	bare := map[string]string{ginName: bareGinName, echoName: bareEchoName}
	own := func(name string) float64 { // without the router's time
		ns := f.ns("peers/RS256/" + name)
		if router, ok := bare[name]; ok {
			ns -= f.ns("peers/RS256/" + router)
		}
		return ns
	}
	ours := []string{cachedName, ginName, echoName}
	slowest, name := worst(ours, own)
	fastest, _ := worst(ours, func(name string) float64 { return -own(name) })
	all = append(all, atMost("cached hit: net/http, Gin and Echo within 1.3 x of each other, without the routers' own time",
		slowest/-fastest, 1.3, timesOf(name)))

	for _, want := range []struct {
		text   string
		tokens int
		times  float64
	}{{"1 token", 1, 1.04}, {grouped(b.tokens) + " tokens", b.tokens, 1.1}} {
		name, open := endToEndKey(cachedServer, want.tokens), endToEndKey(openServer, want.tokens)
		all = append(all, atMost(
			fmt.Sprintf("end to end, cached, %s: at most %.2f x the processor time of no guard", want.text, want.times),
			f.ratio(name, open), want.times, func(v float64) string { return of(times(v), f.spread(name, open)) }))
	}
	return all
}

func (b *bench) coldGoals() (all []goal) {
	f := b.figures
	for _, want := range []struct {
		alg    string
		allocs float64
	}{{"RS256", 20}, {"ES256", 32}, {"EdDSA", 10}} {
		prefix := "peers/" + want.alg + "/"
		all = append(all,
			atMost("cold, "+want.alg+": at most 1.12 x raw crypto", f.ratio(prefix+uncachedName, prefix+rawName), 1.12, times),
			atMost(fmt.Sprintf("cold, %s: at most %v allocations", want.alg, want.allocs),
				f.allocs(prefix+uncachedName), want.allocs, plain))
	}
	for _, alg := range missAlgorithms {
		all = append(all, atMost("a miss, "+alg+": at most 1.10 x the cache switched off",
			f.ratio("miss/"+alg+"/"+missName, "miss/"+alg+"/"+offName), 1.10, times))
	}
	return all
}

func (b *bench) refusalGoals() (all []goal) {
	f := b.figures
	decided := func(name string) float64 { return f.ns("refusals/" + name + "/" + decidedName) }
	of := func(k kind) (names []string) {
		for _, bad := range b.scenes["RS256"].badRequests() {
			if bad.kind == k {
				names = append(names, bad.name)
			}
		}
		return names
	}
	for _, want := range []struct {
		text  string
		kind  kind
		limit float64
	}{
		{"refusal, no token and oversize: at most 60 ns", absent, 60},
		{"refusal, misshapen within the cap and garbage: at most 250 ns", misshapen, 250},
		{"refusal, forbidden alg and unknown issuer: at most 1 µs", forbidden, 1000},
	} {
		value, name := worst(of(want.kind), decided)
		all = append(all, atMost(want.text, value, want.limit, func(v float64) string { return duration(v) + " (" + name + ")" }))
	}
	return append(all,
		atMost("refusal, oversize: independent of length (1 MB beside 17 KB, within 1.3 x)",
			decided("1 MB of dots")/decided("17 KB of dots"), 1.3, times),
		atMost("refusal, 8 KB token with an unknown kid: at most 1.3 x decoding its base64",
			f.ratio("refusals/"+bigKidName+"/"+decidedName, "refusals/"+bigKidName+"/"+decodeName), 1.3, times),
		atMost("refusal, bad signature: at most 1.12 x raw crypto",
			f.ratio("refusals/"+badName+"/"+decidedName, "refusals/"+badName+"/"+rawName), 1.12, times))
}

func (b *bench) loadGoals() []goal {
	f := b.figures
	gain := func(row string, gogc int) float64 {
		return f.ratio(scalingKey(row, gogc, 1), scalingKey(row, gogc, 2))
	}
	slow := func(row string) float64 { return f.ratio("flood/"+row+"/p99", "flood/"+quietRow+"/p99") }
	cachedGain, row := worst([]string{hotRow, rotatingRow}, func(row string) float64 { return -gain(row, 400) })
	flooded, kind := worst([]string{unknownKidRow, forgedRow}, slow)
	room := math.NaN()
	if bound, ok := f["scan/bound"]; ok {
		room = f["scan/heap"].bytes / bound.bytes
	}
	return []goal{
		atLeast("two cores, uncached: at least 1.75 x one (GOGC 100)", gain(uncachedRow, 100), 1.75, times),
		atLeast("two cores, cached: at least 1.3 x one (GOGC 400)", -cachedGain, 1.3, timesOf(row)),
		atMost("flood of forged tokens: good ones keep p99 within 3 x of quiet", flooded, 3, timesOf(kind)),
		atMost(grouped(b.scan)+" one-time tokens: the heap stays within the cache's bound", room, 1, percent),
		atLeast(grouped(b.scan)+" one-time tokens: a hot set keeps a hit rate above 95 %", f.ns("scan/hits"), 0.95, percent),
	}
}

func (b *bench) tokenGoals() []goal {
	f := b.figures
	beside := func(row string, cores int) float64 {
		return f.ratio(freshKey(sourceRow, cores), freshKey(row, cores))
	}
	slower, cores := worst([]string{"1 core", "2 cores"}, func(cores string) float64 { return beside(oauth2Row, int(cores[0]-'0')) })
	herd := fmt.Sprintf("%d callers and an issuer that is down: ", herdCallers)
	return []goal{
		atMost("a fresh token: at most 1.6 x time.Now", beside(clockRow, 1), 1.6, times),
		atMost("a fresh token: no allocation", f.allocs(freshKey(sourceRow, 1)), 0, plain),
		atMost("a fresh token: not slower than x/oauth2's ReuseTokenSource", slower, 1, timesOf(cores)),
		atMost(herd+"1 request", f.ns(herdKey(sourceRow, "calls")), 1, plain),
		atMost(herd+"the slowest waits for it and no longer (within 1.25 x)",
			f.ns(herdKey(sourceRow, "slowest"))/float64(b.answer), 1.25, times),
		atMost(fmt.Sprintf("recovery: within one pause of %v and one request", herdPause),
			f.ns(herdKey(sourceRow, "recovery"))/float64(herdPause+b.answer), 1.05, times),
	}
}
