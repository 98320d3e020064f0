package virtual

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/service"
)

// site gives faults the same handles as a network does, on what there is in memory.
func (w *world) site(spec service.Spec) faults.Site {
	s := faults.Site{
		Servers: map[string]faults.Server{}, Keys: map[string]faults.Keys{},
		Relays: map[string]faults.Relay{}, Edges: map[string]faults.Edge{},
		Pattern: w.service.Pattern,
	}
	for name, m := range w.stores {
		s.Servers[name], s.Keys[name] = server{m, name}, keys{m}
	}
	for _, r := range spec.Regions {
		s.Relays[r.Name] = relay{w.service.Relay(r.Name)}
	}
	for _, name := range spec.Edges() {
		at := w.wire(name)
		far := func(context.Context) error { return nil } // a relay, which never ends
		if _, redis, ok := strings.Cut(name, " -> redis@"); ok {
			far = s.Servers[redis].Ping
		}
		s.Edges[name] = faults.Edge{Link: at, Prober: prober{at, far}}
	}
	return s
}

// relay lets faults handle an invalidation relay.
type relay struct{ *invalidation.Relay }

// Delivered implements [faults.Relay].
func (r relay) Delivered() faults.Delivery {
	s := r.Stats()
	return faults.Delivery{Events: s.Delivered, Held: s.Held, Delayed: s.Delayed, MaxLag: s.MaxLag}
}

// server lets faults handle a store as the Redis server that it stands for.
type server struct {
	store *store.Memory
	name  string
}

// Start implements [faults.Server].
func (s server) Start(context.Context) error { s.store.Start(); return nil }

// Stop implements [faults.Server].
func (s server) Stop(context.Context) error { s.store.Stop(); return nil }

// Kill implements [faults.Server]. A store in memory ends one way only.
func (s server) Kill(context.Context) error { s.store.Stop(); return nil }

// Ping implements [faults.Server].
func (s server) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return refusal(s.store.Do(func(*store.Tx) {}))
}

// Identity implements [faults.Server].
func (s server) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	if err := s.Ping(ctx); err != nil {
		return targets.RedisIdentity{}, err
	}
	return targets.RedisIdentity{
		Backend: "memory", RunID: fmt.Sprintf("memory-%d", s.store.Incarnation()), Keys: int64(len(s.store.Keys())),
	}, nil
}

// Location implements [faults.Server].
func (s server) Location() undo.Server { return undo.Server{Addr: s.name + ".memory"} }

// Lifetime implements [faults.Server].
func (server) Lifetime() faults.Lifetime { return faults.EndsWithProcess() }

// Capabilities implements [faults.Server].
func (server) Capabilities() faults.Capabilities {
	return faults.Capabilities{
		faults.CanStop: faults.Yes(), faults.CanKill: faults.Yes(), faults.CanTouch: faults.Yes(),
	}
}

// keys lets faults handle the keys of a store. It implements [faults.Keys]; [rediskeys.Keys] is the
// reference for what each method does.
type keys struct{ store *store.Memory }

const scanned = 1000 // keys given at once

// Scan implements [faults.Keys].
func (k keys) Scan(ctx context.Context, glob string, each func(keys []string) error) error {
	return k.matching(ctx, func(key string) bool { return rediskeys.Match(glob, key) }, each)
}

func (k keys) matching(ctx context.Context, match func(key string) bool, each func(keys []string) error) error {
	if err := k.store.Do(func(*store.Tx) {}); err != nil {
		return refusal(err)
	}
	var found []string
	for _, key := range k.store.Keys() {
		if match(key) {
			found = append(found, key)
		}
	}
	for first := 0; first < len(found); first += scanned {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(found[first:min(first+scanned, len(found))]); err != nil {
			return err
		}
	}
	return nil
}

// step runs one step on the store.
func (k keys) step(ctx context.Context, step func(*store.Tx)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return refusal(k.store.Do(step))
}

// Clock implements [faults.Keys].
func (k keys) Clock(ctx context.Context) (now time.Time, err error) {
	err = k.step(ctx, func(t *store.Tx) { now = t.Now() })
	return now, err
}

// TTLs implements [faults.Keys].
func (k keys) TTLs(ctx context.Context, names []string) (ttls []time.Duration, err error) {
	err = k.step(ctx, func(t *store.Tx) {
		for _, name := range names {
			ttl := rediskeys.NoKey
			if until, ok := t.Until(name); ok {
				ttl = until.Sub(t.Now())
			}
			ttls = append(ttls, ttl)
		}
	})
	return ttls, err
}

// Count implements [faults.Keys].
func (k keys) Count(ctx context.Context, prefix string) (n int64, err error) {
	err = k.below(ctx, prefix, func(keys []string) error { n += int64(len(keys)); return nil })
	return n, err
}

func (k keys) below(ctx context.Context, prefix string, each func(keys []string) error) error {
	return k.matching(ctx, func(key string) bool { return strings.HasPrefix(key, prefix) }, each)
}

// ExpireAt implements [faults.Keys].
func (k keys) ExpireAt(ctx context.Context, names []string, at int64) ([]bool, error) {
	done := make([]bool, len(names))
	moment := time.UnixMilli(at)
	err := k.step(ctx, func(t *store.Tx) {
		for i, name := range names {
			if until, ok := t.Until(name); ok && moment.Before(until) {
				t.ExpireAt(name, moment)
				done[i] = true
			}
		}
	})
	return done, err
}

// RestoreExpiry implements [faults.Keys]. Every key of a store in memory has an expiry.
func (k keys) RestoreExpiry(ctx context.Context, set int64, slack time.Duration, names []string, own []int64) (n int64, err error) {
	err = k.step(ctx, func(t *store.Tx) {
		for i, name := range names {
			until, ok := t.Until(name)
			if ok && until.Sub(time.UnixMilli(set)).Abs() <= slack && own[i] > 0 {
				t.ExpireAt(name, time.UnixMilli(own[i]))
				n++
			}
		}
	})
	return n, err
}

// Flush implements [faults.Keys].
func (k keys) Flush(ctx context.Context, prefix string) (did rediskeys.Flushed, err error) {
	err = k.below(ctx, prefix, func(names []string) error {
		return k.step(ctx, func(t *store.Tx) {
			for _, name := range names {
				if t.Delete(name) {
					did.Had++
					did.Gone++
				}
				if _, there := t.Get(name); there {
					did.Left++
				}
			}
		})
	})
	return did, err
}
