package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func verified(t testing.TB, auth *bearer.Middleware, token string) *bearer.Claims {
	t.Helper()
	claims, err := auth.Guard().Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestClaimsAccessorsReturnWhatTheTokenSays(t *testing.T) {
	issuer := bearertest.NewIssuer()
	at := time.Unix(time.Now().Unix(), 0)
	claims := verified(t, newAuth(t, issuer), issuer.Token(c{
		"sub": "alice", "jti": "1", "aud": []string{issuer.Audience(), "x"}, "client_id": "app", "azp": "other", "acr": "mfa",
		"exp": at.Add(time.Minute), "nbf": at, "iat": at, "auth_time": at.Add(-time.Hour), "scope": "a b", "roles": []string{"r"},
	}))
	for name, tt := range map[string]struct{ got, want any }{
		"Issuer": {claims.Issuer(), issuer.URL()}, "Subject": {claims.Subject(), "alice"}, "ID": {claims.ID(), "1"},
		"ClientID": {claims.ClientID(), "app"}, "ACR": {claims.ACR(), "mfa"}, "KeyID": {claims.KeyID(), issuer.KeyID()},
		"Algorithm": {claims.Algorithm(), "ES256"}, "Audience": {fmt.Sprint(claims.Audience()), "[" + issuer.Audience() + " x]"},
		"Expiry": {claims.Expiry(), at.Add(time.Minute)}, "NotBefore": {claims.NotBefore(), at}, "IssuedAt": {claims.IssuedAt(), at},
		"AuthTime": {claims.AuthTime(), at.Add(-time.Hour)}, "HasScope a": {claims.HasScope("a"), true}, "HasScope c": {claims.HasScope("c"), false},
		"HasRole r": {claims.HasRole("r"), true}, "HasRole x": {claims.HasRole("x"), false},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", name, tt.got, tt.want)
		}
	}
	bare := verified(t, newAuth(t, issuer), issuer.Token(c{"sub": nil, "jti": nil, "client_id": nil, "iat": nil, "azp": "app"}))
	if bare.Subject() != "" || bare.ID() != "" || bare.ClientID() != "app" || !bare.IssuedAt().IsZero() || !bare.NotBefore().IsZero() ||
		!bare.AuthTime().IsZero() || len(bare.Scopes()) != 0 || len(bare.Roles()) != 0 {
		t.Error("absent claims are not their zero values")
	}
}

// Scopes come from scope and scp, as a string or an array, and split on U+0020 alone (RFC 6749 section 3.3).
// Rules: route.scope.
func TestScopesComeFromScopeAndSCP(t *testing.T) {
	issuer := bearertest.NewIssuer()
	standard, own := newAuth(t, issuer), newTuple(t, issuer, bearer.ScopeClaim("ext.permissions"))
	tests := []struct {
		name   string
		auth   *bearer.Middleware
		claims c
		want   []string
	}{
		{"string", standard, c{"scope": "a b"}, []string{"a", "b"}},
		{"array", standard, c{"scope": []string{"a", "b"}}, []string{"a", "b"}},
		{"scp string", standard, c{"scp": "a b"}, []string{"a", "b"}},
		{"scp array", standard, c{"scp": []string{"a", "b"}}, []string{"a", "b"}},
		{"both", standard, c{"scope": "a b", "scp": []string{"b", "c"}}, []string{"a", "b", "c"}},
		{"runs of spaces", standard, c{"scope": "  a   b "}, []string{"a", "b"}},
		{"other white space", standard, c{"scope": "a\tb\nc\u00a0d"}, []string{"a\tb\nc\u00a0d"}},
		{"an array's elements do not split", standard, c{"scope": []string{"a b"}}, []string{"a b"}},
		{"repeated", standard, c{"scope": "a a"}, []string{"a"}},
		{"empty", standard, c{"scope": ""}, nil},
		{"many", standard, c{"scope": strings.Repeat("a b c ", 50), "scp": "c d"}, []string{"a", "b", "c", "d"}},
		{"number", standard, c{"scope": 1}, nil},
		{"array with a number", standard, c{"scope": []any{"a", 1}}, nil},
		{"object", standard, c{"scope": c{"a": true}}, nil},
		{"Scope", standard, c{"Scope": "a", "SCP": "b"}, nil},
		{"own claim", own, c{"scope": "x", "ext": c{"permissions": "a b"}}, []string{"a", "b"}},
		{"own claim absent", own, c{"scope": "x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := verified(t, tt.auth, issuer.Token(tt.claims)).Scopes(); !slices.Equal(got, tt.want) {
				t.Errorf("scopes %q, want %q", got, tt.want)
			}
		})
	}
}

