package bearertest_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/golang-jwt/jwt/v5"
)

func TestEveryAlgorithmSignsWhatItsPublishedKeyVerifies(t *testing.T) {
	t.Parallel()
	for _, name := range algorithms {
		t.Run(name, func(t *testing.T) {
			if name == "Ed25519" {
				// The judge knows the algorithm by its older name alone.
				jwt.RegisterSigningMethod(name, func() jwt.SigningMethod { return jwt.SigningMethodEdDSA })
			}
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(name))
			if issuer.Algorithm() != name {
				t.Errorf("Algorithm() = %q", issuer.Algorithm())
			}
			keySet := fetchKeys(t, issuer)
			if err := issuertest.Verify(keySet, issuer.Token()); err != nil {
				t.Errorf("its token is refused: %v", err)
			}
			other := bearertest.NewIssuer(bearertest.WithAlgorithm(name))
			if other.KeyID() == issuer.KeyID() {
				t.Error("two issuers share a key")
			}
			if err := issuertest.Verify(keySet, other.Sign(bearertest.Claims{"kid": issuer.KeyID()})); err == nil {
				t.Error("a token signed by another issuer's key is accepted")
			}

			var set struct{ Keys []map[string]string }
			if err := json.Unmarshal(keySet, &set); err != nil || len(set.Keys) != 1 {
				t.Fatalf("the key set is %s", keySet)
			}
			published := set.Keys[0]
			if published["kid"] != issuer.KeyID() || published["alg"] != name || published["use"] != "sig" {
				t.Errorf("the published key says %v", published)
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if _, found := published[private]; found {
					t.Errorf("the published key has the private member %q", private)
				}
			}
			publicKeyFits(t, name, issuer.PublicKey())
		})
	}
}

// The thumbprint of RFC 7638 section 3 is taken here from the published key: its required members, sorted, without spaces.
func TestKeyIDIsTheThumbprintOfTheKey(t *testing.T) {
	for _, test := range []struct{ algorithm, canonical string }{
		{"RS256", `{"e":"%[1]s","kty":"RSA","n":"%[2]s"}`},
		{"ES512", `{"crv":"P-521","kty":"EC","x":"%[3]s","y":"%[4]s"}`},
		{"EdDSA", `{"crv":"Ed25519","kty":"OKP","x":"%[3]s"}`},
	} {
		t.Run(test.algorithm, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(test.algorithm))
			var set struct{ Keys []map[string]string }
			if err := json.Unmarshal(issuer.KeySet(), &set); err != nil {
				t.Fatal(err)
			}
			key := set.Keys[0]
			hash := crypto.SHA256.New()
			_, _ = fmt.Fprintf(hash, test.canonical, key["e"], key["n"], key["x"], key["y"])
			if want := base64.RawURLEncoding.EncodeToString(hash.Sum(nil)); issuer.KeyID() != want {
				t.Errorf("KeyID() = %q, want %q", issuer.KeyID(), want)
			}
		})
	}
}

// The whole way, in a bubble: the middleware finds the keys through the in-process client, and the token expires without
// anybody waiting for it. Nothing is left running behind either, or the bubble would fail the test.
func TestTokensAreGoodUntilTheyExpire(t *testing.T) {
	t.Parallel()
	for _, name := range algorithms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(name))
				auth, err := bearer.New(
					bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Algorithms(name), bearer.Leeway(0)),
					bearer.WithHTTPClient(issuer.Client()),
				)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = auth.Close() }()
				token := issuer.Token()
				<-time.After(5*time.Minute - time.Second)
				if _, err := auth.Guard().Verify(t.Context(), token); err != nil {
					t.Errorf("a second before its expiry the token is refused: %v", err)
				}
				<-time.After(time.Second)
				var refusal *bearer.Error
				if _, err := auth.Guard().Verify(t.Context(), token); !errors.As(err, &refusal) || refusal.Reason() != bearer.ReasonExpired {
					t.Errorf("at its expiry: %v", err)
				}
			})
		})
	}
}

