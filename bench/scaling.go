package main

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// scalingCores and scalingGOGC are what is varied.
var (
	scalingCores = []int{1, 2}
	scalingGOGC  = []int{100, 400}
)

// The names of the rows.
const (
	uncachedRow = "uncached"
	rotatingRow = "cached, tokens rotate"
	hotRow      = "cached, one token"
	handOverRow = handOverName
)

var scalingRows = []string{uncachedRow, rotatingRow, hotRow, handOverRow}

// scalingKey names a figure.
func scalingKey(row string, gogc, cores int) string {
	return fmt.Sprintf("scaling/%s/%d/%d", row, gogc, cores)
}

// canScale reports whether there are enough cores.
func canScale() bool { return runtime.NumCPU() >= 2 }

// scaling measures how many requests all cores together do. Each has a request and a writer of its own.
func (b *bench) scaling() error {
	if !canScale() {
		b.say("scaling: NOT measured: there is one core")
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	defer debug.SetGCPercent(debug.SetGCPercent(100))

	s, tokens := b.scenes["RS256"], b.liveTokens()
	handlers := map[string]http.Handler{handOverRow: handOver()}
	for row, c := range map[string]caching{uncachedRow: uncached, rotatingRow: cached, hotRow: cached} {
		auth, err := newAuth(s, c)
		if err != nil {
			return err
		}
		handlers[row] = auth.Handler(http.HandlerFunc(protected))
	}
	passesEach(handlers[rotatingRow], tokens) // sends each of them once
	all := bearersOf(tokens)

	rates := make(map[string][]float64)
	for range b.rounds {
		for _, row := range scalingRows {
			for _, gogc := range scalingGOGC {
				for _, cores := range scalingCores {
					debug.SetGCPercent(gogc)
					runtime.GOMAXPROCS(cores)
					key, values := scalingKey(row, gogc, cores), all[:1]
					if row == rotatingRow {
						values = all
					}
					rates[key] = append(rates[key], together(handlers[row], values, cores, 4*b.round))
				}
			}
		}
	}
	for key, values := range rates {
		b.figures[key] = figureOf(perOperation(values))
	}
	return nil
}

// together runs as many senders as there are cores for some time, and returns their requests per second. The values are those of
// the Authorization header, which take turns.
func together(h http.Handler, values []string, cores int, d time.Duration) float64 {
	const batch = 64 // between looks at the clock
	runtime.GC()
	var wg sync.WaitGroup
	counts := make([]int, cores)
	started := time.Now()
	for core := range cores {
		next, run := core*len(values)/cores, 0
		r, w := request("Bearer -"), newSink()
		header := r.Header["Authorization"]
		wg.Go(func() {
			for time.Since(started) < d {
				for range batch {
					header[0] = values[next]
					next = (next + stride) % len(values)
					w.status = 0
					if h.ServeHTTP(w, r); w.status != passedStatus {
						wrong("a good token got %d", w.status)
					}
				}
				run += batch
			}
			counts[core] = run
		})
	}
	wg.Wait()
	took := time.Since(started)
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / took.Seconds()
}
