package reference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Loads are tried more than once, since a single slow answer says little about the next one. The last attempt
// has what is left of the load's time.
const (
	attemptTimeout = 400 * time.Millisecond
	mostAttempts   = 3
)

// guard stands before a worker's source and protects it from its worker: loads only, for writes are few and
// wanted. The zero controls retry whatever fails, and ask for everything at once.
type guard struct {
	source.Source
	policy   policy.Policy
	budget   budget
	throttle throttle
	watch    Observer
}

func newGuard(s source.Source, p policy.Policy) *guard {
	return &guard{Source: s, policy: p, budget: budget{tokens: budgetMost}, throttle: newThrottle(), watch: NopObserver{}}
}

// Load implements [source.Source].
func (g *guard) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return g.try(ctx, n, by, n.Family, g.seen(false, g.Source.Load))
}

// Version implements [source.Source].
func (g *guard) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return g.try(ctx, n, by, "version of "+n.Family, g.seen(true, g.Source.Version))
}

type question func(context.Context, key.Name, source.Caller) (source.Record, error)

// try asks again what failed. like names what takes the same time.
func (g *guard) try(ctx context.Context, n key.Name, by source.Caller, like string, ask question) (source.Record, error) {
	if by.Audit {
		return ask(ctx, n, by)
	}
	if g.policy.Controls.Has(policy.RetryBudget) {
		g.budget.earn()
	}
	for by.Attempt = 1; ; by.Attempt++ {
		r, err := g.attempt(ctx, n, by, like, ask)
		if err == nil || ctx.Err() != nil || by.Attempt == mostAttempts || errors.Is(err, source.ErrShed) {
			return r, err
		}
		if g.policy.Controls.Has(policy.RetryBudget) && !g.budget.spend() {
			return r, fmt.Errorf("not tried again, too many loads fail: %w", err)
		}
	}
}

func (g *guard) attempt(ctx context.Context, n key.Name, by source.Caller, like string, ask question) (source.Record, error) {
	if by.Attempt < mostAttempts {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
	}
	if !g.policy.Controls.Has(policy.Shedding) {
		return ask(ctx, n, by)
	}
	if err := g.throttle.enter(ctx); err != nil {
		g.watch.Load(LoadEvent{Family: n.Family, Check: like != n.Family, Outcome: Shed})
		return source.Record{}, fmt.Errorf("loading %s:%s: %w", n.Family, n.ID, err)
	}
	began := time.Now()
	r, err := ask(ctx, n, by)
	g.throttle.leave(like, time.Since(began), err)
	return r, err
}

// budget is a token bucket: loads earn, retries spend. (Finagle and gRPC have such budgets; the share of ten per
// cent is theirs too.)
type budget struct {
	mu     sync.Mutex
	tokens float64
}

const (
	budgetShare = 0.1 // retries a load
	budgetMost  = 10  // retries at once after a quiet time
)

func (b *budget) earn() {
	b.mu.Lock()
	b.tokens = min(budgetMost, b.tokens+budgetShare)
	b.mu.Unlock()
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// throttle bounds how many loads a worker has under way, by how fast they come back: additive increase while they
// are as fast as they can be, multiplicative decrease when they are several times slower, as TCP does (Chiu and
// Jain 1989). Who finds it full waits in line, or is refused at once when the line alone takes longer than
// the caller has.
type throttle struct {
	mu      sync.Mutex
	limit   float64
	inside  int
	line    []chan struct{}
	fastest map[string]time.Duration // by family: how long a load takes that does not wait
	usual   time.Duration            // moving average of all loads
	lowered time.Time
}

const (
	limitFirst = 64.0
	limitMost  = 1024.0
	slowFactor = 3    // times the fastest: then loads wait for each other at the source
	lowerBy    = 0.7  // of the limit
	forget     = 1.02 // the fastest time grows by this much a load, so that it can be learnt anew
)

func newThrottle() throttle { return throttle{limit: limitFirst, fastest: map[string]time.Duration{}} }

func (g *throttle) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.inside < int(g.limit) && len(g.line) == 0 {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		// The line moves by limit loads in the time that a load takes; its own load comes on top.
		wait := time.Duration(float64(g.usual) * (float64(len(g.line)+1)/g.limit + 1))
		if wait > time.Until(deadline) {
			g.mu.Unlock()
			return source.ErrShed
		}
	}
	turn := make(chan struct{})
	g.line = append(g.line, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.line {
		if t == turn {
			g.line = append(g.line[:i], g.line[i+1:]...)
			return ctx.Err()
		}
	}
	g.inside-- // its turn came at the same moment
	g.next()
	return ctx.Err()
}

// leave takes in how long a load took, and lets the next ones in.
func (g *throttle) leave(family string, took time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	best, known := g.fastest[family]
	if err == nil {
		g.usual += (took - g.usual) / 8
		if !known || took < best {
			best = took
		} else {
			best = time.Duration(float64(best) * forget)
		}
		g.fastest[family] = best
	}
	switch slow := err != nil || took > slowFactor*best; {
	case !slow && g.inside+1 >= int(g.limit/2): // a limit that is not used proves nothing
		g.limit = min(limitMost, g.limit+1/g.limit)
	case slow && time.Since(g.lowered) > took: // once for what was sent under the same limit
		g.limit = max(1, g.limit*lowerBy)
		g.lowered = time.Now()
	}
	g.next()
}

func (g *throttle) next() {
	for len(g.line) > 0 && g.inside < int(g.limit) {
		close(g.line[0])
		g.line = g.line[1:]
		g.inside++
	}
}