func TestTokenIsAnAccessTokenOfRFC9068(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		_, members := issuertest.Parts(t, issuer.Token())
		if want := (map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": issuer.KeyID()}); !maps.Equal(members[0], want) {
			t.Errorf("header %v, want %v", members[0], want)
		}
		now := float64(time.Now().Unix())
		jti, _ := members[1]["jti"].(string)
		want := map[string]any{
			"iss": "https://issuer.test", "sub": "alice", "aud": "https://api.test", "client_id": "test-client",
			"iat": now, "exp": now + 300, "jti": jti,
		}
		if !maps.Equal(members[1], want) {
			t.Errorf("claims %v, want %v", members[1], want)
		}
		if _, again := issuertest.Parts(t, issuer.Token()); jti == "" || again[1]["jti"] == jti {
			t.Errorf("two tokens have the jti %q and %q", jti, again[1]["jti"])
		}
	})
}

func TestClaimsReplaceTheStandardOnes(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 999, time.FixedZone("", 3600))
	shared := bearertest.Claims{"scope": "orders:read"}
	issuer := bearertest.NewIssuer(
		bearertest.WithAudience("orders"),
		bearertest.WithDefaultClaims(shared),
		bearertest.WithDefaultClaims(bearertest.Claims{"client_id": nil}),
	)
	shared["scope"] = "changed after the issuer was made"

	for name, test := range map[string]struct {
		claims []bearertest.Claims
		want   map[string]any
	}{
		"default claims":           {nil, map[string]any{"scope": "orders:read", "client_id": nil, "aud": "orders"}},
		"a given one wins":         {[]bearertest.Claims{{"scope": "x", "sub": "bob"}}, map[string]any{"scope": "x", "sub": "bob"}},
		"the last given wins":      {[]bearertest.Claims{{"sub": "bob"}, {"sub": "carol"}}, map[string]any{"sub": "carol"}},
		"nil removes":              {[]bearertest.Claims{{"exp": nil, "scope": nil}}, map[string]any{"exp": nil, "scope": nil}},
		"a removed one may return": {[]bearertest.Claims{{"sub": nil}, {"sub": "dave"}}, map[string]any{"sub": "dave"}},
		"a time is a NumericDate": {
			[]bearertest.Claims{{"exp": at, "auth_time": at}},
			map[string]any{"exp": float64(at.Unix()), "auth_time": float64(at.Unix())},
		},
		"a value of any type": {
			[]bearertest.Claims{{"aud": []string{"a", "b"}, "exp": 1.5}},
			map[string]any{"aud": []any{"a", "b"}, "exp": 1.5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw, members := issuertest.Parts(t, issuer.Token(test.claims...))
			for claim, want := range test.want {
				got, found := members[1][claim]
				if want == nil && found || !reflect.DeepEqual(got, want) {
					t.Errorf("%s is %v in %s, want %v", claim, got, raw[1], want)
				}
			}
		})
	}
	t.Run("a JSON null", func(t *testing.T) {
		raw, members := issuertest.Parts(t, issuer.Token(bearertest.Claims{"sub": json.RawMessage("null")}))
		if value, found := members[1]["sub"]; !found || value != nil {
			t.Errorf("sub is not null in %s", raw[1])
		}
	})
}

func TestSignSetsTheGivenHeaderMembers(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Sign(bearertest.Claims{"typ": nil, "alg": "none", "crit": []string{"exp"}}, bearertest.Claims{"sub": "bob"})
	_, members := issuertest.Parts(t, token)
	want := map[string]any{"alg": "none", "kid": issuer.KeyID(), "crit": []any{"exp"}}
	if !reflect.DeepEqual(members[0], want) {
		t.Errorf("header %v, want %v", members[0], want)
	}
	if members[1]["sub"] != "bob" || members[1]["iss"] != issuer.URL() {
		t.Errorf("claims %v", members[1])
	}
	// The lie is the token's only fault: the signature over it is the key's.
	if err := verifySignature(issuer, token); err != nil {
		t.Error(err)
	}
}

