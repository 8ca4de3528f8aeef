package bearer_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

// Who has three times as many tokens as the cache has places, and sends eight requests to one of the others, does not displace
// theirs: not with each token twice in a row, nor with tokens that take the places of many. The proportions are the default's.
func TestFloodOfOnesOwnTokens(t *testing.T) {
	const entries, others, rounds = 512, 150, 14
	for name, test := range map[string]struct {
		times, pad, apart int // how often in a row, how much longer, and after how many others once more
		want              int // hits of the others, in percent
	}{
		"once":              {1, 0, 0, 90},
		"once, large":       {1, 11000, 0, 90},
		"twice":             {2, 0, 0, 90},
		"twice, large":      {2, 11000, 0, 90},
		"four times":        {4, 0, 0, 90},
		"four times, large": {4, 11000, 0, 90},
		"again, early":      {1, 0, 4, 90},
		"again, large":      {1, 11000, 4, 90},
		"again, late":       {1, 0, 40, 0}, // what WithCache admits
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress()
			var last bearer.Event
			auth := p.auth(t, bearer.WithCache(entries, entries*2048), seen(&last))
			good, own := make([]string, others), make([]string, 3*entries)
			for i := range good {
				good[i] = p.token(fmt.Sprint("good", i))
			}
			for i := range own {
				own[i] = p.token(fmt.Sprint("own", i), `,"pad":"`+strings.Repeat("x", test.pad)+`"`)
			}
			hits, requests, next := 0, 0, 0
			attack := func() {
				for range 8 / test.times {
					for range test.times {
						wantReason(t, auth, own[next%len(own)], "")
					}
					if test.apart > 0 && next >= test.apart {
						wantReason(t, auth, own[(next-test.apart)%len(own)], "")
					}
					next++
				}
			}
			for round := range rounds {
				for _, token := range good {
					wantReason(t, auth, token, "")
					if round < 4 {
						continue
					}
					if requests++; last.Cached {
						hits++
					}
					attack()
				}
			}
			percent := 100 * hits / requests
			t.Logf("tokens of %d bytes: the others hit in %d %%", len(own[0]), percent)
			if percent < test.want {
				t.Errorf("the others hit in %d %% of %d requests, want %d %%", percent, requests, test.want)
			}
		})
	}
}

// The tokens of an issuer that says much in them stay in a flood of tokens that come once, as any
// others do, also in a cache that is told to hold more entries than its bytes are enough for.
func TestFloodAmongTokensThatSayMuch(t *testing.T) {
	const others, rounds = 20, 20
	pad := `,"pad":"` + strings.Repeat("x", 3000) + `"`
	for _, entries := range []int{512, 1024, 1 << 16} {
		p := newPress()
		var last bearer.Event
		auth := p.auth(t, bearer.WithCache(entries, 1<<20), seen(&last))
		good := make([]string, others)
		for i := range good {
			good[i] = p.token(fmt.Sprint("good", i), pad)
		}
		hits, requests, flood := 0, 0, 0
		for round := range rounds {
			for _, token := range good {
				wantReason(t, auth, token, "")
				if round >= rounds/2 {
					requests++
					if last.Cached {
						hits++
					}
				}
				for range 16 {
					wantReason(t, auth, p.token(fmt.Sprint("own", flood), pad), "")
					flood++
				}
			}
		}
		if percent := 100 * hits / requests; percent < 90 {
			t.Errorf("%d entries: the others hit in %d %% of %d requests, want 90 %%",
				entries, percent, requests)
		}
	}
}

// sameEnd makes a key and a token that it signed, whose signature is the same for each i: the signature is chosen first, and the
// key is made for it, d = (s*k - z) / r.
func sameEnd(i int) (jwk c, token string) {
	curve := elliptic.P256()
	n, k, s := curve.Params().N, big.NewInt(0xC0FFEE), big.NewInt(0xBADC0DE)
	x, _ := curve.ScalarBaseMult(k.Bytes()) //nolint:staticcheck // for want of another way to choose a signature
	r := new(big.Int).Mod(x, n)
	text := func(b *big.Int) string { return base64.RawURLEncoding.EncodeToString(b.FillBytes(make([]byte, 32))) }
	input := b64(fmt.Sprintf(`{"alg":"ES256","kid":"%d"}`, i)) + "." +
		b64(fmt.Sprintf(`{"iss":"https://tenant.example","aud":"api","exp":4000000000,"sub":"%d"}`, i))
	hash := sha256.Sum256([]byte(input))
	d := new(big.Int).Mul(s, k)
	d.Sub(d, new(big.Int).SetBytes(hash[:])).Mul(d, new(big.Int).ModInverse(r, n)).Mod(d, n)
	qx, qy := curve.ScalarBaseMult(d.Bytes()) //nolint:staticcheck // as above
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return c{"kty": "EC", "crv": "P-256", "kid": fmt.Sprint(i), "x": text(qx), "y": text(qy)}, input + "." + b64(string(signature))
}

