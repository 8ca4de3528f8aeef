package oauth

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/jwks"
)

// readyTime is how long [Client.ReadyForIDTokens] waits for keys.
const readyTime = 10 * time.Second

// WithKeySetURL is where the keys are that ID tokens are signed with, a JWK Set (RFC 7517 section
// 5), instead of what discovery says: for a server without a document. Then no discovery is made
// for an ID token, and it may be signed with any algorithm of [WithIDTokenAlgorithms]. It must be
// an https URL without user name and fragment; http is for loopback addresses, or [InsecureHTTP].
func WithKeySetURL(url string) ClientOption {
	return func(c *clientConfig) { c.keySet.Set(url) }
}

// WithIDTokenAlgorithms says which algorithms ID tokens, and signed answers of the userinfo
// endpoint, may be signed with: names of RFC 7518 section 3.1 and RFC 8037, such as "RS256". Those
// that are given here and that the server's document does not name
// (id_token_signing_alg_values_supported) are not accepted either. The default is what the document
// says, or RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA. Never accepted
// are "none" and the algorithms of a shared secret (HS256 and so on), which are errors here.
func WithIDTokenAlgorithms(names ...string) ClientOption {
	names = slices.Clone(names)
	return func(c *clientConfig) { c.idTokenAlgorithms.Set(names) }
}

func (c *clientConfig) judgeIDTokenAlgorithms() {
	const option = "WithIDTokenAlgorithms"
	optional.Once(&c.Mistakes, option, &c.idTokenAlgorithms, optional.Quoted)
	names := c.idTokenAlgorithms.Get()
	if c.idTokenAlgorithms.Given() && len(names) == 0 {
		c.Add(option, "", "the list is empty; name an algorithm, or leave the option out")
	}
	for i, name := range names {
		algorithm, ok := jws.Lookup(name)
		switch {
		case !ok || algorithm.Symmetric():
			c.Add(option, strconv.Quote(name), "it is no algorithm with a public key; name one such as RS256")
		case slices.Contains(names[:i], name):
			c.Add(option, strconv.Quote(name), "it is there twice; leave one out")
		}
	}
}

// issuerKeys are the keys that a client's server signs ID tokens with, and the algorithms.
type issuerKeys struct {
	wire     *oauthwire.Client
	fixedURL bool             // the document is not asked
	allowed  []*jws.Algorithm // by the options
	open     func() (*jwks.Set, error)
}

// issuerKeys makes the keys of a client. The set is made when it is first needed. It need not be
// closed: it has no goroutine, and a fetch ends by itself.
func (c *clientConfig) issuerKeys(wire *oauthwire.Client) *issuerKeys {
	k := &issuerKeys{wire: wire, fixedURL: c.keySet.Given()}
	for _, name := range c.idTokenAlgorithms.Get() {
		algorithm, _ := jws.Lookup(name)
		k.allowed = append(k.allowed, algorithm)
	}
	if !c.idTokenAlgorithms.Given() {
		k.allowed = slices.DeleteFunc(jws.All(), (*jws.Algorithm).Symmetric)
	}
	options := []jwks.Option{jwks.WithHTTPClient(wire.DiscoveryClient)}
	if wire.InsecureHTTP {
		options = append(options, jwks.InsecureHTTP())
	}
	url := c.keySet.Get()
	k.open = sync.OnceValues(func() (*jwks.Set, error) {
		if url != "" {
			return jwks.New(jwks.Remote(url, options...))
		}
		if wire.MetadataURL != "" {
			options = append(options, jwks.WithMetadataURL(wire.MetadataURL))
		}
		return jwks.New(jwks.Discover(wire.Issuer, options...))
	})
	return k
}

// document returns what the server's document says. Where it is not asked, that is nothing.
func (k *issuerKeys) document(ctx context.Context) (oauthwire.Endpoints, error) {
	if k.fixedURL {
		return oauthwire.Endpoints{}, nil
	}
	return k.wire.Document(ctx)
}

// accept returns nil if ID tokens may be signed with an algorithm. One that the document does not
// name, and the options allow, may be one that the server has gone over to since it was read. The
// error is a [refusal], or that the document could not be read again.
func (k *issuerKeys) accept(ctx context.Context, document oauthwire.Endpoints, algorithm *jws.Algorithm) error {
	names := func(e oauthwire.Endpoints) bool {
		return e.IDTokenAlgorithms == nil || slices.Contains(e.IDTokenAlgorithms, algorithm)
	}
	switch {
	case !slices.Contains(k.allowed, algorithm):
		return refusedAlgorithm
	case names(document):
		return nil
	}
	newer, err := k.wire.Newer(ctx, document)
	if err == nil && !names(newer) {
		return refusedAlgorithm
	}
	return err
}

// ReadyForIDTokens waits until ID tokens can be verified: the server's document was read, and its
// keys were fetched. It returns at once if they were before. An application may call it when it
// starts. Before a code is sent, package session does, because a code can be used once.
//
// It waits until the context ends, for the keys 10 seconds at most. The error is a [*tokens.Error]
// with RetryAfter, whose Op is "discovery", or "login" for the keys.
func (c *Client) ReadyForIDTokens(ctx context.Context) error {
	if _, err := c.keys.document(ctx); err != nil {
		return err
	}
	set, err := c.keys.open()
	if err != nil {
		return keysError(oauthwire.OpLogin, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := set.Ready(ctx); err != nil {
		return keysError(oauthwire.OpLogin, err)
	}
	return nil
}
