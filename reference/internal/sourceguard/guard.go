// Package sourceguard stands between a worker and its source: retries within a budget, and bounded
// concurrency.
package sourceguard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Loads are tried more than once, since a single slow answer says little about the next one. The
// last attempt has what is left of the load's time.
const (
	AttemptTimeout = 400 * time.Millisecond
	mostAttempts   = 3
)

// Guard protects the source from its worker: loads and version reads only, for writes are few and
// wanted. Without the retry-budget and shedding controls it retries whatever fails, and asks for
// everything at once.
type Guard struct {
	source.Source
	policy   policy.Policy
	shed     func(n key.Name, check bool)
	budget   budget
	throttle throttle
}

// New puts a guard before a source. shed is called for each read that is refused without asking the
// source, check for one of the version only; it may be nil.
func New(s source.Source, p policy.Policy, shed func(n key.Name, check bool)) *Guard {
	return &Guard{Source: s, policy: p, shed: shed, budget: budget{tokens: budgetMost}, throttle: newThrottle()}
}

// Load implements [source.Source].
func (g *Guard) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return g.try(ctx, read{n, false, g.Source.Load}, by)
}

// Version implements [source.Source].
func (g *Guard) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return g.try(ctx, read{n, true, g.Source.Version}, by)
}

// read is one read at the source: of a name's value, or of its version only.
type read struct {
	name  key.Name
	check bool
	ask   func(context.Context, key.Name, source.Caller) (source.Record, error)
}

// like names the reads that take about as long.
func (r read) like() string {
	if r.check {
		return "version of " + r.name.Family
	}
	return r.name.Family
}

// try asks again what failed. An audit is tried once, waits in no line and costs no budget.
func (g *Guard) try(ctx context.Context, r read, by source.Caller) (source.Record, error) {
	if by.Audit {
		return r.ask(ctx, r.name, by)
	}
	if g.policy.Controls.Has(policy.RetryBudget) {
		g.budget.earn()
	}
	for by.Attempt = 1; ; by.Attempt++ {
		rec, err := g.attempt(ctx, r, by)
		if err == nil || ctx.Err() != nil || by.Attempt == mostAttempts || errors.Is(err, source.ErrShed) {
			return rec, err
		}
		if g.policy.Controls.Has(policy.RetryBudget) && !g.budget.spend() {
			return rec, fmt.Errorf("not tried again, too many loads fail: %w", err)
		}
	}
}

func (g *Guard) attempt(ctx context.Context, r read, by source.Caller) (source.Record, error) {
	if by.Attempt < mostAttempts {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, AttemptTimeout)
		defer cancel()
	}
	if !g.policy.Controls.Has(policy.Shedding) {
		return r.ask(ctx, r.name, by)
	}
	if err := g.throttle.enter(ctx); err != nil {
		if g.shed != nil {
			g.shed(r.name, r.check)
		}
		return source.Record{}, fmt.Errorf("loading %s:%s: %w", r.name.Family, r.name.ID, err)
	}
	began := time.Now()
	rec, err := r.ask(ctx, r.name, by)
	g.throttle.leave(r.like(), time.Since(began), err)
	return rec, err
}
