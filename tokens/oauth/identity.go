package oauth

import (
	"fmt"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// Identity says who logged in: the claims of an ID token that was verified (OpenID Connect Core
// section 2). [Client.VerifyIDToken] makes it, and package session with it. It does not change and
// is safe for concurrent use; methods that return a slice return a fresh copy. It is about a
// person, and prints as "[secret]".
//
// A person is known by Issuer and Subject together. An e-mail address, which [Identity.Decode]
// gives, may be another person's tomorrow, and with some servers is whatever the person entered.
//
// A nil *Identity is none: its methods panic, because an empty Subject could be taken for a
// person's.
type Identity struct {
	opaque
	*hiddenIdentity
}

type hiddenIdentity struct{ *identityState }

type identityState struct {
	issuer, subject, nonce, acr string
	audience, amr               []string
	expiry, issuedAt, authTime  time.Time
	payload                     string // the claims as they were signed, strictly valid
}

// Issuer returns iss, which is the client's issuer.
func (i *Identity) Issuer() string { return i.issuer }

// Subject returns sub: who logged in, by the name that the issuer never gives to another person. It
// is not empty.
func (i *Identity) Subject() string { return i.subject }

// Audience returns aud, of which the client's identifier is one.
func (i *Identity) Audience() []string { return slices.Clone(i.audience) }

// Expiry returns exp: when the ID token ends. It says nothing of how long the person is logged in.
func (i *Identity) Expiry() time.Time { return i.expiry }

// IssuedAt returns iat.
func (i *Identity) IssuedAt() time.Time { return i.issuedAt }

// AuthTime returns auth_time, when the person last proved who it is, or the zero time if the issuer
// does not say.
func (i *Identity) AuthTime() time.Time { return i.authTime }

// Nonce returns nonce, which is the one of the login, or "".
func (i *Identity) Nonce() string { return i.nonce }

// ACR returns acr, how the person was authenticated (the authentication context class), or "". It
// is not judged: an application that asked for one with acr_values compares it.
func (i *Identity) ACR() string { return i.acr }

// AMR returns amr, with what the person was authenticated, such as "pwd" and "otp" (RFC 8176), or
// nil.
func (i *Identity) AMR() []string { return slices.Clone(i.amr) }

// Decode unmarshals the claims into v as [encoding/json.Unmarshal] of the running Go release does,
// but matches struct fields case-exactly at every depth. No name in them is repeated. Errors wrap
// those of encoding/json.
func (i *Identity) Decode(v any) error { return decodeClaims(i.payload, v) }

func decodeClaims(payload string, v any) error {
	if err := strictjson.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("oauth: decode claims: %w", err)
	}
	return nil
}
