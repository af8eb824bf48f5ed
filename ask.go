package codestory

import "context"

type askLimit struct{}

// WithAskLimit has limit called before the store is asked for something that nothing is known of, for the caller of ctx. Its
// error is returned instead of asking.
func WithAskLimit(ctx context.Context, limit func() error) context.Context {
	return context.WithValue(ctx, askLimit{}, limit)
}

// MayAsk returns the error of the limit in ctx; nil if there is none.
func MayAsk(ctx context.Context) error {
	if limit, ok := ctx.Value(askLimit{}).(func() error); ok {
		return limit()
	}
	return nil
}
