package sourcetest_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// shelf is a source of truth in a map, with its feed: all that a cache needs, and nothing else.
type shelf struct {
	began time.Time

	mu   sync.Mutex // a database has a transaction in its place
	rows map[key.Name]row
	feed []source.Entry
	more chan struct{} // closed and replaced when the feed grows
}

type row struct {
	value   []byte
	version uint64
	deleted bool
	fence   string
}

func newShelf() *shelf {
	return &shelf{began: time.Now(), rows: map[key.Name]row{}, more: make(chan struct{})}
}

func (s *shelf) now() int64 { return int64(time.Since(s.began)) }

// Clock implements [source.Source].
func (s *shelf) Clock(ctx context.Context) (int64, error) { return s.now(), ctx.Err() }

// Load implements [source.Source]. The time is taken before the value is looked at, or it could be
// later than what it tells of.
func (s *shelf) Load(ctx context.Context, n key.Name, _ source.Caller) (source.Record, error) {
	t0 := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[n].at(t0), ctx.Err()
}

// Version implements [source.Source].
func (s *shelf) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	r, err := s.Load(ctx, n, by)
	r.Value = nil
	return r, err
}

func (r row) at(t0 int64) source.Record {
	return source.Record{Value: r.value, Version: r.version, Deleted: r.deleted, Fenced: r.fence != "", T0: t0}
}

// Store implements [source.Source].
func (s *shelf) Store(ctx context.Context, n key.Name, value []byte, token string, by source.Caller) (source.Record, error) {
	return s.change(ctx, source.Entry{Name: n, Token: token, Origin: by.Region}, value, by.Fence)
}

// Delete implements [source.Source]. The row stays, for its version.
func (s *shelf) Delete(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	return s.change(ctx, source.Entry{Name: n, Deleted: true, Origin: by.Region}, nil, by.Fence)
}

// change makes the row's next version and tells the feed of it, in one step.
func (s *shelf) change(ctx context.Context, e source.Entry, value []byte, fence string) (source.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.rows[e.Name]
	switch {
	case ctx.Err() != nil:
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, ctx.Err())
	case fence != "" && fence != old.fence:
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, source.ErrFenced)
	case fence != "":
		old.fence = ""
	}
	r := row{value: value, version: old.version + 1, deleted: e.Deleted, fence: old.fence}
	s.rows[e.Name] = r
	e.Index, e.Version, e.At = uint64(len(s.feed))+1, r.version, s.now()
	s.feed = append(s.feed, e)
	close(s.more)
	s.more = make(chan struct{})
	return r.at(e.At), nil
}

// Fence implements [source.Source].
func (s *shelf) Fence(ctx context.Context, n key.Name, fence string, take bool, _ source.Caller) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[n]
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", source.ErrNotApplied, ctx.Err())
	case r.fence != "" && r.fence != fence && !take:
		return source.ErrFenced
	}
	r.fence = fence
	s.rows[n] = r
	return nil
}

// Next implements [source.Feed].
func (s *shelf) Next(ctx context.Context, after uint64, limit int) ([]source.Entry, error) {
	for {
		s.mu.Lock()
		found, more := s.feed[min(after, uint64(len(s.feed))):], s.more
		s.mu.Unlock()
		if limit > 0 {
			found = found[:min(limit, len(found))]
		}
		if len(found) > 0 {
			return found, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Tip implements [source.Feed].
func (s *shelf) Tip(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.feed)), nil
}

// A source of one's own. A test holds it to the rules:
//
//	func TestShelf(t *testing.T) {
//		sourcetest.Run(t, func(*testing.T) source.Source { return newShelf() })
//		sourcetest.RunFeed(t, func(*testing.T) (source.Source, source.Feed) { s := newShelf(); return s, s })
//	}
func Example() {
	ctx := context.Background()
	s := newShelf()
	n := key.Name{Family: "product", ID: "17"}
	var by source.Caller
	_, _ = s.Store(ctx, n, []byte("a red chair"), "", by)
	_, _ = s.Delete(ctx, n, by)
	r, _ := s.Load(ctx, n, by)
	fmt.Println("version", r.Version, "deleted", r.Deleted)
	entries, _ := s.Next(ctx, 1, 0)
	fmt.Println("given", len(entries), "after position 1")
	// Output:
	// version 2 deleted true
	// given 1 after position 1
}
