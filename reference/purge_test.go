package reference

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// purgerOf makes a purger of what the regions of the tests hold, and gives its log.
func purgerOf(t *testing.T, shared store.Store, progress func(Purged)) (p *Purger, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "purges.jsonl")
	audit, err := OpenAudit(log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, audit.Close()) })
	p, err = NewPurger(PurgerConfig{Region: "eu", Policy: policy.Recommended(), Families: []Family{product, price, quick}, Shared: shared, Audit: audit, Progress: progress})
	require.NoError(t, err)
	return p, log
}

func purgeNow(t *testing.T, shared store.Store, s Selector) Purged {
	t.Helper()
	p, _ := purgerOf(t, shared, nil)
	done, err := p.Purge(t.Context(), Order{Selector: s, Who: "ines", Why: "test"})
	require.NoError(t, err)
	return done
}

func memory() store.Store { return store.NewMemory().Client(straight{}, store.Patience{}) }

func ofHot() Selector    { return Selector{Name: hot} }
func ofFamily() Selector { return Selector{Family: "product"} }

// After a purge the next reader of every worker loads anew, whichever way the name was selected.
func TestPurgeReachesRedisAndEveryWorkersMemory(t *testing.T) {
	for _, s := range []Selector{ofHot(), ofFamily(), {Prefix: "product:1"}, {All: true}} {
		shared := memory()
		r := newRegionOn(t, policy.Recommended(), 2, shared)
		r.get(0, hot)
		require.Equal(t, TierL2, r.get(1, hot).Tier)
		require.Equal(t, Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, s))

		raw, _, err := shared.Get(t.Context(), hotKey)
		require.NoError(t, err)
		left, err := decode(raw)
		require.NoError(t, err)
		require.True(t, left.meta.Kind == policy.Floor)
		require.EqualValues(t, 1, left.meta.Version, "what is known of its version stays")
		require.Empty(t, left.value)
		for _, c := range r.caches {
			require.Eventually(t, func() bool {
				held, ok := c.l1.get(hotKey)
				return ok && held.meta.Kind == policy.Floor && held.value == nil
			}, 5*time.Second, time.Millisecond)
		}
		require.Equal(t, TierSource, r.get(0, hot).Tier)
		require.Equal(t, TierL2, r.get(1, hot).Tier)
		require.Eventually(t, func() bool { return r.get(1, hot).Tier == TierL1 }, 5*time.Second, time.Millisecond, "and copies are kept again")
		require.Equal(t, 2, r.source.count())
		require.Equal(t, Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, s), "again")
		require.Equal(t, Purged{Seen: 1}, purgeNow(t, shared, s), "there is nothing left but the floor")
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
	require.Equal(t, Purged{Seen: 1, Removed: 1}, purgeNow(t, shared, Selector{Family: "price"}))
	require.Equal(t, Purged{Seen: 2, Removed: 1}, purgeNow(t, shared, Selector{All: true}), "of our families only")
	for _, k := range []string{"somebody:1:v1", "product:17", "price"} {
		v, ok, err := shared.Get(t.Context(), k)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "theirs", string(v))
	}
}

// A load that read before a purge and ends after it: what it read must be in no tier.
func TestFillUnderWayDuringAPurgeIsNotStored(t *testing.T) {
	for _, s := range []Selector{ofHot(), ofFamily()} {
		shared := memory()
		r := newRegionOn(t, policy.Recommended(), 2, shared)
		open := r.source.shut()
		done := make(chan Answer)
		go func() { done <- r.get(0, hot) }()
		<-r.source.read
		require.Equal(t, Purged{Seen: 1, Voided: 1}, purgeNow(t, shared, s))
		require.Eventually(t, func() bool { return r.caches[0].l1.purges.count() == 1 }, 5*time.Second, time.Millisecond, "it has heard")
		open()
		require.Equal(t, TierSource, (<-done).Tier, "who waited has an answer")
		_, there, err := shared.Get(t.Context(), hotKey)
		require.NoError(t, err)
		require.False(t, there, "redis")
		_, there = r.caches[0].l1.get(hotKey)
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
		e, err := decode(raw)
		require.NoError(t, err)
		require.Equal(t, policy.Floor, e.meta.Kind)
	}
}

// racing puts a newer version in place while a purge has only asked which there is.
type racing struct {
	store.Store
	newer []string
}

