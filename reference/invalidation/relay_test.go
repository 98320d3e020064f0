package invalidation

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// region is a relay with a receiver that records, and can be made to fail.
type region struct {
	*Relay
	server *httptest.Server
	got    chan Event
	mu     sync.Mutex
	down   bool
}

func newRegion(name string, m *source.Model, now func() int64) *region {
	r := &region{got: make(chan Event, 100)}
	r.Relay = NewRelay(Config{Region: name, Log: m.Log(), Now: now, Deliver: func(_ context.Context, e Event) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down {
			return errors.New("down")
		}
		r.got <- e
		return nil
	}})
	r.server = httptest.NewServer(r)
	return r
}

func (r *region) setDown(down bool) { r.mu.Lock(); r.down = down; r.mu.Unlock() }

func (r *region) next(t *testing.T) Event {
	t.Helper()
	select {
	case e := <-r.got:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event within 10 s")
		return Event{}
	}
}

func setup(t *testing.T) (m *source.Model, eu, us *region) {
	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) }
	m, err := source.NewModel(source.ModelConfig{Servers: 4, Now: now})
	require.NoError(t, err)
	eu, us = newRegion("eu", m, now), newRegion("us", m, now)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { eu.Run(ctx, map[string]Peer{"us": NewHTTPPeer(us.server.URL)}) })
	wg.Go(func() { us.Run(ctx, map[string]Peer{"eu": NewHTTPPeer(eu.server.URL)}) })
	t.Cleanup(func() { cancel(); wg.Wait(); eu.server.Close(); us.server.Close() })
	return m, eu, us
}

func write(t *testing.T, m *source.Model, id, from string) {
	_, err := m.Store(t.Context(), key.Name{Family: "price", ID: id}, nil, "w", source.Caller{Region: from})
	require.NoError(t, err)
}

func TestEveryRegionHearsOfEveryCommitOnce(t *testing.T) {
	m, eu, us := setup(t)
	m.Seed(key.Name{Family: "price", ID: "seeded"}, nil, "s")
	write(t, m, "1", "eu")
	write(t, m, "2", "us")
	for _, r := range []*region{eu, us} {
		ids := map[string]uint64{}
		for range 2 {
			e := r.next(t)
			ids[e.Name.ID] += e.Version
		}
		require.Equal(t, map[string]uint64{"1": 1, "2": 1}, ids, "seeds aren't delivered")
	}
	require.Empty(t, eu.got)
	require.Empty(t, us.got)
}

func TestDelayHoldsThenDeliversAll(t *testing.T) {
	m, eu, us := setup(t)
	us.Delay(time.Hour)
	for _, id := range []string{"1", "2", "3"} {
		write(t, m, id, "eu")
		eu.next(t)
	}
	require.Eventually(t, func() bool { return us.Stats().Held == 3 }, 10*time.Second, time.Millisecond)
	require.Empty(t, us.got)
	us.Delay(0)
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, id, us.next(t).Name.ID)
	}
	require.Eventually(t, func() bool { return us.Stats().Held == 0 }, 10*time.Second, time.Millisecond)
	s := us.Stats()
	require.EqualValues(t, 3, s.Delayed)
	require.EqualValues(t, 3, s.Delivered)
	require.Positive(t, s.MaxLag)
	require.Zero(t, eu.Stats().Delayed)
}

func TestCachesAwayLoseNoEvent(t *testing.T) {
	m, eu, us := setup(t)
	us.setDown(true)
	write(t, m, "1", "eu")
	eu.next(t)
	require.Eventually(t, func() bool { return us.Stats().Held == 1 }, 10*time.Second, time.Millisecond)
	us.setDown(false)
	require.Equal(t, "1", us.next(t).Name.ID)
}

func TestPeerAwayLosesNoEvent(t *testing.T) {
	m, eu, us := setup(t)
	eu.server.CloseClientConnections()
	for _, id := range []string{"1", "2"} {
		write(t, m, id, "eu")
		eu.server.CloseClientConnections()
		require.Equal(t, id, us.next(t).Name.ID)
	}
}

// awayFeed is a feed that can't be read at times.
type awayFeed struct {
	source.Feed
	away atomic.Bool
}

var errAway = errors.New("away")

func (f *awayFeed) Next(ctx context.Context, after uint64, limit int) ([]source.Entry, error) {
	if f.away.Load() {
		return nil, errAway
	}
	return f.Feed.Next(ctx, after, limit)
}

func TestSourceAwayLosesNoEvent(t *testing.T) {
	m, err := source.NewModel(source.ModelConfig{Servers: 4, Now: func() int64 { return 1 }})
	require.NoError(t, err)
	f := &awayFeed{Feed: m.Log()}
	f.away.Store(true)
	got := make(chan Event, 10)
	r := NewRelay(Config{Region: "eu", Log: f, Now: func() int64 { return 1 }, Deliver: func(_ context.Context, e Event) error {
		got <- e
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx, nil) })
	defer wg.Wait()
	defer cancel()
	write(t, m, "1", "eu")
	_, _, err = r.Pull(t.Context(), 0)
	require.ErrorIs(t, err, errAway, "a peer asks again")
	require.Empty(t, got)
	require.Zero(t, r.Through())
	f.away.Store(false)
	select {
	case e := <-got:
		require.Equal(t, "1", e.Name.ID)
	case <-time.After(10 * time.Second):
		t.Fatal("no event within 10 s")
	}
}

