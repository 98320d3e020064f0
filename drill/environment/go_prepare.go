package environment

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/targets"
)

const (
	preparers   = 16
	keyPatience = 5 * time.Second // of one request before the drill
	settling    = 3 * time.Second // until the first values must show
	showAgain   = 20 * time.Millisecond
)

// goPreparer readies a target in this process: by the target's own means where it has them, else by
// requests.
type goPreparer struct {
	Seeder
	Clocked
	prewarm func(context.Context, []targets.Key) (note string, err error)
}

// Prewarm implements [Preparer].
func (p goPreparer) Prewarm(ctx context.Context, keys []targets.Key) (note string, err error) {
	return p.prewarm(ctx, keys)
}

func goPreparerOf(target targets.Target) goPreparer {
	asked := requests{target: target, instances: []string{""}}
	if t, ok := target.(targets.Instanced); ok {
		asked.instances = t.Instances()
	}
	p := goPreparer{Seeder: asked, Clocked: asked, prewarm: asked.prewarm}
	if t, ok := target.(Seeder); ok {
		p.Seeder = t
	}
	if t, ok := target.(Clocked); ok {
		p.Clocked = t
	}
	if t, ok := target.(Prewarmer); ok {
		p.prewarm = func(ctx context.Context, keys []targets.Key) (string, error) { return "", t.Prewarm(ctx, keys) }
	}
	return p
}

// requests readies a target by what any target can do: writes and reads.
type requests struct {
	target    targets.Target
	instances []string
}

// SetEpoch implements [Clocked]: the target needs no clock.
func (requests) SetEpoch(time.Time) {}

// Seed implements [Seeder] by writes.
func (q requests) Seed(ctx context.Context, keys []targets.Key, run string) error {
	return each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		r := targets.Request{Kind: targets.Write, Key: k, Token: targets.NewToken(run, targets.SeedSeq, k), Seq: targets.SeedSeq}
		if _, err := q.target.Do(ctx, r); err != nil {
			return fmt.Errorf("writing the first value of %s: %w", k, err)
		}
		return nil
	})
}

// prewarm reads every key at every instance until it shows a value. The note counts those that
// never did.
func (q requests) prewarm(ctx context.Context, keys []targets.Key) (note string, err error) {
	end := time.Now().Add(settling)
	var answered, missing atomic.Int64
	var mu sync.Mutex
	var first error
	err = each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		for _, instance := range q.instances {
			if instance == targets.SourceInstance {
				continue
			}
			err := q.shows(ctx, k, instance, end)
			if err == nil {
				answered.Add(1)
				continue
			}
			missing.Add(1)
			mu.Lock()
			if first == nil {
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
func (q requests) shows(ctx context.Context, k targets.Key, instance string, end time.Time) error {
	for {
		reply, err := q.target.Do(ctx, targets.Request{Kind: targets.Read, Key: k, Instance: instance, Seq: targets.SeedSeq})
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

// each does something for every key, a few at a time. The context of each call ends after a while.
func each(ctx context.Context, keys []targets.Key, do func(context.Context, targets.Key) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, k := range keys {
		g.Go(func() error {
			if gctx.Err() != nil {
				return gctx.Err()
			}
			own, cancel := context.WithTimeout(gctx, keyPatience)
			defer cancel()
			return do(own, k)
		})
	}
	return g.Wait()
}

// Seeder is a target that puts first values to its source of truth itself: of every key the token
// targets.NewToken(run, targets.SeedSeq, key). Other targets are seeded by writes.
type Seeder interface {
	Seed(ctx context.Context, keys []targets.Key, run string) error
}

// Prewarmer is a target that fills its caches itself, before a drill. Of other targets every key is
// read once at every instance.
type Prewarmer interface {
	Prewarm(ctx context.Context, keys []targets.Key) error
}

// Clocked is a target that must know when offset 0 is, to stamp history, loads or drops. SetEpoch
// is called after the seeding: what was committed before lies at negative offsets.
type Clocked interface{ SetEpoch(time.Time) }
