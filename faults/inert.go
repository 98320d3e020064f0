package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/internal/thousands"
)

// watched is what a sham was asked to perturb and did not: each gives the evidence that it is
// unchanged, "" when there is nothing to show, or an error when it did change.
type watched struct {
	mu     sync.Mutex
	names  []string
	checks map[string]func(context.Context) (string, error)
}

// once has something checked at the heal, unless it is already.
func (w *watched) once(name string, check func(context.Context) (string, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.checks == nil {
		w.checks = map[string]func(context.Context) (string, error){}
	}
	if w.checks[name] == nil {
		w.names, w.checks[name] = append(w.names, name), check
	}
}

// check gives all evidence, each kind once; "" when some handle has none, or none was asked for
// anything.
func (w *watched) check(ctx context.Context) (string, error) {
	w.mu.Lock()
	names := slices.Sorted(slices.Values(w.names))
	w.mu.Unlock()
	var found []string
	for _, name := range names {
		evidence, err := w.checks[name](ctx)
		if err != nil {
			return "", err
		}
		if evidence != "" {
			found = append(found, evidence)
		}
	}
	return strings.Join(found, "; "), nil
}

// wrap gives a site whose handles perturb nothing.
func (w *watched) wrap(s Site) Site {
	out := s
	out.Servers, out.Keys = map[string]Server{}, map[string]Keys{}
	out.Relays, out.Edges = map[string]Relay{}, map[string]Edge{}
	for name, h := range s.Servers {
		out.Servers[name] = inertServer{h, name, w}
	}
	for name, h := range s.Keys {
		if h != nil {
			out.Keys[name] = &inertKeys{Keys: h, name: name, watched: w}
		}
	}
	for name, h := range s.Relays {
		out.Relays[name] = inertRelay{h, name, w}
	}
	for name, e := range s.Edges {
		if e.Link != nil {
			e.Link = inertLink{e.Link, e.Prober, name, w}
		}
		out.Edges[name] = e
	}
	return out
}

// inertServer ends nothing.
type inertServer struct {
	Server
	name string
	*watched
}

func (s inertServer) Start(context.Context) error    { return nil }
func (s inertServer) Stop(ctx context.Context) error { return s.watch(ctx) }
func (s inertServer) Kill(ctx context.Context) error { return s.watch(ctx) }

func (s inertServer) watch(ctx context.Context) error {
	before, err := s.Identity(ctx)
	if err != nil {
		return err
	}
	s.once("redis@"+s.name, func(ctx context.Context) (string, error) {
		after, err := s.Identity(ctx)
		if err != nil {
			return "", fmt.Errorf("identifying redis@%s: %w", s.name, err)
		}
		if !after.Same(before) {
			return "", becameAnother(s.name, before, after)
		}
		if err := s.Ping(ctx); err != nil {
			return "", fmt.Errorf("pinging redis@%s: %w", s.name, err)
		}
		return fmt.Sprintf("same run_id before and after (%s), ping answered", after.Incarnation()), nil
	})
	return nil
}

// inertKeys changes no key.
type inertKeys struct {
	Keys
	name string
	*watched

	mu   sync.Mutex
	left map[string]bool // keys that were to be changed
}

func (k *inertKeys) ExpireAt(_ context.Context, keys []string, _ int64) ([]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == nil {
		k.left = map[string]bool{}
	}
	done := make([]bool, len(keys))
	for i, key := range keys {
		k.left[key], done[i] = true, true
	}
	k.once("keys@"+k.name, k.still)
	return done, nil
}

// still counts the keys that are there, of those that were to expire.
func (k *inertKeys) still(ctx context.Context) (string, error) {
	k.mu.Lock()
	keys := sortedKeys(k.left)
	k.mu.Unlock()
	there := 0
	for first := 0; first < len(keys); first += batch {
		ttls, err := k.TTLs(ctx, keys[first:min(first+batch, len(keys))])
		if err != nil {
			return "", fmt.Errorf("looking at the keys of redis@%s: %w", k.name, err)
		}
		for _, ttl := range ttls {
			if ttl != rediskeys.NoKey {
				there++
			}
		}
	}
	if len(keys) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s keys found in redis@%s and not touched, %s of them still there",
		thousands.Group(int64(len(keys))), k.name, thousands.Group(int64(there))), nil
}

func (k *inertKeys) RestoreExpiry(context.Context, int64, time.Duration, []string, []int64) (int64, error) {
	return 0, nil
}

func (k *inertKeys) Flush(ctx context.Context, prefix string) (rediskeys.Flushed, error) {
	n, err := k.Count(ctx, prefix)
	if err != nil {
		return rediskeys.Flushed{}, err
	}
	k.once("keys@"+k.name, func(context.Context) (string, error) {
		return fmt.Sprintf("%s keys found in redis@%s and not touched", thousands.Group(n), k.name), nil
	})
	return rediskeys.Flushed{Had: n, Left: n}, nil
}

// inertRelay delays nothing.
type inertRelay struct {
	Relay
	name string
	*watched
}

func (r inertRelay) Delay(by time.Duration) {
	if by == 0 {
		return
	}
	before := r.Delivered()
	r.once("relay@"+r.name, func(context.Context) (string, error) {
		now := r.Delivered()
		if n := now.Delayed - before.Delayed; n != 0 {
			return "", fmt.Errorf("relay@%s held %s events, though this drill delayed none", r.name, thousands.Group(n))
		}
		return fmt.Sprintf("%s events through relay@%s, none held", thousands.Group(now.Events-before.Events), r.name), nil
	})
}

// inertLink lets everything pass.
type inertLink struct {
	Link
	prober Prober
	name   string
	*watched
}

func (l inertLink) Clear(context.Context, any) error { return nil }

func (l inertLink) Apply(ctx context.Context, owner any, _ ...link.Mode) error {
	answered, err := l.answers(ctx, owner)
	if err != nil {
		return err
	}
	l.once(l.name, func(ctx context.Context) (string, error) {
		again, err := l.answers(ctx, owner)
		switch {
		case err != nil:
			return "", err
		case !answered || !again:
			return l.name + " had another fault, and was not touched", nil
		}
		return l.name + " answered through the proxy before and after", nil
	})
	return nil
}

// answers probes the link, unless another fault has it.
func (l inertLink) answers(ctx context.Context, owner any) (bool, error) {
	others, err := l.HeldByOthers(ctx, owner)
	if err != nil || others || l.prober == nil {
		return false, err
	}
	if err := limited(ctx, l.prober.Through); err != nil {
		return false, fmt.Errorf("%s does not answer: %w", l.name, err)
	}
	return true, nil
}
