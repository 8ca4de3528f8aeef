package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Whose tokens they are, and for whom.
const (
	issuerName = "https://id.example.com"
	audience   = "https://api.example.com"
	keyID      = "2026-01-ab"
	lifetime   = 2 * time.Hour
	leeway     = 30 * time.Second

	// tokenSize is how long the tokens of RS256 are; those of ES256 and EdDSA have the same claims and a shorter signature.
	tokenSize = 813
	numClaims = 13
)

// algorithms are those that are measured, in the order of the tables.
var algorithms = []string{"RS256", "ES256", "EdDSA", "HS256"}

// encoding is how a JWS's parts are written.
var encoding = base64.RawURLEncoding

// scene is all that one algorithm's measurements share: key, key set and tokens.
type scene struct {
	alg     string
	private any    // to sign with
	public  any    // to verify with: for HS256 the secret
	jwks    []byte // the public key, or the secret, as a JWK Set
	now     time.Time
	token   string // a good one
	forged  string // the same with another signature
}

func newScene(alg string) (*scene, error) {
	s := &scene{alg: alg, now: time.Now()}
	jwk := map[string]string{"kid": keyID, "alg": alg, "use": "sig"}
	switch alg {
	case "RS256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		s.private, s.public = key, &key.PublicKey
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	case "ES256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		point, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return nil, err
		}
		s.private, s.public = key, &key.PublicKey
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	case "EdDSA":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		s.private, s.public = private, public
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(public)
	case "HS256":
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return nil, err
		}
		s.private, s.public = secret, secret
		jwk["kty"], jwk["k"] = "oct", encode(secret)
	default:
		return nil, errors.New("unknown algorithm")
	}
	var err error
	if s.jwks, err = json.Marshal(map[string]any{"keys": []any{jwk}}); err != nil {
		return nil, err
	}
	s.token = s.sign(s.header(), s.claims(0))
	s.forged = forge(s.token, 0)
	return s, nil
}

func encode(b []byte) string { return encoding.EncodeToString(b) }

// header is that of a good token.
func (s *scene) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, s.alg, keyID)
}

// claims are those of a good token; each serial has a token of its own, and all are of one length.
func (s *scene) claims(serial int) string {
	return s.claimsOf(issuerName, s.now.Add(lifetime), serial)
}

func (s *scene) claimsOf(issuer string, exp time.Time, serial int) string {
	rsaSignature := encoding.EncodedLen(2048 / 8)
	room := encoding.DecodedLen(tokenSize - rsaSignature - len("..") - encoding.EncodedLen(len(s.header())))
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"user-%08d","client_id":"web","scope":"orders:read orders:write",`+
		`"exp":%d,"iat":%d,"jti":"%08d","roles":["clerk","editor"],"tenant":"acme","plan":"team","amr":["pwd","otp"],"sid":"`,
		issuer, audience, serial, exp.Unix(), s.now.Unix(), serial)
	return claims + strings.Repeat("s", max(1, room-len(claims)-len(`"}`))) + `"}`
}

// sign makes a token of a header and claims.
func (s *scene) sign(header, claims string) string {
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := jwt.GetSigningMethod(s.alg).Sign(input, s.private)
	if err != nil {
		wrong("signing with %s: %v", s.alg, err)
	}
	return input + "." + encode(signature)
}

// forge replaces a token's signature by one of the same length that is not good. Each serial has another.
func forge(token string, serial uint32) string {
	input := token[:strings.LastIndexByte(token, '.')]
	signature, err := encoding.DecodeString(token[len(input)+1:])
	if err != nil {
		wrong("a signature of our own: %v", err)
	}
	four := signature[len(signature)/2:]
	binary.LittleEndian.PutUint32(four, binary.LittleEndian.Uint32(four)^(serial+1))
	return input + "." + encode(signature)
}

// pemKey is the public key as HAProxy reads it.
func (s *scene) pemKey() ([]byte, error) {
	public, ok := s.public.(crypto.PublicKey)
	if !ok {
		return nil, errors.New("no public key")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// liveTokens returns distinct good tokens of RS256. They are signed once, on the first call.
func (b *bench) liveTokens() []string {
	for s := b.scenes["RS256"]; len(b.live) < b.tokens; {
		b.live = append(b.live, s.sign(s.header(), s.claims(len(b.live)+1)))
	}
	return b.live
}

// stride goes through n tokens in an order that a processor does not foresee, and through all of them: it is a prime.
const stride = 7919
