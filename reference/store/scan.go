package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Scan implements [Store], with SCAN.
func (r Redis) Scan(ctx context.Context, pieces []string, each func(keys []string) error) error {
	match := glob(pieces)
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil { // a client without deadlines does not look
			return fmt.Errorf("scanning: %w", err)
		}
		keys, next, err := r.client.Scan(ctx, cursor, match, ScanBatch).Result()
		if err != nil {
			return fmt.Errorf("scanning: %w", err)
		}
		if len(keys) > 0 {
			if err := each(keys); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// glob is the pattern of MATCH for pieces with anything between and behind them.
func glob(pieces []string) string {
	var b strings.Builder
	for _, p := range pieces {
		for i := 0; i < len(p); i++ {
			if strings.IndexByte(`*?[]\^-`, p[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(p[i])
		}
		b.WriteByte('*')
	}
	if len(pieces) == 0 {
		return "*"
	}
	return b.String()
}

// like says of a key what the pattern of [glob] does.
func like(key string, pieces []string) bool {
	for i, p := range pieces {
		at := strings.Index(key, p)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		key = key[at+len(p):]
	}
	return true
}

// Scan implements [Store]. The keys are those of the moment at which it begins.
func (c *client) Scan(ctx context.Context, pieces []string, each func(keys []string) error) error {
	var found []string
	err := c.do(ctx, "scanning", func(t *Tx) {
		for k := range t.m.items {
			if like(k, pieces) {
				found = append(found, k)
			}
		}
		found = slices.DeleteFunc(found, func(k string) bool { _, there := t.Get(k); return !there })
	})
	if err != nil {
		return err
	}
	slices.Sort(found) // so that two runs are alike
	for batch := range slices.Chunk(found, ScanBatch) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("scanning: %w", err)
		}
		if err := each(batch); err != nil {
			return err
		}
	}
	return nil
}
