package oauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func TestVerifyIDTokenSaysWhoLoggedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		now := time.Now().Truncate(time.Second)
		i, err := w.verify(t, w.idToken(t, nil, bearertest.Claims{
			"acr": "urn:strong", "amr": []string{"pwd", "otp"}, "aud": []string{"other", idClient}, "azp": idClient, "EMAIL": "mallory@example.com",
		}))
		if err != nil {
			t.Fatal(err)
		}
		if i.Issuer() != w.URL() || i.Subject() != "alice" || !slices.Equal(i.Audience(), []string{"other", idClient}) || i.Nonce() != idNonce ||
			i.ACR() != "urn:strong" || !slices.Equal(i.AMR(), []string{"pwd", "otp"}) ||
			!i.Expiry().Equal(now.Add(time.Hour)) || !i.IssuedAt().Equal(now) || !i.AuthTime().Equal(now) {
			t.Errorf("issuer %q, subject %q, audience %q, nonce %q, acr %q, amr %q, exp %s, iat %s, auth_time %s", i.Issuer(), i.Subject(), i.Audience(),
				i.Nonce(), i.ACR(), i.AMR(), i.Expiry(), i.IssuedAt(), i.AuthTime())
		}
		i.Audience()[0], i.AMR()[0] = "changed", "changed"
		if i.Audience()[0] != "other" || i.AMR()[0] != "pwd" {
			t.Error("an Identity changed")
		}
		var claims struct {
			Email string `json:"email"`
		}
		if err := i.Decode(&claims); err != nil || claims.Email != "alice@example.com" {
			t.Errorf("email %q, %v", claims.Email, err)
		}
		if err := i.Decode(new(int)); err == nil {
			t.Error("claims were decoded into a number")
		}
	})
}

