package main

import (
	"fmt"
	"strings"
)

// table is a table in Markdown. Its first column is text, and so are those whose heads begin with
// "<". The others are figures.
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
	t := newTable("", "time", "of raw crypto", "of "+cachedName, "allocations", "bytes")
	for _, row := range append(peerRows(), bareGinName, bareEchoName) {
		one, ok := f[prefix+row]
		if !ok {
			t.row(row, "not supported", "", "", "", "")
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
	t := newTable("flood", "forged per second", "p50", "p99", "p99, of quiet")
	for _, row := range floodRows {
		prefix := "flood/" + row + "/"
		t.row(row, grouped(int(f.ns(prefix+"forged"))), duration(f.ns(prefix+"p50")), duration(f.ns(prefix+"p99")),
			times(f.ratio(prefix+"p99", "flood/"+quietRow+"/p99")))
	}
	return t
}

func (b *bench) freshTable() *table {
	t := newTable("", "time", "of time.Now", "allocations", "1 core, per second", "2 cores, per second")
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

func (b *bench) endToEndTable() *table {
	t := newTable("", "live tokens", "processor time of a request", "of no guard", "spread", "requests per second", "busy")
	for _, tokens := range []int{1, b.tokens} {
		open := endToEndKey(openServer, tokens)
		for _, server := range servers {
			name := endToEndKey(server, tokens)
			one, ok := b.figures[name]
			if !ok {
				continue
			}
			t.row(server, grouped(tokens), duration(one.ns), times(b.figures.ratio(name, open)), b.figures.spread(name, open),
				grouped(int(one.rate)), percent(one.busy))
		}
	}
	return t
}

func (b *bench) haproxyTable() *table {
	t := newTable("", "processor time of a request", "of no guard", "requests per second", "busy")
	for _, server := range []string{openProxy, guardsProxy} {
		name := haproxyKey(server, 0)
		one := b.figures[name]
		t.row(server, duration(one.ns), times(b.figures.ratio(name, haproxyKey(openProxy, 0))),
			grouped(int(one.rate)), percent(one.busy))
	}
	return t
}
