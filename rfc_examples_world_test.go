package bearer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
	"github.com/golang-jwt/jwt/v5"
)

// rfcExamples is what RFCs print; see testdata/rfc-examples/README.md. Its thumbprints (RFC 7638)
// have no test here, because package bearer computes none.
type rfcExamples struct {
	JWS []struct {
		ID    string          `json:"id"`
		Ref   string          `json:"ref"`
		Token string          `json:"token"`
		JWK   json.RawMessage `json:"jwk"`
	} `json:"jws"`
	MTLS struct {
		CNF map[string]any `json:"cnf"`
	} `json:"mtls"`
	RFC9068 struct {
		Header, Claims map[string]any
	} `json:"rfc9068"`
	RFC9449 struct {
		Claims map[string]any
	} `json:"rfc9449_bound_token"`
	Challenges []struct {
		Ref    string `json:"ref"`
		When   string `json:"when"`
		Status int    `json:"status"`
		Value  string `json:"www_authenticate"`
	} `json:"challenges"`
}

func readRFCExamples(t testing.TB) (examples rfcExamples) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "rfc-examples", "rfc-examples.json"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // the claims are signed again as they stand
	if err := decoder.Decode(&examples); err != nil {
		t.Fatal(err)
	}
	if len(examples.JWS) != 10 || len(examples.Challenges) != 8 {
		t.Fatalf("%d tokens and %d challenges, want 10 and 8", len(examples.JWS), len(examples.Challenges))
	}
	return examples
}

// advanceTo moves the clock of a bubble of testing/synctest, which begins with the year 2000.
func advanceTo(unix int64) { <-time.After(time.Until(time.Unix(unix, 0))) }

// rfcSigner signs what an RFC prints unsigned, with RS256 and a key of its own.
type rfcSigner struct {
	key *rsa.PrivateKey
	kid string
}

func newRFCSigner(t testing.TB, kid string) rfcSigner {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return rfcSigner{key, kid}
}

func (s rfcSigner) source() bearer.IssuerOption {
	encode := base64.RawURLEncoding.EncodeToString
	return bearer.Keys(jwks.Static(fmt.Appendf(nil, `{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}]}`,
		s.kid, encode(s.key.N.Bytes()), encode(big.NewInt(int64(s.key.E)).Bytes()))))
}

func (s rfcSigner) sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	token := &jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: jwt.SigningMethodRS256}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// challengeParams parses a challenge (RFC 9110 section 11.6.1): one scheme, and quoted parameters,
// each once.
func challengeParams(t testing.TB, value string) (scheme string, params map[string]string) {
	t.Helper()
	scheme, rest, _ := strings.Cut(value, " ")
	params = make(map[string]string)
	for rest != "" {
		m := regexp.MustCompile(`^([a-z_]+)="([^"\\]*)"(, |$)`).FindStringSubmatch(rest)
		if m == nil {
			t.Fatalf("not a parameter: %s", rest)
		}
		if _, twice := params[m[1]]; twice {
			t.Fatalf("%s is there twice: %s", m[1], value)
		}
		params[m[1]], rest = m[2], rest[len(m[0]):]
	}
	return scheme, params
}