// Every forged ID token is refused, with its cause.
func TestForgedIDTokensAreRefused(t *testing.T) {
	t.Parallel()
	w := newIDWorld(t)
	other := bearertest.NewIssuer(bearertest.WithAlgorithm("ES256")) // of the same name
	now := time.Now()
	good := w.idToken(t, nil, nil)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	claims := func(over bearertest.Claims) string { return w.idToken(t, nil, over) }
	header := func(over bearertest.Claims) string { return w.idToken(t, over, nil) }
	payload := func(text string) string { return w.SignRaw(idJSON(t, w.header(nil)), []byte(text)) }
	text := string(idJSON(t, w.claims(nil)))
	ownKey := json.RawMessage(strings.TrimSuffix(strings.TrimPrefix(string(other.KeySet()), `{"keys":[`), `]}`))
	public, err := x509.MarshalPKIXPublicKey(w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	confused := func(secret []byte) string {
		input := b64(idJSON(t, w.header(bearertest.Claims{"alg": "HS256"}))) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	}
	ofOther := func(header bearertest.Claims) string {
		return other.SignRaw(idJSON(t, w.header(header)), []byte(text))
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for name, forged := range map[string]struct{ token, because string }{
		"none at all":                  {"", "there is none"},
		"one part":                     {"opaque", "three parts"},
		"a JWE":                        {"a.b.c.d.e", "three parts"},
		"no signature":                 {parts[0] + "." + parts[1] + ".", "three parts"},
		"padding":                      {parts[0] + "." + parts[1] + "." + parts[2] + "=", "base64url"},
		"a line break":                 {parts[0] + "." + parts[1] + "\n." + parts[2], "base64url"},
		"JSON serialization":           {`{"payload":"x"}`, "three parts"},
		"too large":                    {claims(bearertest.Claims{"x": strings.Repeat("x", 64<<10)}), "longer than 65536 bytes"},
		"alg none":                     {b64(idJSON(t, w.header(bearertest.Claims{"alg": "none"}))) + "." + parts[1] + ".AA", "algorithm"},
		"alg none, no signature":       {b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "three parts"},
		"alg in another case":          {header(bearertest.Claims{"alg": "es256"}), "algorithm"},
		"no alg":                       {header(bearertest.Claims{"alg": nil}), "no alg"},
		"alg is no text":               {header(bearertest.Claims{"alg": []string{"ES256"}}), "header is not one JSON object"},
		"HS256 with the public key":    {confused(public), "algorithm"},
		"HS256 with its PEM":           {confused(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "algorithm"},
		"HS256 with the client's name": {confused([]byte(idClient)), "algorithm"},
		"another algorithm of the key": {header(bearertest.Claims{"alg": "ES384"}), "algorithm"},
		"the key of another":           {ofOther(nil), "does not verify"},
		"another's kid":                {ofOther(bearertest.Claims{"kid": other.KeyID()}), "no published key has its kid"},
		"its own key, jwk":             {ofOther(bearertest.Claims{"jwk": ownKey}), "does not verify"},
		"its own key, jku":             {ofOther(bearertest.Claims{"jku": "https://mallory.example/jwks"}), "does not verify"},
		"its own key, x5u":             {ofOther(bearertest.Claims{"x5u": "https://mallory.example/x5u"}), "does not verify"},
		"its own key, x5c":             {ofOther(bearertest.Claims{"x5c": []string{"MII"}}), "does not verify"},
		"a changed payload":            {parts[0] + "." + b64([]byte(strings.Replace(text, `"alice"`, `"admin"`, 1))) + "." + parts[2], "does not verify"},
		"a changed header":             {b64(idJSON(t, w.header(bearertest.Claims{"x": 1}))) + "." + parts[1] + "." + parts[2], "does not verify"},
		"crit":                         {header(bearertest.Claims{"crit": []string{"exp"}, "exp": 1}), "crit"},
		"b64 false":                    {header(bearertest.Claims{"b64": false}), "b64"},
		"typ at+jwt":                   {header(bearertest.Claims{"typ": "at+jwt"}), "typ"},
		"typ application/at+jwt":       {header(bearertest.Claims{"typ": "application/AT+JWT"}), "typ"},
		"typ logout+jwt":               {header(bearertest.Claims{"typ": "logout+jwt"}), "typ"},
		"typ empty":                    {header(bearertest.Claims{"typ": ""}), "typ"},
		"a header member twice":        {w.SignRaw([]byte(`{"alg":"ES256","alg":"none"}`), []byte(text)), "header"},
		"a claim twice":                {payload(`{"sub":"mallory",` + text[1:]), "not one JSON object"},
		"a claim twice, by an escape":  {payload(`{"s\u0075b":"mallory",` + text[1:]), "not one JSON object"},
		"a nested claim twice":         {payload(`{"x":{"a":1,"a":2},` + text[1:]), "not one JSON object"},
		"text after the claims":        {payload(text + "{}"), "not one JSON object"},
		"claims that are an array":     {payload("[" + text + "]"), "not one JSON object"},
		"not UTF-8":                    {payload(`{"x":"` + "\xff" + `",` + text[1:]), "not one JSON object"},
		"nested arrays":                {payload(`{"x":` + deep + `,` + text[1:]), "not one JSON object"},
		"no iss":                       {claims(bearertest.Claims{"iss": nil}), "iss"},
		"another iss":                  {claims(bearertest.Claims{"iss": "https://mallory.example"}), "iss"},
		"iss with a slash":             {claims(bearertest.Claims{"iss": w.URL() + "/"}), "iss"},
		"iss in an array":              {claims(bearertest.Claims{"iss": []string{w.URL()}}), "iss is not a string"},
		"iss of another case":          {claims(bearertest.Claims{"iss": nil, "ISS": w.URL()}), "iss"},
		"no sub":                       {claims(bearertest.Claims{"sub": nil}), "sub"},
		"an empty sub":                 {claims(bearertest.Claims{"sub": ""}), "sub"},
		"sub is a number":              {claims(bearertest.Claims{"sub": 7}), "sub is not a string"},
		"no aud":                       {claims(bearertest.Claims{"aud": nil}), "aud"},
		"aud null":                     {claims(bearertest.Claims{"aud": json.RawMessage("null")}), "aud"},
		"an empty aud":                 {claims(bearertest.Claims{"aud": []string{}}), "aud"},
		"another aud":                  {claims(bearertest.Claims{"aud": "billing"}), "aud"},
		"aud with the client in it":    {claims(bearertest.Claims{"aud": "app billing"}), "aud"},
		"nested aud":                   {claims(bearertest.Claims{"aud": [][]string{{idClient}}}), "aud is neither"},
		"several aud without azp":      {claims(bearertest.Claims{"aud": []string{idClient, "billing"}}), "there is no azp"},
		"the client twice without azp": {claims(bearertest.Claims{"aud": []string{idClient, idClient}}), "there is no azp"},
		"several aud, another azp":     {claims(bearertest.Claims{"aud": []string{idClient, "billing"}, "azp": "billing"}), "azp"},
		"another azp":                  {claims(bearertest.Claims{"azp": "billing"}), "azp"},
		"azp null":                     {claims(bearertest.Claims{"azp": json.RawMessage("null")}), "azp"},
		"azp in an array":              {claims(bearertest.Claims{"azp": []string{idClient}}), "azp"},
		"no exp":                       {claims(bearertest.Claims{"exp": nil}), "exp is missing"},
		"expired":                      {claims(bearertest.Claims{"exp": now.Add(-time.Minute)}), "exp has passed"},
		"exp is a text":                {claims(bearertest.Claims{"exp": "9999999999"}), "exp is not a number"},
		"exp is negative":              {claims(bearertest.Claims{"exp": -1}), "exp is not a number"},
		"no iat":                       {claims(bearertest.Claims{"iat": nil}), "iat is missing"},
		"iat in the future":            {claims(bearertest.Claims{"iat": now.Add(2 * time.Minute)}), "iat is in the future"},
		"nbf in the future":            {claims(bearertest.Claims{"nbf": now.Add(2 * time.Minute)}), "nbf is in the future"},
		"nbf is a text":                {claims(bearertest.Claims{"nbf": "1"}), "nbf is not a number"},
		"no nonce":                     {claims(bearertest.Claims{"nonce": nil}), "nonce"},
		"another nonce":                {claims(bearertest.Claims{"nonce": "the-noncf"}), "nonce"},
		"a longer nonce":               {claims(bearertest.Claims{"nonce": idNonce + "x"}), "nonce"},
		"nonce in an array":            {claims(bearertest.Claims{"nonce": []string{idNonce}}), "nonce is not a string"},
		"at_hash of another":           {claims(bearertest.Claims{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), "at_hash"},
		"at_hash is no text":           {claims(bearertest.Claims{"at_hash": 1}), "at_hash"},
		"a logout token":               {claims(bearertest.Claims{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}), "events"},
		"an access token of Cognito":   {claims(bearertest.Claims{"token_use": "access"}), "token_use"},
		"an access token of Keycloak":  {claims(bearertest.Claims{"typ": "Bearer"}), "claim typ"},
	} {
		t.Run(name, func(t *testing.T) {
			identity, err := w.verify(t, forged.token)
			wantRefused(t, forged.token, identity, err, forged.because)
		})
	}
	if _, err := w.verify(t, good); err != nil {
		t.Errorf("the good one that all of them are made of: %v", err)
	}
}

// An ID token that no nonce was sent for has none, or an empty one. Anyone can bring one of another login otherwise.
func TestIDTokenWithoutNonce(t *testing.T) {
	t.Parallel()
	w := newIDWorld(t)
	for name, test := range map[string]struct {
		nonce any
		good  bool
	}{"none": {nil, true}, "one": {idNonce, false}, "an empty one, as of Slack": {"", true}, "a number": {0, false}} {
		token := w.idToken(t, nil, bearertest.Claims{"nonce": test.nonce})
		if _, err := w.client.VerifyIDToken(t.Context(), tokens.NewSecret(token), ""); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// at_hash is optional, and cannot be compared without the access token.
func TestATHashIsOptional(t *testing.T) {
	t.Parallel()
	w := newIDWorld(t)
	if _, err := w.verify(t, w.idToken(t, nil, bearertest.Claims{"at_hash": nil})); err != nil {
		t.Errorf("without at_hash: %v", err)
	}
	token := tokens.NewSecret(w.idToken(t, nil, bearertest.Claims{"at_hash": "of-another"}))
	if _, err := w.client.VerifyIDToken(t.Context(), token, idNonce); err != nil {
		t.Errorf("without the access token: %v", err)
	}
}

// The clocks may differ by 30 seconds, and by no more.
func TestTimesOfIDTokensHaveALeeway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		now := time.Now()
		asked := now.Add(-time.Hour)
		for name, test := range map[string]struct {
			claims bearertest.Claims
			good   bool
		}{
			"exp 29 s ago":              {bearertest.Claims{"exp": now.Add(-29 * time.Second)}, true},
			"exp 30 s ago":              {bearertest.Claims{"exp": now.Add(-30 * time.Second)}, false},
			"iat in 30 s":               {bearertest.Claims{"iat": now.Add(30 * time.Second)}, true},
			"iat in 31 s":               {bearertest.Claims{"iat": now.Add(31 * time.Second)}, false},
			"nbf in 30 s":               {bearertest.Claims{"nbf": now.Add(30 * time.Second)}, true},
			"nbf in 31 s":               {bearertest.Claims{"nbf": now.Add(31 * time.Second)}, false},
			"auth_time max_age ago":     {bearertest.Claims{"auth_time": asked.Add(-5*time.Minute - 30*time.Second)}, true},
			"auth_time before that":     {bearertest.Claims{"auth_time": asked.Add(-5*time.Minute - 31*time.Second)}, false},
			"no auth_time":              {bearertest.Claims{"auth_time": nil}, false},
			"an auth_time that is text": {bearertest.Claims{"auth_time": fmt.Sprint(now.Unix())}, false},
		} {
			_, err := w.verify(t, w.idToken(t, nil, test.claims), oauth.WithMaxAge(5*time.Minute, asked))
			if (err == nil) != test.good {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.verify(t, w.idToken(t, nil, bearertest.Claims{"auth_time": "yesterday", "acr": 1, "amr": "pwd"})); err != nil {
			t.Errorf("claims that nothing rests on: %v", err)
		}
	})
}

func TestMistakesInTheOptionsOfVerifyIDToken(t *testing.T) {
	t.Parallel()
	w := newIDWorld(t)
	_, err := w.client.VerifyIDToken(t.Context(), tokens.NewSecret("x"), "", nil, oauth.WithAccessToken(tokens.Secret{}),
		oauth.WithAccessToken(tokens.Secret{}), oauth.WithMaxAge(time.Second, time.Now()), oauth.WithMaxAge(-time.Second, time.Now()))
	tokenstest.WantConfigErrors[oauth.ConfigError](t, err,
		oauth.ConfigError{Option: "VerifyIDToken", Value: "nil"}, oauth.ConfigError{Option: "WithAccessToken"}, oauth.ConfigError{Option: "WithAccessToken"},
		oauth.ConfigError{Option: "WithMaxAge"}, oauth.ConfigError{Option: "WithMaxAge", Value: "-1s"})
	if _, err := w.client.VerifyIDToken(t.Context(), tokens.NewSecret("x"), "", oauth.WithMaxAge(0, time.Time{})); err == nil {
		t.Error("a max_age without a time is accepted")
	}
}
