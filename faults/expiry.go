package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/thousands"
)

const (
	expireInjectLimit = 60 * time.Second
	expireUndoLimit   = 10 * time.Second
	expireVerifyLimit = 5 * time.Second
	expireLead        = 250 * time.Millisecond // from arming to the moment, plus what scanning took, several times
	// expireNotice is how long before the moment Inject returns: longer than a Redis whose TTLs age
	// in steps may be early, so that no effect is felt before the fault phase.
	expireNotice = 20 * time.Millisecond
)

// massExpiry is one common moment in some regions.
type massExpiry struct {
	fault   Expire
	site    Site
	batches []*expiryBatch // one for each Redis
	moment  time.Time
	at      string // the moment on the harness's clock
}

// inject arms the keys, and has them looked at after the moment.
func (m *massExpiry) inject(ctx context.Context, e *undo.Entry) (Injected, error) {
	for _, b := range m.batches {
		b.entry = e
	}
	inject, cancel := context.WithTimeout(ctx, expireInjectLimit)
	defer cancel()
	if err := m.arm(inject); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), expireUndoLimit)
		defer cancel()
		return Injected{}, fmt.Errorf("%s: %w", m.fault, halfDone(err, m.each(func(b *expiryBatch) error { return b.disarm(undo, m.moment) })))
	}
	// The keys must be looked at right after the moment, when they have not been filled again, and
	// Inject must return before it. Heal waits for this goroutine; it ends by itself too.
	verified := make(chan error, 1)
	verify, stop := context.WithTimeout(context.WithoutCancel(ctx), expireNotice+expireVerifyLimit)
	go func() {
		defer stop()
		verified <- m.verify(verify)
	}()
	heal := func(ctx context.Context) (string, error) {
		select {
		case err := <-verified:
			verified <- err // for another attempt
			if err != nil {
				return "", fmt.Errorf("%s: looking at the keys after their expiry: %w", m.fault, err)
			}
			return m.evidence(), nil
		case <-ctx.Done():
			return "", fmt.Errorf("%s: waiting for the keys to expire: %w", m.fault, ctx.Err())
		}
	}
	return Injected{Began: m.moment.Add(-expireNotice), Heal: healOnce(2*expireVerifyLimit, heal)}, nil
}

// each does something in all regions at once.
func (m *massExpiry) each(do func(b *expiryBatch) error) error {
	var g errgroup.Group
	for _, b := range m.batches {
		g.Go(func() error {
			if err := do(b); err != nil {
				return fmt.Errorf("redis@%s: %w", b.redis, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// arm finds the keys, sets the moment, arms, and arms again shortly before the moment for keys that
// were written meanwhile; it returns shortly before the moment.
func (m *massExpiry) arm(ctx context.Context) error {
	began := time.Now()
	if err := m.each(func(b *expiryBatch) error { return b.scan(ctx) }); err != nil {
		return fmt.Errorf("scanning for keys: %w", err)
	}
	scan := time.Since(began)
	m.moment = time.Now().Add(expireLead + 6*scan)
	pass := func(b *expiryBatch) error { return b.arm(ctx, m.moment) }
	if err := m.each(func(b *expiryBatch) error { return b.readClock(ctx) }); err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	if err := m.each(pass); err != nil {
		return fmt.Errorf("arming the expiry: %w", err)
	}
	again := m.moment.Add(-3*scan - 2*expireNotice)
	if err := pause.Until(ctx, again); err != nil {
		return err
	}
	if err := m.each(func(b *expiryBatch) error {
		if err := b.scan(ctx); err != nil {
			return err
		}
		return b.arm(ctx, m.moment)
	}); err != nil {
		return fmt.Errorf("arming the expiry again: %w", err)
	}
	return pause.Until(ctx, m.moment.Add(-expireNotice))
}

// verify waits for the moment and looks at the keys.
func (m *massExpiry) verify(ctx context.Context) error {
	if err := pause.Until(ctx, m.moment.Add(time.Millisecond)); err != nil {
		return err
	}
	m.at = m.site.stamp()
	return m.each(func(b *expiryBatch) error { return b.verify(ctx, m.moment) })
}

func (m *massExpiry) evidence() string {
	var armed, ending, gone, rewritten, survived int64
	var regions []string // that had keys
	proven := true
	for _, b := range m.batches {
		if b.live() == 0 {
			continue
		}
		regions = append(regions, b.redis)
		proven = proven && b.proven()
		armed += int64(len(b.armed))
		ending += int64(len(b.ending))
		gone, rewritten, survived = gone+b.gone, rewritten+b.rewritten, survived+b.survived
	}
	names := strings.Join(regions, ", ")
	if len(regions) == 0 || !proven {
		return ""
	}
	var also []string
	if rewritten > 0 {
		also = append(also, thousands.Group(rewritten)+" were rewritten meanwhile")
	}
	if survived > 0 {
		also = append(also, thousands.Group(survived)+" survived")
	}
	if ending > 0 {
		also = append(also, thousands.Group(ending)+" more were at their end anyway")
	}
	e := fmt.Sprintf("%s of %s %s gone from %s%s", thousands.Group(gone), thousands.Group(armed), m.fault.keys(), names, m.at)
	if len(also) > 0 {
		e += " (" + strings.Join(also, ", ") + ")"
	}
	return e
}
