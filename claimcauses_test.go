package bearer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// causeOf verifies a token that is refused for a reason, and returns the cause. It checks that the
// log has the cause and the response has not.
func claimCause(t *testing.T, issuer *bearertest.Issuer, token string, want bearer.Reason, opts ...bearer.IssuerOption) string {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...),
		bearer.WithHTTPClient(issuer.Client()), bearer.WithLogger(logger))
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	_, err := auth.Guard().Authenticate(request)
	if got := reasonOf(t, err); got != want {
		t.Fatalf("reason %q, want %q", got, want)
	}
	cause := errors.Unwrap(err)
	if cause == nil {
		t.Fatal("there is no cause")
	}
	text := cause.Error()
	if !strings.Contains(log.String(), fmt.Sprintf("cause=%q", text)) {
		t.Errorf("the log lacks the cause %q:\n%s", text, log.String())
	}
	answer := httptest.NewRecorder()
	auth.Guard().WriteError(answer, request, err)
	for _, part := range strings.Split(text, "; ") {
		if strings.Contains(fmt.Sprint(answer.Header(), answer.Body), part) {
			t.Errorf("the response has %q", part)
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the cause has characters that do not print: %q", text)
	}
	if limit := 1000; len(text) > limit {
		t.Errorf("the cause has %d bytes, want %d at most", len(text), limit)
	}
	return text
}

