package reference

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/l1"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// Races of writers who leave in the caches what they have committed.
var writeRaces = []race{
	{
		name:  "write-through that lands after a newer one",
		wrong: "of two writers the first to commit is the last to leave its value",
		ways:  []loss{alone("versioned-store"), {"version-compare", []string{"fill-lease"}}, {"version-compare", []string{"token-compare"}}},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, written)
			w.put(1, written)
			w.landed(slow, acked)
			return w.stale(written)
		},
	},
	{
		name:  "write-through that lands when nothing newer is left",
		wrong: "a newer write was announced, and evicted from Redis, before the older value comes there",
		ways:  []loss{alone("fill-lease"), alone("token-compare"), alone("lease-void"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, written)
			w.commit(written)
			w.event(written)
			w.evict(written)
			w.landed(slow, acked)
			return w.stale(written)
		},
	},
	{
		name:  "write-through into a Redis that was started anew",
		wrong: "Redis has forgotten what it received since the write began",
		ways:  []loss{alone("fill-lease"), alone("token-compare"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, written)
			w.commit(written)
			w.event(written)
			w.restart()
			w.landed(slow, acked)
			return w.stale(written)
		},
	},
	{
		name:  "write-through refused by Redis",
		wrong: "what Redis refuses to take from a writer is left in his memory",
		ways:  []loss{alone("refusal-heeded"), alone("fill-lease"), alone("token-compare"), alone("versioned-store")},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, written)
			w.commit(written)
			w.event(written)
			w.evict(written)
			w.workers[0].l1.Delete(w.keyOf(written)) // memory is small
			w.landed(slow, acked)
			return w.isCopy(w.inMemory(0, written))
		},
	},
	{
		name:  "write-through under way while a message is lost",
		wrong: "what was committed before the loss was noticed is left in memory after it",
		ways:  []loss{{"gap-detection", []string{"refusal-heeded"}}, {"gaps-at-begin", []string{"refusal-heeded"}}},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, written)
			w.workers[0].ears.deaf.Store(true)
			w.commit(written)
			w.event(written)
			w.workers[0].ears.deaf.Store(false)
			w.beat()
			w.landed(slow, acked)
			w.stamp("gaps-at-begin", 0, written, func(c *Cache, made *l1.Copy) { made.Gaps = c.l1.Gaps() })
			return w.stale(written)
		},
	},
	{
		name:  "strong write-through that lands late",
		wrong: "an older payload comes into Redis, and into the memory that a lease lets a worker serve from",
		ways:  []loss{alone("class-routing")},
		run: func(w *raceWorld) bool {
			slow, acked := w.slowPut(0, held1)
			w.commit(held1)
			w.evict(held1)
			w.landed(slow, acked)
			return w.stale(held1)
		},
	},
	{
		name:  "load under way during a write-through",
		wrong: "a load that read before the commit ends after it, and replaces what the writer has left",
		ways:  []loss{alone("versioned-store"), {"version-compare", []string{"fill-lease"}}, {"version-compare", []string{"lease-void"}}},
		run: func(w *raceWorld) bool {
			fill, reader := w.slowGet(0, written)
			w.put(1, written)
			w.event(written)
			w.finish(fill, reader)
			return w.stale(written)
		},
	},
	{
		name:  "writer dies between commit and caches",
		wrong: "a write that was made is announced to no worker",
		ways:  []loss{alone("bus")},
		run: func(w *raceWorld) bool {
			broke := false
			for _, n := range []key.Name{lasting, written} { // aside and through
				for i := range w.workers {
					w.get(i, n)
				}
				s := w.workers[0].source.place("after commit")
				w.goPut(0, n)
				s.await()
				s.fail(errSilence) // he is gone: nothing of what he would do next happens
				w.settle()
				w.event(n)
				broke = broke || w.stale(n)
			}
			return broke
		},
	},
}

