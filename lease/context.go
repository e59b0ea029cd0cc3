package lease

import "context"

type tokenKey struct{}

// WithToken returns a context that carries the token of a lease.
func WithToken(ctx context.Context, token int64) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// Token returns the token of the lease under which ctx's work runs, and whether there is one.
func Token(ctx context.Context) (int64, bool) {
	token, ok := ctx.Value(tokenKey{}).(int64)
	return token, ok
}
