package reference

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/store"
)

// purgerOf makes a purger of what the regions of the tests hold, and gives its log.
func purgerOf(t *testing.T, shared store.Store, progress func(purge.Purged)) (p *purge.Purger, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "purges.jsonl")
	audit, err := purge.OpenAudit(log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, audit.Close()) })
	p, err = purge.New(purge.Config{Region: "eu", Policy: policy.Recommended(), Families: PurgeFamilies([]Family{product, price, quick}), Shared: shared, Audit: audit, Progress: progress})
	require.NoError(t, err)
	return p, log
}

func purgeNow(t *testing.T, shared store.Store, s purge.Selector) purge.Purged {
	t.Helper()
	p, _ := purgerOf(t, shared, nil)
	done, err := p.Purge(t.Context(), purge.Order{Selector: s, Who: "ines", Why: "test"})
	require.NoError(t, err)
	return done
}

func memory() store.Store { return store.NewMemory().Client(straight{}, store.Patience{}) }

func ofHot() purge.Selector    { return purge.Selector{Name: hot} }
func ofFamily() purge.Selector { return purge.Selector{Family: "product"} }

// After a purge the next reader of every worker loads anew, whichever way the name was selected.
func TestPurgeReachesRedisAndEveryWorkersMemory(t *testing.T) {
	for _, s := range []purge.Selector{ofHot(), ofFamily(), {Prefix: "product:1"}, {All: true}} {
		shared := memory()
		r := newRegionOn(t, policy.Recommended(), 2, shared)
		r.get(0, hot)
		require.Equal(t, TierL2, r.get(1, hot).Tier)
		require.Equal(t, purge.Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, s))

		raw, _, err := shared.Get(t.Context(), hotKey)
		require.NoError(t, err)
		left, err := entry.Decode(raw)
		require.NoError(t, err)
		require.True(t, left.Meta.Kind == policy.Floor)
		require.EqualValues(t, 1, left.Meta.Version, "what is known of its version stays")
		require.Empty(t, left.Value)
		for _, c := range r.caches {
			require.Eventually(t, func() bool {
				held, ok := c.l1.Get(hotKey)
				return ok && held.Meta.Kind == policy.Floor && held.Value == nil
			}, 5*time.Second, time.Millisecond)
		}
		require.Equal(t, TierSource, r.get(0, hot).Tier)
		require.Equal(t, TierL2, r.get(1, hot).Tier)
		require.Eventually(t, func() bool { return r.get(1, hot).Tier == TierL1 }, 5*time.Second, time.Millisecond, "and copies are kept again")
		require.Equal(t, 2, r.source.count())
		require.Equal(t, purge.Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, s), "again")
		require.Equal(t, purge.Purged{Seen: 1}, purgeNow(t, shared, s), "there is nothing left but the floor")
	}
}

func TestPurgeLeavesOthersAlone(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, policy.Recommended(), 1, shared)
	r.get(0, hot)
	r.get(0, ninePro)
	for _, k := range []string{"somebody:1:v1", "product:17", "price"} {
		require.NoError(t, shared.Set(t.Context(), k, []byte("theirs"), time.Hour))
	}
	require.Equal(t, purge.Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, purge.Selector{Family: "price"}))
	require.Equal(t, purge.Purged{Seen: 2, Removed: 1}, purgeNow(t, shared, purge.Selector{All: true}), "of our families only")
	for _, k := range []string{"somebody:1:v1", "product:17", "price"} {
		v, ok, err := shared.Get(t.Context(), k)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "theirs", string(v))
	}
}

// A load that read before a purge and ends after it: what it read must be in no tier.
func TestFillUnderWayDuringAPurgeIsNotStored(t *testing.T) {
	for _, s := range []purge.Selector{ofHot(), ofFamily()} {
		shared := memory()
		r := newRegionOn(t, policy.Recommended(), 2, shared)
		open := r.source.shut()
		done := make(chan Answer)
		go func() { done <- r.get(0, hot) }()
		<-r.source.read
		require.Equal(t, purge.Purged{Seen: 1, Voided: 1}, purgeNow(t, shared, s))
		require.Eventually(t, func() bool { return r.caches[0].l1.Purges() == 1 }, 5*time.Second, time.Millisecond, "it has heard")
		open()
		require.Equal(t, TierSource, (<-done).Tier, "who waited has an answer")
		_, there, err := shared.Get(t.Context(), hotKey)
		require.NoError(t, err)
		require.False(t, there, "redis")
		_, there = r.caches[0].l1.Get(hotKey)
		require.False(t, there, "memory")
		require.Equal(t, TierSource, r.get(0, hot).Tier)
		require.Equal(t, 2, r.source.count())
	}
}

// between runs something once, after a store's first scan.
type between struct {
	store.Store
	first func()
}

func (b *between) Scan(ctx context.Context, pieces []string, each func([]string) error) error {
	err := b.Store.Scan(ctx, pieces, each)
	if b.first != nil {
		b.first()
		b.first = nil
	}
	return err
}

// A fill that ends between the scans has lost its lease by then, or is found: none slips through.
func TestNoFillSlipsThroughBetweenTheScans(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, policy.Recommended(), 1, shared)
	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	<-r.source.read
	purgeNow(t, &between{shared, func() { open(); <-done }}, ofFamily())
	raw, there, err := shared.Get(t.Context(), hotKey)
	require.NoError(t, err)
	if there {
		e, err := entry.Decode(raw)
		require.NoError(t, err)
		require.Equal(t, policy.Floor, e.Meta.Kind)
	}
}

