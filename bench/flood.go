package main

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodForged  = 20_000  // distinct forged tokens of a kind
	floodGood    = 1000    // good tokens, which are cached
	floodSamples = 200_000 // latencies of a round, at most
)

// The names of the rows.
const (
	quietRow      = "quiet"
	unknownKidRow = "unknown kid"
	forgedRow     = "bad signature"
)

var floodRows = []string{quietRow, unknownKidRow, forgedRow}

// flood measures how long good tokens take, which are cached, while one goroutine sends forged ones as
// fast as it can, all of them different. Both are in one process, with a core each.
func (b *bench) flood() error {
	if !canScale() {
		b.say("flood: NOT measured: there is one core")
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))

	s := b.scenes["RS256"]
	auth, err := newAuth(s, cached)
	if err != nil {
		return err
	}
	guarded := auth.Handler(http.HandlerFunc(protected))
	tokens := b.liveTokens()
	tokens = tokens[:min(len(tokens), floodGood)]
	passesEach(guarded, tokens)
	good := bearersOf(tokens)

	unknown := s.sign(strings.Replace(s.header(), keyID, "2025-01-zz", 1), s.claims(0))
	bad := map[string][]string{quietRow: nil}
	for i := range uint32(floodForged) {
		bad[unknownKidRow] = append(bad[unknownKidRow], bearerOf(forge(unknown, i)))
		bad[forgedRow] = append(bad[forgedRow], bearerOf(forge(s.token, i)))
	}
	runs := make(map[string][]figure)
	for range b.rounds {
		for _, row := range floodRows {
			p50, p99, sent := during(guarded, good, bad[row], 6*b.round)
			runs[row+"/p50"] = append(runs[row+"/p50"], figure{ns: p50})
			runs[row+"/p99"] = append(runs[row+"/p99"], figure{ns: p99})
			runs[row+"/forged"] = append(runs[row+"/forged"], figure{ns: sent})
		}
	}
	for key, run := range runs {
		b.figures["flood/"+key] = medianFigure(run)
	}
	return nil
}

// during sends good tokens for some time, while bad ones flood, and returns the latencies of the good and how many bad ones were
// sent in a second. The tokens are values of the Authorization header.
func during(h http.Handler, good, bad []string, d time.Duration) (p50, p99, sent float64) {
	latencies := make([]float64, 0, floodSamples)
	runtime.GC()

	var wg sync.WaitGroup
	var stop atomic.Bool
	flooded, started := 0, time.Now()
	if len(bad) > 0 {
		wg.Go(func() {
			r, w := request("Bearer -"), newSink()
			for header := r.Header["Authorization"]; !stop.Load(); flooded++ {
				header[0] = bad[flooded%len(bad)]
				w.reset()
				if h.ServeHTTP(w, r); w.status != http.StatusUnauthorized {
					wrong("a forged token got %d", w.status)
				}
			}
		})
	}
	r, w := request("Bearer -"), newSink()
	header := r.Header["Authorization"]
	for i := 0; len(latencies) < floodSamples; i++ {
		header[0] = good[i*stride%len(good)]
		w.status = 0
		before := time.Now()
		h.ServeHTTP(w, r)
		took := time.Since(before)
		if w.status != passedStatus {
			wrong("a good token got %d", w.status)
		}
		latencies = append(latencies, float64(took.Nanoseconds()))
		if i%64 == 0 && time.Since(started) > d {
			break
		}
	}
	took := time.Since(started)
	stop.Store(true)
	wg.Wait()
	slices.Sort(latencies)
	at := func(share float64) float64 { return latencies[int(share*float64(len(latencies)-1))] }
	return at(0.50), at(0.99), float64(flooded) / took.Seconds()
}
