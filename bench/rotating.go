package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/bearer-go/bearer"
)

// A cache that is too small by far: each token has left it, and its ghosts, before it comes again.
const (
	missEntries = 128
	missTokens  = 16 * missEntries
)

// missAlgorithms are those for which a miss is measured.
var missAlgorithms = []string{"RS256", "ES256"}

// The names of the rows.
const (
	rotatingName = "cached, tokens rotate"
	hotName      = "cached, one token"
	missName     = "a miss"
	offName      = "the cache switched off"
)

// rotating measures cached requests with one token and with many that take turns, so that a hot line of the processor's cache is
// not all that is measured.
func (b *bench) rotating() error {
	tokens := b.liveTokens()
	h, err := guardOf(cachedName).checked(b.scenes["RS256"])
	if err != nil {
		return err
	}
	b.measure("rotating", []subject{
		{hotName, passes(h, tokens[0])},
		{rotatingName, passesEach(h, tokens)},
	})
	return nil
}

// miss measures a token that is not in the cache, and is put there, beside the same without a cache.
func (b *bench) miss() error {
	for _, alg := range missAlgorithms {
		s := b.scenes[alg]
		tokens := make([]string, missTokens)
		for i := range tokens {
			tokens[i] = s.sign(s.header(), s.claims(i+1))
		}
		hits := 0
		count := func(_ context.Context, e bearer.Event) {
			if e.Cached {
				hits++
			}
		}
		tooSmall := bearer.WithCache(missEntries, 1<<20)
		watched, err := newAuth(s, cached, tooSmall, bearer.WithObserver(count))
		if err != nil {
			return err
		}
		next := http.HandlerFunc(protected)
		passesEach(watched.Handler(next), tokens)(2 * missTokens)
		if hits > missTokens/50 {
			return fmt.Errorf("%d of %d requests were hits, and were to be misses", hits, 3*missTokens)
		}
		small, err := newAuth(s, cached, tooSmall)
		if err != nil {
			return err
		}
		off, err := newAuth(s, uncached)
		if err != nil {
			return err
		}
		b.measure("miss/"+alg, []subject{
			{missName, passesEach(small.Handler(next), tokens)},
			{offName, passesEach(off.Handler(next), tokens)},
		})
	}
	return nil
}