func TestSignRawSignsTheBytesAsTheyAre(t *testing.T) {
	issuer := bearertest.NewIssuer()
	header, payload := `{"alg":"ES256","alg":"none"}`, "\xff not even JSON\r\n"
	token := issuer.SignRaw([]byte(header), []byte(payload))
	if raw, _ := issuertest.Parts(t, token); raw != [2]string{header, payload} {
		t.Errorf("the token holds %q", raw)
	}
	if err := verifySignature(issuer, token); err != nil {
		t.Error(err)
	}
}

func TestRotateKeepsThePreviousKeyPublished(t *testing.T) {
	issuer := bearertest.NewIssuer()
	first, firstID := issuer.Token(), issuer.KeyID()
	issuer.Rotate()
	second, secondID := issuer.Token(), issuer.KeyID()
	if firstID == secondID {
		t.Fatal("the key is the same after Rotate")
	}
	if _, members := issuertest.Parts(t, second); members[0]["kid"] != secondID {
		t.Errorf("the new token names the key %v, want %s", members[0]["kid"], secondID)
	}
	for name, token := range map[string]string{"before": first, "after": second} {
		if err := issuertest.Verify(fetchKeys(t, issuer), token); err != nil {
			t.Errorf("the token signed %s the rotation is refused: %v", name, err)
		}
	}
	issuer.Rotate()
	if err := issuertest.Verify(fetchKeys(t, issuer), second); err != nil {
		t.Errorf("the previous key's token is refused: %v", err)
	}
	if err := issuertest.Verify(fetchKeys(t, issuer), first); err == nil {
		t.Error("the key before the previous one is still published")
	}
}

func TestRotateBeforeFirstUseMakesOneKey(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.Rotate()
	if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
		t.Error(err)
	}
}

// A key set without overlap has one key, and so no place for the one that was withdrawn.
func TestRotateWithoutOverlapWithdrawsEveryOlderKey(t *testing.T) {
	issuer := bearertest.NewIssuer()
	first := issuer.Token()
	issuer.Rotate()
	second := issuer.Token()
	issuer.RotateWithoutOverlap()
	keySet := fetchKeys(t, issuer)
	if err := issuertest.Verify(keySet, issuer.Token()); err != nil {
		t.Errorf("the new key's token is refused: %v", err)
	}
	for name, token := range map[string]string{"previous": second, "first": first} {
		if err := issuertest.Verify(keySet, token); err == nil {
			t.Errorf("the %s key is still published", name)
		}
	}
	third := issuer.Token()
	issuer.Rotate()
	if err := issuertest.Verify(fetchKeys(t, issuer), third); err != nil {
		t.Errorf("Rotate withdraws a key that was current: %v", err)
	}
}

