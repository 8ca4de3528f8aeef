package tokens_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// logOf is what a Manager logs at Info and above while its Fetcher brings these errors, one after
// the other, and nil for a token.
func logOf(t *testing.T, results []error, opts ...tokens.ManagerOption) (lines []string) {
	t.Helper()
	var log bytes.Buffer
	next := 0
	fetcher := tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		err := results[next]
		next++
		if err != nil {
			return nil, err
		}
		return &tokens.Response{AccessToken: tokens.NewSecret("s3cret"), ExpiresIn: time.Second}, nil
	})
	opts = append(opts, tokens.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))))
	m, err := tokens.NewManager(fetcher, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	source := m.Source(tokens.Key{})
	for next < len(results) {
		_, _ = source.Token(t.Context())
		tokenstest.Pass(10 * time.Minute)
		synctest.Wait()
	}
	if log.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(log.String()), "\n")
}

// That a person has to log in is a state: it is logged once, at Info. A failure is logged once, at
// Warn. One after the other is logged too.
func TestLoginRequiredIsLoggedAtInfoOnce(t *testing.T) {
	login := fmt.Errorf("%w: %w", tokens.ErrLoginRequired, &tokens.Error{Op: "token", Status: 400, Code: "invalid_grant"})
	for name, tt := range map[string]struct {
		results []error
		want    string
	}{
		"the state":           {[]error{nil, login, login, tokens.ErrLoginRequired, login}, "INFO"},
		"from the start":      {[]error{login, login}, "INFO"},
		"and its end":         {[]error{login, login, nil, nil}, "INFO INFO"},
		"twice":               {[]error{login, nil, login}, "INFO INFO INFO"},
		"a failure":           {[]error{tokenstest.ErrDown, tokenstest.ErrDown, nil}, "WARN INFO"},
		"a failure before":    {[]error{tokenstest.ErrDown, login, login}, "WARN INFO"},
		"a failure after":     {[]error{login, tokenstest.ErrDown, tokenstest.ErrDown}, "INFO WARN"},
		"a failure between":   {[]error{login, tokenstest.ErrDown, login, nil}, "INFO WARN INFO INFO"},
		"nothing but a token": {[]error{nil, nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var levels []string
				for _, line := range logOf(t, tt.results) {
					_, rest, _ := strings.Cut(line, "level=")
					level, _, _ := strings.Cut(rest, " ")
					levels = append(levels, level)
				}
				if got := strings.Join(levels, " "); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

// A Reset, as after a login, is no news of the issuer: the end of what was logged is logged after it
// too, and it is not logged twice.
func TestResetDoesNotHideTheEndOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var failure error
		m, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
			return &tokens.Response{AccessToken: tokens.NewSecret("s3cret"), ExpiresIn: time.Hour}, failure
		}), tokens.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		source := m.Source(tokens.Key{})
		for _, failure = range []error{tokens.ErrLoginRequired, tokens.ErrLoginRequired, tokens.ErrLoginRequired, nil, nil} {
			_, _ = source.Token(t.Context())
			synctest.Wait()
			source.Reset()
		}
		if n := strings.Count(log.String(), "level=INFO"); n != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("want the state and its end:\n%s", log.String())
		}
	})
}

// The server's text is in the log by option only, and never in the error.
func TestErrorDescriptionsAreLoggedByOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "AADSTS7000215: Invalid client secret provided."
		e := &tokens.Error{Op: "token", Status: http.StatusUnauthorized, Code: "invalid_client", Description: text}
		for _, err := range []error{e, fmt.Errorf("%w: %w", tokens.ErrLoginRequired, e)} {
			if lines := logOf(t, []error{err}); len(lines) != 1 || strings.Contains(lines[0], "AADSTS") || strings.Contains(lines[0], "description") {
				t.Errorf("without the option: %q", lines)
			}
			lines := logOf(t, []error{err}, tokens.WithErrorDescriptions())
			if len(lines) != 1 || !strings.HasSuffix(lines[0], fmt.Sprintf(" description=%q", text)) || strings.Count(lines[0], "AADSTS") != 1 {
				t.Errorf("with the option: %q", lines)
			}
		}
		for _, err := range []error{tokenstest.ErrDown, tokens.ErrLoginRequired} { // which have none
			if lines := logOf(t, []error{err}, tokens.WithErrorDescriptions()); len(lines) != 1 || strings.Contains(lines[0], "description") {
				t.Errorf("without a description: %q", lines)
			}
		}
	})
	_, err := tokens.NewManager(&server{}, tokens.WithErrorDescriptions(), tokens.WithErrorDescriptions())
	if err == nil || !strings.Contains(err.Error(), "WithErrorDescriptions: set more than once") {
		t.Errorf("error %v", err)
	}
}
