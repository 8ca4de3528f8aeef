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
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A Document is what an issuer publishes (OpenID Connect Discovery section 3, RFC 8414 section 2).
// A member that is missing or of another type is empty. No URL in it has been judged: see
// [weburl.CheckOf].
type Document struct {
	KeysURL string // jwks_uri
	Endpoints
	Flags

	// IDTokenAlgorithms is id_token_signing_alg_values_supported, as JSON, or "". It is for the
	// caller to read: only those who verify ID tokens need it.
	IDTokenAlgorithms string

	location    string
	mtlsAliases string // JSON, or ""
}

// Endpoints are URLs of the endpoints of an authorization server.
type Endpoints struct{ Token, Revocation, Authorization, Device, UserInfo string }

// Flags are what an issuer says it can do in a login.
type Flags struct {
	IssParameter bool // it names itself in every answer to a login (RFC 9207 section 3)

	S256     bool // it says that it supports PKCE with S256
	S256Said bool // it says with which methods it supports PKCE
}

// A Get fetches one URL. The status is that of the HTTP response, also beside an error; 0 if there
// was none.
type Get func(ctx context.Context, location string) (document string, status int, err error)

// A Place says whose document to fetch, and where it is.
type Place struct {
	// Issuer is the one that the document must name, to the character.
	Issuer string
	// URL is where the document is. It is "" for the places that follow from the issuer.
	URL string
	// Help says what to do if the document is not there or cannot be used: with which option it,
	// or what it would say, is given. It is "" if there is nothing to say.
	Help string
}

// Fetch fetches the document of an issuer and reads it. When the place that OpenID Connect
// Discovery gives it answers that it is not there for this client, that of RFC 8414 is next: after
// any status from 400 to 499 but 408, 425 and 429, which ask for another attempt. The issuer in the
// document must equal the one of the place to the character, wherever the document is. An error of
// get can be found in the error as it is, of two the last.
func Fetch(ctx context.Context, place Place, get Get) (Document, error) {
	location, other := weburl.WellKnown(place.Issuer)
	if place.URL != "" {
		location, other = place.URL, ""
	}
	text, status, err := get(ctx, location)
	failure := new(PlaceError)
	if err != nil && other != "" && absent(status) {
		failure.Also = fmt.Sprintf("; before that, GET %s: status %d", location, status)
		location = other
		text, status, err = get(ctx, location)
	}
	if err != nil {
		if absent(status) && place.Help != "" {
			failure.Also += "; " + place.Help
		}
		failure.Last = err
		return Document{}, failure
	}
	d := Document{location: location}
	if err := d.read(text, place); err != nil {
		return Document{}, fmt.Errorf("%w%s", d.Unusable(err), failure.Also)
	}
	return d, nil
}

// absent reports whether a status says that there is nothing for this client here, now and later.
func absent(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status <= 499
}

// PlaceError is an error of get, of two the last.
type PlaceError struct {
	Last error
	// Also is what else there is to say, as the text that follows that of Last: what the first
	// place answered, and what to do. It may be empty.
	Also string
}

func (e *PlaceError) Error() string { return e.Last.Error() + e.Also }

// Unwrap returns the error of get.
func (e *PlaceError) Unwrap() error { return e.Last }

// Unusable is the error of a document that has a problem.
func (d *Document) Unusable(problem error) error {
	return fmt.Errorf("the answer of %s is not usable: %w", d.location, problem)
}

func (d *Document) read(text string, place Place) error {
	m, err := strictjson.Object(strings.TrimPrefix(text, byteOrderMark))
	if err != nil {
		return err
	}
	found := m.Text("issuer")
	if err := weburl.SameIssuer(found, place.Issuer); err != nil {
		err = fmt.Errorf("%w; it names %s", err, shown(found))
		if place.Help != "" {
			err = fmt.Errorf("%w; %s", err, place.Help)
		}
		return err
	}
	d.KeysURL = textOf(m, "jwks_uri")
	d.Endpoints = endpointsOf(m)
	d.mtlsAliases = m.Value("mtls_endpoint_aliases")
	d.IDTokenAlgorithms = m.Value("id_token_signing_alg_values_supported")
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

// byteOrderMark may stand before JSON text, and parsers may ignore it (RFC 8259 section 8.1).
const byteOrderMark = "\uFEFF"

// maxShown is how much of the issuer that a document names is shown, in bytes.
const maxShown = 64

// shown is the issuer of a document as an error shows it: printable and short, because it is the
// other side's text.
func shown(issuer string) string {
	if issuer == "" {
		return "none"
	}
	cut := issuer[:min(len(issuer), maxShown)]
	text := `"` + webclient.Printable(cut) + `"`
	if len(cut) < len(issuer) {
		text = "one that begins with " + text
	}
	return text
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
		Device:        textOf(m, "device_authorization_endpoint"), // RFC 8628 section 4
		UserInfo:      textOf(m, "userinfo_endpoint"),
	}
}

// textOf returns a copy of a member's text, which does not keep the whole document in memory.
func textOf(m strictjson.MemberList, name string) string { return strings.Clone(m.Text(name)) }
