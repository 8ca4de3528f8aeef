package interop_test

import (
	"crypto/sha1" // RFC 6455 section 4.2.2 demands it
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// attempt is what a page saw of one WebSocket.
type attempt struct {
	Opened   bool   `json:"opened"`
	Protocol string `json:"protocol"`
	Text     string `json:"text"` // of the first message
}

// A browser opens a WebSocket with the JavaScript of FromWebSocket's documentation. It needs a
// subprotocol beside the token that the handler selects.
func TestBrowserOpensAWebSocketWithAToken(t *testing.T) {
	browser := requireBrowser(t)
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client()),
		bearer.WithTokensFrom(bearer.FromWebSocket()), bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })

	results := make(chan map[string]attempt, 1)
	mux := http.NewServeMux()
	guard := auth.Guard()
	for path, selects := range map[string]bool{"GET /feed": true, "GET /silent": false} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			r, err := guard.Authenticate(r)
			if err != nil {
				guard.WriteError(w, r, err)
				return
			}
			if err := greet(w, r, selects); err != nil {
				t.Error(err)
			}
		})
	}
	mux.HandleFunc("POST /results", func(_ http.ResponseWriter, r *http.Request) {
		var seen map[string]attempt
		if err := json.NewDecoder(r.Body).Decode(&seen); err != nil {
			t.Error(err)
		}
		results <- seen
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	page := pageOf(t, strings.Replace(server.URL, "http:", "ws:", 1), issuer.Token(), issuer.Token(bearertest.Claims{"exp": 1}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page)
	})

	wrote, closeIt := openBrowser(t, browser, server.URL+"/")
	var seen map[string]attempt
	select {
	case seen = <-results:
	case <-time.After(browserLimit):
		t.Errorf("the page has reported nothing")
	}
	closeIt()
	if t.Failed() {
		t.Fatalf("the browser said: %s", wrote)
	}

	opened := attempt{true, "feed.v1", "alice"}
	for name, want := range map[string]attempt{
		"the documentation":               opened,
		"the token first":                 opened,
		"the token alone":                 {},
		"no token":                        {},
		"an expired token":                {},
		"a handler that selects no entry": {},
	} {
		if seen[name] != want {
			t.Errorf("%s: the page saw %+v, want %+v", name, seen[name], want)
		}
	}
}

// pageOf returns a page that opens WebSockets and reports what it saw of each.
func pageOf(t *testing.T, server, token, expired string) string {
	t.Helper()
	return fmt.Sprintf(`<!doctype html><title>WebSockets</title><script>
const results = {};
const watch = (name, socket) => new Promise((end) => {
	const seen = {opened: false, protocol: "", text: ""};
	socket.onopen = () => { seen.opened = true; seen.protocol = socket.protocol; };
	socket.onmessage = (message) => { seen.text = message.data; socket.close(); };
	socket.onclose = () => { results[name] = seen; end(); };
});
const entryOf = (token) => "base64url.bearer.authorization." +
	btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const documented = (token) => {
%s
	return socket;
};
(async () => {
	const token = %q, server = %q;
	await watch("the documentation", documented(token));
	await watch("the token first", new WebSocket(server + "/feed", [entryOf(token), "feed.v1"]));
	await watch("the token alone", new WebSocket(server + "/feed", [entryOf(token)]));
	await watch("no token", new WebSocket(server + "/feed", ["feed.v1"]));
	await watch("an expired token", new WebSocket(server + "/feed", ["feed.v1", entryOf(%q)]));
	await watch("a handler that selects no entry", new WebSocket(server + "/silent", ["feed.v1", entryOf(token)]));
	await fetch("/results", {method: "POST", body: JSON.stringify(results)});
})();
</script>`, strings.ReplaceAll(documentedScript(t), "wss://api.example.com", server), token, server, expired)
}

// documentedScript is the JavaScript in the comment of FromWebSocket.
func documentedScript(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../location.go")
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(source), "\nfunc FromWebSocket(")
	if !found {
		t.Fatal("FromWebSocket is somewhere else")
	}
	var script []string
	for line := range strings.Lines(before[strings.LastIndex(before, "\n\n"):]) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			script = append(script, code)
		}
	}
	if len(script) != 3 || !strings.Contains(script[2], "wss://api.example.com/feed") {
		t.Fatalf("the comment of FromWebSocket has %q", script)
	}
	return strings.Join(script, "")
}

// greet answers a handshake (RFC 6455 section 4.2.2) and sends the subject of the token in one
// text frame. It selects the first subprotocol that was offered, or none.
func greet(w http.ResponseWriter, r *http.Request, selects bool) error {
	claims, _ := bearer.FromContext(r.Context())
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if first, _, _ := strings.Cut(r.Header.Get("Sec-Websocket-Protocol"), ","); selects && first != "" {
		answer += "Sec-WebSocket-Protocol: " + first + "\r\n"
	}
	text := claims.Subject()
	if _, err := io.WriteString(buffered, answer+"\r\n\x81"+string(rune(len(text)))+text); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	// The page closes the connection after the message, and waits for the answer to that.
	if _, err := buffered.ReadByte(); err != nil {
		return nil // the browser has gone already: it did not like the answer
	}
	_, err = io.WriteString(conn, "\x88\x00")
	return err
}
