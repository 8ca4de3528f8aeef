package keyset_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/keyset"
)

func TestThumbprintsAreComparedAsTheyAreMeant(t *testing.T) {
	sum := sha256.Sum256([]byte("certificate"))
	right := base64.RawURLEncoding.EncodeToString(sum[:])
	if keyset.ThumbprintOf(right) != sum || keyset.ThumbprintOf([]byte(right)) != sum {
		t.Error("a thumbprint is not read as what it is")
	}
	if keyset.ThumbprintOf("") != (keyset.Thumbprint{}) {
		t.Error("no text is a thumbprint")
	}
	// The hexadecimal text in base64url, which some issuers have, equals itself alone.
	odd := base64.RawURLEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:])))
	known := map[keyset.Thumbprint]string{sum: right}
	for _, text := range []string{
		odd, hex.EncodeToString(sum[:]), right + "=", right[:42], right[:42] + "!", right[:42] + "\x00", "x", strings.Repeat("a", 128),
		strings.ToUpper(right), right + " is no SHA-256", strings.Repeat("A", 43),
	} {
		thumbprint := keyset.ThumbprintOf(text)
		if other, ok := known[thumbprint]; ok || thumbprint == (keyset.Thumbprint{}) {
			t.Errorf("%q is the thumbprint of %q", text, other)
		}
		known[thumbprint] = text
		if keyset.ThumbprintOf(text) != thumbprint {
			t.Errorf("%q differs from itself", text)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = keyset.ThumbprintOf(odd), keyset.ThumbprintOf(strings.Repeat("a", 1)) }); n > 0 {
		t.Errorf("%v allocations: anyone can send a header", n)
	}
}
