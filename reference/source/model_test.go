package source

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
)

func model(t *testing.T, cfg ModelConfig) (*Model, func() []Load) {
	start := time.Now()
	var mu sync.Mutex
	var loads []Load
	cfg.Now = func() int64 { return int64(time.Since(start)) }
	cfg.OnLoad = func(l Load) { mu.Lock(); loads = append(loads, l); mu.Unlock() }
	m, err := NewModel(cfg)
	require.NoError(t, err)
	return m, func() []Load { mu.Lock(); defer mu.Unlock(); return loads }
}

var row17 = key.Name{Family: "product", ID: "17"}

func TestQueueingAndWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, loads := model(t, ModelConfig{Servers: 2, ServiceTime: 40 * time.Millisecond, Seed: 1})
		m.Seed(row17, []byte("a"), "seed")
		began := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				r, err := m.Load(t.Context(), row17, Caller{Region: "eu"})
				require.NoError(t, err)
				require.EqualValues(t, 1, r.Version)
			})
		}
		wg.Wait()
		took := time.Since(began)
		require.GreaterOrEqual(t, took, 90*time.Millisecond, "6 loads on 2 servers take three turns of at least 30 ms")
		require.LessOrEqual(t, took, 150*time.Millisecond)
		widest := 0
		for _, l := range loads() {
			widest = max(widest, l.Width)
		}
		require.Equal(t, 6, widest, "waiting loads count: they are asked for at once")
	})
}

func TestQueueBoundSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := model(t, ModelConfig{Servers: 1, ServiceTime: time.Second, Queue: 1})
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := m.Load(t.Context(), row17, Caller{})
				errs <- err
			}()
			synctest.Wait()
		}
		require.ErrorIs(t, <-errs, ErrShed)
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
	})
}

// A load carries the value of the moment at which it was taken up, not of the moment it returns.
func TestSlowLoadCarriesTheOldValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := model(t, ModelConfig{Servers: 2, ServiceTime: time.Second, WriteTime: 10 * time.Millisecond})
		m.Seed(row17, []byte("old"), "seed")
		got := make(chan Record, 1)
		go func() {
			r, _ := m.Load(t.Context(), row17, Caller{})
			got <- r
		}()
		synctest.Wait()
		w, err := m.Store(t.Context(), row17, []byte("new"), "w", Caller{Region: "us"})
		require.NoError(t, err)
		require.EqualValues(t, 2, w.Version)
		r := <-got
		require.Equal(t, "old", string(r.Value))
		require.Less(t, r.T0, w.T0)
		entries, now := m.Seal(1)
		require.Len(t, entries, 1)
		require.Equal(t, Entry{Index: 2, Name: row17, Version: 2, Token: "w", Origin: "us", At: w.T0}, entries[0])
		require.GreaterOrEqual(t, now, w.T0)
	})
}

func TestGivenUpStoreHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := model(t, ModelConfig{Servers: 1, WriteTime: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := m.Store(ctx, row17, []byte("x"), "w", Caller{})
		require.True(t, errors.Is(err, ErrNotApplied) && errors.Is(err, context.DeadlineExceeded), err)
		time.Sleep(2 * time.Second)
		require.Zero(t, m.Peek(row17).Version)
		require.Zero(t, m.Log().Len())
	})
}

func TestLogWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := model(t, ModelConfig{Servers: 1})
		done := make(chan error, 1)
		go func() { done <- m.Log().Wait(t.Context(), 1) }()
		m.Seed(row17, nil, "1")
		synctest.Wait()
		require.Empty(t, done)
		m.Seed(row17, nil, "2")
		require.NoError(t, <-done)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- m.Log().Wait(ctx, 2) }()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}