// An issuer that publishes a key for each of its tokens can give all of them one signature, and so one place in the table. No more
// than 16 of them are remembered, so that no token, not even a forged one with that end, has more to be compared with.
func TestTokensWithOneSignature(t *testing.T) {
	const most, tokens = 16, 60
	var keys []c
	var all []string
	for i := range tokens {
		jwk, token := sameEnd(i)
		keys, all = append(keys, jwk), append(all, token)
	}
	set, err := json.Marshal(c{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	auth := mustNew(t, bearer.WithIssuer("https://tenant.example", "api", bearer.Keys(jwks.Static(set))))
	for range 2 {
		for i, token := range all {
			claims, err := auth.Verify(t.Context(), token)
			if err != nil || claims.Subject() != fmt.Sprint(i) {
				t.Fatalf("token %d: %v, %v", i, claims.Subject(), err)
			}
		}
	}
	if _, _, found := auth.CacheSize(); found != most {
		t.Errorf("%d tokens are remembered, want %d", found, most)
	}
	if _, held := auth.CachedToken(all[most-1]); !held {
		t.Errorf("token %d is not remembered", most)
	}
	if err := auth.CheckCache(); err != nil {
		t.Error(err)
	}
}

// One insertion spares few tokens that were used and evicts few, however many are remembered: it holds the lock meanwhile.
func TestStepsOfAnInsertion(t *testing.T) {
	const entries, spared, evicted = 1024, 256, 256
	p := newPress()
	auth := p.auth(t, bearer.WithCache(entries, 1<<30))
	tokens := make([]string, entries)
	use := func() {
		for _, token := range tokens {
			for range 4 {
				wantReason(t, auth, token, "")
			}
		}
	}
	for i := range tokens {
		tokens[i] = p.token(fmt.Sprint(i))
	}
	use()
	for i := range 2 * entries {
		if i%entries == 0 {
			use()
		}
		_, _, before := auth.CacheSize()
		usedBefore := auth.CacheUses()
		wantReason(t, auth, p.token(fmt.Sprint("new", i)), "")
		_, _, after := auth.CacheSize()
		// An eviction takes 3 uses along at most, as does what leaves the fresh queue or is spared in the small one.
		if lost := usedBefore - auth.CacheUses(); lost > 3*(spared+1+1) {
			t.Fatalf("insertion %d: %d uses were forgotten", i, lost)
		}
		if gone := before + 1 - after; gone > 1 {
			t.Fatalf("insertion %d: %d tokens were evicted", i, gone)
		}
	}

	t.Run("of a large token", func(t *testing.T) {
		auth := p.auth(t, bearer.WithCache(1<<14, 8<<20), bearer.WithMaxTokenSize(1<<20))
		for i := range 1 << 14 {
			wantReason(t, auth, p.token(fmt.Sprint(i)), "")
		}
		for pad := 1000; pad < 200_000; pad += 9000 {
			_, _, before := auth.CacheSize()
			wantReason(t, auth, p.token(fmt.Sprint("large", pad), `,"pad":"`+strings.Repeat("x", pad)+`"`), "")
			if _, _, after := auth.CacheSize(); before+1-after > evicted {
				t.Errorf("%d tokens were evicted for one with %d bytes more", before+1-after, pad)
			}
		}
	})
}

// WithCache: a token that takes more than 192 KiB, or than a twentieth of the bytes, is not remembered.
func TestTheLargestRememberedToken(t *testing.T) {
	for bytes, most := range map[int]int{64 << 10: 64 << 10 / 20, 2 << 20: 2 << 20 / 20, 64 << 20: 192 << 10, 1 << 30: 192 << 10} {
		p := newPress()
		auth := p.auth(t, bearer.WithCache(1<<14, bytes), bearer.WithMaxTokenSize(1<<20))
		largest, smallest := 0, 1<<30
		for pad := 0; pad < most; pad += most / 97 {
			token := p.token("a", `,"pad":"`+strings.Repeat("x", pad)+`"`)
			_, before, _ := auth.CacheSize()
			if remembers(t, auth, token) {
				_, after, _ := auth.CacheSize()
				largest = max(largest, after-before)
			} else {
				smallest = min(smallest, pad)
			}
			auth = p.auth(t, bearer.WithCache(1<<14, bytes), bearer.WithMaxTokenSize(1<<20))
		}
		if largest > most || largest < most*9/10 || smallest == 1<<30 {
			t.Errorf("of %d bytes the largest token took %d, want at most %d", bytes, largest, most)
		}
	}
}
