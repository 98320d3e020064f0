package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Flush deletes all keys of the Redis of a region; where the site has a key prefix, those that begin with it
// and no others. It can't be undone: what is lost is lost.
//
// Evidence: how many keys there were, and how many of them were left right after, before anybody could write
// them again: both are asked in one transaction with the deletion.
type Flush struct {
	Region string
	sham   bool
}

const flushLimit = 60 * time.Second

// String gives the fault as YAML shows it.
func (f Flush) String() string { return render(f.sham, "keys.flush", [2]string{"region", f.Region}) }

// Inject deletes the keys, within 60 s. One that fails half-way has deleted some of them, and its error says so. Heal undoes
// nothing.
func (f Flush) Inject(ctx context.Context, site Site) (Injected, error) {
	if _, err := pick(site.Nodes, "Redis", []string{f.Region}); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	node := site.Nodes[f.Region]
	u := undo{Kind: undoLost, Redis: whereIs(node), Why: "keys that were deleted can't be brought back"}
	return site.record(f, f.sham, []string{"redis@" + f.Region + " " + node.Addr()}, u, func(*entry) (Injected, error) {
		ctx, cancel := context.WithTimeout(ctx, flushLimit)
		defer cancel()
		began := time.Now()
		do := f.all
		if site.KeyPrefix != "" {
			do = func(ctx context.Context, c *goredis.Client) (flushed, error) { return f.below(ctx, c, site.KeyPrefix) }
		}
		did, err := do(ctx, node.Client())
		if err != nil {
			err = fmt.Errorf("%s: redis@%s: %w", f, f.Region, err)
			if did.gone > 0 {
				err = &stuck{fmt.Errorf("%w (%s keys were deleted)", err, grouped(did.gone))}
			}
			return Injected{}, err
		}
		evidence := ""
		what := "keys"
		if site.KeyPrefix != "" {
			what = fmt.Sprintf("keys below %q", site.KeyPrefix)
		}
		switch {
		case f.sham:
			evidence = fmt.Sprintf("%s: %s %s found in redis@%s and not touched", shamOf(f), grouped(did.had), what, f.Region)
		case did.gone > 0 && did.left < did.gone:
			evidence = fmt.Sprintf("%s %s in redis@%s before, %s of them right after%s", grouped(did.had), what, f.Region, grouped(did.left), site.stamp())
		}
		heal := func(context.Context) (string, error) { return evidence, nil }
		return Injected{Evidence: evidence, Began: began, Heal: healOnce(flushLimit, heal)}, nil
	})
}

// flushed counts keys: that there were, that were deleted, and that were there nevertheless.
type flushed struct{ had, gone, left int64 }

// all deletes every key of the database.
func (f Flush) all(ctx context.Context, c *goredis.Client) (flushed, error) {
	if f.sham {
		n, err := c.DBSize(ctx).Result()
		return flushed{had: n}, err
	}
	var before, after *goredis.IntCmd
	_, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		before = p.DBSize(ctx)
		p.FlushDB(ctx)
		after = p.DBSize(ctx)
		return nil
	})
	if err != nil {
		return flushed{}, err
	}
	return flushed{before.Val(), before.Val() - after.Val(), after.Val()}, nil
}

// below deletes the keys that begin with the prefix.
func (f Flush) below(ctx context.Context, c *goredis.Client, prefix string) (did flushed, err error) {
	err = scanKeys(ctx, c, escapeGlob(prefix)+"*", func(keys []string) error {
		mine := keys[:0]
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				mine = append(mine, k)
			}
		}
		if len(mine) == 0 {
			return nil
		}
		if f.sham {
			did.had += int64(len(mine))
			return nil
		}
		var gone, left *goredis.IntCmd
		if _, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			gone, left = p.Unlink(ctx, mine...), p.Exists(ctx, mine...)
			return nil
		}); err != nil {
			return err
		}
		did.had += gone.Val()
		did.gone += gone.Val()
		did.left += left.Val()
		return nil
	})
	return did, err
}

// scanKeys gives the keys that match, some at a time, some more than once. KEYS would block the server.
func scanKeys(ctx context.Context, c *goredis.Client, glob string, each func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, glob, scanCount).Result()
		if err != nil {
			return err
		}
		if err := each(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// escapeGlob gives the Redis glob that matches the text and nothing else.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(text)
}

// below says whether every key that the Redis glob matches begins with the prefix.
func below(glob, prefix string) bool {
	var head strings.Builder // what every match begins with
	for i := 0; i < len(glob) && !strings.ContainsRune("*?[", rune(glob[i])); i++ {
		if glob[i] == '\\' && i+1 < len(glob) {
			i++
		}
		head.WriteByte(glob[i])
	}
	return strings.HasPrefix(head.String(), prefix)
}
