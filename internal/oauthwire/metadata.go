package oauthwire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/weburl"
)

const maxEndpoint = 4 << 10 // bytes of an endpoint's URL

var (
	errEndpointSize = fmt.Errorf("is longer than %d bytes", maxEndpoint)
	errNoEndpoint   = errors.New("it names no token_endpoint; give WithTokenEndpoint if there is one")
)

// Endpoints are what a server's document says (RFC 8414 section 2, OpenID Connect Discovery section
// 3), or options do.
type Endpoints struct {
	Token, Revocation, Authorization string // "" for one that is not named

	IssParameter bool // the server names itself in every answer to a login (RFC 9207 section 3)

	S256     bool // it says that it supports PKCE with S256
	S256Said bool // it says with which methods it supports PKCE
}

// TokenEndpoint is the one where tokens are asked for.
func TokenEndpoint(e Endpoints) string { return e.Token }

// RevocationEndpoint is the one where they are revoked.
func RevocationEndpoint(e Endpoints) string { return e.Revocation }

// metadata is a JSON object whose members are read one by one.
type metadata map[string]string

func (m metadata) text(name string) string {
	text, _ := strictjson.String(m[name])
	return strings.Clone(text) // or it would keep the whole document in memory
}

// readObject reads a JSON object. Names and values are parts of the document.
func readObject(document string) (metadata, error) {
	members, err := strictjson.Object(document)
	if err != nil {
		return nil, err
	}
	m := make(metadata, len(members))
	for _, member := range members {
		m[member.Name] = member.Value
	}
	return m, nil
}

// readMetadata reads the members of the document that matter here.
func (c *Client) readMetadata(document string) (Endpoints, error) {
	m, err := readObject(document)
	if err != nil {
		return Endpoints{}, err
	}
	if err := weburl.SameIssuer(m.text("issuer"), c.Issuer); err != nil {
		return Endpoints{}, err
	}
	aliases := metadata{}
	if text, ok := m["mtls_endpoint_aliases"]; ok && c.Auth.Certificate != nil {
		if aliases, err = readObject(text); err != nil {
			return Endpoints{}, errors.New("its mtls_endpoint_aliases is not an object")
		}
	}
	found := c.Given
	for _, e := range []struct {
		name  string
		field *string
	}{
		{"token_endpoint", &found.Token},
		{"revocation_endpoint", &found.Revocation},
		{"authorization_endpoint", &found.Authorization},
	} {
		if *e.field != "" {
			continue
		}
		text := aliases.text(e.name)
		if text == "" || e.field == &found.Authorization { // which a person's browser goes to
			text = m.text(e.name)
		}
		if text == "" {
			continue
		}
		err := weburl.CheckOf(c.Issuer, text, c.InsecureHTTP)
		if len(text) > maxEndpoint {
			err = errEndpointSize
		}
		if err != nil {
			return Endpoints{}, fmt.Errorf("its %s %w", e.name, err)
		}
		*e.field = text
	}
	if found.Token == "" {
		return Endpoints{}, errNoEndpoint
	}
	found.IssParameter = m["authorization_response_iss_parameter_supported"] == "true"
	if methods, ok := strictjson.Elements(m["code_challenge_methods_supported"]); ok {
		found.S256Said = true
		for _, method := range methods {
			if text, _ := strictjson.String(method); text == "S256" {
				found.S256 = true
			}
		}
	}
	return found, nil
}
