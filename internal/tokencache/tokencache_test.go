package tokencache_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/internal/tokencache"
)

// small is the size of the tokens in these tests, in bytes.
const small = 300

// token returns a text with an end of its own, as tokens have.
func token(name string) string {
	random := rand.New(rand.NewPCG(uint64(len(name)), hashOf(name)))
	end := make([]byte, 48)
	for i := range end {
		end[i] = byte('a' + random.IntN(26))
	}
	return name + "." + string(end)
}

func hashOf(text string) (sum uint64) {
	for i := range len(text) {
		sum = sum*1099511628211 + uint64(text[i])
	}
	return sum
}

// add adds a token and its value.
func add(c *tokencache.Cache[string], token string, size int, value string) {
	c.Add(token, size, &tokencache.Entry[string]{Value: value})
}

// use looks a token up, adds it if it is missing, and reports whether it was there.
func use(c *tokencache.Cache[string], token string, size int) (hit bool) {
	if e := c.Get(token); e != nil {
		return true
	}
	add(c, token, size, token)
	return false
}

func TestGetReturnsWhatWasAdded(t *testing.T) {
	c := tokencache.New[string](10, 1<<20)
	if c.Get("a") != nil {
		t.Error("an empty cache has an entry")
	}
	add(c, "a", 1, "one")
	add(c, "a", 1, "two")
	if e := c.Get("a"); e == nil || e.Value != "two" {
		t.Errorf("the entry is %v", e)
	}
	c.Remove(c.Get("a"))
	if c.Get("a") != nil {
		t.Error("a removed entry is still there")
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestCacheOfNoEntriesStoresNothing(t *testing.T) {
	c := tokencache.New[string](0, 1<<20)
	if c.Stores(1) {
		t.Error("it says that it stores")
	}
	add(c, "a", 1, "one")
	if table, ghosts := c.Slots(); c.Get("a") != nil || table+ghosts != 0 {
		t.Error("it stores")
	}
}

// The limits hold for any tokens. Memory is taken neither before the first entry nor after Close.
func TestLimitsHold(t *testing.T) {
	const each = small + tokencache.Overhead
	for name, test := range map[string]struct{ entries, bytes, tokens, most int }{
		"by entries":   {1000, 1 << 30, 20_000, 1000},
		"by bytes":     {1 << 16, 1 << 20, 20_000, 1 << 20 / each},
		"one entry":    {1, 1 << 20, 1000, 1},
		"two entries":  {2, 1 << 20, 1000, 2},
		"fewest bytes": {1 << 16, tokencache.MinBytes, 2000, tokencache.MinBytes / each},
	} {
		t.Run(name, func(t *testing.T) {
			c := tokencache.New[string](test.entries, test.bytes)
			if table, ghosts := c.Slots(); table != 0 || ghosts != 0 {
				t.Errorf("%d and %d slots before the first token", table, ghosts)
			}
			for i := range test.tokens {
				text := token(strconv.Itoa(i))
				if use(c, text, small); c.Get(text) == nil {
					t.Fatalf("token %d is not stored", i)
				}
				if entries, bytes, _ := c.Size(); i%499 == 0 && (entries > test.entries || bytes > test.bytes) {
					t.Fatalf("%d entries, %d bytes", entries, bytes)
				}
			}
			entries, bytes, found := c.Size()
			if entries > test.most || found != entries || entries < test.most*3/4 || bytes > test.bytes {
				t.Errorf("%d entries of %d bytes, of which %d are found; want at most %d", entries, bytes, found, test.most)
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
			c.Close()
			table, ghosts := c.Slots()
			if entries, bytes, _ := c.Size(); entries+bytes+table+ghosts != 0 {
				t.Errorf("after Close: %d entries, %d bytes, %d and %d slots", entries, bytes, table, ghosts)
			}
		})
	}
}

// A hash finds an entry and decides nothing: with one chain, and even with one hash, every token has
// its own value.
func TestTokensWithOneHashAreNotConfused(t *testing.T) {
	c := tokencache.New[string](100, 1<<20)
	c.OneChain()
	var tokens []string
	for i := range tokencache.MaxChain {
		tokens = append(tokens, token(strconv.Itoa(i)))
		use(c, tokens[i], small)
	}
	stranger := token("stranger")
	for _, text := range tokens[1 : tokencache.MaxChain-1] {
		c.Collide(text, tokens[0])
	}
	c.Collide(tokens[tokencache.MaxChain-1], stranger)
	if e := c.Get(stranger); e != nil {
		t.Errorf("a token that was not added has the value %q", e.Value)
	}
	for _, text := range tokens[:tokencache.MaxChain-1] {
		if e := c.Get(text); e != nil && e.Value != text {
			t.Errorf("%q has the value %q", text, e.Value)
		}
	}
	if e := c.Get(tokens[0]); e == nil || e.Value != tokens[0] {
		t.Errorf("the entry of the first token is %v", e)
	}
}

// An issuer that publishes a key for each of its tokens can give all of them one signature. Only a few
// of them are stored, so that no token has more to be compared with.
func TestFewTokensWithOneEndAreStored(t *testing.T) {
	c := tokencache.New[string](1000, 1<<20)
	end := strings.Repeat("e", 64)
	for range 2 {
		for i := range 60 {
			text := fmt.Sprint(i, ".", end)
			use(c, text, small)
			if e := c.Get(text); e != nil && e.Value != text {
				t.Fatalf("%q has the value %q", text, e.Value)
			}
		}
	}
	if _, _, found := c.Size(); found != tokencache.MaxChain {
		t.Errorf("%d tokens are stored, want %d", found, tokencache.MaxChain)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// One insertion spares few entries that were used and evicts few, however many there are: it holds the
// lock meanwhile.
func TestInsertionTakesFewSteps(t *testing.T) {
	const entries, spared, evicted = 1024, 256, 256
	c := tokencache.New[string](entries, 1<<30)
	tokens := make([]string, entries)
	useAll := func() {
		for _, text := range tokens {
			for range 4 {
				use(c, text, small)
			}
		}
	}
	for i := range tokens {
		tokens[i] = token(fmt.Sprint(i))
	}
	useAll()
	for i := range 2 * entries {
		if i%entries == 0 {
			useAll()
		}
		_, _, before := c.Size()
		usedBefore := c.Uses()
		use(c, token(fmt.Sprint("new", i)), small)
		_, _, after := c.Size()
		// An eviction loses at most 3 uses, and so does an entry that leaves the fresh queue or is spared
		// in the small one.
		if lost := usedBefore - c.Uses(); lost > 3*(spared+1+1) {
			t.Fatalf("insertion %d: %d uses were lost", i, lost)
		}
		if gone := before + 1 - after; gone > 1 {
			t.Fatalf("insertion %d: %d entries were evicted", i, gone)
		}
	}

	t.Run("of a large entry", func(t *testing.T) {
		c := tokencache.New[string](1<<14, 8<<20)
		for i := range 1 << 14 {
			use(c, token(fmt.Sprint(i)), small)
		}
		for size := 1000; size < 2*tokencache.MaxSize; size += 9000 {
			_, _, before := c.Size()
			use(c, token(fmt.Sprint("large", size)), size)
			if _, _, after := c.Size(); before+1-after > evicted {
				t.Errorf("%d entries were evicted for one of %d bytes", before+1-after, size)
			}
		}
	})
}

// An entry that takes more than 192 KiB, or than a twentieth of the bytes, is not stored.
func TestEntriesThatAreTooLargeAreNotStored(t *testing.T) {
	for bytes, most := range map[int]int{64 << 10: 64 << 10 / 20, 2 << 20: 2 << 20 / 20, 64 << 20: 192 << 10, 1 << 30: 192 << 10} {
		c := tokencache.New[string](1<<14, bytes)
		for size, want := range map[int]bool{most - tokencache.Overhead: true, most - tokencache.Overhead + 1: false} {
			text := token(fmt.Sprint(size))
			use(c, text, size)
			if stored := c.Get(text) != nil; stored != want || c.Stores(size) != want {
				t.Errorf("of %d bytes an entry of %d is stored: %t, want %t", bytes, size, stored, want)
			}
		}
	}
}

// Tokens that come once or twice and never again do not displace those in use.
func TestEntriesInUseOutlastAScan(t *testing.T) {
	const hot, passing, entries = 1000, 30_000, 2000
	for name, test := range map[string]struct {
		entries, bytes int
		times          int // that a passing token comes
		uses           int // of hot tokens, meanwhile
	}{
		"once, by entries":  {entries, 1 << 30, 1, 1},
		"twice, by entries": {entries, 1 << 30, 2, 3},
		"once, by bytes":    {1 << 20, entries * 1200, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := tokencache.New[string](test.entries, test.bytes)
			hit := func(text string) int {
				if use(c, text, small) {
					return 1
				}
				return 0
			}
			tokens := func(name string) (all []string) {
				for i := range hot {
					all = append(all, token(fmt.Sprint(name, i)))
				}
				return all
			}
			first, hits := tokens("hot "), 0
			for i := range 2 * hot {
				hit(first[i%hot])
			}
			for i := range passing {
				once := token(fmt.Sprint("passing ", i))
				for range test.times {
					hit(once)
				}
				for n := range test.uses {
					hits += hit(first[(i*test.uses+n)%hot])
				}
			}
			if requests := passing * test.uses; hits*100 < requests*95 {
				t.Errorf("%d hits in %d uses of hot tokens", hits, requests)
			}
			// Entries that were in use and are no longer make room in the end.
			second, hits := tokens("hot again "), 0
			for i := range 10 * hot {
				hit(second[i%hot])
			}
			for _, text := range second {
				hits += hit(text)
			}
			if hits != hot {
				t.Errorf("%d hits in %d uses of tokens that have become hot", hits, hot)
			}
		})
	}
}

// A sender who has three times as many tokens as the cache has entries, and sends eight requests to
// one of the others, does not displace the others' tokens: not with each of its tokens twice in a row,
// nor with large ones. The proportions are those of the default.
func TestFloodOfOneSenderDoesNotDisplaceOthers(t *testing.T) {
	const entries, others, rounds = 512, 150, 14
	for name, test := range map[string]struct {
		times, size, apart int // how often in a row, how large, and after how many others again
		want               int // hits of the others, in percent
	}{
		"once":              {1, small, 0, 90},
		"once, large":       {1, 24000, 0, 90},
		"twice":             {2, small, 0, 90},
		"twice, large":      {2, 24000, 0, 90},
		"four times":        {4, small, 0, 90},
		"four times, large": {4, 24000, 0, 90},
		"again, early":      {1, small, 4, 90},
		"again, large":      {1, 24000, 4, 90},
		"again, late":       {1, small, 40, 0}, // what WithCache admits
	} {
		t.Run(name, func(t *testing.T) {
			c := tokencache.New[string](entries, entries*2048)
			good, own := make([]string, others), make([]string, 3*entries)
			for i := range good {
				good[i] = token(fmt.Sprint("good", i))
			}
			for i := range own {
				own[i] = token(fmt.Sprint("own", i))
			}
			hits, requests, next := 0, 0, 0
			attack := func() {
				for range 8 / test.times {
					for range test.times {
						use(c, own[next%len(own)], test.size)
					}
					if test.apart > 0 && next >= test.apart {
						use(c, own[(next-test.apart)%len(own)], test.size)
					}
					next++
				}
			}
			for round := range rounds {
				for _, text := range good {
					hit := use(c, text, small)
					if round < 4 {
						continue
					}
					if requests++; hit {
						hits++
					}
					attack()
				}
			}
			percent := 100 * hits / requests
			t.Logf("the others hit in %d %%", percent)
			if percent < test.want {
				t.Errorf("the others hit in %d %% of %d requests, want %d %%", percent, requests, test.want)
			}
		})
	}
}

// The tokens of an issuer that says much in them survive a flood of tokens that come once, as all
// others do, also in a cache of more entries than its bytes suffice for.
func TestLongTokensSurviveAFlood(t *testing.T) {
	const others, rounds, size = 20, 20, 7000
	for _, entries := range []int{512, 1024, 1 << 16} {
		c := tokencache.New[string](entries, 1<<20)
		hits, requests, flood := 0, 0, 0
		for round := range rounds {
			for i := range others {
				hit := use(c, token(fmt.Sprint("good", i)), size)
				if round >= rounds/2 {
					if requests++; hit {
						hits++
					}
				}
				for range 16 {
					use(c, token(fmt.Sprint("own", flood)), size)
					flood++
				}
			}
		}
		if percent := 100 * hits / requests; percent < 90 {
			t.Errorf("%d entries: the others hit in %d %% of %d requests, want 90 %%", entries, percent, requests)
		}
	}
}

// An insertion that is under way when the cache is closed leaves nothing behind.
func TestNothingIsStoredAfterClose(t *testing.T) {
	for range 20 {
		c := tokencache.New[string](100, 1<<20)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 400 {
					if g == 0 && i == 100 {
						c.Close()
					}
					use(c, token(fmt.Sprint(i+g*100)), small)
				}
			})
		}
		wg.Wait()
		if table, ghosts := c.Slots(); table+ghosts != 0 {
			t.Fatalf("%d and %d slots after Close", table, ghosts)
		}
	}
}

// Whatever goes on at the same time, no token gets another token's value, and the cache holds together.
func TestConcurrentUseNeverMixesValues(t *testing.T) {
	const goroutines, requests, tokens = 8, 2000, 40
	for name, test := range map[string]struct {
		entries int
		chain   bool
	}{"many chains": {15, false}, "one chain": {15, true}, "room for all": {1000, true}, "one entry": {1, false}} {
		t.Run(name, func(t *testing.T) {
			c := tokencache.New[string](test.entries, 1<<20)
			if test.chain {
				c.OneChain()
			}
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					choose := rand.New(rand.NewPCG(uint64(g), 1))
					for range requests {
						text := token(fmt.Sprint(choose.IntN(tokens)))
						e := c.Get(text)
						switch {
						case e == nil:
							add(c, text, small, text)
						case e.Value != text:
							t.Errorf("%q has the value %q", text, e.Value)
							return
						case choose.IntN(8) == 0:
							c.Remove(e)
						}
					}
				})
			}
			wg.Wait()
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}