// Rules: route.role.
func TestRolesComeFromTheRolesClaim(t *testing.T) {
	issuer := bearertest.NewIssuer()
	tests := []struct {
		name   string
		path   string
		claims c
		want   []string
	}{
		{"Keycloak", "realm_access.roles", c{"realm_access": c{"roles": []string{"a", "b"}}}, []string{"a", "b"}},
		{"Keycloak, of a client whose name has dots", "resource_access.my.client.roles", c{"resource_access": c{"my.client": c{"roles": []string{"a"}}}}, []string{"a"}},
		{"namespaced", "https://example.com/roles", c{"https://example.com/roles": []string{"a"}}, []string{"a"}},
		{"Cognito", "cognito:groups", c{"cognito:groups": []string{"a"}}, []string{"a"}},
		{"one string", "role", c{"role": "a b"}, []string{"a b"}},
		{"the whole name comes first", "a.b", c{"a.b": "x", "a": c{"b": "y"}}, []string{"x"}},
		{"a shorter name that leads nowhere", "a.b.c", c{"a": c{"x": "y"}, "a.b": c{"c": "z"}}, []string{"z"}},
		{"number", "role", c{"role": 1}, nil},
		{"array with a number", "role", c{"role": []any{"a", 1}}, nil},
		{"through an array", "a.b", c{"a": []any{c{"b": "x"}}}, nil},
		{"other case", "realm_access.roles", c{"Realm_Access": c{"roles": "a"}, "realm_access": c{"Roles": "a"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			auth := newTuple(t, issuer, bearer.RolesClaim(tt.path))
			if got := verified(t, auth, issuer.Token(tt.claims)).Roles(); !slices.Equal(got, tt.want) {
				t.Errorf("roles %q, want %q", got, tt.want)
			}
		})
	}
}

// A handler cannot change anything it reaches from the claims, because requests share them.
func TestClaimsAreImmutable(t *testing.T) {
	issuer := bearertest.NewIssuer()
	claims := verified(t, newAuth(t, issuer), issuer.Token(c{"scope": "a b", "roles": []string{"r", "s"}}))
	for _, list := range [][]string{claims.Scopes(), claims.Roles(), claims.Audience()} {
		list[0] = "admin"
		_ = append(list[:1], "admin")
	}
	if claims.HasScope("admin") || claims.HasRole("admin") || slices.Contains(claims.Audience(), "admin") || !claims.HasScope("b") || !claims.HasRole("s") {
		t.Error("a handler changed the claims")
	}
	var raw struct {
		Roles json.RawMessage `json:"roles"`
	}
	for range 2 {
		if err := claims.Decode(&raw); err != nil || string(raw.Roles) != `["r","s"]` {
			t.Fatalf("decoded %s, %v", raw.Roles, err)
		}
		for i := range raw.Roles {
			raw.Roles[i] = 'x'
		}
	}
}

// Decode is case-exact at every depth: encoding/json would let a look-alike name win.
func TestDecodeIsCaseExact(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	type tenant struct {
		Name string `json:"name"`
	}
	type custom struct {
		Subject string            `json:"sub"`
		Tenant  tenant            `json:"tenant"`
		Tenants []tenant          `json:"tenants"`
		ByName  map[string]tenant `json:"by_name"`
	}
	const claims = `"sub":"alice","SUB":"admin","ſub":"admin","tenant":{"name":"a","NAME":"x"},"tenants":[{"Name":"x"}],"by_name":{"k":{"name":"a","nAme":"x"}}`
	token := issuer.SignRaw([]byte(`{"alg":"ES256"}`),
		fmt.Appendf(nil, `{"iss":%q,"aud":%q,"exp":%d,%s}`, issuer.URL(), issuer.Audience(), time.Now().Unix()+60, claims))
	got, err := bearer.ClaimsAs[custom](bearer.NewContext(t.Context(), verified(t, auth, token)))
	if err != nil {
		t.Fatal(err)
	}
	want := custom{"alice", tenant{"a"}, []tenant{{}}, map[string]tenant{"k": {"a"}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

// reader keeps what its UnmarshalJSON was given.
type reader struct{ raw string }

func (r *reader) UnmarshalJSON(data []byte) error { r.raw = string(data); return nil }

// Except for names, values and errors are those of the encoding/json that the program is built
// with.
func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	type embedded struct {
		Tenant string `json:"tenant"`
	}
	type custom struct {
		embedded
		Expiry  json.Number       `json:"exp"`
		Quoted  int               `json:"quoted,string"`
		Member  *time.Time        `json:"member_since"`
		Key     []byte            `json:"key"`
		Address json.RawMessage   `json:"address"`
		Limits  map[int][2]uint8  `json:"limits"`
		Null    map[string]string `json:"null"`
		Any     any               `json:"any"`
		Inline  struct {
			reader
			Sub string
		} `json:"inline"`
	}
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	for _, more := range []string{
		`"tenant":"a","quoted":"7","member_since":"2026-01-02T03:04:05Z","key":"AQI=","address":{"city": "B"},"limits":{"1":[1,2,3]},` +
			`"null":null,"any":[1.50,{"a":null}],"inline":{"Sub":"a","other":1}`,
		`"quoted":7`, `"quoted":"x"`, `"member_since":"soon"`, `"key":"*"`, `"limits":{"a":[]}`, `"limits":{"1":[256]}`, `"tenant":{}`,
	} {
		payload := fmt.Appendf(nil, `{"iss":%q,"aud":%q,"exp":%d,%s}`, issuer.URL(), issuer.Audience(), time.Now().Unix()+60, more)
		claims := verified(t, auth, issuer.SignRaw([]byte(`{"alg":"ES256"}`), payload))
		var got, want custom
		err, wantErr := claims.Decode(&got), json.Unmarshal(payload, &want)
		if fmt.Sprint(errors.Unwrap(err)) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v, %v", more, got, err, want, wantErr)
		}
	}
}

func TestDecodeReportsErrors(t *testing.T) {
	issuer := bearertest.NewIssuer()
	claims := verified(t, newAuth(t, issuer), issuer.Token())
	if err := claims.Decode(nil); err == nil {
		t.Error("Decode(nil) succeeded")
	}
	if _, err := bearer.ClaimsAs[struct {
		Subject int `json:"sub"`
	}](bearer.NewContext(t.Context(), claims)); err == nil {
		t.Error("a string was decoded into an int")
	}
	if _, err := bearer.ClaimsAs[map[string]any](context.Background()); !errors.Is(err, bearer.ErrNoClaims) {
		t.Errorf("error %v, want ErrNoClaims", err)
	}
}

// A stray log line contains no personal data.
func TestClaimsDoNotPrint(t *testing.T) {
	issuer := bearertest.NewIssuer()
	claims := verified(t, newAuth(t, issuer), issuer.Token(c{"sub": "canary", "email": "canary"}))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("claims", "claims", claims)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("claims", "claims", claims)
	encoded, _ := json.Marshal(claims)
	slog.New(slog.NewTextHandler(&log, nil)).Info("claims", "copy", *claims)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %d %x %v %+v", claims, claims, claims, claims, claims, claims, claims, *claims, *claims), log.String(), string(encoded)} {
		if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
			t.Errorf("claims print as %s", text)
		}
	}
}

