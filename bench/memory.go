package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"

	"github.com/bearer-go/bearer"
)

// The scan: how large the cache is beside the tokens that come once, and how often a hot token comes between them.
const (
	scanShare    = 10 // a tenth of the tokens fit
	scanHotShare = 1000
	scanPerHot   = 4    // one-time tokens between two hot ones
	scanBytes    = 1280 // of the cache's bound, per entry
)

// memory measures how many bytes of heap a cached token takes, and what a scan of one-time tokens does to a cache.
func (b *bench) memory() error {
	s, tokens := b.scenes["RS256"], b.liveTokens()
	auth, err := newAuth(s, cached)
	if err != nil {
		return err
	}
	h := auth.Handler(http.HandlerFunc(protected))
	passes(h, s.token)(1) // the table is made with the first token
	before := heap()
	passesEach(h, tokens)
	b.figures["memory/token"] = figure{bytes: (heap() - before) / float64(len(tokens))}
	passes(h, s.token)(1) // keeps the cache alive until here
	return b.scanned()
}

// heap returns what is live on the heap, in bytes.
func heap() float64 {
	var stats runtime.MemStats
	runtime.GC() // twice: pools keep what they hold for one more cycle
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// scanned sends many good tokens once each, and a small hot set again and again between them. They are short ones, signed with
// HS256, which takes the least time.
func (b *bench) scanned() error {
	s := b.scenes["HS256"]
	entries := b.scan / scanShare
	hits, missed := 0, false
	watch := func(_ context.Context, e bearer.Event) { missed = !e.Cached }
	before := heap()
	auth, err := newAuth(s, cached, bearer.WithCache(entries, max(entries*scanBytes, 64<<10)), bearer.WithObserver(watch))
	if err != nil {
		return err
	}
	h := auth.Handler(http.HandlerFunc(protected))
	r, w := request("Bearer -"), newSink()
	header := r.Header["Authorization"]
	send := func(authorization string) {
		header[0], w.status = authorization, 0
		if h.ServeHTTP(w, r); w.status != passedStatus {
			wrong("a good token got %d", w.status)
		}
	}
	short := func(serial int) string {
		return bearerOf(s.sign(s.header(), fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"user-%08d","exp":%d}`,
			issuerName, audience, serial, s.now.Add(lifetime).Unix())))
	}
	hot := make([]string, max(1, entries*10/scanHotShare))
	for i := range hot {
		hot[i] = short(-1 - i)
	}
	for range 3 {
		for _, authorization := range hot {
			send(authorization)
		}
	}
	asked := 0
	for serial := range b.scan {
		send(short(serial))
		if serial%scanPerHot == 0 {
			send(hot[asked%len(hot)])
			if asked++; !missed {
				hits++
			}
		}
	}
	b.figures["scan/hits"] = figure{ns: float64(hits) / float64(asked)}
	b.figures["scan/heap"] = figure{bytes: heap() - before}
	b.figures["scan/bound"] = figure{bytes: float64(max(entries*scanBytes, 64<<10))}
	b.figures["scan/hot"] = figure{ns: float64(len(hot))}
	send(hot[0]) // keeps the cache alive until here
	return nil
}
