package bearertest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"strings"
	"time"
)

// kit is what the forgeries are made of: one issuer, a good token of it, and an attacker with a key of his own.
type kit struct {
	issuer   *Issuer
	attacker *Issuer // signs as if he were the issuer; nobody trusts his key
	canary   string  // a text that is planted wherever it is no fault, and must not come back
	keyIDs   bool    // the handler's keys have key ids, so that a kid can be wrong

	header, payload string    // the good token's, as JSON
	good            string    // the token itself
	parts           [3]string // its parts, encoded

	audienceClaim string   // the claim by which the handler knows that a token is meant for it
	audience      string   // what that claim says
	scopes        []string // of the claim scope, if it is a string
}

// hasPrevious reports whether the issuer publishes two keys.
func (i *Issuer) hasPrevious() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.previous != nil
}

// canaryClaim is a claim of every forged token.
const canaryClaim = "canary"

func newKit(issuer *Issuer, keyIDs bool) *kit {
	k := &kit{
		issuer:   issuer,
		attacker: NewIssuer(URL(issuer.url), Audience(issuer.audience), Algorithm(issuer.algorithm)),
		canary:   "canary" + rand.Text(),
		keyIDs:   keyIDs,
	}
	k.attacker.defaults = issuer.defaults
	claims := merge(slices.Concat([]Claims{standardClaims(issuer.url, issuer.audience)}, issuer.defaults, []Claims{k.canaries()})...)
	k.header = string(mustJSON(standardHeader(issuer.algorithm, issuer.KeyID())))
	k.payload = string(mustJSON(claims))
	k.good = k.signText(k.header, k.payload)
	k.parts = [3]string(strings.Split(k.good, "."))

	// An issuer whose tokens carry no aud names the service in client_id, as Amazon Cognito does.
	k.audienceClaim = "aud"
	if _, found := claims["aud"]; !found {
		k.audienceClaim = "client_id"
	}
	k.audience = firstString(claims[k.audienceClaim])
	scope, _ := claims["scope"].(string)
	k.scopes = strings.Fields(scope)
	return k
}

func (k *kit) canaries() Claims { return Claims{canaryClaim: k.canary, "jti": k.canary} }

// isDown reports whether the issuer was taken down with Down.
func (i *Issuer) isDown() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.down
}

// signed is a token of the issuer with these members laid over the header and the claims.
func (k *kit) signed(header, claims Claims) string {
	return k.issuer.Sign(header, k.canaries(), claims)
}

func (k *kit) withHeader(header Claims) string { return k.signed(header, nil) }
func (k *kit) withClaims(claims Claims) string { return k.signed(nil, claims) }

// withClaim is a token with one claim written as JSON.
func (k *kit) withClaim(name, value string) string {
	return k.withClaims(Claims{name: json.RawMessage(value)})
}

// signText is a token of the issuer with exactly these texts as its header and its payload.
func (k *kit) signText(header, payload string) string {
	return k.issuer.SignRaw([]byte(header), []byte(payload))
}

func (k *kit) withHeaderText(text string) string { return k.signText(text, k.payload) }
func (k *kit) withClaimsText(text string) string { return k.signText(k.header, text) }

// withKeyID is a token whose only fault is its kid; "" stands for none. There is no such token when keys have no ids.
func (k *kit) withKeyID(kid any) string {
	if !k.keyIDs {
		return ""
	}
	return k.withHeader(Claims{"kid": kid})
}

// withKeyIDAs is a token with an unknown kid, and after it the good one under another spelling of the name.
func (k *kit) withKeyIDAs(name string) string {
	if !k.keyIDs {
		return ""
	}
	return k.withHeaderText(first(renamed(k.header, "kid", name), `"kid":"other"`))
}

// withEncoded is a token of the issuer with these texts as its first parts, which are signed as they stand.
func (k *kit) withEncoded(header, payload string) string {
	input := header + "." + payload
	return input + "." + encode(k.signature(input))
}

func (k *kit) signature(input string) []byte {
	signature, err := k.issuer.method.Sign(input, k.private())
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return signature
}

func (k *kit) private() crypto.Signer { return k.issuer.signingKey().private }

// withSignature is the good token with another signature.
func (k *kit) withSignature(signature []byte) string {
	return k.parts[0] + "." + k.parts[1] + "." + encode(signature)
}

// goodSignature is a copy of the good token's signature.
func (k *kit) goodSignature() []byte {
	signature, err := base64.RawURLEncoding.DecodeString(k.parts[2])
	if err != nil {
		panic(fmt.Sprintf("bearertest: the issuer's token is not base64url: %v", err))
	}
	return signature
}

// withoutScopes is a token without any scope.
func (k *kit) withoutScopes() string { return k.withClaims(Claims{"scope": nil, "scp": nil}) }