// RFC 9110 section 13.1.2: a list of entity tags, of which one matches by the weak comparison, or "*".
func TestKeySetIsNotSentToAClientThatHasIt(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithCacheControl("max-age=60"))
	tag := conditional(t, issuer, http.MethodGet).Header.Get("ETag")
	if len(tag) < 20 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Fatalf("the ETag is %s, want a strong one", tag)
	}
	for name, test := range map[string]struct {
		lines []string
		want  int
	}{
		"no condition":               {nil, 200},
		"the tag":                    {[]string{tag}, 304},
		"the tag as a weak one":      {[]string{"W/" + tag}, 304},
		"a small w":                  {[]string{"w/" + tag}, 200},
		"a space after W/":           {[]string{"W/ " + tag}, 200},
		"another tag":                {[]string{`"other"`}, 200},
		"the tag without quotes":     {[]string{strings.Trim(tag, `"`)}, 200},
		"the tag without its end":    {[]string{strings.TrimSuffix(tag, `"`)}, 200},
		"a beginning of the tag":     {[]string{tag[:10] + `"`}, 200},
		"last in a list":             {[]string{`"other", W/"weak" ,` + tag}, 304},
		"first in a list":            {[]string{tag + `,"other"`}, 304},
		"a list with empty elements": {[]string{`, ,"other",,` + tag + ","}, 304},
		"a list without it":          {[]string{`"other", "another"`}, 200},
		"in another line":            {[]string{`"other"`, tag}, 304},
		"behind a comma in a tag":    {[]string{`"a,b", ` + tag}, 304},
		"behind a backslash":         {[]string{`"a\", ` + tag}, 304},
		"behind bytes beyond ASCII":  {[]string{"\"\xe4\xff\", " + tag}, 304},
		"an empty tag":               {[]string{`"", ` + tag}, 304},
		"inside another tag":         {[]string{`"a` + strings.Trim(tag, `"`) + `"`}, 200},
		"behind what is no tag":      {[]string{"other, " + tag}, 200},
		"without a comma":            {[]string{`"other" ` + tag}, 200},
		"any":                        {[]string{"*"}, 304},
		"any, with spaces":           {[]string{" * "}, 304},
		"a star as a tag":            {[]string{`"*"`}, 200},
		"a star in a list":           {[]string{`"other", *`}, 200},
		"empty":                      {[]string{""}, 200},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(name+" "+method, func(t *testing.T) {
				got := conditional(t, issuer, method, test.lines...)
				if got.StatusCode != test.want {
					t.Fatalf("status %d, want %d", got.StatusCode, test.want)
				}
				if got.Header.Get("ETag") != tag || got.Header.Get("Cache-Control") != "max-age=60" {
					t.Errorf("the header is %v", got.Header)
				}
				wantBody := ""
				if test.want == http.StatusOK && method == http.MethodGet {
					wantBody = string(issuer.KeySet())
				}
				if string(got.Content) != wantBody {
					t.Errorf("the body is %q", got.Content)
				}
			})
		}
	}
}

func TestETagIsThatOfTheContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		seen := make(map[string]string)
		tag := func(name string) string {
			t.Helper()
			tag := conditional(t, issuer, http.MethodGet).Header.Get("ETag")
			if before, found := seen[tag]; found || tag == "" {
				t.Errorf("%s: the ETag is %q, which is that of %q", name, tag, before)
			}
			seen[tag] = name
			if again := conditional(t, issuer, http.MethodGet, tag); again.StatusCode != http.StatusNotModified {
				t.Errorf("%s: who has it gets %d", name, again.StatusCode)
			}
			return tag
		}
		tag("at first")
		issuer.Rotate()
		rotated := tag("Rotate")
		issuer.SetFault(bearertest.EmptyKeys)
		tag("EmptyKeys")
		for _, kind := range slices.Concat(badEntries, badDocuments) {
			issuer.SetFault(kind)
			tag(string(kind))
		}
		for _, fault := range []bearertest.Fault{bearertest.Slow(time.Second), bearertest.Drip, bearertest.NoFault} {
			issuer.SetFault(fault)
			got := conditional(t, issuer, http.MethodGet, rotated)
			if got.StatusCode != http.StatusNotModified || got.Header.Get("ETag") != rotated {
				t.Errorf("%s: who has the right answer gets %d, %s", fault, got.StatusCode, got.Header.Get("ETag"))
			}
		}
		for _, fault := range []bearertest.Fault{bearertest.Down, bearertest.HTML200} {
			issuer.SetFault(fault)
			got := conditional(t, issuer, http.MethodGet, rotated)
			if got.StatusCode == http.StatusNotModified || got.Header.Get("ETag") != "" {
				t.Errorf("%s: who has the right answer gets %d, %s", fault, got.StatusCode, got.Header.Get("ETag"))
			}
		}
	})
}

