package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/source"
)

const (
	batchLimit  = 1000             // entries given at once
	lookTimeout = 5 * time.Second  // of one look at a server that may be away
	lookPause   = time.Millisecond // between two looks, however much is written here
)

// Next implements [source.Feed]. While it waits, it has no connection: one look-out serves all who
// follow this source. An error of the look-out ends the waits.
func (s *Source) Next(ctx context.Context, after uint64, limit int) ([]source.Entry, error) {
	if limit <= 0 || limit > batchLimit {
		limit = batchLimit
	}
	seen := after
	for {
		tip, err := s.tips.await(ctx, seen)
		if err != nil {
			return nil, fmt.Errorf("following the source's commits: %w", err)
		}
		entries, err := s.entries(ctx, after, limit)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		seen = max(seen, tip) // those between were trimmed
	}
}

func (s *Source) entries(ctx context.Context, after uint64, limit int) ([]source.Entry, error) {
	// Those who follow have no deadline, and a network that swallows the answer says nothing.
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	rows, err := s.aside.Query(ctx, s.sql.next, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the source's commits: %w", err)
	}
	defer rows.Close()
	var entries []source.Entry
	for rows.Next() {
		var e source.Entry
		var at time.Time
		if err := rows.Scan(&e.Index, &e.Name.Family, &e.Name.ID, &e.Name.Tenant, &e.Name.Locale, &e.Name.Currency, &e.Name.Variant,
			&e.Version, &e.Deleted, &e.Token, &e.Origin, &at); err != nil {
			return nil, fmt.Errorf("reading the source's commits: %w", err)
		}
		e.At = at.UnixNano()
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the source's commits: %w", err)
	}
	return entries, nil
}

// Tip implements [source.Feed]. It may be beyond what Next gives yet, for as long as an older
// transaction is open.
func (s *Source) Tip(ctx context.Context) (tip uint64, err error) {
	if err := s.aside.QueryRow(ctx, s.sql.tip).Scan(&tip); err != nil {
		return 0, fmt.Errorf("reading the source's newest commit: %w", err)
	}
	return tip, nil
}

// Trim deletes what the feed gives at and before a position, and tells how many entries that were.
// Give it no position that a follower has still to reach: what is gone, it will not hear of.
func (s *Source) Trim(ctx context.Context, through uint64) (int64, error) {
	done, err := s.aside.Exec(ctx, s.sql.trim, through)
	if err != nil {
		return 0, fmt.Errorf("trimming the source's commits: %w", err)
	}
	return done.RowsAffected(), nil
}

// lookOut looks for commits while somebody waits for them.
func (s *Source) lookOut(ctx context.Context) {
	defer s.tips.close()
	timer := time.NewTimer(s.poll)
	defer timer.Stop()
	for s.tips.wanted(ctx) {
		look, cancel := context.WithTimeout(ctx, lookTimeout)
		var tip uint64
		err := s.aside.QueryRow(look, s.sql.sealed).Scan(&tip)
		cancel()
		if ctx.Err() != nil {
			return // closed, which is no failure of the look
		}
		s.tips.set(tip, err)
		timer.Reset(lookPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Reset(max(s.poll-lookPause, 0))
		select {
		case <-timer.C:
		case <-s.tips.nudge: // a commit of our own
		case <-ctx.Done():
		}
	}
}

// tips is what the look-out knows of how far the feed goes.
type tips struct {
	nudge chan struct{} // asks the look-out to look at once

	mu      sync.Mutex
	tip     uint64
	err     error         // of the last look
	ended   bool          // nothing waits any more
	changed chan struct{} // closed and replaced when the above change
	waiting int
	looks   int           // so far
	asked   chan struct{} // has a value when somebody waits
}

func (t *tips) init() {
	t.nudge, t.asked, t.changed = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
}

// look asks for a look at once.
func (t *tips) look() {
	select {
	case t.nudge <- struct{}{}:
	default:
	}
}

// wanted waits until somebody waits, and is false when ctx has ended.
func (t *tips) wanted(ctx context.Context) bool {
	for ctx.Err() == nil {
		t.mu.Lock()
		waiting := t.waiting
		t.mu.Unlock()
		if waiting > 0 {
			return true
		}
		select {
		case <-t.asked:
		case <-ctx.Done():
		}
	}
	return false
}

func (t *tips) set(tip uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	t.looks++
	if err == nil && tip <= t.tip {
		return // also when all was trimmed
	}
	t.tip = max(t.tip, tip)
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tips) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	close(t.changed)
	t.changed = make(chan struct{})
}

// await waits until the feed goes beyond a position, and tells how far.
func (t *tips) await(ctx context.Context, after uint64) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting++
	defer func() { t.waiting-- }()
	for {
		switch {
		case t.ended:
			return 0, errClosed
		case t.tip > after:
			return t.tip, nil
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case t.asked <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
		t.mu.Lock()
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case t.err != nil && t.tip <= after:
			return 0, t.err
		}
	}
}
