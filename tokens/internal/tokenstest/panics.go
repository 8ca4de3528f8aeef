package tokenstest

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// PanicText is what a panic says.
const PanicText = "hunter2"

// Ends are the ways in which code of the application does not return.
var Ends = map[string]func(){"panics": func() { panic(PanicText) }, "exits": runtime.Goexit}

// Log is a log that may be written and read at once.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Said judges what is logged of a panic: who, and where, and not what it said.
func (l *Log) Said(t *testing.T, who string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.text.String(); !strings.Contains(text, fmt.Sprintf("who=%q", who)) || !strings.Contains(text, "contain_test.go") ||
		strings.Contains(text, PanicText) {
		t.Errorf("the log is %.300q", text)
	}
}

// LogDefault makes a log the default for a test.
func LogDefault(t *testing.T) *Log {
	before, log := slog.Default(), new(Log)
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil))) //nolint:forbidigo // for where there is no Manager
	t.Cleanup(func() { slog.SetDefault(before) })            //nolint:forbidigo // as above
	return log
}

// String returns what was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