// The cause of a refusal of claims names what is wrong and what to do.
func TestClaimRefusalsHaveACause(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	plain := c{"typ": "JWT"}
	for name, tt := range map[string]struct {
		header c
		claims c
		opts   []bearer.IssuerOption
		want   bearer.Reason
		says   string
		helps  string
	}{
		"iss a number": {nil, c{"iss": 1}, nil, bearer.ReasonMalformedClaims, "iss is not a string", "iss as a string"},
		"iss missing":  {nil, c{"iss": nil}, nil, bearer.ReasonMissingClaim, "has no iss", "InsecureNoIssuer"},
		"exp missing":  {nil, c{"exp": nil}, nil, bearer.ReasonMissingClaim, "has no exp", "InsecureNoExpiry"},
		"iat missing":  {nil, c{"iat": nil}, []bearer.IssuerOption{bearer.MaxLifetime(time.Hour)}, bearer.ReasonMissingClaim, "has no iat", "MaxLifetime"},
		"several missing": {
			nil,
			c{"sub": nil, "jti": nil, "client_id": ""},
			[]bearer.IssuerOption{bearer.RFC9068()},
			bearer.ReasonMissingClaim, "has no sub, jti, client_id", "RFC9068",
		},
		"exp a string":  {nil, c{"exp": "1"}, nil, bearer.ReasonMalformedClaims, "exp is a string, not a number", "exp as a number of seconds"},
		"nbf an object": {nil, c{"nbf": c{}}, nil, bearer.ReasonMalformedClaims, "nbf is an object, not a number", "nbf"},
		"iat a boolean": {nil, c{"iat": true}, nil, bearer.ReasonMalformedClaims, "iat is a boolean", "iat"},
		"exp in milliseconds": {
			nil,
			c{"exp": time.Now().UnixMilli()},
			nil, bearer.ReasonMalformedClaims,
			"exp is before 1970 or after the year 9999", "seconds since 1970",
		},
		"sub a number": {nil, c{"sub": 1}, nil, bearer.ReasonMalformedClaims, "sub is a number, not a string", "sub as a string"},
		"jti null":     {nil, c{"jti": json.RawMessage("null")}, nil, bearer.ReasonMalformedClaims, "jti is null, not a string", "jti"},
		"client_id an array": {
			nil, c{"client_id": []int{1}}, nil, bearer.ReasonMalformedClaims, "client_id is an array, not a string", "client_id",
		},
		"a named client claim": {
			nil, c{"cid": 1}, []bearer.IssuerOption{bearer.ClientIDClaim("cid")}, bearer.ReasonMalformedClaims, "cid is a number, not a string", "cid",
		},
		"aud a number":            {nil, c{"aud": 1}, nil, bearer.ReasonMalformedClaims, "aud is a number, not a string or an array of strings", "aud"},
		"aud with a number in it": {nil, c{"aud": []any{"a", 1}}, nil, bearer.ReasonMalformedClaims, "aud is an array with an element that is not a string", "aud"},
		"another audience claim": {
			nil, c{"azp": 1}, []bearer.IssuerOption{bearer.AudienceClaim("azp")}, bearer.ReasonMalformedClaims, "azp is a number, not a string or an array", "azp",
		},
		"at_hash":        {plain, c{"at_hash": "x"}, nil, bearer.ReasonNotAccessToken, "has at_hash, which marks an ID token", "InsecureIDTokens"},
		"c_hash":         {plain, c{"c_hash": "x"}, nil, bearer.ReasonNotAccessToken, "has c_hash", "InsecureIDTokens"},
		"s_hash":         {plain, c{"s_hash": "x"}, nil, bearer.ReasonNotAccessToken, "has s_hash", "InsecureIDTokens"},
		"token_use":      {plain, c{"token_use": "id"}, nil, bearer.ReasonNotAccessToken, `token_use is "id"`, "InsecureIDTokens"},
		"token_use, odd": {plain, c{"token_use": c{}}, nil, bearer.ReasonNotAccessToken, `token_use is an object`, "send its access token"},
		"typ ID":         {plain, c{"typ": "ID"}, nil, bearer.ReasonNotAccessToken, `typ is "ID"`, "InsecureIDTokens"},
		"typ Refresh":    {plain, c{"typ": "Refresh"}, nil, bearer.ReasonNotAccessToken, `typ is "Refresh"`, "send its access token"},
		"events":         {plain, c{"events": c{}}, nil, bearer.ReasonNotAccessToken, "has events, which marks a logout token", "send its access token"},
		"none of the claims": {
			nil, nil, []bearer.IssuerOption{bearer.AnyClaimPresent("scp", "roles")}, bearer.ReasonNotAccessToken, `none of the claims "scp", "roles"`, "AnyClaimPresent",
		},
		"another audience": {
			nil,
			c{"aud": []string{"a", "b"}},
			[]bearer.IssuerOption{bearer.Audiences("x")},
			bearer.ReasonAudience,
			`aud is "a", "b"; this service is "https://api.test", "x"`, "Audiences",
		},
		"many audiences": {
			nil, c{"aud": []string{"a", "b", "d", "e", "f", "g"}}, nil, bearer.ReasonAudience, `aud is "a", "b", "d", "e" and 2 more;`, "Audiences",
		},
		"no audience":    {nil, c{"aud": nil}, nil, bearer.ReasonAudience, "has no aud", "AudienceClaim"},
		"an empty array": {nil, c{"aud": []string{}}, nil, bearer.ReasonAudience, "has no aud", "AudienceClaim"},
		"no other audience claim": {
			nil, c{"aud": nil}, []bearer.IssuerOption{bearer.AudienceClaim("azp")}, bearer.ReasonAudience, "has no azp", "request a token for this service",
		},
		"aud beside another audience claim": {
			nil, c{"aud": "other", "azp": "https://api.test"}, []bearer.IssuerOption{bearer.AudienceClaim("azp")}, bearer.ReasonAudience, `aud is "other"`, "Audiences",
		},
		"Keycloak's account": {nil, c{"aud": "account"}, nil, bearer.ReasonAudience, `aud is "account"`, "audience mapper"},
		"Microsoft Graph": {
			nil, c{"aud": "00000003-0000-0000-c000-000000000000"}, nil, bearer.ReasonAudience, "a Microsoft Graph token", "scope of this API",
		},
		"a DPoP key":    {nil, c{"cnf": c{"jkt": "x"}}, nil, bearer.ReasonSenderConstrained, "bound to a DPoP key", "InsecureIgnoreConfirmation"},
		"a certificate": {nil, c{"cnf": c{"x5t#S256": "x"}}, nil, bearer.ReasonSenderConstrained, "bound to a client certificate", "InsecureIgnoreConfirmation"},
		"another key":   {nil, c{"cnf": 1}, nil, bearer.ReasonSenderConstrained, "bound to a key (cnf)", "InsecureIgnoreConfirmation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cause := claimCause(t, issuer, issuer.Sign(tt.header, tt.claims), tt.want, tt.opts...)
			found, remedy, _ := strings.Cut(cause, "; ")
			if says, _, _ := strings.Cut(tt.says, ";"); !strings.Contains(cause, tt.says) || !strings.Contains(found, says) {
				t.Errorf("cause %q, want %q", cause, tt.says)
			}
			if !strings.Contains(remedy, tt.helps) {
				t.Errorf("remedy %q, want %q", remedy, tt.helps)
			}
		})
	}
}

