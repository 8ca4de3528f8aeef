package bearer_test

import (
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// The tests of this file switch each new option on, and fail if it opens more than its name says.

// attackedService trusts an issuer of bearertest.
func attackedService(t testing.TB, set setting) (*service, *bearertest.Issuer) {
	t.Helper()
	algorithm := "ES256"
	if set.algorithm != "" {
		algorithm = set.algorithm
	}
	claims := bearertest.Claims{"scope": "profile " + matrixScope}
	issuer := bearertest.NewIssuer(
		bearertest.WithURL(matrixIssuer), bearertest.WithAudience(aud), bearertest.WithAlgorithm(algorithm),
		bearertest.WithDefaultClaims(claims), bearertest.WithDefaultClaims(set.claims),
	)
	s := &service{
		TB: t, own: true, first: true, name: matrixIssuer, audience: aud, source: jwks.Discover(matrixIssuer), secrets: issuer.Secrets(),
		document: issuer.KeySet(), keysURL: matrixIssuer + "/jwks",
		client: &published{documents: make(map[string][]byte), next: issuer.Client().Transport},
	}
	changed, fits := s.with(set)
	if !fits {
		t.Fatal("the options do not fit a service of the matrix")
	}
	return changed, issuer
}

// The guard that ships withstands every attack with each option, also when the attacks come in the
// place that it adds. With an option whose name begins with Insecure exactly those get through that
// its name says.
// Rules: config.insecure.
func TestMatrixWithstandsAttacks(t *testing.T) {
	t.Parallel()
	for _, set := range matrix() {
		ways := map[string]func(*http.Request, string){"in the Authorization header": nil}
		if set.moved != nil {
			ways["in the new place"] = set.moved
		}
		for way, move := range ways {
			t.Run(set.name+", "+way, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, issuer := attackedService(t, set)
					auth, err := middleware(t, s)
					if err != nil {
						t.Fatal(err)
					}
					fetched(t, auth)
					protected := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("secret")) })
					handler := s.guarded(auth, protected, bearer.Scopes(matrixScope))
					checkAttacked(t, moving(handler, move), issuer, set.opens)
				})
			})
		}
	}
}

// checkAttacked fails the test unless exactly these attacks get through.
func checkAttacked(t *testing.T, handler http.Handler, issuer *bearertest.Issuer, opens []string) {
	t.Helper()
	var want []string
	for _, attack := range opens {
		want = append(want, "bearertest: Attack: "+attack+": is let through with 200")
	}
	seen := &failures{TB: t}
	done := make(chan struct{})
	go func() { // Fatalf ends it
		defer close(done)
		bearertest.Attack(seen, handler, issuer)
	}()
	<-done
	slices.Sort(want)
	slices.Sort(seen.texts)
	if !slices.Equal(seen.texts, want) {
		t.Errorf("the attack finds\n%s\nwant\n%s", strings.Join(seen.texts, "\n"), strings.Join(want, "\n"))
	}
}

// failures is a test that notes how it fails.
type failures struct {
	testing.TB
	texts []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func (f *failures) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// tokenLike is a header that a client may as well send in another place.
var tokenLike = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._-]+)$`)

// moving puts the token of the Authorization header elsewhere, as a proxy may do. A header that is
// not the scheme and one token stays.
func moving(next http.Handler, move func(*http.Request, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := r.Header["Authorization"]
		if move != nil && len(lines) == 1 {
			if found := tokenLike.FindStringSubmatch(lines[0]); found != nil {
				move(r, found[1])
			}
		}
		next.ServeHTTP(w, r)
	})
}
