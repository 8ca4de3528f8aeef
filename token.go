package bearer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// A Token is the text of a verified token, for a handler that passes it on to a service which is
// meant to have it. [Token.Reveal] is its only reader: it prints a fixed text, whatever the verb,
// the log handler or the encoder is. The zero value is no token.
type Token struct{ *tokenHandle }

// tokenHandle is one more pointer, as that of [Claims] is.
type tokenHandle struct{ text *string }

// TokenFromContext returns the token of the request that carries the claims of [FromContext],
// wherever in the request it was. ok is false where FromContext has no claims, and for claims of
// [NewContext], which come without their token.
//
// Danger: everyone who has a bearer token can use it, at every service that its audience names.
// Pass it on only to a service that the token is meant for, over TLS. For other services exchange
// it (RFC 8693) or use a token of your own.
func TokenFromContext(ctx context.Context) (token Token, ok bool) {
	p, ok := ctx.Value(contextKey{}).(*principal)
	if !ok {
		return Token{}, false
	}
	return Token{&tokenHandle{&p.token}}, true
}

// Reveal returns the text of the token, as the client sent it, or "" for the zero value.
func (t Token) Reveal() string {
	if t.tokenHandle == nil {
		return ""
	}
	return *t.text
}

// String returns a fixed text.
func (Token) String() string { return "bearer.Token{...}" }

// Format writes the fixed text for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns the fixed text.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns the fixed text, for encoders such as that of JSON. It never fails.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
