package http

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

// Bounds of the preparation before a drill.
const (
	preparers = 32
	leastWait = 5 * time.Second // at least, of one request
	seedTries = 3
	showAgain = 100 * time.Millisecond
)

func (s *Service) patience() time.Duration { return max(leastWait, s.spec.Timeout) }

// Seed writes a first value to every key whose family can be written, so that everything that is
// read later is known. It overwrites what was there. It fails when the service refuses; a write
// that ends unknown may still land during the drill, so its key can't be judged.
func (s *Service) Seed(ctx context.Context, keys []targets.Key) error {
	return s.each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		f, ok := s.spec.Family(k.Family)
		if !ok || !f.Written() {
			return nil
		}
		r := targets.Request{Kind: targets.Write, Key: k, Token: targets.NewToken(s.run, targets.SeedSeq, k), Seq: targets.SeedSeq}
		for try := 1; ; try++ {
			err := s.pace.Do(ctx, func() error { return s.ask(ctx, r) })
			switch {
			case err == nil, ctx.Err() != nil:
				return ctx.Err()
			case f.Create == nil && !errors.Is(err, targets.ErrNotApplied) && !asksForPatience(err): // else it has an id that nothing asks for
				s.doubted.add(k)
			}
			if try == seedTries || asksForPatience(err) {
				return fmt.Errorf("writing the first value of %s: %w", k, err)
			}
		}
	})
}

func (s *Service) ask(ctx context.Context, r targets.Request) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	reply, err := s.Do(ctx, r)
	if err == nil && reply.Accepted {
		s.pending.add(r.Key)
	}
	return err
}

func (s *Service) each(ctx context.Context, keys []targets.Key, do func(context.Context, targets.Key) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, k := range keys {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return do(gctx, k) })
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// glance is one key at one instance.
type glance struct {
	key      targets.Key
	instance string
}

// Prewarm reads every key at every instance until it shows its first value, for at most
// [Spec.Settle]; it purges first where that is offered. It fills the caches, and makes sure that
// nothing of earlier drills is left in them. unsettled describes the keys that did not show what
// was written; it is an error when no read succeeds at all.
func (s *Service) Prewarm(ctx context.Context, keys []targets.Key) (unsettled string, err error) {
	defer s.habits.settle()
	if err := s.Purge(ctx, keys); err != nil {
		return "", err
	}
	var left []glance
	for _, k := range keys {
		for _, instance := range s.names {
			if instance != targets.SourceInstance {
				left = append(left, glance{k, instance})
			}
		}
	}
	all, end, waited := len(left), time.Now().Add(s.spec.Settle), s.pace.Waited()
	answered := atomic.Int64{}
	for {
		var failed error
		var why string
		if left, why, failed = s.look(ctx, left, &answered); ctx.Err() != nil {
			return "", ctx.Err()
		}
		if len(left) == 0 {
			return "", nil
		}
		if time.Now().Add(showAgain).After(end.Add(s.pace.Waited() - waited)) {
			if answered.Load() == 0 {
				return "", fmt.Errorf("no first value could be read within %v: %w", s.spec.Settle, failed)
			}
			for _, k := range s.pending.all() { // it may still be made, during the drill
				s.doubted.add(k)
			}
			return fmt.Sprintf("%d of %d first values were not seen within %v of being written (%s): reads of these keys may be unjudged",
				len(left), all, s.spec.Settle, why), nil
		}
		select {
		case <-time.After(showAgain):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// look reads once, and gives the keys that did not show their first value.
func (s *Service) look(ctx context.Context, at []glance, answered *atomic.Int64) (left []glance, why string, failed error) {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(preparers)
	for _, at := range at {
		g.Go(func() error {
			var reply targets.Reply
			err := s.pace.Do(gctx, func() (err error) {
				own, cancel := context.WithTimeout(gctx, s.patience())
				defer cancel()
				reply, err = s.Do(own, targets.Request{Kind: targets.Read, Key: at.key, Instance: at.instance, Seq: targets.SeedSeq})
				return err
			})
			if err == nil {
				answered.Add(1)
			}
			f, _ := s.spec.Family(at.key.Family)
			switch {
			case err == nil && (!f.Written() || s.doubted.has(at.key) || reply.Token == targets.NewToken(s.run, targets.SeedSeq, at.key)):
				s.pending.drop(at.key)
				return gctx.Err()
			case !f.Written(): // absent or failing now, it is the same the next time
				mu.Lock()
				failed = err
				mu.Unlock()
				if answered.Load() > 0 {
					return gctx.Err()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			left = append(left, at)
			switch {
			case err != nil:
				failed, why = err, err.Error()
			case reply.Absent:
				why = fmt.Sprintf("%s at %s: not found", at.key, at.instance)
			default:
				why = fmt.Sprintf("%s at %s: %q", at.key, at.instance, reply.Token)
			}
			return gctx.Err()
		})
	}
	_ = g.Wait() // the error is ctx's, which the caller checks
	return left, why, failed
}

// Purge makes every instance drop its copies of the keys, where that is offered.
func (s *Service) Purge(ctx context.Context, keys []targets.Key) error {
	return s.each(ctx, keys, func(ctx context.Context, k targets.Key) error {
		f := s.family(k.Family)
		if f == nil || f.Purge == nil {
			return nil
		}
		for instance := range s.instances {
			r := targets.Request{Kind: targets.Delete, Key: k, Instance: instance}
			_, name, _ := s.addressed(f, &targets.Request{Key: k})
			own, cancel := context.WithTimeout(ctx, s.patience())
			_, err := s.exchange(own, f.Purge, f, &r, name)
			cancel()
			if err != nil {
				return fmt.Errorf("purging %s: %w", k, err)
			}
		}
		return nil
	})
}