// Times are told in seconds, with the leeway.
func TestTimesInCausesAreExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		now := time.Now()
		at := func(d time.Duration) time.Time { return now.Add(d) }
		for name, tt := range map[string]struct {
			claims c
			opt    bearer.IssuerOption
			want   bearer.Reason
			says   string
		}{
			"expired":          {c{"exp": at(-95 * time.Second)}, bearer.Leeway(30 * time.Second), bearer.ReasonExpired, "exp passed 95 s ago, and the leeway is 30s; "},
			"just now":         {c{"exp": at(0)}, bearer.Leeway(0), bearer.ReasonExpired, "exp passed 0 s ago, and the leeway is 0s; "},
			"expired in 1970":  {c{"exp": 1}, bearer.Leeway(0), bearer.ReasonExpired, fmt.Sprintf("exp passed %d s ago", now.Unix()-1)},
			"not yet":          {c{"nbf": at(time.Hour)}, bearer.Leeway(time.Minute), bearer.ReasonNotYetValid, "nbf is 3600 s in the future, and the leeway is 1m0s; "},
			"in the year 9999": {c{"exp": int64(253402300799), "nbf": int64(253402300799)}, bearer.Leeway(0), bearer.ReasonNotYetValid, fmt.Sprintf("nbf is %d s in the future", 253402300799-now.Unix())},
			"issued too late":  {c{"iat": at(31 * time.Second)}, bearer.Leeway(30 * time.Second), bearer.ReasonIssuedInFuture, "issued 31 s in the future, and the leeway is 30s; "},
			"lives for too long": {
				c{"iat": now, "exp": at(2 * time.Hour)}, bearer.MaxLifetime(time.Hour), bearer.ReasonLifetime, "exp is 7200 s after iat, and MaxLifetime is 1h0m0s; ",
			},
		} {
			if cause := claimCause(t, issuer, issuer.Token(tt.claims), tt.want, tt.opt); !strings.HasPrefix(cause, tt.says) {
				t.Errorf("%s: cause %q, want %q", name, cause, tt.says)
			} else if tt.want != bearer.ReasonLifetime && !strings.Contains(cause, "Leeway") {
				t.Errorf("%s: cause %q names no option", name, cause)
			}
		}
	})
}

// A claims set that has two readings is refused with a fixed text: its names are not told.
func TestUnreadableClaimsHaveAFixedCause(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	payload := string(payloadOf(t, issuer.Token()))
	for name, tt := range map[string]struct{ more, says string }{
		"a name twice": {`,"canary":1,"canary":2`, "a member name occurs twice in one object"},
		"not UTF-8":    {",\"canary\":\"\xff\"", "not UTF-8"},
		"malformed":    {`,"canary":01`, "malformed"},
		"too deep":     {`,"canary":` + strings.Repeat("[", 32) + strings.Repeat("]", 32), "nested too deeply"},
	} {
		t.Run(name, func(t *testing.T) {
			token := issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload[:len(payload)-1]+tt.more+"}"))
			cause := claimCause(t, issuer, token, bearer.ReasonMalformedClaims)
			if !strings.Contains(cause, tt.says) || strings.Contains(cause, "canary") || !strings.Contains(cause, "; ") {
				t.Errorf("cause %q", cause)
			}
		})
	}
}

