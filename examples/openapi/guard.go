package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bearer-go/bearer"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	nethttpmiddleware "github.com/oapi-codegen/nethttp-middleware"
)

// maxBodyBytes limits the body that the validator holds in memory.
const maxBodyBytes = 1 << 20

// mount serves the operations of a document, each behind a guard with the scopes that the document
// names, and behind the validator of requests. Nothing else is served: api can have further routes,
// and requests for them get 404. api is the server that oapi-codegen generates, or any other
// handler. The document must be valid. Its paths are patterns of [http.ServeMux], without those of
// its servers.
//
// The guard stands before the validator. So it writes its own refusals, with their challenge, and
// the validator reads no body, and tells nothing about parameters, before the caller is known.
func mount(mux *http.ServeMux, auth *bearer.Middleware, document *openapi3.T, api http.Handler) error {
	validated := http.MaxBytesHandler(validator(document)(api), maxBodyBytes)
	var mistakes []error
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			pattern := method + " " + path
			scopes, public, err := requirementOf(document, operation)
			switch {
			case err != nil:
				mistakes = append(mistakes, fmt.Errorf("%s: %w", pattern, err))
			case public:
				mux.Handle(pattern, validated)
			case len(scopes) == 0:
				mux.Handle(pattern, auth.Handler(validated))
			default:
				mux.Handle(pattern, auth.Handler(validated, bearer.Scopes(scopes...)))
			}
		}
	}
	return errors.Join(mistakes...)
}

// requirementOf returns the scopes that an operation demands, or that it is public: "security: []".
// An operation with no word about security, in a document with none, is a mistake, and so are
// alternatives and schemes that a bearer token cannot satisfy.
func requirementOf(document *openapi3.T, operation *openapi3.Operation) (scopes []string, public bool, err error) {
	requirements := document.Security
	if operation.Security != nil {
		requirements = *operation.Security
	} else if len(requirements) == 0 {
		return nil, false, errors.New(`it has no security requirement; "security: []" makes it public`)
	}
	if len(requirements) == 0 {
		return nil, true, nil
	}
	if len(requirements) > 1 || len(requirements[0]) != 1 {
		return nil, false, errors.New("it has alternatives, or a requirement of several schemes or of none")
	}
	for name, names := range requirements[0] { // one
		if !takesBearer(document, name) {
			return nil, false, fmt.Errorf("the scheme %q is not one of bearer tokens", name)
		}
		scopes = names
	}
	return scopes, false, nil
}

func takesBearer(document *openapi3.T, name string) bool {
	if document.Components == nil || document.Components.SecuritySchemes[name] == nil {
		return false
	}
	scheme := document.Components.SecuritySchemes[name].Value
	return scheme.Type == "oauth2" || scheme.Type == "openIdConnect" ||
		scheme.Type == "http" && strings.EqualFold(scheme.Scheme, "bearer")
}

// validator checks requests against the document.
func validator(document *openapi3.T) func(http.Handler) http.Handler {
	return nethttpmiddleware.OapiRequestValidatorWithOptions(document, &nethttpmiddleware.Options{
		Options: openapi3filter.Options{AuthenticationFunc: guarded},
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, _ *http.Request, opts nethttpmiddleware.ErrorHandlerOpts) {
			code := opts.StatusCode
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				code = http.StatusRequestEntityTooLarge
			}
			// The error quotes the request and the schema: it is for a log, and not for the client.
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"title":%q,"status":%d}`, http.StatusText(code), code)
		},
		DoNotValidateServers: true,
	})
}

// guarded is what the validator asks about each security requirement. The guard has judged it. That
// there are claims is checked once more, in case the handler is ever mounted without its guard.
func guarded(ctx context.Context, input *openapi3filter.AuthenticationInput) error {
	claims, ok := bearer.FromContext(ctx)
	if !ok {
		return input.NewError(errors.New("the request passed no guard"))
	}
	for _, scope := range input.Scopes {
		if !claims.HasScope(scope) {
			return input.NewError(errors.New("the token lacks a scope"))
		}
	}
	return nil
}
