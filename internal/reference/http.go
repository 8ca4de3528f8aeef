package reference

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var (
	// scheme is a token of RFC 9110 section 5.6.2.
	scheme = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

	errNoCredential = errors.New("no bearer token")
	errBadRequest   = errors.New("not one well-formed credential")
)

// Handler lets requests with a good token and the scope through to next, and answers all others.
func (r *Reference) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if err := r.authenticate(request); err != nil {
			writeRefusal(w, err)
			return
		}
		next.ServeHTTP(w, request)
	})
}

func (r *Reference) authenticate(request *http.Request) error {
	tokens := []string{""}
	if r.careless(OneCredential) {
		tokens = append(sloppyTokens(request), tokens...)
	} else {
		find := credential
		if r.config.Places != nil {
			find = r.credentialIn
		}
		token, err := find(request)
		if err != nil {
			return err
		}
		tokens[0] = token
	}
	err := errNoCredential
	for _, token := range tokens {
		if token == "" {
			continue
		}
		var claims object
		if claims, err = r.judge(token, time.Now()); err != nil {
			continue
		}
		if r.config.AudienceFunc != nil {
			if err = r.checkAudience(claims, r.config.AudienceFunc(request)); err != nil {
				break
			}
		}
		if r.config.Scope != "" {
			err = r.checkScope(claims)
		}
		if err == nil {
			err = r.checkRole(claims)
		}
		break
	}
	return err
}

// credential finds the token in the one place where it may be.
func credential(request *http.Request) (string, error) {
	values := request.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", errNoCredential
	case 1:
		return behindScheme(values[0], "bearer")
	}
	return "", errBadRequest
}

// behindScheme finds the token behind a scheme, whose case does not count.
func behindScheme(value, wanted string) (string, error) {
	name, token, _ := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !scheme.MatchString(name):
		return "", errBadRequest
	case asciiLower(name) != asciiLower(wanted):
		return "", errNoCredential
	case token == "" || strings.ContainsAny(token, " \t"):
		return "", errBadRequest
	}
	return token, nil
}

// writeRefusal answers as RFC 6750 section 3 says.
func writeRefusal(w http.ResponseWriter, err error) {
	status, code := http.StatusUnauthorized, "invalid_token"
	var refusal *Refusal
	switch {
	case errors.Is(err, errNoCredential):
		code = ""
	case errors.Is(err, errBadRequest):
		status, code = http.StatusBadRequest, "invalid_request"
	case errors.As(err, &refusal) && (refusal.Rule == Scope || refusal.Rule == Role):
		status, code = http.StatusForbidden, "insufficient_scope"
	}
	challenge := "Bearer"
	if code != "" {
		challenge += fmt.Sprintf(" error=%q", code)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"title":%q,"status":%d,"code":%q}`, http.StatusText(status), status, "refused")
}