// glued is a token whose scope is the good one with another separator, between scopes that nobody asks for.
func (k *kit) glued(separator string) string {
	if len(k.scopes) == 0 {
		return ""
	}
	return k.withClaims(Claims{"scope": "x" + separator + strings.Join(k.scopes, separator) + separator + "x"})
}

// affixed is a token in whose scope every scope is a part of a longer one.
func (k *kit) affixed(prefix, suffix string) string {
	if len(k.scopes) == 0 {
		return ""
	}
	var scopes []string
	for _, scope := range k.scopes {
		scopes = append(scopes, prefix+scope+suffix)
	}
	return k.withClaims(Claims{"scope": strings.Join(scopes, " ")})
}

// attacked is a token signed by the attacker, with these members laid over the issuer's header.
func (k *kit) attacked(header Claims) string {
	return k.attacker.Sign(merge(Claims{"kid": k.issuer.KeyID()}, header), k.canaries())
}

// attackersJWK is the attacker's public key with this kid; with none if it is empty.
func (k *kit) attackersJWK(kid string) map[string]string {
	jwk := publicMembers(k.attacker.PublicKey())
	if kid != "" {
		jwk["kid"] = kid
	}
	return jwk
}

// attackersCertificate is a certificate that the attacker issued to himself.
func (k *kit) attackersCertificate() []byte {
	key := k.attacker.signingKey().private
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot make a certificate: %v", err))
	}
	return der
}

// dataURL is a URL that brings its content along (RFC 2397): it can be followed without a network.
func dataURL(content []byte) string {
	return "data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString(content)
}

// unsigned is the good token with this alg and an empty signature.
func (k *kit) unsigned(alg string) string {
	return encode(mustJSON(merge(standardHeader(alg, k.issuer.KeyID())))) + "." + k.parts[1] + "."
}

// lying is a token with another alg in its header than the one it is signed with. It is none when the issuer signs with that.
func (k *kit) lying(alg string) string {
	const edDSA, ed25519 = "EdDSA", "Ed25519" // two names of one
	own := k.issuer.algorithm
	if alg == own || own == ed25519 && alg == edDSA {
		return ""
	}
	return k.withHeader(Claims{"alg": alg})
}

// hmac is a token signed with HMAC, under a secret that everybody knows.
func (k *kit) hmac(alg string, secret []byte) string {
	newHash := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[alg]
	input := encode(mustJSON(merge(standardHeader(alg, k.issuer.KeyID())))) + "." + k.parts[1]
	mac := hmac.New(newHash, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// publicDER is the issuer's public key as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
func (k *kit) publicDER() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.issuer.PublicKey())
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot write a key: %v", err))
	}
	return der
}

func (k *kit) publicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.publicDER()})
}

// edited is what changes a copy of the good signature.
func (k *kit) edited(edit func(signature []byte) []byte) string {
	return k.withSignature(edit(k.goodSignature()))
}

// ecdsa is the good token with an ECDSA signature made of its two numbers and the curve's order; none for other keys.
func (k *kit) ecdsa(remake func(r, s, n *big.Int, size int) []byte) string {
	public, ok := k.issuer.PublicKey().(*ecdsa.PublicKey)
	if !ok {
		return ""
	}
	return k.edited(func(signature []byte) []byte {
		size := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return remake(r, s, public.Params().N, size)
	})
}

// der is an ECDSA signature as X.509 and TLS write it, which JWS does not (RFC 7518 section 3.4).
func der(r, s, _ *big.Int, _ int) []byte {
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot write a signature: %v", err))
	}
	return signature
}

// concat writes two numbers, each with so many bytes.
func concat(size int, r, s *big.Int) []byte {
	return slices.Concat(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size)))
}

// rsa is the good token with another signature of the same RSA key; none for other keys, and for the algorithms of the
// other padding. The options say how it is made: hash, padding and salt.
func (k *kit) rsa(family string, options crypto.SignerOpts) string {
	key, ok := k.private().(*rsa.PrivateKey)
	if !ok || k.issuer.algorithm[:2] != family {
		return ""
	}
	h := options.HashFunc().New()
	h.Write([]byte(k.parts[0] + "." + k.parts[1]))
	signature, err := key.Sign(rand.Reader, h.Sum(nil), options)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return k.withSignature(signature)
}

// pss is the good token with a PSS signature whose salt has another length (RFC 7518 section 3.5); none for other algorithms.
func (k *kit) pss(saltLength func(own crypto.Hash) int) string {
	own, _ := k.hash()
	return k.rsa("PS", &rsa.PSSOptions{SaltLength: saltLength(own), Hash: own})
}

// hash is the hash of the issuer's algorithm, and another the one that it is not.
func (k *kit) hash() (own, another crypto.Hash) {
	switch k.issuer.algorithm[len(k.issuer.algorithm)-3:] {
	case "384":
		return crypto.SHA384, crypto.SHA256
	case "512":
		return crypto.SHA512, crypto.SHA256
	default:
		return crypto.SHA256, crypto.SHA512
	}
}

