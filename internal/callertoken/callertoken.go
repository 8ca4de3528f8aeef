// Package callertoken is how the grants of package oauth learn which tokens the caller of a
// tokens.Source brings, and how the Source keeps callers with different ones apart.
//
// Package tokens registers the [Hooks], for they are about what its types do not export. Package
// oauth makes a [Provider] for each grant that needs such tokens, and asks with [Of].
package callertoken

import (
	"context"
	"encoding/binary"
	"hash"
	"io"
	"slices"
	"time"
	"unique"
)

// Token is a token that a caller brings.
type Token struct {
	Text   unique.Handle[string] // of a text that is not empty, behind a pointer as a secret has to be
	Type   string
	Expiry time.Time // zero if it is not known
}

// isSame reports whether two tokens are one, as far as a server can tell.
func isSame(a, b Token) bool { return a.Text == b.Text && a.Type == b.Type }

// Provider returns the tokens of a caller. Its address is what it is known by.
type Provider struct {
	// Provide is called in the goroutine and with the context of the caller, with a tokens.Key.
	Provide func(ctx context.Context, key any) ([]Token, error)
}

// Set is what a Provider returned for one caller.
type Set struct {
	From   *Provider
	Tokens []Token
	Err    error // why there are none
}

// Ask calls a Provider.
func Ask(ctx context.Context, p *Provider, key any) (Set, error) {
	all, err := p.Provide(ctx, key)
	if err != nil {
		return Set{}, err
	}
	return Set{From: p, Tokens: all}, nil
}

// Equal reports whether two Sets have the same tokens, as far as a server can tell.
func (s Set) Equal(other Set) bool {
	return s.Err == nil && other.Err == nil && slices.EqualFunc(s.Tokens, other.Tokens, isSame)
}

// Hash adds the tokens and their types to a hash, each preceded by its length. Their number is 0 if
// they are not available.
func (s Set) Hash(h hash.Hash) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s.Tokens))))
	for _, token := range s.Tokens {
		for _, text := range []string{token.Text.Value(), token.Type} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
			_, _ = io.WriteString(h, text)
		}
	}
}

// Hooks reach what package tokens does not export.
type Hooks struct {
	// Of returns the tokens of the caller that a tokens.Request is for.
	Of func(ctx context.Context, request any, p *Provider) (Set, error)

	// Mark notes in a *tokens.Response which tokens it was obtained for.
	Mark func(response, request any, s Set)
}

var hooks Hooks

// Register sets the hooks. Package tokens calls it once, when it is initialized.
func Register(h Hooks) (registered bool) {
	hooks = h
	return true
}

// Of calls [Hooks.Of].
func Of(ctx context.Context, request any, p *Provider) (Set, error) {
	return hooks.Of(ctx, request, p)
}

// Mark calls [Hooks.Mark].
func Mark(response, request any, s Set) { hooks.Mark(response, request, s) }
