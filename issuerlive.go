package bearer

import (
	"net/http"
	"strconv"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
)

// buildLive gives the issuer what is asked on every request.
func (c *issuerConfig) buildLive(m *optional.Mistakes, iss *issuer) {
	l := live{template: c.buildTemplate(m), audience: c.buildAudienceFunc(m)}
	if l.template != nil || l.audience != nil {
		iss.live, iss.rules.template = &l, l.template
	}
}

// buildTemplate returns the template, or nil if the issuer is a single one.
func (c *issuerConfig) buildTemplate(m *optional.Mistakes) *template {
	shown := strconv.Quote(weburl.Redacted(c.name))
	optional.Once(m, "IssuerTemplate", &c.template, func(t templateConfig) string { return strconv.Quote(t.claim) })
	if !c.template.Given() {
		if looksLikeTemplate(c.name) {
			m.Add("WithIssuer", shown, "has a placeholder; add IssuerTemplate, or give the exact iss of the tokens")
		}
		return nil
	}
	given := c.template.Get()
	if given.claim == "" {
		m.Add("IssuerTemplate", `""`, "name the claim that equals the placeholder; is a variable unset?")
	}
	if given.accept == nil {
		m.Add("IssuerTemplate", strconv.Quote(given.claim),
			"the function is nil; give one that says which values of the placeholder are trusted")
	}
	t, err := readTemplate(c.name, c.insecureHTTP.Given())
	if err != nil {
		m.Add("IssuerTemplate", shown, "the issuer %v", err)
	}
	switch {
	case c.secrets.Given() || c.secretsBeside.Given():
		m.Add("IssuerTemplate", shown, "excludes HMACSecret: the issuers of a template have no secret in common")
	case c.withoutIssuer.Given():
		m.Add("IssuerTemplate", shown, "contradicts InsecureNoIssuer: a token without iss has no value for the placeholder")
	case !c.hasKeysOfTemplate():
		m.Add("IssuerTemplate", shown, "a template has no discovery of its own; add MetadataURL, JWKSURL or Keys")
	}
	t.claim, t.accept = given.claim, given.accept
	return &t
}

// hasKeysOfTemplate reports whether it was said where the keys of a template are. Discovery at the
// template itself cannot find them.
func (c *issuerConfig) hasKeysOfTemplate() bool {
	return c.metadataURL.Given() || c.jwksURL.Given() || c.source.Given()
}

// buildAudienceFunc returns the function that knows the audience of a request, or nil if it is
// always the same.
func (c *issuerConfig) buildAudienceFunc(m *optional.Mistakes) func(*http.Request) string {
	optional.Once(m, "AudienceFunc", &c.audienceFunc, nil)
	if !c.audienceFunc.Given() {
		return nil
	}
	if c.audienceFunc.Get() == nil {
		m.Add("AudienceFunc", "nil", "give a function, or leave the option out")
	}
	if c.audience != "" || len(c.audiences) > 0 {
		m.Add("AudienceFunc", "", `an audience is given as well; give WithIssuer "" and drop Audiences, or drop the function`)
	}
	if c.anyAudience.Given() {
		m.Add("AudienceFunc", "", "contradicts InsecureAnyAudience; drop one of the two")
	}
	return c.audienceFunc.Get()
}
