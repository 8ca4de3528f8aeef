package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// The names of the servers.
const (
	openServer     = "no guard"
	againServer    = "no guard, a second process" // shows how far two equal processes differ
	cachedServer   = cachedName
	uncachedServer = uncachedName
	golangServer   = golangName
)

// servers get one token again and again. The first cachingServers of them also get many tokens in
// turns, which makes no difference to those that verify each token in full.
var servers = []string{openServer, againServer, cachedServer, uncachedServer, golangServer}

const cachingServers = 3

// isOpen reports whether a server has no guard.
func isOpen(server string) bool { return server == openServer || server == againServer }

// endToEndKey names a figure.
func endToEndKey(server string, tokens int) string {
	return fmt.Sprintf("endtoend/%s/%d", server, tokens)
}

// endToEnd measures what a request over loopback costs the server in processor time. Each server is a
// process of its own with one core. The load comes from this process, with the cores that are left.
// Equal processes differ by where they lie in memory, so the servers are started several times, and
// each start gives one ratio.
func (b *bench) endToEnd() error {
	tokens := b.liveTokens()
	for range b.starts {
		if err := b.withServers(func(targets []*target) error {
			return errors.Join(
				b.underLoad(endToEndKey, targets, tokens[:1]),
				b.underLoad(endToEndKey, targets[:cachingServers], tokens))
		}); err != nil {
			return err
		}
	}
	return nil
}

// withServers starts the servers for a function, and stops them after it.
func (b *bench) withServers(f func([]*target) error) (err error) {
	var targets []*target
	defer func() {
		for _, t := range targets {
			err = errors.Join(err, t.stop())
		}
	}()
	for _, name := range servers {
		t, err := b.startServer(name)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	return f(targets)
}

// loadResult is what came of sending requests to a server for some time.
type loadResult struct {
	answered        int
	took, processor time.Duration // of the clock, and of the server's processor
}

func (l *loadResult) add(other loadResult) {
	l.answered += other.answered
	l.took += other.took
	l.processor += other.processor
}

// underLoad sends requests to the servers in turns. The turns are short and many, so that whatever
// slows the machine for a while slows all servers. Each round has another order, so that none always
// follows the same other one. All turns of a server together are one run of its figure.
func (b *bench) underLoad(key func(string, int) string, targets []*target, tokens []string) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(clients()))
	targets, requests := slices.Clone(targets), rawRequests(tokens)
	for _, t := range targets {
		if err := b.warm(t, requests); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	sums := make(map[*target]*loadResult)
	for range b.loads {
		for _, t := range targets {
			one, err := t.load(requests, b.load)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if sums[t] == nil {
				sums[t] = new(loadResult)
			}
			sums[t].add(one)
		}
		rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	}
	for t, sum := range sums {
		name := key(t.name, len(tokens))
		b.loaded[name] = append(b.loaded[name], *sum)
		b.figures[name] = processorFigure(b.loaded[name])
	}
	return nil
}

// processorFigure is the processor time of a request, of which each load is one run.
func processorFigure(loads []loadResult) figure {
	var ns, rates, busy []float64
	for _, l := range loads {
		ns = append(ns, float64(l.processor)/float64(l.answered))
		rates = append(rates, float64(l.answered)/l.took.Seconds())
		busy = append(busy, l.processor.Seconds()/l.took.Seconds())
	}
	one := figureOf(ns)
	one.rate, one.busy = median(rates), median(busy)
	return one
}

// warm makes sure that a server lets good tokens pass, each of them once, so that what can be cached
// is, and no forged one.
func (b *bench) warm(t *target, requests [][]byte) error {
	c, err := dial(t.address)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.each(requests); err != nil {
		return err
	}
	if _, err := t.load(requests, b.load); err != nil { // until its heap has the size that it keeps
		return err
	}
	if t.open {
		return nil
	}
	if err := c.each(rawRequests([]string{b.scenes["RS256"].forged})); !errors.Is(err, errRefused) {
		return fmt.Errorf("a forged token is not refused: %w", err)
	}
	return nil
}

// load sends requests for some time.
func (t *target) load(requests [][]byte, d time.Duration) (done loadResult, err error) {
	c, err := dial(t.address)
	if err != nil {
		return loadResult{}, err
	}
	defer c.close()
	before, err := t.processor()
	if err != nil {
		return loadResult{}, err
	}
	started := time.Now()
	if done.answered, err = c.load(requests, d); err != nil {
		return loadResult{}, err
	}
	done.took = time.Since(started)
	after, err := t.processor()
	done.processor = after - before
	return done, err
}

// clients are the cores for this process, while a server has one for itself.
func clients() int { return max(1, runtime.NumCPU()-1) }
