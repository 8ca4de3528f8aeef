package oauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// The error of a discovery that finds nothing names both places, what each answered, and what helps.
func TestDiscoveryErrorNamesBothPlaces(t *testing.T) {
	server := tokenstest.NewServer()
	server.On(tokenstest.OpenIDPath, tokenstest.Gives(http.StatusForbidden, "", ""))
	server.On(tokenstest.OAuthPath, tokenstest.Gives(http.StatusNotFound, "", ""))
	_, err := fetchFrom(t, server)
	for _, says := range []string{
		"status 404: GET " + tokenstest.Issuer + tokenstest.OAuthPath,
		"before that, GET " + tokenstest.Issuer + tokenstest.OpenIDPath + ": status 403", "WithTokenEndpoint",
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != http.StatusNotFound {
		t.Errorf("%#v", err)
	}
}

// Any status that says there is nothing here for this client leads to the second place.
func TestDiscoveryGoesOnAfterEveryClientError(t *testing.T) {
	for status, want := range map[int]bool{400: true, 401: true, 403: true, 404: true, 405: true, 410: true, 408: false, 425: false, 429: false, 500: false} {
		server := tokenstest.NewServer()
		server.On(tokenstest.OpenIDPath, tokenstest.Gives(status, "", ""))
		server.On(tokenstest.OAuthPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
		if _, err := fetchFrom(t, server); (err == nil) != want {
			t.Errorf("%d: %v", status, err)
		}
	}
}
