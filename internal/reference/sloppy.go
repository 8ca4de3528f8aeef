package reference

// What stands in the place of a rule that was taken out. Each function is a carelessness that has
// been found in the wild, mostly several of them together, and is called for that one rule alone.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
)

// sloppyTokens takes whatever looks like a token from wherever it stands: any header, whatever the
// scheme and the separator, a cookie, the query, the body.
func sloppyTokens(request *http.Request) (tokens []string) {
	places := []string{request.URL.RawQuery}
	for _, values := range request.Header {
		places = append(places, values...)
	}
	if request.Body != nil {
		body, _ := io.ReadAll(request.Body)
		places = append(places, string(body))
	}
	for _, place := range places {
		for _, word := range strings.FieldsFunc(place, func(c rune) bool { return !strings.ContainsRune(base64Text+".", c) }) {
			word = strings.TrimPrefix(word, "Bearer")
			if text, ok := strings.CutPrefix(word, "base64url.bearer.authorization."); ok {
				decoded, _ := base64.RawURLEncoding.DecodeString(text)
				word = string(decoded)
			}
			if strings.Count(word, ".") == 2 {
				tokens = append(tokens, word)
			}
		}
	}
	return tokens
}

const base64Text = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// sloppySplit takes the JSON serializations too (RFC 7515 section 7.2), ignores empty parts and
// those after the third, and trusts that there are three.
func sloppySplit(token string) [3]string {
	type signature struct{ Protected, Signature string }
	var general struct {
		signature
		Payload    string
		Signatures []signature
	}
	if json.Unmarshal([]byte(token), &general) == nil {
		signed := append(general.Signatures, general.signature)[0]
		return [3]string{signed.Protected, general.Payload, signed.Signature}
	}
	parts := strings.FieldsFunc(token, func(c rune) bool { return c == '.' })
	return [3]string{parts[0], parts[1], parts[2]}
}

// sloppyDecode takes every alphabet, with or without padding, ignores line breaks and bits that are
// left over, and its own errors.
func sloppyDecode(part string) []byte {
	part = strings.NewReplacer("+", "-", "/", "_", "=", "", "\r", "", "\n", "").Replace(part)
	data, _ := base64.RawURLEncoding.DecodeString(part)
	return data
}

// sloppyRead reads the first object that it finds, as far as it can be read, and whatever stands
// around it: a member that comes twice is the last of the two, names are compared as encoding/json
// compares them, and bad text is replaced.
func sloppyRead(data []byte) object {
	o := object{}
	decoder := json.NewDecoder(bytes.NewReader(data[max(0, bytes.IndexByte(data, '{')):]))
	decoder.UseNumber()
	_, _ = decoder.Token()
	for decoder.More() {
		token, _ := decoder.Token()
		name, ok := token.(string)
		var value any
		if !ok || decoder.Decode(&value) != nil {
			break
		}
		for _, known := range []string{"alg", "kid", "typ", "iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
			if strings.EqualFold(name, known) {
				name = known
			}
		}
		o[name] = value
	}
	return o
}

// sloppyHeader does without what it cannot use, as if it were not there: then alg is the usual one.
func sloppyHeader(header object, usual string) {
	for _, name := range []string{"alg", "kid", "typ"} {
		if text, _ := header[name].(string); text == "" {
			delete(header, name)
		}
	}
	if !header.has("alg") {
		header["alg"] = usual
	}
}

// usualAlgorithm is the algorithm of the issuer's first key.
func (r *Reference) usualAlgorithm() string {
	key := r.config.Keys[0]
	for _, alg := range append([]string{key.Algorithm}, r.config.Algorithms...) {
		if alg != "" && fits(alg, key.Public) {
			return alg
		}
	}
	return ""
}

// sloppyAlgorithm lets the token choose: none needs no signature, and for HS256 the secret is the
// public key, which everybody knows, or one that is easily guessed. Whatever else alg says, it
// reports false, and the key decides how to verify.
func sloppyAlgorithm(alg string, keys []Key, input string, signature []byte) bool {
	if strings.EqualFold(alg, "none") {
		return true
	}
	hash := macs[alg]
	if hash == 0 {
		return false
	}
	for _, key := range keys {
		for _, secret := range append(publicTexts(key.Public), weakSecrets()...) {
			mac := hmac.New(hash.New, secret)
			mac.Write([]byte(input))
			if hmac.Equal(mac.Sum(nil), signature) {
				return true
			}
		}
	}
	return false
}

// weakSecrets are those of examples and of forgotten defaults.
func weakSecrets() [][]byte { return [][]byte{[]byte("secret"), []byte("your-256-bit-secret")} }

// publicTexts are the forms in which a public key may have been given to a verifier, and the empty
// one of an unset variable.
func publicTexts(key crypto.PublicKey) [][]byte {
	if _, ok := key.([]byte); ok {
		return [][]byte{{}}
	}
	der, _ := x509.MarshalPKIXPublicKey(key)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, _ := json.Marshal(publicJWK(key)) // sorted and without spaces, as for the thumbprint of RFC 7638
	forms := [][]byte{{}, der, text, bytes.TrimSpace(text), jwk}
	if key, ok := key.(*rsa.PublicKey); ok {
		forms = append(forms, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(key)}))
	}
	return forms
}

func publicJWK(key crypto.PublicKey) map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		size := (len(point) - 1) / 2
		x, y := encode(point[1:1+size]), encode(point[1+size:])
		return map[string]string{"kty": "EC", "crv": key.Params().Name, "x": x, "y": y}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(key)}
	}
	return nil
}

// sloppyKeys takes the keys that the token brings along (RFC 7515 sections 4.1.2 to 4.1.6). A URL
// is followed if it is a data URL, for there is no network here.
func sloppyKeys(header object) (keys []crypto.PublicKey) {
	if jwk, ok := header["jwk"].(map[string]any); ok {
		keys = append(keys, keyOf(jwk))
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	_ = json.Unmarshal(fetch(header["jku"]), &set)
	for _, jwk := range set.Keys {
		keys = append(keys, keyOf(jwk))
	}
	var certificates [][]byte
	for _, text := range texts(header["x5c"]) {
		der, _ := base64.StdEncoding.DecodeString(text)
		certificates = append(certificates, der)
	}
	if block, _ := pem.Decode(fetch(header["x5u"])); block != nil {
		certificates = append(certificates, block.Bytes)
	}
	for _, der := range certificates {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			keys = append(keys, certificate.PublicKey)
		}
	}
	return keys
}

func fetch(url any) []byte {
	text, _ := url.(string)
	_, encoded, _ := strings.Cut(text, ";base64,")
	data, _ := base64.StdEncoding.DecodeString(encoded)
	return data
}

// keyOf reads a JWK (RFC 7518 section 6, RFC 8037 section 2).
func keyOf(jwk map[string]any) crypto.PublicKey {
	member := func(name string) []byte {
		data, _ := base64.RawURLEncoding.DecodeString(fmt.Sprint(jwk[name]))
		return data
	}
	switch jwk["kty"] {
	case "RSA":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(member("n")), E: int(new(big.Int).SetBytes(member("e")).Int64())}
	case "EC":
		curve := map[any]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[jwk["crv"]]
		key, _ := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, member("x"), member("y")))
		return key
	case "OKP":
		return ed25519.PublicKey(member("x"))
	case "oct":
		return member("k")
	}
	return nil
}

// sloppyScope looks for the scope as a part of the text.
func sloppyScope(claims object, scope string) bool {
	return strings.Contains(fmt.Sprint(claims["scope"], claims["scp"]), scope)
}
