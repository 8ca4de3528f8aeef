package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// The names of the floors.
const (
	rawName      = "raw crypto"
	methodName   = "golang-jwt's SigningMethod alone"
	handOverName = "handing over alone"
	bareGinName  = "Gin without auth"
	bareEchoName = "Echo without auth"
)

// peers measures one request with a good token through each guard, with each algorithm, and the floors.
func (b *bench) peers() error {
	for _, alg := range b.algorithms {
		s := b.scenes[alg]
		subjects := s.floors()
		for _, g := range guards {
			if !g.can(alg) {
				continue
			}
			h, err := g.checked(s)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject{g.name, passes(h, s.token)})
		}
		b.say("peers: %s, %d subjects", alg, len(subjects))
		b.measure("peers/"+alg, subjects)
	}
	return b.miss()
}

// floors are what no guard can go below.
func (s *scene) floors() []subject {
	return []subject{
		{rawName, s.raw()},
		{methodName, s.method()},
		{handOverName, passes(handOver(), s.token)},
		{bareGinName, passes(ginRouter(), s.token)},
		{bareEchoName, passes(echoRouter(), s.token)},
	}
}

// raw is hashing, and the verification of package crypto, of the token's signature: nothing is decoded.
func (s *scene) raw() func(n int) {
	input, signature := signed(s.token)
	var good func() bool
	switch key := s.public.(type) {
	case *rsa.PublicKey:
		good = func() bool {
			digest := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
		}
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		good = func() bool {
			digest := sha256.Sum256(input)
			return ecdsa.Verify(key, digest[:], r, s)
		}
	case ed25519.PublicKey:
		good = func() bool { return ed25519.Verify(key, input, signature) }
	case []byte:
		good = func() bool {
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			return hmac.Equal(mac.Sum(nil), signature)
		}
	}
	return func(n int) {
		for range n {
			if !good() {
				wrong("%s: the bare verification fails", s.alg)
			}
		}
	}
}

// method is the part of golang-jwt that bearer uses.
func (s *scene) method() func(n int) {
	input, signature := signed(s.token)
	text, method := string(input), jwt.GetSigningMethod(s.alg)
	return func(n int) {
		for range n {
			if err := method.Verify(text, signature, s.public); err != nil {
				wrong("%s: %v", s.alg, err)
			}
		}
	}
}

// signed takes a token apart into what is signed and the signature.
func signed(token string) (input, signature []byte) {
	dot := strings.LastIndexByte(token, '.')
	signature, err := encoding.DecodeString(token[dot+1:])
	if err != nil {
		wrong("a token of our own: %v", err)
	}
	return []byte(token[:dot]), signature
}

// handOver gives a handler a value in the request's context, and does nothing else.
func handOver() http.Handler {
	next, value := http.HandlerFunc(protected), new(int)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, value)))
	})
}
