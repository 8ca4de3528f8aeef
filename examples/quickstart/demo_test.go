package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// Each of these APIs has one fault, and -check would say nothing if the demonstration did not see
// it.
func TestDemonstrationFindsAWrongAnswer(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	api := newAPI(auth, "orders:read")
	orders := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, someOrders)
	}), bearer.Scopes("orders:read"))
	inGin := func(faulty http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/gin/") {
				faulty(w, r)
				return
			}
			api.ServeHTTP(w, r)
		})
	}
	refuse := func(w http.ResponseWriter, challenge, code string) {
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":"`+code+`"}`)
	}
	for _, test := range []struct {
		name  string
		api   http.Handler
		wrong bool
	}{
		{"none", api, false},
		{"the scope is not asked for", newAPI(auth, "profile"), true},
		{"one framework is not guarded", inGin(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, someOrders) }), true},
		{"one framework refuses everything", inGin(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, `Bearer error="invalid_token"`, "token_expired")
		}), true},
		{"one framework gives an empty list", inGin(func(w http.ResponseWriter, r *http.Request) {
			if _, err := auth.Guard(bearer.Scopes("orders:read")).Authenticate(r); err != nil {
				auth.Guard().WriteError(w, r, err)
				return
			}
			writeJSON(w, []order{})
		}), true},
		{"one framework forgets the challenge", inGin(func(w http.ResponseWriter, r *http.Request) {
			orders.ServeHTTP(withoutChallenge{w}, r)
		}), true},
		{"one framework refuses with another status", inGin(func(w http.ResponseWriter, r *http.Request) {
			orders.ServeHTTP(alwaysBadRequest{w}, r)
		}), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.api)
			defer server.Close()
			var out strings.Builder
			err := demonstrate(t.Context(), &out, server.URL, issuer)
			if (err != nil) != test.wrong || strings.Contains(out.String(), "WRONG") != test.wrong {
				t.Errorf("error %v; a wrong answer has to be reported: %v\n%s", err, test.wrong, out.String())
			}
		})
	}
}

type withoutChallenge struct{ http.ResponseWriter }

func (w withoutChallenge) WriteHeader(status int) {
	w.Header().Del("WWW-Authenticate")
	w.ResponseWriter.WriteHeader(status)
}

type alwaysBadRequest struct{ http.ResponseWriter }

func (w alwaysBadRequest) WriteHeader(int) { w.ResponseWriter.WriteHeader(http.StatusBadRequest) }
