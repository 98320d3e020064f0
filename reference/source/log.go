package source

import (
	"context"
	"sync"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Entry is one commit.
type Entry struct {
	Index   uint64 // position in the log, from 1
	Name    key.Name
	Version uint64
	Token   string
	Deleted bool
	Origin  string // region of the writer; empty for seeds
	At      int64  // source clock under the commit lock, nanoseconds
}

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
