package drilltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/targets"
)

// Seeder is a target that puts first values to its source of truth itself: of every key the token
// targets.NewToken(run, targets.SeedSeq, key). Other targets are seeded by writes.
type Seeder interface {
	Seed(ctx context.Context, keys []targets.Key, run string) error
}

// Prewarmer is a target that fills its caches itself, before a drill. Of other targets every key is read once at every instance.
type Prewarmer interface {
	Prewarm(ctx context.Context, keys []targets.Key) error
}

// Clocked is a target that must know when offset 0 is, to tell history, loads or drops. It is told after the seeding: what was
// committed before lies at negative offsets.
type Clocked interface{ SetEpoch(time.Time) }

// Settler is a target that can say when what was written has reached everybody.
type Settler interface {
	Settle(ctx context.Context) error
}

// subject prepares a target for a drill.
type subject struct{ targets.Target }

const (
	preparers = 16
	patience  = 5 * time.Second // of one request before the drill
	settling  = 3 * time.Second // until the first values must show
	showAgain = 20 * time.Millisecond
)

// SetEpoch implements [scenarios.Subject].
func (s subject) SetEpoch(t time.Time) {
	if c, ok := s.Target.(Clocked); ok {
		c.SetEpoch(t)
	}
}

// Seed implements [scenarios.Subject].
func (s subject) Seed(ctx context.Context, keys []targets.Key, run string) error {
	if own, ok := s.Target.(Seeder); ok {
		return own.Seed(ctx, keys, run)
	}
	return each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		r := targets.Request{Kind: targets.Write, Key: k, Token: targets.NewToken(run, targets.SeedSeq, k), Seq: targets.SeedSeq}
		if _, err := s.Do(ctx, r); err != nil {
			return fmt.Errorf("writing the first value of %s: %w", k, err)
		}
		return nil
	})
}

// Prewarm implements [scenarios.Subject]. It sees that the first values can be read; which can't after a while, it says.
func (s subject) Prewarm(ctx context.Context, keys []targets.Key) (string, error) {
	if own, ok := s.Target.(Prewarmer); ok {
		return "", own.Prewarm(ctx, keys)
	}
	instances := []string{""}
	if d, ok := s.Target.(targets.Instanced); ok {
		instances = d.Instances()
	}
	end := time.Now().Add(settling)
	var answered, missing atomic.Int64
	var mu sync.Mutex
	var first error
	err := each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		for _, instance := range instances {
			if instance == targets.SourceInstance {
				continue
			}
			err := s.shows(ctx, k, instance, end)
			if err == nil {
				answered.Add(1)
				continue
			}
			missing.Add(1)
			mu.Lock()
			first = errors.Join(first, err)
			if answered.Load() > 0 || missing.Load() > 1 {
				first = err
			}
			mu.Unlock()
		}
		return ctx.Err()
	})
	switch {
	case err != nil:
		return "", err
	case missing.Load() > 0 && answered.Load() == 0:
		return "", fmt.Errorf("no first value can be read: %w", first)
	case missing.Load() > 0:
		return fmt.Sprintf("%d first values were not seen within %v of being written (%v)", missing.Load(), settling, first), nil
	}
	return "", nil
}

// shows reads a key until it answers with some value.
func (s subject) shows(ctx context.Context, k targets.Key, instance string, end time.Time) error {
	for {
		reply, err := s.Do(ctx, targets.Request{Kind: targets.Read, Key: k, Instance: instance, Seq: targets.SeedSeq})
		switch {
		case err != nil:
			err = fmt.Errorf("reading %s: %w", k, err)
		case reply.Absent:
			err = fmt.Errorf("reading %s: not found", k)
		default:
			return nil
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(showAgain):
		case <-ctx.Done():
			return err
		}
	}
}

// each does something for every key, a few at a time. The context of each ends after a while.
func each(ctx context.Context, keys []targets.Key, do func(context.Context, targets.Key) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, k := range keys {
		g.Go(func() error {
			if gctx.Err() != nil {
				return gctx.Err()
			}
			own, cancel := context.WithTimeout(gctx, patience)
			defer cancel()
			return do(own, k)
		})
	}
	return g.Wait()
}
