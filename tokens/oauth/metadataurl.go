package oauth

import (
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
)

// WithMetadataURL is where the server's metadata is, for a server that publishes it elsewhere than
// OpenID Connect Discovery section 4 and RFC 8414 section 3 say, such as Azure AD B2C, whose
// documents are for one policy each. No other place is asked. The document must name the issuer all
// the same, to the character. It must be an https URL without user name and fragment; it may have a
// query, and http is for loopback addresses, or [InsecureHTTP]. An empty one is an error.
//
// The issuer may be any text then that is not empty.
func WithMetadataURL(url string) ClientOption {
	return func(c *clientConfig) { c.metadataURL.Set(url) }
}

// judgeIssuer judges the issuer, and where its document is.
func (c *clientConfig) judgeIssuer(issuer string) {
	optional.Once(&c.Mistakes, "WithMetadataURL", &c.metadataURL, quoted)
	switch {
	case !c.metadataURL.Given():
		if err := weburl.CheckIssuer(issuer, c.insecureHTTP.Given()); err != nil {
			c.Add("NewClient", quoted(issuer), "the issuer %v; give the https URL that the server names as its issuer", err)
		}
		return
	case issuer == "":
		c.Add("NewClient", quoted(issuer), "the issuer is empty; give it as the server's document names it")
	}
	if err := weburl.Check(c.metadataURL.Get(), c.insecureHTTP.Given()); err != nil {
		c.Add("WithMetadataURL", quoted(c.metadataURL.Get()), "the URL %v; give the https URL of the server's metadata", err)
	}
}
