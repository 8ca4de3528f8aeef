package bearer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/jwks"
)

// accepted is the answer to a good token. The others are reasons, and refusedByNew.
const (
	accepted     = "accepted"
	refusedByNew = "refused by New"
)

// comparison asks one question of services that differ by a setting.
type comparison struct {
	id       string // of the vector, or ""
	services func(t testing.TB) []*service
	answer   func(t testing.TB, s *service, auth *bearer.Middleware) string
}

// matrixRun counts what the comparisons of a test came to.
type matrixRun struct {
	mu      sync.Mutex
	fitting map[string]int  // by setting
	changes map[change]bool // seen
	accepts map[string]bool // likewise
}

// compare asks with each setting and without, and fails the test if an answer differs that is not
// listed.
func (run *matrixRun) compare(t *testing.T, c comparison) {
	t.Helper()
	ask := func(set setting) (answer string, fits bool) {
		services := c.services(t)
		for i := range services {
			changed, fit := services[i].with(set)
			services[i], fits = changed, fits || fit
		}
		if !fits {
			return "", false
		}
		auth, err := middleware(t, services...)
		if err != nil {
			return refusedByNew, true
		}
		return c.answer(t, services[0], auth), true
	}
	settings := matrix()
	was, _ := ask(settings[0])
	for _, set := range settings[1:] {
		if is, fits := ask(set); fits {
			run.note(t, set, c.id, was, is)
		}
	}
}

// note takes down what an answer was without a setting, and is with it.
func (run *matrixRun) note(t *testing.T, set setting, id, was, is string) {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	if is == refusedByNew && was != is {
		return // the options do not go together with others of the case
	}
	run.fitting[set.name]++
	if is == was || was == refusedByNew && is != accepted { // a file and the answers of a lookup are judged later
		return
	}
	if is == accepted && slices.Contains(set.accepts, id) {
		run.accepts[id] = true
		return
	}
	listed := slices.IndexFunc(set.differs, func(c change) bool { return c.was == was && c.is == is })
	if listed < 0 || is == accepted {
		t.Errorf("%s: the answer is %s, and without it %s", set.name, is, was)
		return
	}
	run.changes[set.differs[listed]] = true
}

func newMatrixRun() *matrixRun {
	return &matrixRun{fitting: make(map[string]int), changes: make(map[change]bool), accepts: make(map[string]bool)}
}

// report fails the test for each of the settings that was never compared.
func (run *matrixRun) report(t *testing.T, settings ...string) {
	t.Helper()
	t.Logf("compared with each setting: %v", run.fitting)
	for _, name := range settings {
		if run.fitting[name] == 0 {
			t.Errorf("%s was never compared", name)
		}
	}
}

// answerOf sends a request to a handler and returns the code of its answer.
func answerOf(t testing.TB, handler http.Handler, r *http.Request) string {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code == http.StatusNoContent {
		return accepted
	}
	var problem struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Code == "" {
		t.Fatalf("status %d without a code: %s", w.Code, w.Body)
	}
	return problem.Code
}

var noContent = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// manipulated are the manipulations of one algorithm's tokens, which are the same for all settings.
type manipulated struct {
	group vectorGroup
	good  string
	all   []manipulation
}