func TestCacheControlIsThatOfTheKeySet(t *testing.T) {
	const value = "public,\tmax-age=300"
	for name, test := range map[string]struct {
		opts []bearertest.IssuerOption
		want []string
	}{
		"none": {nil, nil},
		"one":  {[]bearertest.IssuerOption{bearertest.WithCacheControl(value)}, []string{value}},
		"the later": {
			[]bearertest.IssuerOption{bearertest.WithCacheControl("no-store"), bearertest.WithCacheControl(value)}, []string{value},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(test.opts...)
				header := func(path string) []string {
					got, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), http.MethodGet, issuer.URL()+path, nil))
					if err != nil {
						t.Fatal(err)
					}
					return got.Header.Values("Cache-Control")
				}
				if got := header("/jwks"); !slices.Equal(got, test.want) {
					t.Errorf("Cache-Control %q, want %q", got, test.want)
				}
				issuer.SetFault(bearertest.EmptyKeys)
				if got := header("/jwks"); !slices.Equal(got, test.want) {
					t.Errorf("without keys: Cache-Control %q, want %q", got, test.want)
				}
				if got := header(discoveryPath); got != nil {
					t.Errorf("the discovery document has Cache-Control %q", got)
				}
				issuer.SetFault(bearertest.Down)
				if got := header("/jwks"); got != nil {
					t.Errorf("while down: Cache-Control %q", got)
				}
			})
		})
	}
}

func TestFetchesAndRequestsCountWhatReachesTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		count := func(want [2]int) {
			t.Helper()
			if got := [2]int{issuer.Fetches(), issuer.Requests()}; got != want {
				t.Errorf("Fetches, Requests = %v, want %v", got, want)
			}
		}
		issuer.Token()
		count([2]int{0, 0})
		fetchKeys(t, issuer)
		count([2]int{1, 2})
		get(t, issuer.Client(), issuer.URL()+"/nothing")
		count([2]int{1, 3})
		issuer.SetFault(bearertest.Down)
		get(t, issuer.Client(), issuer.URL()+"/jwks")
		count([2]int{2, 4})
	})
}

// A handler beside the issuer is counted, and a fault stands in front of it.
func TestHandleAnswersForAPath(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithURL("https://issuer.test/realms/shop/"))
	issuer.Handle("/userinfo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Method, " ", r.URL.Path)
	}))
	ask := func(method, path string) (int, string) {
		t.Helper()
		got, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), method, "https://issuer.test"+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, string(got.Content)
	}
	if status, body := ask(http.MethodPost, "/realms/shop/userinfo"); status != http.StatusOK || body != "POST /realms/shop/userinfo" {
		t.Errorf("the handler's path answers %d, %s", status, body)
	}
	if status, _ := ask(http.MethodGet, "/userinfo"); status != http.StatusNotFound {
		t.Errorf("the same path beside the issuer's URL answers %d", status)
	}
	issuer.SetFault(bearertest.Down)
	if status, _ := ask(http.MethodGet, "/realms/shop/userinfo"); status != http.StatusServiceUnavailable {
		t.Errorf("while down the handler's path answers %d", status)
	}
	if got := issuer.RequestsTo("/userinfo"); got != 2 || issuer.Requests() != 3 || issuer.RequestsTo("") != 0 {
		t.Errorf("%d requests to the path are counted, %d of all", got, issuer.Requests())
	}
}