// What is found before the signature is verified has a fixed cause, too.
func TestUnverifiedClaimsHaveAFixedCause(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	for _, payload := range []string{"canary", `["canary"]`, `{"canary"`, "{\"canary\":\"\xff\"}"} {
		cause := claimCause(t, issuer, issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload)), bearer.ReasonMalformedClaims)
		if cause != "the claims set is not one strict JSON object; have the issuer write one JSON object in UTF-8" {
			t.Errorf("cause %q", cause)
		}
	}
	legacy := bearertest.NewIssuer(bearertest.WithAlgorithm("HS256"))
	cause := claimCause(t, legacy, forged(legacy.Token()), bearer.ReasonSignature, bearer.HMACSecret(legacy.Secrets()...))
	if !strings.Contains(cause, "none of the issuer's secrets") || !strings.Contains(cause, "HMACSecret") || !strings.Contains(cause, "base64") {
		t.Errorf("cause %q", cause)
	}
}

// A value that the issuer signed is quoted, and cut, whatever it is. causeOf looks for control
// characters and at the length.
func TestSignedValuesInCausesAreQuotedAndCut(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	plain := c{"typ": "JWT"}
	var controls strings.Builder
	for controls.Len() < 1<<10 {
		controls.WriteString("\x1b[2J\r\n\u2028\u202e\x00\u0085\x7f\"\\")
	}
	for name, value := range map[string]string{
		"control characters": controls.String(), "1 KB": strings.Repeat("x", 1<<10), "quotes": strings.Repeat(`"`, 1<<10),
		"NULs": strings.Repeat("\x00", 256), "four bytes each": strings.Repeat("\U0001F511", 256), "not printable": strings.Repeat("\U0010ffff", 256),
	} {
		t.Run(name, func(t *testing.T) {
			for _, cause := range []string{
				claimCause(t, issuer, issuer.Token(c{"aud": value}), bearer.ReasonAudience),
				claimCause(t, issuer, issuer.Token(c{"aud": []string{value, value, value, value, value}}), bearer.ReasonAudience),
				claimCause(t, issuer, issuer.Token(c{"azp": value}), bearer.ReasonAudience, bearer.AudienceClaim("azp")),
				claimCause(t, issuer, issuer.Sign(plain, c{"token_use": value}), bearer.ReasonNotAccessToken),
			} {
				start := strings.Index(cause, `"`)
				quoted := cause[start:]
				end := strings.Index(quoted, `"...`)
				if end < 0 || end+1 > len(`""`)+64 {
					t.Errorf("cause %q, want a value of 64 bytes at most", cause)
				}
			}
			for _, claims := range []c{{"exp": value}, {"nbf": value}, {"sub": []string{value}}, {"jti": c{value: 1}}, {"aud": c{value: 1}}} {
				if cause := claimCause(t, issuer, issuer.Token(claims), bearer.ReasonMalformedClaims); strings.Contains(cause, `"`) {
					t.Errorf("cause %q has something of the value", cause)
				}
			}
			for _, claims := range []c{{"at_hash": value}, {"events": c{value: 1}}, {"token_use": []string{value}}} {
				if cause := claimCause(t, issuer, issuer.Sign(plain, claims), bearer.ReasonNotAccessToken); strings.Contains(cause, "...") {
					t.Errorf("cause %q has something of the value", cause)
				}
			}
		})
	}
	exact := strings.Repeat("x", 64)
	if cause := claimCause(t, issuer, issuer.Token(c{"aud": exact}), bearer.ReasonAudience); !strings.Contains(cause, `"`+exact+`";`) {
		t.Errorf("cause %q, want 64 bytes whole", cause)
	}
	if cause := claimCause(t, issuer, issuer.Token(c{"aud": exact + "x"}), bearer.ReasonAudience); !strings.Contains(cause, `"`+exact+`"...;`) {
		t.Errorf("cause %q, want 64 bytes of 65", cause)
	}
}

