// Command bench measures what bearer costs, beside the libraries that do the same work and beside the
// cryptography alone: in one program, with the same tokens and keys, in rounds that take turns.
//
//	GOWORK=off go run . [-short] [-cpu 1] [-only refusals] [-write ../docs]
//
// It needs no network but loopback. It prints tables in Markdown. With -write it also writes them to
// benchmarks.md, and a chart to benchmarks.svg. The program ends when a good token is refused or a bad
// one is let through, so that nothing wrong is timed. No figure is asserted; the table of targets says
// which ones were met.
//
// This module stands outside the workspace, so that no other module has its peers' dependencies.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// How much is measured. A figure is the median of all rounds.
const (
	normalRounds = 15
	normalRound  = 30 * time.Millisecond  // of one subject; subjects take turns in each round
	normalLoad   = 100 * time.Millisecond // of one server under load
	normalLoads  = 12                     // rounds of load of each start
	normalStarts = 8                      // of the servers
	normalTokens = 10_000                 // live tokens, where they rotate
	normalScan   = 1_000_000              // one-time tokens that pass through a cache
	normalAnswer = 200 * time.Millisecond // of an issuer that is down

	shortRounds = 3
	shortRound  = 2 * time.Millisecond
	shortLoad   = 50 * time.Millisecond
	shortLoads  = 1
	shortStarts = 1
	shortTokens = 200
	shortScan   = 20_000
	shortAnswer = 5 * time.Millisecond
)

// effort is how much is measured.
type effort struct {
	rounds, loads, starts int
	round, load           time.Duration
	tokens, scan          int
	algorithms            []string
	answer                time.Duration
}

func effortOf(short bool) effort {
	if short {
		return effort{shortRounds, shortLoads, shortStarts, shortRound, shortLoad, shortTokens, shortScan, algorithms, shortAnswer}
	}
	return effort{normalRounds, normalLoads, normalStarts, normalRound, normalLoad, normalTokens, normalScan, algorithms, normalAnswer}
}

// bench is one run.
type bench struct {
	effort
	progress io.Writer
	scenes   map[string]*scene
	live     []string // tokens that rotate, signed with RS256; see liveTokens
	figures  figures
	loaded   map[string][]loadResult // by the figure's name
	report   report
}

// sections are the parts of a run, in the order in which they run. Those with the largest heaps come
// last, because the garbage collector shares the core with what is measured.
var sections = []struct {
	name    string
	sockets bool
	run     func(*bench) error
}{
	{"peers", false, (*bench).peers},
	{"refusals", false, (*bench).refusals},
	{"rotating", false, (*bench).rotating},
	{"scaling", false, (*bench).scaling},
	{"flood", false, (*bench).flood},
	{"fresh", false, (*bench).fresh},
	{"memory", false, (*bench).memory},
	{"herd", true, (*bench).herd},
	{"endtoend", true, (*bench).endToEnd},
	{"haproxy", true, (*bench).haproxy},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveFlag {
		exit(serve(os.Stdin, os.Stdout))
	}
	short := flag.Bool("short", false, "a smoke run of a few seconds; its figures mean nothing")
	cpu := flag.Int("cpu", 1, "GOMAXPROCS, unless a section says otherwise")
	only := flag.String("only", "", "run only these sections, separated by commas: "+strings.Join(sectionNames(), ", "))
	write := flag.String("write", "", "a folder for benchmarks.md and benchmarks.svg")
	profiles := flag.String("profile", "", "a folder for CPU profiles of a cached and an uncached request; nothing else is run")
	flag.Parse()

	if *cpu < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	runtime.GOMAXPROCS(*cpu)
	if *profiles != "" {
		exit(profile(*profiles))
	}
	exit(run(*short, *only, *write, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func sectionNames() (names []string) {
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// run runs the sections, prints the report, and writes it into a folder unless that is "".
func run(short bool, only, folder string, out io.Writer) error {
	wanted := sectionNames()
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(sectionNames(), name) {
			return fmt.Errorf("no section %q; there are %s", name, strings.Join(sectionNames(), ", "))
		}
	}
	b, err := newBench(effortOf(short), os.Stderr)
	if err != nil {
		return err
	}
	started := time.Now()
	for _, s := range sections {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		b.say("%s", s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.say("done after %v", time.Since(started).Round(time.Second))

	text := b.markdown(short)
	if _, err := io.WriteString(out, text); err != nil || folder == "" {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "benchmarks.md"), []byte(text), 0o644); err != nil {
		return err
	}
	return b.chart(filepath.Join(folder, chartName))
}

func newBench(e effort, progress io.Writer) (*bench, error) {
	b := &bench{
		effort: e, progress: progress,
		scenes: make(map[string]*scene), figures: make(figures), loaded: make(map[string][]loadResult),
	}
	for _, alg := range e.algorithms {
		s, err := newScene(alg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", alg, err)
		}
		b.scenes[alg] = s
	}
	return b, nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}