func TestIssuerAnswersBelowItsURLAlone(t *testing.T) {
	const discovery = discoveryPath
	for _, test := range []struct {
		url, method, path string
		want              int
	}{
		{"https://issuer.test", "GET", "/jwks", 200},
		{"https://issuer.test", "HEAD", discovery, 200},
		{"https://issuer.test", "GET", "/", 404},
		{"https://issuer.test", "GET", "/jwks/", 404},
		{"https://issuer.test", "POST", "/jwks", 405},
		{"https://issuer.test/", "GET", discovery, 200}, // the slash at the end is dropped before the path is appended
		{"https://issuer.test/", "GET", "/jwks", 200},
		{"http://127.0.0.1:8080/realms/shop", "GET", "/realms/shop" + discovery, 200},
		{"http://127.0.0.1:8080/realms/shop", "GET", "/realms/shop/jwks", 200},
		{"http://127.0.0.1:8080/realms/shop", "GET", "/jwks", 404},
		{"http://127.0.0.1:8080/realms/shop", "GET", "/realms/shopping/jwks", 404},
	} {
		t.Run(test.method+" "+test.path+" of "+test.url, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithURL(test.url))
			if issuer.URL() != test.url {
				t.Errorf("URL() = %q", issuer.URL())
			}
			if _, members := issuertest.Parts(t, issuer.Token()); members[1]["iss"] != test.url {
				t.Errorf("iss is %v", members[1]["iss"])
			}
			response := httptest.NewRecorder()
			issuer.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil))
			if response.Code != test.want {
				t.Errorf("status %d, want %d", response.Code, test.want)
			}
		})
	}
	for _, url := range []string{"https://issuer.test/", "http://127.0.0.1:8080/realms/shop", "HTTPS://Issuer.test/%7Ea"} {
		t.Run("client of "+url, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithURL(url))
			if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIssuerServesSeveralBubbles(t *testing.T) {
	issuer := bearertest.NewIssuer()
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token(bearertest.Claims{"exp": nil})); err == nil {
				t.Error("a token without exp is accepted")
			}
			issuer.Rotate()
		})
	}
	if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
		t.Error(err)
	}
}

func TestNewServerIsReachedByAnyClient(t *testing.T) {
	issuer := bearertest.NewServer(t, bearertest.WithAudience("orders"), bearertest.WithAlgorithm("EdDSA"))
	if !strings.HasPrefix(issuer.URL(), "http://127.0.0.1:") || issuer.Audience() != "orders" {
		t.Errorf("URL %q, audience %q", issuer.URL(), issuer.Audience())
	}
	if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
		t.Error(err)
	}
	another := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if status, _, _ := get(t, another, issuer.URL()+"/jwks"); status != http.StatusOK {
		t.Errorf("a client of its own gets %d", status)
	}
	if issuer.Fetches() != 2 {
		t.Errorf("Fetches() = %d, want 2", issuer.Fetches())
	}
}

func TestNewServerEndsWithItsTest(t *testing.T) {
	var address string
	t.Run("test", func(t *testing.T) { address = bearertest.NewServer(t).URL() })
	client := &http.Client{Transport: &http.Transport{}}
	if _, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodGet, address+"/jwks", nil)); err == nil {
		t.Error("the server still answers after its test")
	}
}

func TestNewServerRefusesAURL(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...bearertest.IssuerOption) *bearertest.Issuer{
		"NewServer": bearertest.NewServer, "NewTLSServer": bearertest.NewTLSServer,
	} {
		text := fatal(t, func(tb testing.TB) {
			tb.Helper()
			start(tb, bearertest.WithURL("https://login.example.com"))
		})
		if !strings.Contains(text, name+": the option WithURL") {
			t.Errorf("%s: the test failed with %q", name, text)
		}
	}
}