// What each path leaves where, after an acknowledged write and before any event.
func TestWritePathsLeaveWhatTheyPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRaceWorld(t)
		for _, n := range []key.Name{lasting, written, strong, held1} {
			for i := range w.workers {
				w.get(i, n)
			}
			loads := w.loads.Load()
			w.put(0, n)
			through := n == written || n == held1
			require.Equal(t, through, w.isCopy(w.inRedis(n)), n.Family)
			require.Equal(t, through, w.isCopy(w.inMemory(0, n)), n.Family)
			require.EqualValues(t, 2, w.inRedis(n).Version, "a floor, or the value")
			a := w.get(0, n)
			require.EqualValues(t, 2, a.Version)
			require.False(t, w.torn(a))
			require.Equal(t, through, w.loads.Load() == loads, "%s: who left the value spares its reader the load", n.Family)
			w.event(n)
			require.False(t, w.stale(n), n.Family)
			require.NotZero(t, w.inRedis(n).Version)
		}
		// A deletion leaves that there is nothing.
		_, err := w.workers[0].Delete(t.Context(), written)
		require.NoError(t, err)
		require.Equal(t, policy.Absence, w.inRedis(written).Kind)
		loads := w.loads.Load()
		require.True(t, w.get(1, written).Absent || w.get(0, written).Absent)
		require.Equal(t, loads, w.loads.Load())
	})
}

// A writer's lease does not outlive the write, whatever becomes of it: the next reader loads at
// once.
func TestWriterGivesItsLeaseBack(t *testing.T) {
	for name, end := range map[string]func(*stop){
		"committed": func(s *stop) { s.pass() },
		"failed":    func(s *stop) { s.fail(sourceShed) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newRaceWorld(t)
				s := w.workers[0].source.place("after commit")
				acked := w.goPut(0, written)
				s.await()
				_, leased, err := w.direct.Get(t.Context(), l2.LeaseKey(w.keyOf(written)))
				require.NoError(t, err)
				require.True(t, leased, "it has one")
				end(s)
				<-acked
				w.settle()
				_, leased, err = w.direct.Get(t.Context(), l2.LeaseKey(w.keyOf(written)))
				require.NoError(t, err)
				require.False(t, leased)
			})
		})
	}
}

// Where the writer gets no right, because somebody is loading or the write takes too long, it drops
// what was there, as on the path aside; readers wait for a writer no longer than its lease lasts.
func TestWriterWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRaceWorld(t)
		fill, reader := w.slowGet(1, written)
		w.put(0, written)
		require.Equal(t, policy.Floor, w.inRedis(written).Kind)
		require.False(t, w.isCopy(w.inMemory(0, written)))
		w.finish(fill, reader)
		require.False(t, w.stale(written))

		w.evict(written)
		s := w.workers[0].source.place("before commit")
		acked := w.goPut(0, written)
		s.await()
		for i := range w.workers {
			w.workers[i].l1.Delete(w.keyOf(written))
		}
		began := time.Now()
		require.EqualValues(t, 2, w.get(1, written).Version, "the write has not been made")
		require.Less(t, time.Since(began), writeLeaseTTL+2*leasePoll)
		require.GreaterOrEqual(t, time.Since(began), writeLeaseTTL/2, "it waited for the writer first")
		s.pass()
		require.NoError(t, <-acked)
		require.Equal(t, policy.Floor, w.inRedis(written).Kind, "the lease was over: nothing may be left")
		w.event(written) // or worker 1 goes on to serve what it loaded
		require.False(t, w.stale(written))
	})
}

// The value that a writer leaves is redacted, as one that was loaded is; what can't be redacted is
// not left.
func TestWritersLeaveRedactedValues(t *testing.T) {
	shy := raceWritten
	shy.Redact = func(v []byte) ([]byte, error) {
		if len(v) > 6 {
			return nil, errSilence
		}
		return []byte("***"), nil
	}
	r := newRegionOf(t, shy)
	for value, left := range map[string]bool{"secret": true, "unreadable": false} {
		n := key.Name{Family: "written", ID: value}
		mine := []byte(value)
		_, err := r.Put(t.Context(), n, mine, "w")
		require.NoError(t, err)
		a, err := r.Get(t.Context(), n)
		require.Equal(t, left, err == nil)
		if left {
			require.Equal(t, "***", string(a.Value))
			require.Equal(t, TierL1, a.Tier)
		}
	}
	r.families["written"].Redact = nil
	n, mine := key.Name{Family: "written", ID: "own"}, []byte("mine")
	_, err := r.Put(t.Context(), n, mine, "w")
	require.NoError(t, err)
	copy(mine, "gone")
	a, err := r.Get(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, "mine", string(a.Value), "the writer's buffer is the writer's")
}

func newRegionOf(t *testing.T, f Family) *Cache {
	start := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 10, Now: func() int64 { return base + int64(time.Since(start)) }})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	c, err := New(t.Context(), Config{Region: "eu", Policy: policy.Recommended(), Families: []Family{f}, Source: m,
		Shared: store.NewMemory().Client(straight{}, store.Patience{})})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
