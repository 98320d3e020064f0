// Package faults breaks the cache the way production does, proves that it broke, and puts it back.
//
// A [Fault] is injected into a [Site], which holds the handles that faults need and nothing else.
// Every fault is proven through another channel than its own word (a refused dial, another run_id,
// a probe that gets no answer): without such evidence a drill shows nothing. Every heal is verified
// by a probe. Each fault has one [Definition], beside its code, which declares its parameters, what
// proves, heals and can't undo it, and what it needs; [All] is the catalogue of them.
//
// Every Inject and every Heal ends within a deadline of its own, whatever its context allows; an
// Inject that fails half-way has undone what it did.
package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults/undo"
)

// Fault is one perturbation. Faults are values: one may be injected any number of times, one after
// the other.
type Fault interface {
	// String gives the fault as YAML shows it: redis.restart{region: eu, down: 500ms}.
	String() string
	// Lasts is how long the fault phase must go on after the fault was asked for, by the fault's
	// own parameters. Of a fault that stays injected that is what [Injected.Hold] will be. The
	// effect of an instantaneous one must be seen for at least a second, after the time that
	// preparing it takes.
	Lasts() time.Duration
	// Inject starts the fault. With an error nothing is left injected. It perturbs through the
	// handles of the site, and what it perturbs otherwise not when [Site.Inert].
	Inject(ctx context.Context, site Site) (Injected, error)
}

// Injected is a fault that has been started. Its holder must call Heal, on every way out.
type Injected struct {
	// Evidence is what proves that the fault bit, as far as known at injection; "" = no proof yet.
	Evidence string
	// Began is the moment from which on the fault may have been felt: Inject itself takes time, to
	// stop a server or to wait for a probe that must not be answered. Earlier than the return of
	// Inject, except of a fault whose effect starts by the clock (keys.expire).
	Began time.Time
	// Hold is how long to keep the fault before Heal; 0 = instantaneous: there is nothing to undo,
	// and Heal is called after observing, for the final evidence.
	Hold time.Duration
	// Heal undoes the fault, verifies through a probe that it is gone, and returns the complete
	// evidence; "" = there is none, and what the drill showed is unknown. It is Heal that returns
	// the evidence because some faults can only be proven after something ran into them: a delay
	// that no event met did not happen. An error means that the fault may still be there: call it
	// again. Once it has succeeded, further calls (on a signal, and then on the way out) change
	// nothing and return the same. It may be called concurrently. Its context must be a live one:
	// not that of a drill that was cancelled.
	Heal func(ctx context.Context) (string, error)
	// Unproven says, after a Heal that gave no evidence, what is known of why there is none, and
	// what would do; nil or "": nothing is.
	Unproven func() string
}

// Record injects a fault with its entries in the journal and the audit log. where names what is
// touched, step is what undoes it, should this process end before the heal; inject gets the
// journal's entry, which may be nil, to note more. An error of inject means that nothing is left
// injected, unless it is a stuck one.
func (s Site) Record(f Fault, where []string, step undo.Step, inject func(*undo.Entry) (Injected, error)) (Injected, error) {
	name := f.String()
	if s.sham != nil {
		name = s.sham.fault.String()
	}
	entry, err := s.Journal.Begin(name, step)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := s.Audit.Log(undo.AuditInject, name, where, "", nil); err != nil {
		return Injected{}, errors.Join(fmt.Errorf("%s: %w", name, err), entry.Healed())
	}
	in, err := inject(entry)
	if err != nil {
		var left *stuck
		if !errors.As(err, &left) {
			err = errors.Join(err, entry.Healed())
		}
		_ = s.Audit.Log(undo.AuditFail, name, where, "not injected", err)
		return Injected{}, err
	}
	if s.sham != nil {
		in.Heal, s.sham.recorded = s.sham.conclude(in.Heal), true
	}
	heal, once := in.Heal, &sync.Once{}
	in.Heal = func(ctx context.Context) (string, error) {
		evidence, err := heal(ctx)
		if err != nil {
			_ = s.Audit.Log(undo.AuditFail, name, where, "not healed", err)
			return evidence, err
		}
		once.Do(func() {
			_ = entry.Healed() // else it is undone once more, which changes nothing
			_ = s.Audit.Log(undo.AuditHeal, name, where, evidence, nil)
		})
		return evidence, nil
	}
	return in, nil
}

// stuck is an injection that failed and could not be undone.
type stuck struct{ error }

func (s *stuck) Unwrap() error { return s.error }

// halfDone is the error of an injection that failed, and of undoing it.
func halfDone(inject, undo error) error {
	if undo == nil {
		return inject
	}
	return &stuck{errors.Join(inject, undo)}
}

// healOnce makes an undo that may be called again, also concurrently: calls take turns, and after
// the first success they only repeat its evidence. Each attempt ends after limit.
func healOnce(limit time.Duration, undo func(ctx context.Context) (string, error)) func(context.Context) (string, error) {
	turn := make(chan struct{}, 1)
	healed, evidence := false, ""
	return func(ctx context.Context) (string, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for a heal that is under way: %w", ctx.Err())
		}
		if healed {
			return evidence, nil
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		e, err := undo(ctx)
		if err != nil {
			return "", err
		}
		healed, evidence = true, e
		return e, nil
	}
}