// A pull ends also while commits of other regions never cease.
func TestPullEndsUnderOthersCommits(t *testing.T) {
	m, err := source.NewModel(source.ModelConfig{Servers: 4, Now: func() int64 { return 1 }})
	require.NoError(t, err)
	r := NewRelay(Config{Region: "eu", Log: m.Log()})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			m.Seed(key.Name{ID: "1"}, nil, "s")
		}
	})
	defer wg.Wait()
	defer cancel()
	began := time.Now()
	next, events, err := r.Pull(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, events)
	require.Positive(t, next, "what was seen needn't be asked for again")
	require.Less(t, time.Since(began), 5*time.Second)
}

// A relay needs no clock of the source to deliver, only to say how late it was.
func TestARelayWithoutAClock(t *testing.T) {
	m, err := source.NewModel(source.ModelConfig{Servers: 1})
	require.NoError(t, err)
	defer m.Close()
	r := newRegion("eu", m, nil)
	defer r.server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx, nil) }()
	_, err = m.Store(t.Context(), key.Name{Family: "product", ID: "17"}, nil, "w", source.Caller{Region: "eu"})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.next(t).Version)
	require.Eventually(t, func() bool { return r.Stats().Delivered == 1 }, 5*time.Second, time.Millisecond)
	require.Zero(t, r.Stats().MaxLag)
	cancel()
	require.NoError(t, <-ended)
}

// pages is a feed with a few entries, which comes to no end.
type pages []source.Entry

func (p pages) Next(ctx context.Context, after uint64, _ int) ([]source.Entry, error) {
	for i, e := range p {
		if e.Index > after {
			return p[i : i+1], nil
		}
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (p pages) Tip(context.Context) (uint64, error) { return p[len(p)-1].Index, nil }

func TestOneRelayHearsOfEveryRegionSinceATime(t *testing.T) {
	log := pages{{Index: 1, Origin: "eu", At: 10}, {Index: 2, At: 99}, {Index: 5, Origin: "us", At: 100}, {Index: 7, At: 101}, {Index: 9, Origin: "eu", At: 102}, {Index: 12, Origin: "us", At: 3}}
	for _, c := range []struct {
		all   bool
		since int64
		want  []uint64
	}{
		{true, 100, []uint64{5, 7, 9}},
		{true, 0, []uint64{1, 2, 5, 7, 9, 12}},
		{false, 0, []uint64{1, 9}},
		{false, 100, []uint64{9}},
	} {
		var got []uint64
		r := NewRelay(Config{Region: "eu", Log: log, All: c.all, Since: c.since, Deliver: func(_ context.Context, e Event) error {
			got = append(got, e.Index)
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx, nil) }()
		require.Eventually(t, func() bool { return r.Through() == 12 }, 5*time.Second, time.Millisecond, "what is left out does not hold it up")
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, c.want, got, c)
	}
}

// Caches in one lane that are away hold up no other's events, and get their own when they are
// back.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) }
	m, err := source.NewModel(source.ModelConfig{Servers: 4, Now: now})
	require.NoError(t, err)
	var away atomic.Bool
	away.Store(true)
	got := make(chan Event, 10)
	r := NewRelay(Config{Region: "eu", Log: m.Log(), Now: now, Lane: func(e Event) string { return e.Name.Family },
		Deliver: func(_ context.Context, e Event) error {
			if e.Name.Family == "listing" && away.Load() {
				return errors.New("away")
			}
			got <- e
			return nil
		}})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx, nil) })
	defer wg.Wait()
	defer cancel()
	for _, family := range []string{"listing", "price", "listing", "price"} {
		_, err := m.Store(t.Context(), key.Name{Family: family, ID: "1"}, nil, "w", source.Caller{Region: "eu"})
		require.NoError(t, err)
	}
	next := func() Event {
		select {
		case e := <-got:
			return e
		case <-time.After(10 * time.Second):
			t.Fatal("no event within 10 s")
			return Event{}
		}
	}
	for _, index := range []uint64{2, 4} {
		require.Equal(t, index, next().Index, "in the order of the lane")
	}
	require.Eventually(t, func() bool { return r.Stats().Held == 2 }, 10*time.Second, time.Millisecond)
	require.Zero(t, r.Through(), "the first event of all has not been delivered")
	away.Store(false)
	for _, index := range []uint64{1, 3} {
		require.Equal(t, index, next().Index)
	}
	require.Eventually(t, func() bool { return r.Through() == 4 }, 10*time.Second, time.Millisecond)
}