// Readers of Redis that were overtaken by the purge put nothing back into memory either.
func TestWhatWasReadFromRedisBeforeAPurgeIsNotKept(t *testing.T) {
	r := newRegionOn(t, policy.Recommended(), 2, memory())
	r.get(0, hot)
	before, found, err := r.caches[1].l2.Get(t.Context(), hotKey)
	require.NoError(t, err)
	require.True(t, found)
	memoryListener{r.caches[1]}.purge(selectionOf(t, r.caches[1], "family=product"))
	o, err := r.caches[1].op(hot)
	require.NoError(t, err)
	_, ok := r.caches[1].serveL2(o, lookup{Entry: before, found: true}, &staleCopy{})
	require.True(t, ok, "it is an honest answer")
	_, kept := r.caches[1].l1.Get(hotKey)
	require.False(t, kept)
}

// A fill of an older version that nothing voids, because the policy has no lease, must not win
// after a purge.
func olderFillAfterPurge(t *testing.T, p policy.Policy, purge func(store.Store)) uint64 {
	shared := memory()
	r := newRegionOn(t, p, 2, shared)
	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	require.EqualValues(t, 1, (<-r.source.read).Version)
	r.source.Seed(hot, []byte("v2"), "w") // another region's write, and its event
	into := NewInvalidator(p, []Family{product}, shared)
	require.NoError(t, into.Apply(t.Context(), hot, 2, r.caches[1].clock.Now()))
	purge(shared)
	open()
	require.EqualValues(t, 1, (<-done).Version, "the reader began before the write")
	return r.get(1, hot).Version
}

func TestNoOlderFillWinsAfterAPurge(t *testing.T) {
	for _, s := range []purge.Selector{ofHot(), ofFamily()} {
		purge := func(shared store.Store) { purgeNow(t, shared, s) }
		require.EqualValues(t, 2, olderFillAfterPurge(t, without(t, "fill-lease"), purge))
		require.EqualValues(t, 2, olderFillAfterPurge(t, policy.Recommended(), purge))
	}
	bare := func(shared store.Store) { require.NoError(t, shared.Delete(t.Context(), hotKey, l2.LeaseKey(hotKey))) }
	require.EqualValues(t, 1, olderFillAfterPurge(t, without(t, "fill-lease"), bare), "a bare delete would have let it win")
}

// The value of a purge's floor is that of the value it replaces: a fill of that version may come,
// one of an older may not.
func TestAPurgedValueRefusesOlderFills(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, without(t, "fill-lease"), 1, shared)
	r.source.Seed(hot, []byte("v2"), "w")
	require.EqualValues(t, 2, r.get(0, hot).Version)
	purgeNow(t, shared, ofFamily())
	s := r.caches[0].l2
	e := func(version uint64) entry.Entry {
		found := policy.Meta{Kind: policy.Value, Version: version, T0: r.caches[0].clock.Now()}
		return entry.Entry{Meta: r.policy.Admit(product.Contract, found, 0), Value: []byte("late")}
	}
	for version, taken := range map[uint64]bool{1: false, 2: true} {
		_, err := s.Store(t.Context(), hotKey, e(version), r.caches[0].clock.Now(), "")
		require.NoError(t, err)
		got, _, err := s.Get(t.Context(), hotKey)
		require.NoError(t, err)
		if taken {
			require.EqualValues(t, 2, got.Meta.Version)
			require.Equal(t, policy.Value, got.Meta.Kind)
		} else {
			require.NotEqualValues(t, 1, got.Meta.Version)
		}
	}
}

// A strong family is read at the source before a purge, while it runs, and after it.
func TestStrongReadsAreStrongAfterAPurge(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, policy.Recommended(), 1, shared)
	for i := range 5 {
		r.get(0, ninePro)
		w, err := r.caches[0].Put(t.Context(), ninePro, []byte("p"), fmt.Sprint(i))
		require.NoError(t, err)
		purgeNow(t, shared, purge.Selector{Family: "price"})
		require.Equal(t, w.Version, r.get(0, ninePro).Version)
	}
}

// Whatever else happens meanwhile, a bounded family's versions never run backwards after its event
// was applied.
func TestPurgesAmongWritesAndReads(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, policy.Recommended(), 2, shared)
	p, _ := purgerOf(t, shared, nil)
	into := NewInvalidator(policy.Recommended(), []Family{product}, shared)
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
				_, err = p.Purge(context.Background(), purge.Order{Selector: []purge.Selector{ofHot(), ofFamily()}[i%2], Who: "x", Why: "y"})
			}
		}
		ended <- err
	}()
	for i := range 200 {
		w, err := r.caches[0].Put(t.Context(), hot, []byte("v"), fmt.Sprint("w", i))
		require.NoError(t, err)
		require.NoError(t, into.Apply(t.Context(), hot, w.Version, w.T0))
		require.GreaterOrEqual(t, r.get(0, hot).Version, w.Version)
		raw, there, err := shared.Get(t.Context(), hotKey)
		require.NoError(t, err)
		if there {
			e, err := entry.Decode(raw)
			require.NoError(t, err)
			require.GreaterOrEqual(t, e.Meta.Version, w.Version)
		}
	}
	close(stop)
	require.NoError(t, <-ended)
}

func selectionOf(t *testing.T, c *Cache, message string) purge.Selection {
	t.Helper()
	s, err := purge.ParseSelection(message, c.purgeable())
	require.NoError(t, err)
	return s
}
