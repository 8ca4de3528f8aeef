package main

import (
	"net/http"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/go-chi/chi/v5"
)

// Require is held to what an adapter is held to, with chi as the framework.
func TestRequireIsAnAdapterForChi(t *testing.T) {
	bearertest.TestAdapter(t, func(auth *bearer.Middleware, app bearertest.App) http.Handler {
		router := chi.NewRouter()
		router.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app.Recover(w, func() { next.ServeHTTP(w, r) })
			})
		})
		router.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !app.Before(w, r) {
					next.ServeHTTP(w, r)
				}
			})
		})
		after := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app.After(r)
				next.ServeHTTP(w, r)
			})
		}
		path := app.Path
		if app.Parameter != "" {
			path += "/{" + app.Parameter + "}"
		}
		router.Group(func(group chi.Router) {
			if app.Group != nil {
				group.Use(auth.Require(app.Group...))
			}
			group.With(auth.Require(app.Route...), after).HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				claims, ok := bearer.FromContext(r.Context())
				if err := app.Handler(claims, ok, w, r); err != nil {
					app.OnError(err)
				}
			})
		})
		return router
	})
}
