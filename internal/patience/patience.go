// Package patience waits for a service that asks for it.
package patience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Error is an answer that asks to be left alone for a while.
type Error struct {
	After time.Duration // 0: it does not say for how long
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the answer.
func (e *Error) Unwrap() error { return e.Err }

// Bounds of one wait.
const (
	least    = 100 * time.Millisecond
	unspoken = time.Second // where the answer does not say how long
)

// Default is for how long a service is waited for, all in all.
const Default = 2 * time.Minute

// Pace makes all who share it wait when one of them is asked to. Safe for concurrent use.
type Pace struct {
	Most time.Duration // that it waits, all in all; 0 is [Default]

	mu     sync.Mutex
	until  time.Time
	waited time.Duration
	asked  int
}

// Do asks until the answer is no [Error], and no earlier than the service allows.
func (p *Pace) Do(ctx context.Context, ask func() error) error {
	for {
		if err := p.wait(ctx); err != nil {
			return err
		}
		err := ask()
		var limit *Error
		if !errors.As(err, &limit) || ctx.Err() != nil {
			return err
		}
		if err := p.hold(limit); err != nil {
			return err
		}
	}
}

// wait returns when the service may be asked.
func (p *Pace) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		left := time.Until(p.until)
		p.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold takes note of a service that asks for patience.
func (p *Pace) hold(limit *Error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	after := limit.After
	if after == 0 {
		after = unspoken
	}
	now := time.Now()
	until := now.Add(max(after, least))
	if !until.After(p.until) {
		return nil // it is waited for already
	}
	more := until.Sub(now)
	if p.until.After(now) {
		more = until.Sub(p.until)
	}
	if most := p.most(); p.waited+more > most {
		return fmt.Errorf("it asks to wait %v, and was waited for %v already, of at most %v (patience: %v would allow it): %w",
			after.Round(time.Millisecond), p.waited.Round(time.Second), most, (p.waited + more + time.Minute).Round(time.Minute), limit)
	}
	p.waited += more
	p.until = until
	return nil
}

func (p *Pace) most() time.Duration {
	if p.Most > 0 {
		return p.Most
	}
	return Default
}

// Waited is for how long the service was waited for.
func (p *Pace) Waited() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waited
}

// Note says in words how often something was asked to wait; "" when it was not.
func (p *Pace) Note(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == 0 {
		return ""
	}
	return fmt.Sprintf("%s went at the pace that the service allows: it was asked to wait %d times (429 or 503 with Retry-After), and waited %v",
		what, p.asked, p.waited.Round(100*time.Millisecond))
}
