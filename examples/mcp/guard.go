package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/bearer-go/bearer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// tools say which guard a call of a tool has to pass. A tool that is not among them cannot be
// called.
type tools map[string]*bearer.Guard

// enforce is a receiving middleware of the SDK's server. It decides: it sees the call as the server
// has read it, whatever the body of the request looked like to others.
func (t tools) enforce(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if call, ok := req.(*mcp.CallToolRequest); ok {
			if err := t.judge(ctx, call.Params.Name); err != nil {
				return nil, err
			}
		}
		return next(ctx, method, req)
	}
}

// judge has the guard of a tool judge the token that the guard in front has verified. The context
// of a call is that of its HTTP request only if the handler is stateless; see newHandler.
func (t tools) judge(ctx context.Context, tool string) error {
	guard := t[tool]
	if guard == nil {
		return errors.New("the tool has no rule")
	}
	_, err := guard.Authenticate((&http.Request{Method: http.MethodPost, Pattern: tool}).WithContext(ctx))
	return err
}

// maxMessageBytes limits the body that stepUp holds in memory.
const maxMessageBytes = 1 << 20

// stepUp stands between the guard in front and the SDK's handler. It answers a call that enforce
// would refuse with the status and the challenge of HTTP, because a client asks its user for a
// further scope when it gets 403 with insufficient_scope, and not when it gets an error of
// JSON-RPC. It decides nothing: what it cannot read goes on to the SDK.
func (t tools) stepUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessageBytes))
		if err != nil {
			http.Error(w, "the message is too large, or was not received", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var message struct {
			Method string `json:"method"`
			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		if json.Unmarshal(body, &message) == nil && message.Method == "tools/call" {
			if guard := t[message.Params.Name]; guard != nil {
				if _, err := guard.Authenticate(r); err != nil {
					guard.WriteError(w, r, err)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}
