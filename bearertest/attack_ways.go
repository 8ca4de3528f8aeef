package bearertest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// This file holds the ways around a guard: requests that look as if it were not for them.

// ways are rules that hold for requests other than the route's own.
func (a *attack) ways() []rule {
	r := a.request()
	return []rule{
		{ruleForeignIssuer, invalidToken, foreignVariants},
		{ruleMethods, noCredential, methodVariants(r.Method)},
		{ruleHeaders, noCredential, headersVariants},
		{rulePaths, answer{}, a.pathVariants(r.URL.Path)}, // which another guard may stand before, with other answers
	}
}

// passesBy reports whether something answered that a guard stands before.
func passesBy(got *response) bool { return got.passes() }

// passesWithBody is passesBy for a request that CORS may answer in the place of the route, with an
// empty body.
func passesWithBody(got *response) bool { return got.passes() && (got.body != "" || got.reached > 0) }

// methods are those that a guard might leave out, or a list of the guarded ones does not have.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect,
	http.MethodOptions, http.MethodTrace, "PROPFIND", "MADEUP", "get",
}

// methodVariants are the methods that are not the route's own, without a token and with a forged
// one, and a preflight of CORS.
func methodVariants(own string) (variants []variant) {
	for _, method := range methods {
		if method == own {
			continue
		}
		stray := passesBy
		if method == http.MethodOptions {
			stray = passesWithBody
		}
		variants = append(variants, variant{
			name: method + " without a token", stray: stray,
			put: func(r *http.Request, _ string) { r.Method = method },
		}, variant{
			name: method + " with a forged token", stray: stray, want: invalidToken,
			forge: func(k *kit) string { return k.attacked(nil) },
			put: func(r *http.Request, token string) {
				r.Method = method
				inHeader(r, token)
			},
		})
	}
	return append(variants, variant{name: "a preflight", stray: passesWithBody, put: func(r *http.Request, _ string) {
		r.Method = http.MethodOptions
		r.Header.Set("Origin", "https://app.test")
		r.Header.Set("Access-Control-Request-Method", own)
		r.Header.Set("Access-Control-Request-Headers", "authorization")
	}})
}

// headersVariants are requests without a token that claim to be something else, to come from
// elsewhere or to be let through already.
var headersVariants = slices.Concat(
	// another method, which CORS may answer
	headerVariantWith(passesWithBody, "X-HTTP-Method-Override", "OPTIONS"),
	headerVariantWith(passesWithBody, "X-HTTP-Method", "OPTIONS"),
	headerVariantWith(passesWithBody, "X-Method-Override", "OPTIONS"),
	// another path
	headerVariant("X-Original-URL", "/healthz"),
	headerVariant("X-Rewrite-URL", "/healthz"),
	headerVariant("X-Forwarded-Uri", "/healthz"),
	headerVariant("X-Forwarded-Prefix", "/healthz"),
	// from here
	headerVariant("X-Forwarded-For", "127.0.0.1"),
	headerVariant("X-Real-IP", "127.0.0.1"),
	headerVariant("X-Client-IP", "127.0.0.1"),
	headerVariant("True-Client-IP", "127.0.0.1"),
	headerVariant("CF-Connecting-IP", "127.0.0.1"),
	headerVariant("Forwarded", "for=127.0.0.1;host=localhost"),
	headerVariant("X-Forwarded-Host", "localhost"),
	headerVariant("Origin", "http://localhost"),
	headerVariant("Referer", "http://localhost/"),
	[]variant{
		{name: "an address of this machine", stray: passesBy, put: func(r *http.Request, _ string) { r.RemoteAddr = "127.0.0.1:1024" }},
		{name: "the host localhost", stray: passesBy, put: func(r *http.Request, _ string) { r.Host = "localhost" }},
	},
	// a prober
	headerVariant("User-Agent", "kube-probe/1.34"),
	headerVariant("User-Agent", "ELB-HealthChecker/2.0"),
	// let through already
	headerVariant("X-Forwarded-User", "alice"),
	headerVariant("X-Forwarded-Access-Token", "x"),
	headerVariant("X-Remote-User", "alice"),
	headerVariant("Remote-User", "alice"),
	headerVariant("X-User", "alice"),
	headerVariant("X-User-Id", "alice"),
	headerVariant("X-Authenticated-Userid", "alice"),
	headerVariant("X-Auth-Request-User", "alice"),
	headerVariant("X-Forwarded-Client-Cert", "By=https://api.test;Subject=\"CN=alice\""),
	headerVariant("X-SSL-Client-Verify", "SUCCESS"),
	headerVariant("X-Internal", "true"),
	headerVariant("X-Api-Key", "x"),
	// another protocol
	headerVariant("Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
	headerVariant("Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings", "HTTP2-Settings", ""),
	headerVariant("Content-Type", "application/grpc"),
	headerVariant("Accept", "text/event-stream"),
	headerVariant("Access-Control-Request-Method", http.MethodGet),
	headerVariant("X-Requested-With", "XMLHttpRequest"),
)

// headerVariant is a request without a token and with these fields, in pairs of name and value.
func headerVariant(fields ...string) []variant { return headerVariantWith(passesBy, fields...) }

func headerVariantWith(stray func(*response) bool, fields ...string) []variant {
	return []variant{{name: fields[0] + " " + fields[1], stray: stray, put: func(r *http.Request, _ string) {
		for pair := range slices.Chunk(fields, 2) {
			r.Header.Set(pair[0], pair[1])
		}
	}}}
}

// openSuffixes are the ends of paths that guards are told to leave open.
var openSuffixes = []string{
	"healthz", "health", "readyz", "livez", "metrics", "login", "favicon.ico", "openapi.json", ".well-known/x", "x.css", "public",
}

// pathVariants are other paths of the route, without a token.
func (a *attack) pathVariants(own string) (variants []variant) {
	seen := map[string]bool{own: true, "": true}
	add := func(path, raw string) {
		if seen[path+raw] {
			return
		}
		seen[path+raw] = true
		name := path
		if raw != "" {
			name = raw
		}
		variants = append(variants, variant{name: name, stray: a.isTheRoutes, put: func(r *http.Request, _ string) {
			r.URL.Path, r.URL.RawPath = path, raw
			if r.RequestURI != "" {
				r.RequestURI = r.URL.RequestURI()
			}
		}})
	}
	base := strings.TrimSuffix(own, "/")
	for _, suffix := range openSuffixes {
		add(base+"/"+suffix, "")
		add("/"+suffix+"/.."+own, "")
		add(base+"/..;/"+suffix, "")
		add(base+";/"+suffix, "")
	}
	for _, path := range []string{
		own + "/", base, own + "//", "/" + own, "//" + own, "/." + own, base + "/.", base + "/./", base + "/x/..", base + ".json",
		base + ".css", own + ";x", own + " ", own + "\x00", own + "?", own + "#", strings.ToUpper(own), strings.ReplaceAll(own, "/", `\`),
	} {
		add(path, "")
	}
	if len(own) > 1 {
		add(own, "/%"+strings.ToUpper(hex(own[1]))+own[2:])
		add(own, "/"+strings.ReplaceAll(url.PathEscape(own[1:]), "/", "%2F")+"%2F..%2F"+own[1:])
	}
	return variants
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// isTheRoutes reports whether an answer is that of the route, although the path was another. A path
// that is open may answer too.
func (a *attack) isTheRoutes(got *response) bool {
	return got.passes() && (got.reached > 0 || a.body != "" && got.body == a.body)
}