// rsaPlusModulus is the good token with a signature that stands for the same number modulo the modulus.
func (k *kit) rsaPlusModulus() string {
	public, ok := k.issuer.PublicKey().(*rsa.PublicKey)
	if !ok {
		return ""
	}
	return k.edited(func(signature []byte) []byte {
		return new(big.Int).Add(new(big.Int).SetBytes(signature), public.N).Bytes()
	})
}

// ed25519PlusOrder is the good token with a signature whose second half stands for the same number modulo the order of the group
// (RFC 8032 section 5.1.7 demands the smallest).
func (k *kit) ed25519PlusOrder() string {
	if _, ok := k.issuer.PublicKey().(ed25519.PublicKey); !ok {
		return ""
	}
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	return k.edited(func(signature []byte) []byte {
		half := slices.Clone(signature[32:])
		slices.Reverse(half) // little-endian
		sum := new(big.Int).Add(new(big.Int).SetBytes(half), order).FillBytes(make([]byte, 32))
		slices.Reverse(sum)
		return slices.Concat(signature[:32], sum)
	})
}

// ed25519Prehashed is the good token with a signature of Ed25519ph, which no JWS algorithm is (RFC 8037 section 3.1).
func (k *kit) ed25519Prehashed() string {
	key, ok := k.private().(ed25519.PrivateKey)
	if !ok {
		return ""
	}
	digest := sha512.Sum512([]byte(k.parts[0] + "." + k.parts[1]))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA512)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return k.withSignature(signature)
}

// The functions below respell the parts of a token without changing what they say.

// respelled is the good token, or one like it, with one part in another spelling, signed as it is spelled. The spelling is
// given the bytes of the part, and returns "" for a part that cannot be spelled so.
func (k *kit) respelled(part int, spell func([]byte) string) string {
	// A token with all letters of the alphabet in every part, and parts of a length at which bits are left over.
	header, payload := roomy(k.header), roomy(k.payload)
	switch part {
	case 0:
		return k.withEncoded(spell([]byte(header)), encode([]byte(payload)))
	case 1:
		return k.withEncoded(encode([]byte(header)), spell([]byte(payload)))
	}
	for range 1000 { // A signature with the letters that a spelling needs is a matter of luck.
		input := encode([]byte(header)) + "." + encode([]byte(payload))
		signature := k.signature(input)
		if text := spell(signature); text != "" && text != encode(signature) {
			return input + "." + text
		}
		payload = first(payload, fmt.Sprintf("%q:true", rand.Text()))
	}
	return ""
}

// roomy adds a member to a JSON object whose encoding has both - and _, and makes the whole one byte longer than full groups
// of three.
func roomy(object string) string {
	object = last(object, `"marks":"??????>>>>>>"`)
	for len(object)%3 != 1 {
		object = strings.Replace(object, "{", "{ ", 1)
	}
	return object
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// padded is the text as base64 of RFC 4648 section 5 has it, and JWS does not (RFC 7515 section 2).
func padded(data []byte) string {
	if len(data)%3 == 0 {
		return ""
	}
	return base64.URLEncoding.EncodeToString(data)
}

// standard is the text in the other alphabet of RFC 4648.
func standard(data []byte) string {
	text := base64.RawStdEncoding.EncodeToString(data)
	if !strings.ContainsAny(text, "+/") {
		return ""
	}
	return text
}

// leftOver is the text with a one among the bits that are left over at its end, which decoders ignore.
func leftOver(data []byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(data)%3 == 0 {
		return ""
	}
	text := encode(data)
	end := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[end+1:end+2]
}

// broken is the text on two lines.
func broken(data []byte) string {
	text := encode(data)
	return text[:8] + "\r\n" + text[8:]
}

// flattened and general are the JSON serializations of the good token (RFC 7515 section 7.2).
func (k *kit) flattened() string {
	return string(mustJSON(map[string]string{"protected": k.parts[0], "payload": k.parts[1], "signature": k.parts[2]}))
}

func (k *kit) general() string {
	return string(mustJSON(map[string]any{
		"payload":    k.parts[1],
		"signatures": []map[string]string{{"protected": k.parts[0], "signature": k.parts[2]}},
	}))
}

// first and last put members into the text of a JSON object.
func first(object, members string) string { return strings.Replace(object, "{", "{"+members+",", 1) }
func last(object, members string) string  { return object[:len(object)-1] + "," + members + "}" }

// renamed gives a member of a JSON object's text another name.
func renamed(object, from, to string) string {
	return strings.Replace(object, fmt.Sprintf("%q:", from), to+":", 1)
}

// nested is an array so deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// trimmed is a PEM text as a variable or a form field holds it.
func trimmed(text []byte) []byte { return bytes.TrimSpace(text) }
