package source

import (
	"context"
	"sync"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Entry is one commit.
type Entry struct {
	Index   uint64 // position in the log, from 1; of a [Feed], positions may leave gaps
	Name    key.Name
	Version uint64
	Token   string
	Deleted bool
	Origin  string // region of the writer; empty for seeds
	At      int64  // source clock under the commit lock, nanoseconds
}

// Feed is a source's commits, for those who follow them. Positions go up in the feed's order, in
// which the versions of one name go up too. An entry that a follower has not been given never
// appears at or before a position that it has reached.
type Feed interface {
	// Next gives the entries that follow a position, at most limit of them (0: as many as the feed
	// gives at once). It waits for the first until ctx ends. The entries must not be changed.
	Next(ctx context.Context, after uint64, limit int) ([]Entry, error)
	// Tip is a position such that every change acknowledged before the call is at or before it.
	Tip(ctx context.Context) (uint64, error)
}

var _ Feed = (*Log)(nil)

// Log is the commit log of a source: append-only, in commit order. Its memory grows with commits.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	grown   chan struct{} // closed and replaced at each append
}

func newLog() *Log { return &Log{grown: make(chan struct{})} }

// append is called under the source's commit lock.
func (l *Log) append(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Index = uint64(len(l.entries)) + 1
	l.entries = append(l.entries, e)
	close(l.grown)
	l.grown = make(chan struct{})
}

// After gives the entries that follow index, at most limit of them (0: all), and a channel that is
// closed when there is more. The entries must not be changed.
func (l *Log) After(index uint64, limit int) ([]Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index > uint64(len(l.entries)) {
		index = uint64(len(l.entries))
	}
	rest := l.entries[index:]
	if limit > 0 && len(rest) > limit {
		rest = rest[:limit:limit]
	}
	return rest, l.grown
}

// Len is the number of commits so far.
func (l *Log) Len() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries))
}

// Next implements [Feed].
func (l *Log) Next(ctx context.Context, after uint64, limit int) ([]Entry, error) {
	for {
		entries, grown := l.After(after, limit)
		if len(entries) > 0 {
			return entries, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Tip implements [Feed].
func (l *Log) Tip(context.Context) (uint64, error) { return l.Len(), nil }

// Wait waits until the log is longer than index.
func (l *Log) Wait(ctx context.Context, index uint64) error {
	for {
		rest, grown := l.After(index, 1)
		if len(rest) > 0 {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