// Claims that no Middleware made are empty, and none of their methods panics.
func TestClaimsThatNoMiddlewareMadeAreEmpty(t *testing.T) {
	for name, claims := range map[string]*bearer.Claims{"nil": nil, "zero": {}} {
		v := reflect.ValueOf(claims)
		for method := range v.Type().Methods() {
			switch method.Name {
			case "Format", "String", "LogValue":
				continue // see TestPrintedTextIsFixed
			}
			t.Run(name+" "+method.Name, func(t *testing.T) {
				var args []reflect.Value
				for i := 1; i < method.Type.NumIn(); i++ {
					args = append(args, reflect.Zero(method.Type.In(i)))
				}
				for _, result := range v.MethodByName(method.Name).Call(args) {
					if err, failed := result.Interface().(error); failed && !errors.Is(err, bearer.ErrNoClaims) || !failed && !result.IsZero() {
						t.Errorf("returned %v", result)
					}
				}
			})
		}
		if text := fmt.Sprintf("%v %+v %s %d", claims, claims, claims, claims); strings.Contains(text, "PANIC") {
			t.Errorf("%s claims print as %s", name, text)
		}
		if _, err := bearer.ClaimsAs[map[string]any](bearer.NewContext(t.Context(), claims)); !errors.Is(err, bearer.ErrNoClaims) {
			t.Errorf("%s claims in a context: %v", name, err)
		}
	}
}
