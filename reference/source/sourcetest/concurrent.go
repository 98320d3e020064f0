package sourcetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/source"
)

const (
	writerCount = 16
	perWriter   = 10
)

func writers(t *testing.T, s source.Source) {
	var mu sync.Mutex
	wrote := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range writerCount {
		wg.Go(func() {
			last := uint64(0)
			for i := range perWriter {
				value := fmt.Sprintf("%d/%d", w, i)
				var r source.Record
				var err error
				if i%5 == 4 {
					value = ""
					r, err = s.Delete(t.Context(), n17, anonymous)
				} else {
					r, err = s.Store(t.Context(), n17, []byte(value), value, anonymous)
				}
				if !assert.NoError(t, err) {
					return
				}
				assert.Greater(t, r.Version, last, "a writer's versions go up")
				last = r.Version
				mu.Lock()
				_, twice := wrote[r.Version]
				assert.False(t, twice, "version %d was given twice", r.Version)
				wrote[r.Version] = value
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, wrote, writerCount*perWriter)
	for v := range uint64(writerCount * perWriter) {
		require.Contains(t, wrote, v+1, "versions have no gap")
	}
	r := load(t, s, n17)
	require.EqualValues(t, writerCount*perWriter, r.Version)
	require.Equal(t, wrote[r.Version], string(r.Value), "the newest version is the last one's")
}

func readers(t *testing.T, s source.Source) {
	const changes = 60
	var acked atomic.Uint64
	done := make(chan struct{})
	var mu sync.Mutex
	saw := map[uint64]string{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := uint64(0)
			for {
				least := acked.Load()
				r, err := s.Load(t.Context(), n17, anonymous)
				if !assert.NoError(t, err) {
					return
				}
				assert.GreaterOrEqual(t, r.Version, least, "a load that starts after a store returned sees it")
				assert.GreaterOrEqual(t, r.Version, last, "versions go back")
				last = r.Version
				mu.Lock()
				if old, known := saw[r.Version]; known {
					assert.Equal(t, old, string(r.Value), "version %d has one value", r.Version)
				}
				saw[r.Version] = string(r.Value)
				mu.Unlock()
				v, err := s.Version(t.Context(), n17, anonymous)
				if !assert.NoError(t, err) {
					return
				}
				assert.GreaterOrEqual(t, v.Version, last, "a version read is as fresh as a load")
				last = v.Version
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	wrote := map[uint64]string{0: ""}
	for i := range changes {
		value := fmt.Sprint("value ", i)
		r, err := s.Store(t.Context(), n17, []byte(value), value, anonymous)
		if !assert.NoError(t, err) {
			break
		}
		wrote[r.Version] = value
		acked.Store(r.Version)
	}
	close(done)
	wg.Wait()
	for v, value := range saw {
		require.Equal(t, wrote[v], value, "version %d", v)
	}
}

func fenceEnds(t *testing.T, s source.Source) {
	store(t, s, n17, "a")
	require.NoError(t, s.Fence(t.Context(), n17, "mine", false, anonymous))
	require.NoError(t, s.Fence(t.Context(), n17, "mine", false, anonymous), "one's own fence is no obstacle")
	requireFenced(t, s, true)
	r := load(t, s, n17)
	require.EqualValues(t, 1, r.Version, "a fence is no version")
	require.Equal(t, "a", string(r.Value), "a fenced name can be read")

	w, err := s.Store(t.Context(), n17, []byte("b"), "b", source.Caller{Fence: "mine"})
	require.NoError(t, err)
	require.EqualValues(t, 2, w.Version)
	require.False(t, w.Fenced)
	requireFenced(t, s, false)

	_, err = s.Store(t.Context(), n17, []byte("c"), "c", source.Caller{Fence: "mine"})
	requireLost(t, err)
	require.EqualValues(t, 2, load(t, s, n17).Version, "a fence is good for one change")

	require.NoError(t, s.Fence(t.Context(), n17, "another", false, anonymous))
	w, err = s.Delete(t.Context(), n17, source.Caller{Fence: "another"})
	require.NoError(t, err)
	require.EqualValues(t, 3, w.Version)
	requireFenced(t, s, false)
}

func fenceTaken(t *testing.T, s source.Source) {
	store(t, s, n17, "a")
	require.NoError(t, s.Fence(t.Context(), n17, "first", false, anonymous))
	err := s.Fence(t.Context(), n17, "second", false, anonymous)
	require.ErrorIs(t, err, source.ErrFenced)
	_, err = s.Store(t.Context(), n17, []byte("s"), "s", source.Caller{Fence: "second"})
	requireLost(t, err)

	require.NoError(t, s.Fence(t.Context(), n17, "second", true, anonymous))
	_, err = s.Store(t.Context(), n17, []byte("f"), "f", source.Caller{Fence: "first"})
	requireLost(t, err)
	_, err = s.Delete(t.Context(), n17, source.Caller{Fence: "first"})
	requireLost(t, err)
	r := load(t, s, n17)
	require.EqualValues(t, 1, r.Version, "the loser wrote nothing")
	require.Equal(t, "a", string(r.Value))
	requireFenced(t, s, true)

	w, err := s.Store(t.Context(), n17, []byte("s"), "s", source.Caller{Fence: "second"})
	require.NoError(t, err)
	require.EqualValues(t, 2, w.Version)
	requireFenced(t, s, false)
	require.Equal(t, "s", string(load(t, s, n17).Value))
}

func fenceOfNothing(t *testing.T, s source.Source) {
	_, err := s.Store(t.Context(), n17, []byte("x"), "x", source.Caller{Fence: "none"})
	requireLost(t, err)
	require.Zero(t, load(t, s, n17).Version)

	require.NoError(t, s.Fence(t.Context(), n17, "mine", false, anonymous))
	requireFenced(t, s, true)
	r := load(t, s, n17)
	require.Zero(t, r.Version)
	require.False(t, r.Deleted)
	require.Empty(t, r.Value)
	require.ErrorIs(t, s.Fence(t.Context(), n17, "other", false, anonymous), source.ErrFenced)
	w, err := s.Store(t.Context(), n17, []byte("a"), "a", source.Caller{Fence: "mine"})
	require.NoError(t, err)
	require.EqualValues(t, 1, w.Version)
	requireFenced(t, s, false)
}

func fenceLeftAlone(t *testing.T, s source.Source) {
	require.NoError(t, s.Fence(t.Context(), n17, "mine", true, anonymous))
	w := store(t, s, n17, "a")
	require.EqualValues(t, 1, w.Version)
	require.True(t, w.Fenced)
	requireFenced(t, s, true)
	w, err := s.Delete(t.Context(), n17, anonymous)
	require.NoError(t, err)
	require.True(t, w.Fenced)
	requireFenced(t, s, true)
	w, err = s.Store(t.Context(), n17, []byte("b"), "b", source.Caller{Fence: "mine"})
	require.NoError(t, err)
	require.EqualValues(t, 3, w.Version)
	requireFenced(t, s, false)
}

// takers take one fence from each other, and each tries to change under its own twice at once.
func takers(t *testing.T, s source.Source) {
	var changed atomic.Uint64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 5 {
				fence := fmt.Sprintf("%d/%d", w, i)
				if !assert.NoError(t, s.Fence(t.Context(), n17, fence, true, anonymous)) {
					return
				}
				var applied atomic.Uint64
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						_, err := s.Store(t.Context(), n17, []byte(fence), fence, source.Caller{Fence: fence})
						if err == nil {
							applied.Add(1)
							return
						}
						assert.ErrorIs(t, err, source.ErrFenced)
						assert.ErrorIs(t, err, source.ErrNotApplied)
					})
				}
				both.Wait()
				assert.LessOrEqual(t, applied.Load(), uint64(1), "a fence is good for one change")
				changed.Add(applied.Load())
			}
		})
	}
	wg.Wait()
	r := load(t, s, n17)
	require.Equal(t, changed.Load(), r.Version, "what was refused wrote nothing")
	require.Positive(t, r.Version, "the last fence is not taken away")
	require.False(t, r.Fenced, "the last taker's change ended the last fence")
}

func requireFenced(t *testing.T, s source.Source, want bool) {
	t.Helper()
	v, err := s.Version(t.Context(), n17, anonymous)
	require.NoError(t, err)
	require.Equal(t, want, v.Fenced, "version")
	require.Equal(t, want, load(t, s, n17).Fenced, "load")
	require.Equal(t, want, audit(t, s, n17).Fenced, "audit")
}

func requireLost(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, source.ErrNotApplied)
	require.ErrorIs(t, err, source.ErrFenced)
}
