package oauthtest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// codeLifetime is that of an authorization code. RFC 6749 section 4.1.2 recommends ten minutes at
	// most.
	codeLifetime = time.Minute

	defaultSubject = "alice"
)

// approval is what the user has agreed to, until and after the client comes for it with the code.
type approval struct {
	client      *client
	subject     string
	redirectURI string
	challenge   string
	nonce       string
	granted     terms
	approved    time.Time
	expiry      time.Time
	session     *session // what came of it; nil as long as the code was not used
}

// answerAuthorization is the authorization endpoint (RFC 6749 section 3.1). It approves of
// everything that is well formed, unless it has to refuse.
func (s *Server) answerAuthorization(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	query, malformed := parameters(r.URL.RawQuery)
	c := s.clients[query.Get("client_id")]
	target := query.Get("redirect_uri")
	if c == nil || !c.redirectsTo(target) || len(query["client_id"]) > 1 || len(query["redirect_uri"]) > 1 {
		// There is nowhere to send the user back to that is known to be right (RFC 6749 section 4.1.2.1).
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "client_id or redirect_uri is missing, malformed or not registered", http.StatusBadRequest)
		return
	}
	back := url.Values{"iss": {s.URL()}} // RFC 9207 section 2
	if len(query["state"]) == 1 {
		back.Set("state", query.Get("state"))
	}
	var code string
	refused := s.refused()
	if refused == nil {
		refused = malformed
	}
	if refused == nil {
		code, refused = s.approve(c, query)
	}
	if refused != nil {
		back.Set("error", refused.code)
		back.Set("error_description", refused.description)
	} else {
		back.Set("code", code)
	}
	w.Header().Set("Cache-Control", "no-store")
	if query.Get("response_mode") == formPost {
		sendForm(w, target, back)
		return
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&" // a query of the client's own stays (RFC 6749 section 3.1.2)
	}
	w.Header().Set("Location", target+separator+back.Encode())
	w.WriteHeader(http.StatusFound)
}

func (c *client) redirectsTo(uri string) bool {
	if len(c.redirectURIs) == 0 {
		return isAbsolute(uri)
	}
	return slices.Contains(c.redirectURIs, uri)
}

// approve makes a code. A login without PKCE, or with the method that hides nothing, is refused
// (RFC 9700 section 2.1.1).
func (s *Server) approve(c *client, query url.Values) (code string, refused *refusal) {
	challenge := query.Get("code_challenge")
	switch {
	case !query.Has("response_type"):
		return "", &refusal{"invalid_request", "response_type is missing"}
	case query.Get("response_type") != "code":
		return "", &refusal{"unsupported_response_type", "response_type is not code"}
	case query.Has("response_mode") && query.Get("response_mode") != "query" && query.Get("response_mode") != formPost:
		return "", &refusal{"invalid_request", "response_mode is neither query nor form_post"}
	case query.Get("code_challenge_method") != "S256" || len(challenge) != 43 || !isPKCE(challenge):
		return "", &refusal{"invalid_request", "there is no code_challenge of the method S256"}
	}
	granted, refused := s.termsOf(query)
	if refused != nil {
		return "", refused
	}
	subject := query.Get("login_hint")
	if subject == "" {
		subject = defaultSubject
	}
	now := time.Now()
	code = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = &approval{
		client: c, subject: subject, redirectURI: query.Get("redirect_uri"), challenge: challenge,
		nonce: query.Get("nonce"), granted: granted, approved: now, expiry: now.Add(codeLifetime),
	}
	return code, nil
}

// isPKCE reports whether a text has the form of a code_verifier, of which that of a code_challenge
// is a part (RFC 7636 sections 4.1 and 4.2).
func isPKCE(text string) bool {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~", r)
	}
	return len(text) >= 43 && len(text) <= 128 && !strings.ContainsFunc(text, foreign)
}
