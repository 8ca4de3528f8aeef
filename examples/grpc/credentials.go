package main

import (
	"context"

	"github.com/bearer-go/bearer/tokens"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// perCall attaches this service's own token to the calls of a connection:
// grpc.WithPerRPCCredentials(perCall{source}). gRPC asks it for each call, with the call's context,
// and sends nothing over a connection without TLS.
type perCall struct{ source *tokens.Source }

// GetRequestMetadata implements [credentials.PerRPCCredentials]. A call without a token fails as
// one that a client may try again, unless the call's context has ended; the error names no secret.
func (c perCall) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := c.source.Token(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return map[string]string{"authorization": token.Authorization()}, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (perCall) RequireTransportSecurity() bool { return true }