func newManipulated(t testing.TB, algorithm string) *manipulated {
	t.Helper()
	m := &manipulated{group: ownGroup(t, algorithm, fixedKey(t, algorithm))}
	s := newSigner(t, m.group)
	header := b64(s.header(s.alg))
	payload := b64(unusedBits(fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"alice","exp":%d,"tid":"acme","cid":"x"}`,
		matrixIssuer, aud, time.Now().Unix()+3600)))
	m.good, m.all = s.sign(t, header, payload), s.manipulations(t, header, payload)
	return m
}

// ownService trusts the issuer of the matrix, with the keys of a group.
func ownService(t testing.TB, g vectorGroup) *service {
	t.Helper()
	s := &service{
		TB: t, own: true, first: true, name: matrixIssuer, audience: aud, keysURL: matrixIssuer + "/jwks",
		client: &published{documents: make(map[string][]byte), next: http.DefaultTransport},
	}
	key := g.keys(t)[0]
	s.algorithms = []string{key.Alg}
	if key.Kty == "oct" {
		s.secrets = [][]byte{key.bytes(t, key.K)}
		return s
	}
	s.source, s.document = jwks.Remote(s.keysURL), marshal(t, map[string]any{"keys": []json.RawMessage{g.Public}})
	s.client.documents[s.keysURL] = s.document
	return s
}

// ask sends all tokens to a service with a setting that it fits, and returns the answers. It fails the
// test if a good one is refused, or a manipulated one accepted in the place that the setting adds.
func (m *manipulated) ask(t *testing.T, set setting, expected []string, run *matrixRun) (answers []string) {
	t.Helper()
	s, fits := ownService(t, m.group).with(set)
	if !fits {
		return nil
	}
	auth, err := middleware(t, s)
	if err != nil {
		t.Fatalf("%s: %v", set.name, err)
	}
	fetched(t, auth)
	handler := s.guarded(auth, noContent)
	for _, put := range []func(*http.Request, string){inAuthorization, set.moved} {
		if put == nil {
			continue
		}
		if got := answerOf(t, handler, requestWith(put, m.good)); got != accepted {
			t.Errorf("%s: the answer to a good token is %s", set.name, got)
		}
	}
	for i, manipulation := range m.all {
		answers = append(answers, answerOf(t, handler, requestWith(inAuthorization, manipulation.token)))
		if expected != nil {
			run.note(t, set, "", expected[i], answers[i])
		}
		// White space around a token is the header's or the cookie's, and not of the token.
		if bare := strings.TrimSpace(manipulation.token); set.moved != nil && bare != "" &&
			answerOf(t, handler, requestWith(set.moved, manipulation.token)) == accepted &&
			answerOf(t, handler, requestWith(inAuthorization, bare)) != accepted {
			t.Errorf("%s: %s is accepted in the new place", set.name, manipulation.name)
		}
	}
	return answers
}

// Manipulated tokens, and those that RFCs print, get the answers with each option that they get
// without, but for those that the matrix lists.
func TestMatrixChangesNoAnswers(t *testing.T) {
	t.Parallel()
	run, settings := newMatrixRun(), matrix()
	for _, algorithm := range []string{"ES256", "RS256", "HS256", "ES384", "ES512"} {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManipulated(t, algorithm)
				expected := m.ask(t, settings[0], nil, run)
				for _, set := range settings[1:] {
					if set.algorithm == algorithm || set.algorithm == "" && slices.Contains([]string{"ES256", "RS256", "HS256"}, algorithm) {
						m.ask(t, set, expected, run)
					}
				}
			})
		})
	}
	for _, example := range readRFCExamples(t).JWS {
		t.Run(example.ID, func(t *testing.T) { run.compareExample(t, example.JWK, example.Token) })
	}
	var names []string
	for _, set := range settings[1:] {
		names = append(names, set.name)
		for _, change := range set.differs {
			if !run.changes[change] {
				t.Errorf("%s: no answer was %s and is %s: remove it", set.name, change.was, change.is)
			}
		}
	}
	run.report(t, names...)
}

// compareExample compares the answers to a token that an RFC prints, up to the signature and as a
// whole.
func (run *matrixRun) compareExample(t *testing.T, jwk json.RawMessage, token string) {
	t.Helper()
	group := vectorGroup{Public: jwk}
	if string(jwk) == "null" { // unsecured: any key will do
		group.Public = readRFCExamples(t).JWS[1].JWK
	}
	services := func(t testing.TB) []*service {
		s := vectorService(t, group, token)
		s.name, s.audience, s.issuer = "joe", "", append(s.issuer, bearer.InsecureAnyAudience())
		s.algorithms = []string{algorithmOf(t, token, s.algorithms)}
		return []*service{s}
	}
	run.compare(t, comparison{"", services, signatureOf(token)})
	synctest.Test(t, func(t *testing.T) { // in 2000, before they expired
		run.compare(t, comparison{"", services, func(t testing.TB, s *service, auth *bearer.Middleware) string {
			return answerOf(t, s.guarded(auth, noContent), requestWith(inAuthorization, token))
		}})
	})
}

// algorithmOf is what a token's header says, if that can be configured.
func algorithmOf(t testing.TB, token string, otherwise []string) string {
	t.Helper()
	var header struct{ Alg string }
	part, _, _ := strings.Cut(token, ".")
	if err := json.Unmarshal(vectorJWK{}.bytes(t, part), &header); err != nil || header.Alg == "none" {
		return otherwise[0]
	}
	return header.Alg
}

// signatureOf is the answer to a token up to its signature.
func signatureOf(token string) func(testing.TB, *service, *bearer.Middleware) string {
	return func(t testing.TB, s *service, auth *bearer.Middleware) string {
		if err := auth.VerifySignature(t.Context(), s.name, token); err != nil {
			return string(reasonOf(t, err))
		}
		return accepted
	}
}

// vectorService trusts the keys of a group of Wycheproof as an operator would; see
// vectorGroup.options.
func vectorService(t testing.TB, g vectorGroup, token string) *service {
	t.Helper()
	keys := g.keys(t)
	s := &service{
		TB: t, first: true, pinned: true, name: iss, audience: aud,
		client: &published{documents: make(map[string][]byte), next: http.DefaultTransport},
	}
	several := 0
	for _, k := range keys {
		if k.Kty == "oct" {
			several++
		}
	}
	var public []json.RawMessage
	for _, k := range keys {
		switch {
		case k.Kty != "oct":
			public = append(public, k.raw)
		case several > 1 && k.Kid != kidOf(token):
			continue
		default:
			s.secrets = append(s.secrets, k.bytes(t, k.K))
		}
		if alg := k.algorithm(); !slices.Contains(s.algorithms, alg) {
			s.algorithms = append(s.algorithms, alg)
		}
	}
	if public != nil {
		s.document = marshal(t, map[string]any{"keys": public})
		s.source = jwks.Static(s.document)
		if s.secrets != nil { // a mistake, with and without options
			s.issuer = append(s.issuer, bearer.Keys(s.source))
		}
	}
	return s
}

// Wycheproof's vectors get the answers with each option that they get without.
func TestMatrixWithWycheproof(t *testing.T) {
	t.Parallel()
	run := newMatrixRun()
	for _, name := range []string{wycheproofJWS, wycheproofJWK, wycheproofCrypto} {
		for i, g := range readVectors(t, name).Groups {
			t.Run(fmt.Sprintf("%s/%d", strings.TrimSuffix(name, "_test.json"), i), func(t *testing.T) {
				t.Parallel()
				for _, v := range g.Tests {
					token := v.token(t)
					services := func(t testing.TB) []*service { return []*service{vectorService(t, g, token)} }
					run.compare(t, comparison{"", services, signatureOf(token)})
				}
			})
		}
	}
	t.Cleanup(func() {
		run.report(t, "several sources", "a file", "a SPIFFE bundle", "several secrets", "a secret beside keys")
	})
}

// foreignServices trust what a case of another project's suite trusts.
func foreignServices(t testing.TB, c vectors.Case) (services []*service) {
	t.Helper()
	client := &published{documents: make(map[string][]byte), next: c.Config.Client().Transport}
	for i, issuer := range c.Config.Issuers {
		s := &service{
			TB: t, first: i == 0, open: c.Config.Optional, pinned: issuer.Static || issuer.PEM != "", name: issuer.Name, audience: issuer.Audience,
			several: issuer.Audiences != nil, source: issuer.Source(), keysURL: issuer.KeysURL(), client: client, algorithms: issuer.Algorithms, issuer: issuer.ClaimOptions(),
		}
		if issuer.PEM == "" {
			s.document = issuer.JWKS
		}
		if len(issuer.Secret) > 0 {
			s.secrets = [][]byte{issuer.Secret}
		}
		if i == 0 {
			s.locations = c.Config.TokenSources()
		}
		services = append(services, s)
	}
	return services
}

// ownAlone are the settings that fit tokens of the matrix alone: they name a claim of these or an
// algorithm, or are attacked in another way.
var ownAlone = []string{"a template", "a template, and an audience of the request", "a claim", "any audience", "no expiry", "ES384", "ES512"}

// fetched waits for the keys of all sources, or for their failure.
func fetched(t testing.TB, auth *bearer.Middleware) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_ = auth.Ready(ctx)
	synctest.Wait()
}

// The cases of other projects' suites get the answers with each option that they get without: the
// tokens up to their signature, and the requests.
func TestMatrixWithForeignVectors(t *testing.T) {
	t.Parallel()
	run := newMatrixRun()
	cases := vectors.Foreign(t, vectors.LayerJWS)
	for _, c := range append(cases, vectors.Foreign(t, vectors.LayerHTTP)...) {
		t.Run(c.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				advanceTo(c.Now)
				answer := func(t testing.TB, s *service, auth *bearer.Middleware) string {
					fetched(t, auth)
					return signatureOf(c.Token)(t, s, auth)
				}
				if c.Layer == vectors.LayerHTTP {
					answer = func(t testing.TB, s *service, auth *bearer.Middleware) string {
						fetched(t, auth)
						r, err := c.ReadRequest()
						if err != nil {
							t.Fatal(err)
						}
						return answerOf(t, s.guarded(auth, noContent, c.Config.RouteOptions()...), r)
					}
				}
				run.compare(t, comparison{c.ID, func(t testing.TB) []*service { return foreignServices(t, c) }, answer})
			})
		})
	}
	for _, set := range matrix() {
		for _, id := range set.accepts {
			if !run.accepts[id] {
				t.Errorf("%s: %s is not accepted: remove it", set.name, id)
			}
		}
	}
	var names []string
	for _, set := range matrix()[1:] {
		if !slices.Contains(ownAlone, set.name) {
			names = append(names, set.name)
		}
	}
	run.report(t, names...)
}
