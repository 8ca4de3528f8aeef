package oauthwire_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/oauthwire"
)

// Looking for a quotation of a long secret finds what comparing each part would find.
func TestQuotes(t *testing.T) {
	naive := func(text, secret string) bool {
		size := min((len(secret)+1)/2, 8)
		for i := 0; size > 0 && i+size <= len(text); i++ {
			if strings.Contains(secret, text[i:i+size]) {
				return true
			}
		}
		return false
	}
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(n, different int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = 'a' + byte(random.IntN(different))
		}
		return string(text)
	}
	found := 0
	for range 20000 {
		different := 1 + random.IntN(4)
		text, secret := letters(random.IntN(40), different), letters(random.IntN(200), different)
		want := naive(text, secret)
		if want {
			found++
		}
		if oauthwire.Quotes(text, secret) != want {
			t.Fatalf("%q in %q: want %t", secret, text, want)
		}
	}
	if found < 1000 || found > 19000 {
		t.Errorf("%d of 20000 are quotations", found)
	}
}
