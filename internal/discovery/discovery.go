// Package discovery fetches and reads the document in which an issuer says where its keys and
// endpoints are (OpenID Connect Discovery section 4, RFC 8414 section 3).
package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A Document is what an issuer publishes (OpenID Connect Discovery section 3, RFC 8414 section 2).
// A member that is missing or of another type is empty. No URL in it has been judged: see
// [weburl.CheckOf].
type Document struct {
	KeysURL string // jwks_uri
	Endpoints
	Flags

	location    string
	mtlsAliases string // JSON, or ""
}

// Endpoints are URLs of the endpoints of an authorization server.
type Endpoints struct{ Token, Revocation, Authorization string }

// Flags are what an issuer says it can do in a login.
type Flags struct {
	IssParameter bool // it names itself in every answer to a login (RFC 9207 section 3)

	S256     bool // it says that it supports PKCE with S256
	S256Said bool // it says with which methods it supports PKCE
}

// A Get fetches one URL. The status is that of the HTTP response, also beside an error; 0 if there
// was none.
type Get func(ctx context.Context, location string) (document string, status int, err error)

// Fetch fetches the document of an issuer and reads it. When the place that OpenID Connect
// Discovery gives it answers with 404, that of RFC 8414 is next. The issuer in the document must
// equal this one to the character. An error of get is returned as it is.
func Fetch(ctx context.Context, issuer string, get Get) (Document, error) {
	location, other := weburl.WellKnown(issuer)
	text, status, err := get(ctx, location)
	if err != nil && status == http.StatusNotFound {
		location = other
		text, _, err = get(ctx, location)
	}
	if err != nil {
		return Document{}, err
	}
	d := Document{location: location}
	if err := d.read(text, issuer); err != nil {
		return Document{}, d.Unusable(err)
	}
	return d, nil
}

// Unusable is the error of a document that has a problem.
func (d *Document) Unusable(problem error) error {
	return fmt.Errorf("the answer of %s is not usable: %w", d.location, problem)
}

func (d *Document) read(text, issuer string) error {
	m, err := strictjson.Object(text)
	if err != nil {
		return err
	}
	if err := weburl.SameIssuer(m.Text("issuer"), issuer); err != nil {
		return err
	}
	d.KeysURL = textOf(m, "jwks_uri")
	d.Endpoints = endpointsOf(m)
	d.mtlsAliases = m.Value("mtls_endpoint_aliases")
	d.IssParameter = m.Value("authorization_response_iss_parameter_supported") == "true"
	methods, ok := strictjson.Elements(m.Value("code_challenge_methods_supported"))
	d.S256Said = ok
	for _, method := range methods {
		if name, _ := strictjson.String(method); name == "S256" {
			d.S256 = true
		}
	}
	return nil
}

// MTLSEndpoints returns the endpoints for clients that show a certificate (RFC 8705 section 5). It
// judges them only when it is called, because other clients can do with a document where they are
// malformed.
func (d *Document) MTLSEndpoints() (Endpoints, error) {
	if d.mtlsAliases == "" {
		return Endpoints{}, nil
	}
	m, err := strictjson.Object(d.mtlsAliases)
	if err != nil {
		return Endpoints{}, errors.New("its mtls_endpoint_aliases is not an object")
	}
	return endpointsOf(m), nil
}

func endpointsOf(m strictjson.MemberList) Endpoints {
	return Endpoints{
		Token:         textOf(m, "token_endpoint"),
		Revocation:    textOf(m, "revocation_endpoint"),
		Authorization: textOf(m, "authorization_endpoint"),
	}
}

// textOf returns a copy of a member's text, which does not keep the whole document in memory.
func textOf(m strictjson.MemberList, name string) string { return strings.Clone(m.Text(name)) }