func TestIssuerMisusePanicsWithAClearText(t *testing.T) {
	for name, misuse := range map[string]func(){
		`WithAlgorithm("none")`:       func() { bearertest.WithAlgorithm("none") },
		`WithAlgorithm("hs256")`:      func() { bearertest.WithAlgorithm("hs256") },
		`WithAlgorithm("es256")`:      func() { bearertest.WithAlgorithm("es256") },
		`WithAudience("")`:            func() { bearertest.WithAudience("") },
		`WithURL("")`:                 func() { bearertest.WithURL("") },
		`WithURL("issuer.test")`:      func() { bearertest.WithURL("issuer.test") },
		`WithURL("https://")`:         func() { bearertest.WithURL("https://") },
		`WithURL("ftp://a.test")`:     func() { bearertest.WithURL("ftp://a.test") },
		`WithURL("https://a.test?")`:  func() { bearertest.WithURL("https://a.test?") },
		`WithURL("https://a.test#")`:  func() { bearertest.WithURL("https://a.test#") },
		`WithURL("https://u@a.test")`: func() { bearertest.WithURL("https://u@a.test") },
		`WithURL("https://a.test/%")`: func() { bearertest.WithURL("https://a.test/%") },
		`WithCacheControl("")`:        func() { bearertest.WithCacheControl("") },
		`WithCacheControl(" \t")`:     func() { bearertest.WithCacheControl(" \t") },
		`WithCacheControl("a\nb")`:    func() { bearertest.WithCacheControl("a\nb") },
		`WithCacheControl("a\r")`:     func() { bearertest.WithCacheControl("a\r") },
		`WithCacheControl("a\x00")`:   func() { bearertest.WithCacheControl("a\x00") },
		`WithCacheControl("a\x7f")`:   func() { bearertest.WithCacheControl("a\x7f") },
		`Slow(0s)`:                    func() { bearertest.Slow(0) },
		`Slow(-1s)`:                   func() { bearertest.Slow(-time.Second) },
		`Busy(0s)`:                    func() { bearertest.Busy(0) },
		`Busy(1ms)`:                   func() { bearertest.Busy(time.Millisecond) },
		`SetFault("arsenic")`:         func() { bearertest.NewIssuer().SetFault("arsenic") },
		`SetFault("Down")`:            func() { bearertest.NewIssuer().SetFault("Down") },
		`SetFault("slow")`:            func() { bearertest.NewIssuer().SetFault("slow") },
		`SetFault("slow 7")`:          func() { bearertest.NewIssuer().SetFault("slow 7") },
		`SetFault("slow -1s")`:        func() { bearertest.NewIssuer().SetFault("slow -1s") },
		`SetFault("busy 1ms")`:        func() { bearertest.NewIssuer().SetFault("busy 1ms") },
		"cannot be written as JSON": func() {
			bearertest.NewIssuer().Token(bearertest.Claims{"sub": func() {}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "bearertest: "+name) {
					t.Errorf("the panic says %q", text)
				}
			}()
			misuse()
		})
	}
}

func TestIssuerIsSafeForConcurrentUse(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			token := issuer.Token(bearertest.Claims{"sub": fmt.Sprint(i)})
			if _, members := issuertest.Parts(t, token); members[1]["sub"] != fmt.Sprint(i) || members[1]["scope"] != "orders:read" {
				t.Errorf("claims %v", members[1])
			}
			if i%4 == 0 {
				issuer.Rotate()
				issuer.SetFault(bearertest.Down)
				issuer.SetFault(bearertest.EmptyKeys)
				issuer.SetFault(bearertest.PoisonDuplicateKeyID)
				issuer.RotateWithoutOverlap()
				issuer.SetFault(bearertest.NoFault)
			}
			_, _, _ = issuer.KeySet(), issuer.KeyID(), issuer.Requests()
			if _, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if issuer.Fetches() != 20 {
		t.Errorf("Fetches() = %d, want 20", issuer.Fetches())
	}
}

// A test may log its issuer while requests are under way: nothing that changes is looked at, and no
// private key is printed.
func TestIssuerPrintsAsItsURL(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.Token()
	const want = "bearertest.Issuer(https://issuer.test)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb, issuer); got != want {
			t.Errorf("%s prints %.60q, want %q", verb, got, want)
		}
	}
	if got := fmt.Sprintf("%v", struct{ Issuer *bearertest.Issuer }{issuer}); got != "{"+want+"}" {
		t.Errorf("a struct with an issuer prints %.60q", got)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			issuer.Rotate()
		}
	})
	for range 100 {
		_ = fmt.Sprint(issuer)
	}
	stop.Store(true)
	wg.Wait()
}