func (r *racing) Run(ctx context.Context, s *store.Script, keys []string, args ...string) ([]string, error) {
	out, err := r.Store.Run(ctx, s, keys, args...)
	if len(r.newer) > 0 && err == nil {
		err = r.Store.Set(ctx, hotKey, []byte(r.newer[0]), time.Minute)
		r.newer = r.newer[1:]
	}
	return out, err
}

// A purge's floor is of the version that it replaces, also when that has only just come: a purge takes no version back.
func TestPurgeWhileNewerVersionsCome(t *testing.T) {
	shared := memory()
	of := func(version uint64) string {
		return string(encode(policy.Policy{}, entry{meta: policy.Meta{Kind: policy.Value, Version: version}, value: []byte("v")}))
	}
	require.NoError(t, shared.Set(t.Context(), hotKey, []byte(of(1)), time.Minute))
	require.Equal(t, Purged{Seen: 1, Removed: 1}, purgeNow(t, &racing{shared, []string{of(2), of(3)}}, ofHot()))
	raw, _, err := shared.Get(t.Context(), hotKey)
	require.NoError(t, err)
	left, err := decode(raw)
	require.NoError(t, err)
	require.Equal(t, policy.Floor, left.meta.Kind)
	require.EqualValues(t, 3, left.meta.Version)
}

// Readers of Redis that were overtaken by the purge put nothing back into memory either.
func TestWhatWasReadFromRedisBeforeAPurgeIsNotKept(t *testing.T) {
	r := newRegionOn(t, policy.Recommended(), 2, memory())
	r.get(0, hot)
	before, found, err := r.caches[1].l2.get(t.Context(), hotKey)
	require.NoError(t, err)
	require.True(t, found)
	r.caches[1].purge(mustSelect(t, ofFamily()).message())
	_, ok := r.caches[1].adopt(hotKey, hot, product, before, 0, &spares{})
	require.True(t, ok, "it is an honest answer")
	_, kept := r.caches[1].l1.get(hotKey)
	require.False(t, kept)
}

// A fill of an older version that nothing voids, because the policy has no lease, must not win after a purge.
func olderFillAfterPurge(t *testing.T, p policy.Policy, purge func(store.Store)) uint64 {
	shared := memory()
	r := newRegionOn(t, p, 2, shared)
	open := r.source.shut()
	done := make(chan Answer)
	go func() { done <- r.get(0, hot) }()
	require.EqualValues(t, 1, (<-r.source.read).Version)
	r.source.Seed(hot, []byte("v2"), "w") // another region's write, and its event
	into := NewInvalidator(p, []Family{product}, shared)
	require.NoError(t, into.Apply(t.Context(), hot, 2, r.caches[1].clock.now()))
	purge(shared)
	open()
	require.EqualValues(t, 1, (<-done).Version, "the reader began before the write")
	return r.get(1, hot).Version
}

func TestNoOlderFillWinsAfterAPurge(t *testing.T) {
	for _, s := range []Selector{ofHot(), ofFamily()} {
		purge := func(shared store.Store) { purgeNow(t, shared, s) }
		require.EqualValues(t, 2, olderFillAfterPurge(t, without(t, "fill-lease"), purge))
		require.EqualValues(t, 2, olderFillAfterPurge(t, policy.Recommended(), purge))
	}
	bare := func(shared store.Store) { require.NoError(t, shared.Delete(t.Context(), hotKey, leaseKey(hotKey))) }
	require.EqualValues(t, 1, olderFillAfterPurge(t, without(t, "fill-lease"), bare), "a bare delete would have let it win")
}

// The value of a purge's floor is that of the value it replaces: a fill of that version may come, one of an older may not.
func TestAPurgedValueRefusesOlderFills(t *testing.T) {
	shared := memory()
	r := newRegionOn(t, without(t, "fill-lease"), 1, shared)
	r.source.Seed(hot, []byte("v2"), "w")
	require.EqualValues(t, 2, r.get(0, hot).Version)
	purgeNow(t, shared, ofFamily())
	s := r.caches[0].l2
	e := func(version uint64) entry {
		found := policy.Meta{Kind: policy.Value, Version: version, T0: r.caches[0].clock.now()}
		return entry{meta: s.policy.Admit(product.Contract, found, 0), value: []byte("late")}
	}
	for version, taken := range map[uint64]bool{1: false, 2: true} {
		_, err := s.store(t.Context(), hotKey, e(version), r.caches[0].clock.now(), "")
		require.NoError(t, err)
		got, _, err := s.get(t.Context(), hotKey)
		require.NoError(t, err)
		if taken {
			require.EqualValues(t, 2, got.meta.Version)
			require.Equal(t, policy.Value, got.meta.Kind)
		} else {
			require.NotEqualValues(t, 1, got.meta.Version)
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
		purgeNow(t, shared, Selector{Family: "price"})
		require.Equal(t, w.Version, r.get(0, ninePro).Version)
	}
}

// Whatever else happens meanwhile, a bounded family's versions never run backwards after its event was applied.
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
				_, err = p.Purge(context.Background(), Order{Selector: []Selector{ofHot(), ofFamily()}[i%2], Who: "x", Why: "y"})
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
			e, err := decode(raw)
			require.NoError(t, err)
			require.GreaterOrEqual(t, e.meta.Version, w.Version)
		}
	}
	close(stop)
	require.NoError(t, <-ended)
}

