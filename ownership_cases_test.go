package bearer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"go/types"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// hasList reports whether a function takes or returns a value whose copies share memory: a slice, a
// map, or a struct with one.
func hasList(signature *types.Signature) bool {
	var shares func(types.Type) bool
	shares = func(typ types.Type) bool {
		switch typ := typ.Underlying().(type) {
		case *types.Slice, *types.Map:
			return true
		case *types.Struct:
			for field := range typ.Fields() {
				if field.Exported() && shares(field.Type()) {
					return true
				}
			}
		}
		return false
	}
	for _, list := range []*types.Tuple{signature.Params(), signature.Results()} {
		for v := range list.Variables() {
			if shares(v.Type()) {
				return true
			}
		}
	}
	return false
}

// ownershipCases returns the cases by the function that takes or returns a list.
func ownershipCases() map[string]func(*testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"scope": "read write", "roles": []string{"clerk", "cook"}, "acr": "mfa"}))
	reader, writer := bearer.Scopes("read"), bearer.Scopes("write")
	unmet := bearer.Scopes("delete")

	// names is for requirements made of names, which no token has at first.
	names := func(of func(...string) bearer.Requirement, good string, want bearer.Reason) func(*testing.T) {
		return func(t *testing.T) {
			given := []string{"none"}
			req := of(given...)
			given[0] = good
			wantReason(t, newAuth(t, issuer), issuer.Token(), want, req)
		}
	}
	group := func(of func(...bearer.Requirement) bearer.Requirement) func(*testing.T) {
		return func(t *testing.T) {
			given := []bearer.Requirement{unmet}
			req := of(given...)
			given[0] = reader
			wantReason(t, newAuth(t, issuer), issuer.Token(), bearer.ReasonScope, req)
		}
	}
	source := func(of func(...string) bearer.TokenLocation, request func() *http.Request) func(*testing.T) {
		return func(t *testing.T) {
			given := []string{"here"}
			from := of(given...)
			given[0] = "there"
			if _, err := newAuth(t, issuer).Guard(bearer.TokensFrom(from)).Authenticate(request()); err != nil {
				t.Error(err)
			}
		}
	}
	// tuple is for options of an issuer; the token is good for what the option said when it was
	// made.
	tuple := func(t *testing.T, option bearer.IssuerOption, change func(), token string, reqs ...bearer.RouteOption) {
		t.Helper()
		change()
		wantReason(t, newTuple(t, issuer, option), token, "", reqs...)
	}
	// pinned is for sources of pinned keys, which are changed before they are used.
	pinned := func(of func(jwk c, key *ecdsa.PublicKey) (source jwks.Source, change func())) func(*testing.T) {
		return func(t *testing.T) {
			key := pairs()[0]
			public, ok := key.private.Public().(*ecdsa.PublicKey)
			if !ok {
				t.Fatal("not the key this is about")
			}
			own := *public
			source, change := of(merged(key.jwk, c{"kid": "a"}), &own)
			change()
			auth := mustNew(t, bearer.WithIssuer("https://one.example", "api", bearer.Keys(source)))
			claims := c{"iss": "https://one.example", "aud": "api", "exp": int64(4000000000)}
			wantReason(t, auth, signedBy(c{"alg": "ES256", "kid": "a"}, claims, "ES256", key.private), "")
		}
	}
	// fetched is for options of sources that are fetched: with the client they reach the issuer,
	// and with none they do not.
	fetched := func(of func(...jwks.Option) jwks.Source) func(*testing.T) {
		return func(t *testing.T) {
			given := []jwks.Option{jwks.WithHTTPClient(issuer.Client())}
			source := of(given...)
			given[0] = jwks.WithHTTPClient(&http.Client{Transport: unreachable{}})
			auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Keys(source)))
			wantReason(t, auth, issuer.Token(), "")
		}
	}
	returned := func(list func(*bearer.Claims) []string) func(*testing.T) {
		return func(t *testing.T) {
			claims := verified(t, newAuth(t, issuer), issuer.Token())
			want := slices.Clone(list(claims))
			clear(list(claims))
			if got := list(claims); len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	keySet := func(t *testing.T) *jwks.Set {
		set, err := jwks.New(jwks.Static(issuer.KeySet()))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}

	return map[string]func(*testing.T){
		"bearer.New": func(t *testing.T) {
			given := []bearer.Option{bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client())}
			auth := mustNew(t, given...)
			clear(given)
			wantReason(t, auth, issuer.Token(), "")
		},
		"bearer.Middleware.Handler": func(t *testing.T) {
			given, inner := []bearer.RouteOption{unmet}, &spy{}
			route := newAuth(t, issuer).Handler(inner, given...)
			given[0] = reader
			w := httptest.NewRecorder()
			if route.ServeHTTP(w, get("Bearer "+issuer.Token())); w.Code != http.StatusForbidden || inner.ran {
				t.Errorf("status %d", w.Code)
			}
		},
		"bearer.Middleware.Require": func(t *testing.T) {
			given, inner := []bearer.RouteOption{unmet}, &spy{}
			guard := newAuth(t, issuer).Require(given...)
			given[0] = reader
			route := guard(inner)
			given[0] = writer
			w := httptest.NewRecorder()
			if route.ServeHTTP(w, get("Bearer "+issuer.Token())); w.Code != http.StatusForbidden || inner.ran {
				t.Errorf("status %d", w.Code)
			}
		},
		"bearer.Middleware.Guard": func(t *testing.T) {
			auth, given := newAuth(t, issuer), []bearer.RouteOption{unmet}
			guard := auth.Guard(given...)
			given[0] = reader
			w := httptest.NewRecorder()
			_, err := guard.Authenticate(get("Bearer " + issuer.Token()))
			guard.WriteError(w, get(""), err)
			if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `scope="delete"`) {
				t.Errorf("challenge %q", got)
			}
		},
		"bearer.Middleware.NewGuard": func(t *testing.T) {
			given := []bearer.RouteOption{unmet}
			guard, err := newAuth(t, issuer).NewGuard(given...)
			if err != nil {
				t.Fatal(err)
			}
			given[0] = reader
			if _, err := guard.Verify(t.Context(), issuer.Token()); reasonOf(t, err) != bearer.ReasonScope {
				t.Errorf("error %v", err)
			}
		},
		"bearer.Scopes": names(bearer.Scopes, "read", bearer.ReasonScope),
		"bearer.Roles":  names(bearer.Roles, "clerk", bearer.ReasonRole),
		"bearer.ACR":    names(bearer.ACR, "mfa", bearer.ReasonAuthTooWeak),
		"bearer.All":    group(bearer.All),
		"bearer.Any":    group(bearer.Any),
		"bearer.TokensFrom": func(t *testing.T) {
			given := []bearer.TokenLocation{bearer.FromHeader()}
			req := bearer.TokensFrom(given...)
			given[0] = bearer.FromCookie()
			if _, err := newAuth(t, issuer).Guard(req).Authenticate(get("Bearer " + issuer.Token())); err != nil {
				t.Error(err)
			}
		},
		"bearer.FromHeader": source(bearer.FromHeader, func() *http.Request {
			r := get("")
			r.Header.Set("Here", issuer.Token())
			return r
		}),
		"bearer.FirstOf": func(t *testing.T) {
			given := []bearer.TokenLocation{bearer.FromHeader(), bearer.FromQuery()}
			from := bearer.FirstOf(given...)
			given[0] = bearer.FromCookie()
			if _, err := newAuth(t, issuer).Guard(bearer.TokensFrom(from)).Authenticate(inHeader(issuer.Token())); err != nil {
				t.Error(err)
			}
		},
		"bearer.Error.Challenges": func(t *testing.T) {
			refusal := bearer.Refusal(bearer.ReasonMissingToken)
			refusal.Challenges()[0] = "Basic"
			if got := refusal.Challenges(); !slices.Equal(got, []string{"Bearer"}) {
				t.Errorf("%q", got)
			}
		},
		"bearer.Token.MarshalText": func(t *testing.T) {
			text, _ := bearer.Token{}.MarshalText()
			clear(text)
			if got, _ := (bearer.Token{}).MarshalText(); string(got) != "bearer.Token{...}" {
				t.Errorf("%q", got)
			}
		},
		"bearer.FromCookie": source(bearer.FromCookie, func() *http.Request {
			r := get("")
			r.AddCookie(&http.Cookie{Name: "here", Value: issuer.Token()})
			return r
		}),
		"bearer.FromQuery": source(bearer.FromQuery, func() *http.Request {
			return httptest.NewRequest(http.MethodGet, "/?here="+issuer.Token(), nil)
		}),
		"bearer.FromForm": source(bearer.FromForm, func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("here="+issuer.Token()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}),
		"bearer.WithTokensFrom": func(t *testing.T) {
			given := []bearer.TokenLocation{bearer.FromHeader()}
			option := bearer.WithTokensFrom(given...)
			given[0] = bearer.FromCookie()
			if _, err := newAuth(t, issuer, option).Guard().Authenticate(get("Bearer " + issuer.Token())); err != nil {
				t.Error(err)
			}
		},
		"bearer.WithIssuer": func(t *testing.T) {
			given := []bearer.IssuerOption{bearer.Algorithms("ES256")}
			option := bearer.WithIssuer(issuer.URL(), issuer.Audience(), given...)
			given[0] = bearer.Algorithms("RS256")
			auth := mustNew(t, option, bearer.WithHTTPClient(issuer.Client()))
			wantReason(t, auth, issuer.Token(), "")
		},
		"bearer.NewRegistry": func(t *testing.T) {
			given := []bearer.RegistryOption{bearer.WithMaxIssuers(1)}
			registry := bearer.NewRegistry(given...)
			given[0] = bearer.WithMaxIssuers(0)
			mustNew(t, bearer.WithRegistry(registry))
		},
		"bearer.Registry.Add": func(t *testing.T) {
			registry, given := bearer.NewRegistry(), []bearer.IssuerOption{bearer.Algorithms("ES256")}
			if err := registry.Add(issuer.URL(), issuer.Audience(), given...); err != nil {
				t.Fatal(err)
			}
			given[0] = bearer.Algorithms("RS256")
			auth := mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(issuer.Client()))
			wantReason(t, auth, issuer.Token(), "")
		},
		"bearer.Audiences": func(t *testing.T) {
			given := []string{"ours"}
			tuple(t, bearer.Audiences(given...), func() { given[0] = "theirs" }, issuer.Token(c{"aud": "ours"}))
		},
		"bearer.Algorithms": func(t *testing.T) {
			given := []string{"ES256"}
			tuple(t, bearer.Algorithms(given...), func() { given[0] = "RS256" }, issuer.Token())
		},
		"bearer.TokenTypes": func(t *testing.T) {
			given := []string{"ours"}
			tuple(t, bearer.TokenTypes(given...), func() { given[0] = "theirs" }, issuer.Sign(c{"typ": "ours"}))
		},
		"bearer.HMACSecret": func(t *testing.T) {
			given := []byte(strings.Repeat("s", 32))
			option := bearer.HMACSecret(given)
			clear(given) // as one does with a secret
			auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", option))
			wantReason(t, auth, newPress().token("alice"), "")
			claims := c{"iss": pressIssuer, "aud": "api", "exp": int64(4000000000)}
			wantReason(t, auth, hmacToken(t, "HS256", given, claims), bearer.ReasonSignature)
		},
		"bearer.HMACSecretBesideKeys": func(t *testing.T) {
			given := []byte(strings.Repeat("s", 32))
			option := bearer.HMACSecretBesideKeys(given)
			clear(given)
			auth := mustNew(t, bearer.WithIssuer(pressIssuer, "api", option))
			wantReason(t, auth, newPress().token("alice"), "")
		},
		"bearer.ClientIDClaim": func(t *testing.T) {
			given := []string{"cid"}
			auth := newTuple(t, issuer, bearer.ClientIDClaim(given...))
			given[0] = "theirs"
			if id := verified(t, auth, issuer.Token(c{"cid": "ours"})).ClientID(); id != "ours" {
				t.Errorf("client %q", id)
			}
		},
		"bearer.ScopeClaim": func(t *testing.T) {
			given := []string{"ours"}
			tuple(t, bearer.ScopeClaim(given...), func() { given[0] = "theirs" }, issuer.Token(c{"ours": "a"}), bearer.Scopes("a"))
		},
		"bearer.RolesClaim": func(t *testing.T) {
			given := []string{"ours"}
			tuple(t, bearer.RolesClaim(given...), func() { given[0] = "theirs" }, issuer.Token(c{"ours": "a"}), bearer.Roles("a"))
		},
		"bearer.AnyClaimPresent": func(t *testing.T) {
			given := []string{"ours"}
			tuple(t, bearer.AnyClaimPresent(given...), func() { given[0] = "theirs" }, issuer.Token(c{"ours": 1}))
		},
		"bearer.WithResourceMetadata": func(t *testing.T) {
			given := bearer.ResourceMetadata{Resource: "https://api.example", Scopes: []string{"ours"}}
			option := bearer.WithResourceMetadata(given)
			given.Scopes[0] = "theirs"
			_, h := newAuth(t, issuer, option).ResourceMetadata()
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, get("")); !strings.Contains(w.Body.String(), `["ours"]`) {
				t.Errorf("document %s", w.Body)
			}
		},
		"bearer.Claims.Audience": returned((*bearer.Claims).Audience),
		"bearer.Claims.Scopes":   returned((*bearer.Claims).Scopes),
		"bearer.Claims.Roles":    returned((*bearer.Claims).Roles),
		"bearer.KeyStats.MarshalJSON": func(t *testing.T) {
			auth := newAuth(t, issuer)
			first, _ := auth.Stats().Issuers[0].MarshalJSON()
			clear(first)
			if second, err := auth.Stats().Issuers[0].MarshalJSON(); err != nil || !json.Valid(second) {
				t.Errorf("%q, %v", second, err)
			}
		},
		"bearer.Guard.Explain": func(t *testing.T) {
			guard, token := newAuth(t, issuer).Guard(reader), issuer.Token()
			first := guard.Explain(t.Context(), token)
			clear(first.Checks)
			clear(first.Token.Scopes)
			second := guard.Explain(t.Context(), token)
			if second.Checks[0].Rule == "" || second.Token.Scopes[0] != "read" {
				t.Errorf("report:\n%s", second)
			}
		},
		"bearer.Middleware.Stats": func(t *testing.T) {
			auth := newAuth(t, issuer)
			if clear(auth.Stats().Issuers); auth.Stats().Issuers[0].Issuer != issuer.URL() {
				t.Errorf("%+v", auth.Stats())
			}
		},

		"jwks.Static": pinned(func(jwk c, _ *ecdsa.PublicKey) (jwks.Source, func()) {
			document, _ := json.Marshal(c{"keys": []c{jwk}})
			return jwks.Static(document), func() { clear(document) }
		}),
		"jwks.PEM": pinned(func(_ c, key *ecdsa.PublicKey) (jwks.Source, func()) {
			der, _ := x509.MarshalPKIXPublicKey(key)
			block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return jwks.PEM(block), func() { clear(block) }
		}),
		"jwks.PublicKeys": pinned(func(_ c, key *ecdsa.PublicKey) (jwks.Source, func()) {
			other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			given := []crypto.PublicKey{key}
			return jwks.PublicKeys(given...), func() { *key, given[0] = other.PublicKey, other.Public() }
		}),
		"jwks.Discover": fetched(func(opts ...jwks.Option) jwks.Source { return jwks.Discover(issuer.URL(), opts...) }),
		"jwks.Remote":   fetched(func(opts ...jwks.Option) jwks.Source { return jwks.Remote(issuer.URL()+"/jwks", opts...) }),
		"jwks.File": func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bundle")
			bundle, _ := json.Marshal(c{"keys": []c{merged(pairs()[0].jwk, c{"kid": "a", "use": "jwt-svid"})}})
			if err := os.WriteFile(path, bundle, 0o600); err != nil {
				t.Fatal(err)
			}
			given := []jwks.Option{jwks.WithJWTSVIDKeys()}
			source := jwks.File(path, given...)
			given[0] = jwks.InsecureHTTP()
			set, err := jwks.New(source)
			if err != nil {
				t.Fatal(err)
			}
			if keys, err := set.Keys(t.Context(), "a", "ES256"); len(keys) != 1 {
				t.Error(err)
			}
			_ = set.Close()
		},
		"jwks.AnyOf": func(t *testing.T) {
			given := []jwks.Source{jwks.Discover(issuer.URL(), jwks.WithHTTPClient(issuer.Client()))}
			source := jwks.AnyOf(given...)
			clear(given)
			set, err := jwks.New(source)
			if err != nil || set.Ready(t.Context()) != nil {
				t.Fatal("the set lost its source")
			}
			_ = set.Close()
		},
		"jwks.Set.SourceStats": func(t *testing.T) {
			set := keySet(t)
			if clear(set.SourceStats()); set.SourceStats()[0].Source != "Static" {
				t.Errorf("%+v", set.SourceStats())
			}
		},
		"jwks.New": func(t *testing.T) {
			given := []jwks.Option{jwks.WithHTTPClient(issuer.Client())}
			set, err := jwks.New(jwks.Discover(issuer.URL()), given...)
			if clear(given); err != nil || set.Ready(t.Context()) != nil {
				t.Error("the set lost its client")
			}
			_ = set.Close()
		},
		"jwks.Set.Keys": func(t *testing.T) {
			set := keySet(t)
			keys, err := set.Keys(t.Context(), "", "ES256")
			clear(keys)
			again, _ := set.Keys(t.Context(), "", "ES256")
			if err != nil || len(again) != 1 || again[0].Public() == nil {
				t.Errorf("%d keys, %v", len(again), err)
			}
		},
	}
}

// unreachable is a network without any host.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("unreachable")
}