// The signature of a token for Microsoft Graph is made over another header, so that no other service
// can verify it. Nothing but a fixed text comes of what such a token says.
func TestGraphTokenIsNamedInTheCause(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer(bearertest.WithAlgorithm("RS256"))
	elliptic := bearertest.NewIssuer()
	forge := func(of *bearertest.Issuer, header, claims c) string { return forged(of.Sign(header, claims)) }
	filler := strings.Repeat("x", 2<<10)
	for name, tt := range map[string]struct {
		issuer *bearertest.Issuer
		token  string
		graph  bool
	}{
		"nonce in the header":      {issuer, forge(issuer, c{"nonce": "x"}, nil), true},
		"the id as aud":            {issuer, forge(issuer, nil, c{"aud": "00000003-0000-0000-c000-000000000000"}), true},
		"the URL as aud":           {issuer, forge(issuer, nil, c{"aud": "https://graph.microsoft.com"}), true},
		"the URL with a slash":     {issuer, forge(issuer, nil, c{"aud": "https://graph.microsoft.com/"}), true},
		"nonce in the claims":      {issuer, forge(issuer, nil, c{"nonce": "x"}), false},
		"another aud":              {issuer, forge(issuer, nil, c{"aud": "https://graph.microsoft.com.example"}), false},
		"aud in an array":          {issuer, forge(issuer, nil, c{"aud": []string{"https://graph.microsoft.com"}}), false},
		"no aud":                   {issuer, forge(issuer, nil, c{"aud": nil}), false},
		"aud after much else":      {issuer, forge(issuer, nil, c{"aud": "https://graph.microsoft.com", "a": filler}), false},
		"another algorithm":        {elliptic, forge(elliptic, c{"nonce": "x"}, nil), false},
		"just a bad signature":     {issuer, forge(issuer, nil, nil), false},
		"a bad signature, 1 KB of": {issuer, forge(issuer, c{"nonce": strings.Repeat("\x1b\r\n", 400)}, nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newAuth(t, tt.issuer).Guard().Verify(t.Context(), tt.token)
			if reasonOf(t, err) != bearer.ReasonSignature {
				t.Fatal(err)
			}
			cause := errors.Unwrap(err)
			if named := cause != nil && strings.Contains(cause.Error(), "Microsoft Graph"); named != tt.graph {
				t.Errorf("cause %v", cause)
			}
			if cause != nil && strings.ContainsAny(cause.Error(), "\x1b\r\n") {
				t.Errorf("cause %q", cause)
			}
		})
	}
	wantReason(t, newAuth(t, issuer), issuer.Sign(c{"nonce": "x"}), "") // a good signature is good
}

// A cause names its rule by an id that docs/rules.md has.
func TestCausesNameRulesOfThePage(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool)
	for _, row := range tableRows(t, "docs/rules.md", "", rulesColumns) {
		documented[codeOf(row[0])[0]] = true
	}
	id := regexp.MustCompile(`^"((claims|jws|key|request|route|guard)\.[a-z-]+)"$`)
	named := 0
	for _, file := range goFiles(t) {
		if path.Dir(file.path) != "." || strings.HasSuffix(file.path, "_test.go") {
			continue
		}
		ast.Inspect(file.syntax, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && id.MatchString(text.Value) {
				named++
				if rule := id.FindStringSubmatch(text.Value)[1]; !documented[rule] {
					t.Errorf("%s names %s, which docs/rules.md does not have", file.path, rule)
				}
			}
			return true
		})
	}
	if named == 0 {
		t.Error("no cause names a rule")
	}
}
