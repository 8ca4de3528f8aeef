package jwks

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// purpose refuses what is not meant for verifying signatures (RFC 7517 sections 4.2 and 4.3). A
// private or symmetric key in a set that is sent around is no secret any more, whatever else it
// says.
func (m jwk) purpose(jwtSVID bool) error {
	if slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, m.has) {
		return errPrivate
	}
	use, operations := m.Text("use"), []string(nil)
	if m.has("key_ops") {
		var ok bool
		if operations, ok = strictjson.AppendStrings(nil, m.Value("key_ops")); !ok {
			return errOpsForm
		}
		if slices.Sort(operations); len(slices.Compact(slices.Clone(operations))) < len(operations) {
			return errOpsForm
		}
	}
	switch {
	case use == "enc", use != "sig" && m.forEncryption(operations):
		return errEncryption
	case use == "x509-svid":
		return errX509SVID
	case use == "jwt-svid" && !jwtSVID:
		return errJWTSVID
	case m.has("use") && use != "sig" && use != "jwt-svid":
		return errUse
	case m.has("key_ops") && !slices.Contains(operations, "verify"):
		return errKeyOps
	}
	return nil
}

// encryptionOperations are the key_ops of keys that encrypt (RFC 7517 section 4.3).
var encryptionOperations = []string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}

// encryptionAlgorithms are how the names of the algorithms begin with which keys are encrypted or
// agreed on (RFC 7518 section 4.1, RFC 8037 section 3.2).
var encryptionAlgorithms = []string{"RSA1_5", "RSA-OAEP", "ECDH-ES"}

// forEncryption reports whether something other than use says that the key is for encryption.
func (m jwk) forEncryption(operations []string) bool {
	if len(operations) > 0 && !slices.ContainsFunc(operations, func(op string) bool {
		return !slices.Contains(encryptionOperations, op)
	}) {
		return true
	}
	if alg := m.Text("alg"); slices.ContainsFunc(encryptionAlgorithms, func(prefix string) bool {
		return strings.HasPrefix(alg, prefix)
	}) {
		return true
	}
	return m.Text("kty") == "OKP" && (m.Text("crv") == "X25519" || m.Text("crv") == "X448")
}

// thumbprint is that of the key's certificate: what the member says, and otherwise that of the
// first certificate of x5c, if it holds this key. A member that cannot be read says nothing.
func (m jwk) thumbprint(public crypto.PublicKey) (none keyset.Thumbprint) {
	if text := m.Text("x5t#S256"); text != "" {
		if len(text) > keyset.MaxThumbprint {
			return none
		}
		return keyset.ThumbprintOf(text)
	}
	chain, ok := strictjson.Elements(m.Value("x5c"))
	if !ok || len(chain) == 0 {
		return none
	}
	text, _ := strictjson.String(chain[0])
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return none
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return none
	}
	held, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !held.Equal(public) {
		return none
	}
	return sha256.Sum256(der)
}
