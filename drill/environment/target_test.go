package environment

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/targets"
)

// bare is a target with nothing optional. It answers a version.
type bare struct{ version uint64 }

func (b bare) Do(context.Context, targets.Request) (targets.Reply, error) {
	return targets.Reply{Version: b.version}, nil
}

func (bare) Close() error { return nil }

// rich has all the parts.
type rich struct {
	bare
	settled, purged *int
}

func (rich) Commits(context.Context) <-chan targets.Commit {
	c := make(chan targets.Commit, 1)
	c <- targets.Commit{Version: 7}
	close(c)
	return c
}

func (rich) OnLoad(tell func(targets.Load)) { tell(targets.Load{Width: 3}) }

func (rich) OnInvalidated(tell func(targets.Invalidated)) { tell(targets.Invalidated{}) }

func (rich) Instances() []string { return []string{"eu-1", "eu-2", targets.SourceInstance} }

func (rich) CacheStats() []targets.CacheStats { return []targets.CacheStats{{}} }

func (rich) CrossRegionBytes() (map[string]int64, string) { return map[string]int64{"eu": 9}, "" }

func (r rich) Settle(context.Context) error { *r.settled++; return nil }

func (r rich) Purge(context.Context, []targets.Key) error { *r.purged++; return nil }

// use asks everything of a target, and gives what it got.
func use(t *testing.T, target Target) (commits, loads, drops, stats int, bytes map[string]int64) {
	for range target.Commits(t.Context()) {
		commits++
	}
	target.OnLoad(func(targets.Load) { loads++ })
	target.OnInvalidated(func(targets.Invalidated) { drops++ })
	require.NoError(t, target.Settle(t.Context()))
	require.NoError(t, target.Purge(t.Context(), nil))
	bytes, _ = target.CrossRegionBytes()
	return commits, loads, drops, len(target.CacheStats()), bytes
}

func TestATargetWithoutOptionalPartsIsComplete(t *testing.T) {
	b := NewBase(bare{}, nil, faults.Site{}, Options{})
	require.Equal(t, Capabilities{Versions: true, EgressUnavailable: noEgress}, b.Capabilities())
	require.Equal(t, []string{""}, b.Target().Instances())
	commits, loads, drops, stats, bytes := use(t, b.Target())
	require.Zero(t, commits+loads+drops+stats+len(bytes))
}

func TestDecoratorsKeepWhatATargetCanDo(t *testing.T) {
	settled, purged := 0, 0
	target := rich{bare{5}, &settled, &purged}
	all := NewBase(target, nil, faults.Site{}, Options{})
	require.Equal(t, Capabilities{
		History: true, Versions: true, Instances: 2, Bypass: true, Invalidations: true, CacheStats: true, Loads: everyLoad,
	}, all.Capabilities())
	commits, loads, drops, stats, bytes := use(t, all.Target())
	require.Equal(t, [4]int{1, 1, 1, 1}, [4]int{commits, loads, drops, stats})
	require.EqualValues(t, 9, bytes["eu"])

	hidden := NewBase(target, nil, faults.Site{}, Options{BlackBox: true})
	require.Equal(t, Capabilities{Instances: 2, Bypass: true, EgressUnavailable: noEgress}, hidden.Capabilities())
	commits, loads, drops, stats, bytes = use(t, hidden.Target())
	require.Zero(t, commits+loads+drops+stats+len(bytes))
	require.Equal(t, [2]int{2, 2}, [2]int{settled, purged}, "settling and purging are not hidden")
	reply, err := hidden.Target().Do(t.Context(), targets.Request{Kind: targets.Write})
	require.NoError(t, err)
	require.Zero(t, reply.Version)
}

// Versions count once a write of the family has answered its own.
func TestVersionsThatOnlyReadsTellAreLeftOut(t *testing.T) {
	b := NewBase(bare{5}, nil, faults.Site{}, Options{})
	version := func(kind targets.Kind) uint64 {
		reply, err := b.Target().Do(t.Context(), targets.Request{Kind: kind, Key: targets.Key{Family: "product"}})
		require.NoError(t, err)
		return reply.Version
	}
	require.Zero(t, version(targets.Read))
	require.EqualValues(t, 5, version(targets.Write))
	require.EqualValues(t, 5, version(targets.Read))
}

// readied counts what a preparer is asked for.
type readied struct {
	seeded, warmed int
	epoch          time.Time
}

func (r *readied) Seed(_ context.Context, keys []targets.Key, run string) error {
	r.seeded += len(keys)
	return nil
}

func (r *readied) Prewarm(_ context.Context, keys []targets.Key) (string, error) {
	r.warmed += len(keys)
	return "warm", nil
}

func (r *readied) SetEpoch(at time.Time) { r.epoch = at }

func TestASiteIsComplete(t *testing.T) {
	var asked readied
	b := NewBase(bare{}, &asked, faults.Site{}, Options{Run: "00c0ffee"})
	require.Equal(t, "00c0ffee", b.Run())
	require.GreaterOrEqual(t, b.Site().Now(), time.Duration(0), "there is a clock before the preparation")
	p, err := b.Prepare(t.Context(), [][]targets.Key{{{ID: "1"}, {ID: "2"}}, {{ID: "3"}}})
	require.NoError(t, err)
	require.Equal(t, []string{"warm", "warm"}, p.Notes)
	require.Equal(t, [2]int{3, 3}, [2]int{asked.seeded, asked.warmed})
	require.Equal(t, b.Start(), asked.epoch)
	require.Less(t, b.Site().Now(), time.Duration(0), "offset 0 lies a moment ahead")
}
