// Package issuertest has what the tests of bearertest and of oauthtest share: requests to an
// issuer, and a judge of its tokens that shares no code with it.
package issuertest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// Request is [http.NewRequestWithContext] for arguments that are known to be good.
func Request(ctx context.Context, method, address string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		panic(err)
	}
	return r
}

// Answer is a response whose body has been read and closed.
type Answer struct {
	*http.Response

	// Content is the body.
	Content []byte
}

// Exchange sends a request and reads the answer to its end. The answer is there even when its body
// breaks off.
func Exchange(client *http.Client, r *http.Request) (Answer, error) {
	response, err := client.Do(r) //nolint:gosec // the test that asks names the URL
	if err != nil {
		return Answer{Response: &http.Response{}}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return Answer{response, body}, err
}

// Verify checks a token with golang-jwt and keyfunc against a key set.
func Verify(keySet []byte, token string) error {
	keys, err := keyfunc.NewJWKSetJSON(keySet)
	if err != nil {
		return err
	}
	_, err = jwt.Parse(token, keys.Keyfunc, jwt.WithExpirationRequired())
	return err
}

// Parts returns the decoded header and payload of a token, as text and as members.
func Parts(tb testing.TB, token string) (raw [2]string, members [2]map[string]any) {
	tb.Helper()
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		tb.Fatalf("the token has %d parts", len(segments))
	}
	for i := range raw {
		data, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil {
			tb.Fatal(err)
		}
		raw[i] = string(data)
		_ = json.Unmarshal(data, &members[i])
	}
	return raw, members
}
