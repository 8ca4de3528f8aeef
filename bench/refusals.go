package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer"
)

const (
	maxToken = (16 << 10)
	bigToken = 8 << 10

	decidedName  = "decided"  // by Authenticate
	answeredName = "answered" // by the whole guard
	decodeName   = "decoding the base64 of the 8 KB token"
	bigKidName   = "unknown kid, token of 8 KB"
	badName      = "bad signature"
)

// refusalPeers are those that get the same inputs.
var refusalPeers = []string{golangName, echoJWTName, auth0Name}

// Which target a bad request falls under.
type kind int

const (
	other     kind = iota
	absent         // no token, or one that is too long
	misshapen      // within the cap
	forbidden      // by its header or its issuer
)

// badRequest is a request that is refused.
type badRequest struct {
	name          string
	kind          kind
	authorization string
	reason        bearer.Reason
}

// badRequests are what attackers send.
func (s *scene) badRequests() []badRequest {
	parts := strings.Split(s.token, ".")
	header, claims := s.header(), s.claims(0)
	renamed := func(member, from, to string) string {
		return strings.Replace(header, fmt.Sprintf("%q:%q", member, from), fmt.Sprintf("%q:%q", member, to), 1)
	}
	noJSON := func(length int) string { return bearerOf(strings.Repeat("."+strings.Repeat("A", length), 3)[1:]) }
	unsigned := encode([]byte(renamed("alg", s.alg, "none"))) + "." + parts[1] + "."
	another := forge(s.sign(renamed("kid", keyID, "2025-01-zz"), claims), 0)
	list := []badRequest{
		{"no token", absent, "", bearer.ReasonMissingToken},
		{"another scheme", absent, "Basic dXNlcjpwYXNzd29yZA==", bearer.ReasonOtherScheme},
		{"17 KB of dots", absent, bearerOf(strings.Repeat(".", 17<<10)), bearer.ReasonTokenTooLarge},
		{"1 MB of dots", absent, bearerOf(strings.Repeat(".", 1<<20)), bearer.ReasonTokenTooLarge},
		{"1 MB of A", absent, bearerOf(strings.Repeat("A", 1<<20)), bearer.ReasonTokenTooLarge},
		{"16 KiB of A", misshapen, bearerOf(strings.Repeat("A", maxToken)), bearer.ReasonMalformedToken},
		{"16 KiB of dots", misshapen, bearerOf(strings.Repeat(".", maxToken)), bearer.ReasonMalformedToken},
		{"two parts", misshapen, bearerOf(parts[0] + "." + parts[1]), bearer.ReasonMalformedToken},
		{"five parts", misshapen, bearerOf(s.token + "." + parts[0] + "." + parts[2]), bearer.ReasonMalformedToken},
		{"garbage: text", misshapen, bearerOf("not-a-token"), bearer.ReasonMalformedToken},
		{"garbage: three parts that are no base64", misshapen, bearerOf("~~~.~~~.~~~"), bearer.ReasonMalformedToken},
		{"garbage: three parts that are no JSON", misshapen, noJSON(16), bearer.ReasonMalformedToken},
		{"three parts of 5 KB that are no JSON", other, noJSON(5 << 10), bearer.ReasonMalformedToken},
		{"alg none, no signature", forbidden, bearerOf(unsigned), bearer.ReasonMalformedToken},
		{"alg none, a signature", forbidden, bearerOf(unsigned + parts[2]), bearer.ReasonAlgorithm},
		{"forbidden alg (HS256)", forbidden, bearerOf(s.confused()), bearer.ReasonAlgorithm},
		{
			"unknown issuer", forbidden, bearerOf(s.sign(header, s.claimsOf("https://other.example.com", s.now.Add(lifetime), 0))),
			bearer.ReasonUnknownIssuer,
		},
		{"unknown kid", other, bearerOf(another), bearer.ReasonUnknownKey},
		{bigKidName, other, bearerOf(s.big(renamed("kid", keyID, "2025-01-zz"))), bearer.ReasonUnknownKey},
		{badName, other, bearerOf(s.forged), bearer.ReasonSignature},
		{
			"expired, with a good signature", other, bearerOf(s.sign(header, s.claimsOf(issuerName, s.now.Add(-time.Hour), 0))),
			bearer.ReasonExpired,
		},
	}
	return list
}

// confused is a token whose secret is the public key: an attack on libraries that let the token choose the algorithm.
func (s *scene) confused() string {
	public, err := s.pemKey()
	if err != nil {
		wrong("%v", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{})
	header := strings.Replace(s.header(), s.alg, "HS256", 1)
	input := encode([]byte(header)) + "." + encode([]byte(s.claims(0)))
	signature, err := token.Method.Sign(input, public)
	if err != nil {
		wrong("%v", err)
	}
	return input + "." + encode(signature)
}

// big is a token of 8 KB: its subject is in many groups.
func (s *scene) big(header string) string {
	claims := strings.TrimSuffix(s.claims(0), "}") + `,"groups":["all"`
	room := (bigToken - len(s.token)) * 3 / 4
	for i := 0; room >= 42; i++ {
		claims += fmt.Sprintf(`,"%08d-0000-4000-8000-000000000000"`, i)
		room -= 39
	}
	return s.sign(header, claims+"]}")
}

// refusals measures what a refusal costs: the decision (Authenticate alone), the whole guard with the
// answer written, and some of the peers, which cannot be split so.
func (b *bench) refusals() error {
	s := b.scenes["RS256"]
	auth, err := newAuth(s, cached)
	if err != nil {
		return err
	}
	guarded := auth.Handler(http.HandlerFunc(protected))
	peers := make(map[string]http.Handler)
	for _, name := range refusalPeers {
		if peers[name], err = guardOf(name).checked(s); err != nil {
			return err
		}
	}
	for _, bad := range s.badRequests() {
		_, err := auth.Guard().Authenticate(request(bad.authorization))
		refusal, ok := errors.AsType[*bearer.Error](err)
		if !ok || refusal.Reason() != bad.reason {
			return fmt.Errorf("%s: the answer is %w, want %q", bad.name, err, bad.reason)
		}
		subjects := []subject{
			{decidedName, decides(auth, bad.authorization)},
			{answeredName, refuses(guarded, bad.authorization, refusal.StatusCode())},
		}
		for _, name := range refusalPeers {
			subjects = append(subjects, subject{name, refuses(peers[name], bad.authorization, 0)})
		}
		switch bad.name {
		case bigKidName:
			subjects = append(subjects, subject{decodeName, decodes(bad.authorization)})
		case badName:
			subjects = append(subjects, subject{rawName, s.raw()})
		}
		b.measure("refusals/"+bad.name, subjects)
	}
	return nil
}

// decides is refuses up to the decision.
func decides(auth *bearer.Middleware, authorization string) func(n int) {
	guard, r := auth.Guard(), request(authorization)
	return func(n int) {
		for range n {
			if _, err := guard.Authenticate(r); err == nil {
				wrong("a bad request is let through")
			}
		}
	}
}

// decodes decodes the parts of a token into a buffer that is there already.
func decodes(authorization string) func(n int) {
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	var texts [][]byte
	for _, part := range parts {
		texts = append(texts, []byte(part))
	}
	buffer := make([]byte, bigToken)
	return func(n int) {
		for range n {
			for _, text := range texts {
				if _, err := base64.RawURLEncoding.Decode(buffer, text); err != nil {
					wrong("%v", err)
				}
			}
		}
	}
}
