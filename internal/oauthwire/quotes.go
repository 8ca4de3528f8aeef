package oauthwire

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/webclient"
)

// minQuote is how many characters in a row make a text a quotation of a secret, or half of it if it
// is shorter.
const minQuote = 8

// quoted reports whether a server's text has a secret of the request in it, as it is or encoded, or
// a good part of one.
func (a *answer) quoted(text string) bool {
	plain := alphanumeric(text)
	return slices.ContainsFunc(a.secrets, func(secret string) bool {
		if quotes(text, webclient.Printable(secret)) || quotes(plain, alphanumeric(secret)) {
			return true
		}
		for skipped := range min(3, len(secret)) { // three bytes are four characters, wherever the first of them stands
			encoded := base64.RawStdEncoding.EncodeToString([]byte(secret[skipped:]))
			if quotes(plain, alphanumeric(encoded)) {
				return true
			}
		}
		return false
	})
}

// alphanumeric is what every way to encode a text in a URL leaves as it is, and what all alphabets
// of base64 have in common.
func alphanumeric(text string) string {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			i += 2
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// quotes reports whether a text has as much of a secret in it that it is a quotation.
func quotes(text, secret string) bool {
	size := min((len(secret)+1)/2, minQuote)
	if size == 0 || len(text) < size {
		return false
	}
	if size < minQuote {
		return slices.ContainsFunc(parts(text, size), func(part string) bool {
			return strings.Contains(secret, part)
		})
	}
	// A secret may have 64 KiB. Of its parts only those are looked for that the filter does not
	// rule out.
	var filter [1 << 10]uint64
	for _, part := range parts(text, minQuote) {
		word, bit := filterPlace(binary.LittleEndian.Uint64([]byte(part)))
		filter[word] |= bit
	}
	var last uint64 // the last 8 bytes
	for i := range len(secret) {
		last = last>>8 | uint64(secret[i])<<56
		word, bit := filterPlace(last)
		if i+1 >= minQuote && filter[word]&bit != 0 && strings.Contains(text, secret[i+1-minQuote:i+1]) {
			return true
		}
	}
	return false
}

// parts are all parts of a text that have this size.
func parts(text string, size int) (all []string) {
	for i := 0; i+size <= len(text); i++ {
		all = append(all, text[i:i+size])
	}
	return all
}

// filterPlace is where the filter of quotes has 8 bytes.
func filterPlace(bytes uint64) (word, bit uint64) {
	hash := bytes * 0x9e3779b97f4a7c15 >> 48
	return hash >> 6, 1 << (hash & 63)
}