func TestPurgeWhenRedisIsAway(t *testing.T) {
	m := store.NewMemory()
	m.Stop()
	p, log := purgerOf(t, m.Client(straight{}, store.Patience{}), nil)
	for _, s := range []Selector{ofHot(), ofFamily()} {
		_, err := p.Purge(t.Context(), Order{Selector: s, Who: "ines", Why: "test"})
		require.ErrorIs(t, err, ErrPartly)
		require.ErrorIs(t, err, store.ErrRefused)
	}
	lines := auditLines(t, log)
	require.Len(t, lines, 4)
	require.Contains(t, lines[3].Error, "family product in eu")
}

func TestManyPurgesAreMergedAndForgotten(t *testing.T) {
	var p purges
	other := selection{key: "product:18:v1", of: []Family{product}}
	for i := range 1000 {
		p.remember(other, int64(i), 10_000)
		require.LessOrEqual(t, p.count(), mostPurges)
	}
	require.True(t, p.bars("product:18:v1", 999))
	require.False(t, p.bars("product:18:v1", 1000), "read later")
	require.True(t, p.bars(hotKey, 100), "merged: bars more than it must")
	require.False(t, p.bars(hotKey, 999))
	p.remember(other, 20_000, 10_000)
	require.Equal(t, 1, p.count(), "what they barred is dead")
}

// count is how many purges are remembered.
func (p *purges) count() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.list)
}

func mustSelect(t *testing.T, s Selector) selection {
	t.Helper()
	out, err := s.compile(map[string]Family{"product": product, "price": price, "quick": quick})
	require.NoError(t, err)
	return out
}

func TestPurgeRefusesOrders(t *testing.T) {
	shared := memory()
	p, log := purgerOf(t, shared, nil)
	r := newRegionOn(t, policy.Recommended(), 1, shared)
	r.get(0, hot)
	for _, c := range []struct {
		order Order
		err   error
		says  string
	}{
		{Order{Selector: ofHot(), Why: "y"}, ErrOrder, ""},
		{Order{Selector: ofHot(), Who: "x", Why: " \t"}, ErrOrder, ""},
		{Order{Who: "x", Why: "y"}, ErrSelector, "say All"},
		{Order{Who: "x", Why: "y", Selector: Selector{Family: "nope"}}, ErrFamily, "nope"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: key.Name{Family: "nope", ID: "1"}}}, ErrFamily, "nope"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: key.Name{Family: "product"}}}, ErrSelector, "the id is missing"},
		{Order{Who: "x", Why: "y", Selector: Selector{Family: "product", All: true}}, ErrSelector, "give a name"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: hot, Prefix: "p"}}, ErrSelector, "give a name"},
		{Order{Who: "x", Why: "y", Selector: Selector{Tenant: "a"}}, ErrSelector, "no family varies by tenant"},
		{Order{Who: "x", Why: "y", Selector: Selector{Tenant: "a", Family: "product"}}, ErrSelector, "does not vary by tenant"},
		{Order{Who: "x", Why: "y", Selector: Selector{Prefix: "product:*"}}, ErrSelector, `no key holds "*"`},
	} {
		done, err := p.Purge(t.Context(), c.order)
		require.ErrorIs(t, err, c.err)
		require.ErrorContains(t, err, c.says)
		require.Zero(t, done)
		require.False(t, errors.Is(err, ErrPartly))
	}
	require.Equal(t, TierL1, r.get(0, hot).Tier, "nothing happened")
	require.Empty(t, auditLines(t, log))
	_, err := NewPurger(PurgerConfig{Shared: shared})
	require.Error(t, err)
}
