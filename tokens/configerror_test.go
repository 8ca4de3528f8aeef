package tokens_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

func TestMistakesOfAManager(t *testing.T) {
	_, err := tokens.NewManager(nil, nil, tokens.WithMaxKeys(0), tokens.WithFetchTimeout(-time.Second), tokens.WithLogger(nil), tokens.WithObserver(nil),
		tokens.WithLogger(slog.Default()), tokens.WithObserver(nil))
	tokenstest.WantConfigErrors(t, err,
		tokens.ConfigError{Option: "NewManager", Value: "nil"}, tokens.ConfigError{Option: "NewManager", Value: "nil"},
		tokens.ConfigError{Option: "WithMaxKeys", Value: "0"},
		tokens.ConfigError{Option: "WithFetchTimeout", Value: "-1s"},
		tokens.ConfigError{Option: "WithLogger"}, // twice
		tokens.ConfigError{Option: "WithObserver"}, tokens.ConfigError{Option: "WithObserver", Value: "nil"},
	)
	const want = "tokens: WithMaxKeys(0): a Manager needs at least 1"
	if _, err := tokens.NewManager(&server{}, tokens.WithMaxKeys(0)); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestMistakesOfATransport(t *testing.T) {
	source, _ := transportSource(t, tokens.Key{Resource: "https://u:hunter2@a.example"})
	_, err := source.Transport(nil, nil)
	tokenstest.WantConfigErrors(t, err, tokens.ConfigError{Option: "Transport", Value: "nil"}, tokens.ConfigError{Option: "Transport"})
	_, err = source.Transport(nil, tokens.WithOrigins("https://u:hunter2@a.example"), tokens.WithOrigins())
	tokenstest.WantConfigErrors(t, err, tokens.ConfigError{Option: "WithOrigins"},
		tokens.ConfigError{Option: "WithOrigins", Value: `"https://redacted@a.example"`})
}

// What the caller does with its own list later changes nothing.
func TestWithOriginsCopiesItsList(t *testing.T) {
	source, _ := transportSource(t, tokens.Key{})
	origins := []string{"https://a.example"}
	option := tokens.WithOrigins(origins...)
	origins[0] = "nonsense"
	if _, err := source.Transport(nil, option); err != nil {
		t.Error(err)
	}
}
