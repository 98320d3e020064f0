// Package pause waits for a moment, or for a context to end.
package pause

import (
	"context"
	"time"
)

// Until returns at the moment, or with the context's error when that ends first.
func Until(ctx context.Context, moment time.Time) error {
	t := time.NewTimer(time.Until(moment))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// For returns after d, or with the context's error when that ends first.
func For(ctx context.Context, d time.Duration) error { return Until(ctx, time.Now().Add(d)) }
