package sourcetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// RunFeed tests the feed of a source, as [Run] does the source. open makes an empty source for a
// test, and has it closed when the test ends.
func RunFeed(t *testing.T, open func(t *testing.T) (source.Source, source.Feed)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s source.Source, f source.Feed)
	}{
		{"what was committed, as it was committed", feedEntries},
		{"from any position, in pieces of any size", feedPositions},
		{"waits for the first entry", feedWaits},
		{"while many write", feedConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := open(t)
			c.test(t, s, f)
		})
	}
}

const patience = 20 * time.Second // for what takes milliseconds

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func next(t *testing.T, f source.Feed, after uint64, limit int) []source.Entry {
	t.Helper()
	entries, err := f.Next(within(t, patience), after, limit)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		require.Greater(t, e.Index, after, "positions go up")
		after = e.Index
	}
	if limit > 0 {
		require.LessOrEqual(t, len(entries), limit)
	}
	return entries
}

// all reads a feed up to a tip, in pieces.
func all(t *testing.T, f source.Feed, limit int) []source.Entry {
	t.Helper()
	tip, err := f.Tip(t.Context())
	require.NoError(t, err)
	var entries []source.Entry
	for at := uint64(0); at < tip; {
		entries = append(entries, next(t, f, at, limit)...)
		at = entries[len(entries)-1].Index
	}
	return entries
}

func feedEntries(t *testing.T, s source.Source, f source.Feed) {
	tip, err := f.Tip(t.Context())
	require.NoError(t, err)
	require.Zero(t, tip, "nothing was committed")

	strange := key.Name{Family: "f:", ID: "i'", Tenant: "🦆", Locale: "%", Currency: `\`, Variant: " "}
	before, err := s.Clock(t.Context())
	require.NoError(t, err)
	_, err = s.Store(t.Context(), strange, []byte("a"), "token ☃", source.Caller{Region: "eu"})
	require.NoError(t, err)
	require.NoError(t, s.Fence(t.Context(), strange, "fence", false, anonymous), "a fence is no commit")
	_, err = s.Store(t.Context(), strange, []byte("lost"), "lost", source.Caller{Region: "eu", Fence: "none"})
	require.ErrorIs(t, err, source.ErrNotApplied)
	_, err = s.Delete(t.Context(), strange, source.Caller{Region: "us", Fence: "fence"})
	require.NoError(t, err)
	after, err := s.Clock(t.Context())
	require.NoError(t, err)

	got := all(t, f, 0)
	require.Len(t, got, 2)
	last := before
	for i := range got {
		require.GreaterOrEqual(t, got[i].At, last)
		require.LessOrEqual(t, got[i].At, after)
		last = got[i].At
		got[i].At, got[i].Index = 0, 0
	}
	require.Equal(t, []source.Entry{
		{Name: strange, Version: 1, Token: "token ☃", Origin: "eu"},
		{Name: strange, Version: 2, Deleted: true, Origin: "us"},
	}, got)
}

func feedPositions(t *testing.T, s source.Source, f source.Feed) {
	for i := range 10 {
		store(t, s, key.Name{ID: fmt.Sprint(i % 3)}, fmt.Sprint(i))
	}
	whole := all(t, f, 0)
	require.Len(t, whole, 10)
	for _, limit := range []int{1, 2, 3, 10, 11} {
		require.Equal(t, whole, all(t, f, limit), "in pieces of %d", limit)
	}
	for i, e := range whole[:9] {
		require.Equal(t, whole[i+1:], next(t, f, e.Index, 0), "from position %d", e.Index)
	}
}

func feedWaits(t *testing.T, s source.Source, f source.Feed) {
	at := uint64(0)
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		entries, err := f.Next(ctx, at, 0)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, entries)

		got := make(chan []source.Entry, 1)
		go func() {
			entries, _ := f.Next(within(t, patience), at, 0)
			got <- entries
		}()
		time.Sleep(5 * time.Millisecond) // so that it waits, most of the time
		store(t, s, n17, "x")
		entries = <-got
		require.Len(t, entries, 1)
		require.EqualValues(t, i+1, entries[0].Version)
		at = entries[0].Index
	}
}

// feedConcurrent follows a feed while many write and fence: nothing is left out, nothing told
// twice, a name's versions come in order, and what was acknowledged is at or before the tip.
func feedConcurrent(t *testing.T, s source.Source, f source.Feed) {
	const names = 4
	total := writerCount * perWriter
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			versions := map[key.Name]uint64{}
			tokens := map[string]bool{}
			for at := uint64(0); len(tokens) < total; {
				entries, err := f.Next(within(t, patience), at, 7)
				if !assert.NoError(t, err, "after %d of %d entries", len(tokens), total) {
					return
				}
				for _, e := range entries {
					assert.Greater(t, e.Index, at)
					assert.Equal(t, versions[e.Name]+1, e.Version, "the next version of %s", e.Name.ID)
					assert.False(t, tokens[e.Token], "%s was given twice", e.Token)
					at, versions[e.Name], tokens[e.Token] = e.Index, e.Version, true
				}
			}
		})
	}
	for w := range writerCount {
		wg.Go(func() {
			for i := range perWriter {
				n := key.Name{ID: fmt.Sprint((w + i) % names)}
				token := fmt.Sprintf("%d/%d", w, i)
				by := source.Caller{Region: "eu"}
				if i%4 == 3 {
					by.Fence = token
				}
				for applied := false; !applied; { // until anonymous has taken the fence away
					if by.Fence != "" && !assert.NoError(t, s.Fence(t.Context(), n, by.Fence, true, by)) {
						return
					}
					_, err := s.Store(t.Context(), n, []byte(token), token, by)
					if applied = err == nil; !applied && !assert.ErrorIs(t, err, source.ErrFenced) {
						return
					}
				}
				tip, err := f.Tip(t.Context())
				assert.NoError(t, err)
				assert.Positive(t, tip)
			}
		})
	}
	wg.Wait()
	require.Len(t, all(t, f, 0), total)
}
