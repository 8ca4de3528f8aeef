package main

import (
	"context"
	"errors"

	"github.com/bearer-go/bearer"
)

// untilExpiry stands for bearer.UntilExpiry, which is to replace it. It returns a context that ends
// when the token expires.
func untilExpiry(ctx context.Context) context.Context {
	claims, ok := bearer.FromContext(ctx)
	if !ok || claims.Expiry().IsZero() {
		return ctx
	}
	ctx, cancel := context.WithDeadlineCause(ctx, claims.Expiry(), errors.New("the token expired"))
	context.AfterFunc(ctx, cancel)
	return ctx
}
