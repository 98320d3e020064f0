package oracle

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a target tells, a correct cache is not accused: also where it tells no versions, or
// some, and where keys are deleted.
func TestCorrectCachesAreNeverAccusedHoweverLittleTheyTell(t *testing.T) {
	base := recipe{seeded: true, unknown: true, lateBegins: true, audits: true, past: true, deletes: true, writes: 6, reads: 8, span: 14}
	for _, c := range []struct {
		name   string
		change func(*recipe)
		family Family
	}{
		{"no versions, strong", func(r *recipe) { r.blind = true }, Family{Class: Strong, Horizon: 5}},
		{"no versions, bounded", func(r *recipe) { r.blind, r.within = true, 3 }, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"no versions, eventual", func(r *recipe) { r.blind, r.within = true, 3 }, Family{Class: Eventual, Within: 3, Horizon: 5}},
		{"some versions, strong", func(r *recipe) { r.mute = true }, Family{Class: Strong, Horizon: 5}},
		{"some versions, bounded", func(r *recipe) { r.mute, r.within = true, 3 }, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"silent acknowledgements, strong", func(r *recipe) { r.silent = true }, Family{Class: Strong, Horizon: 5}},
		{"silent acknowledgements, bounded", func(r *recipe) { r.silent, r.within = true, 3 }, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"versions, strong", func(r *recipe) {}, Family{Class: Strong, Horizon: 5}},
		{"versions, bounded", func(r *recipe) { r.within = 3 }, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"historian, strong", func(r *recipe) { r.historian = true }, Family{Class: Strong, Horizon: 5}},
		{"historian, some versions, duplicates", func(r *recipe) { r.historian, r.mute, r.duplicates = true, true, true }, Family{Class: Strong, Horizon: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := base
			c.change(&r)
			chances := map[string]int{}
			worlds(t, plays(t), r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
				_, f := w.stream(rng, Config{Historian: r.historian, Families: map[string]Family{"price": c.family}})
				for _, a := range f.Accusations {
					require.True(t, a.Kind == "stale" && c.family.Class != Strong, "%s: %s\n%s", a.Kind, a.Text, name)
				}
				require.Zero(t, f.Violations[c.family.Class.String()], name)
				require.Zero(t, f.LostWrites+f.Rollbacks+f.Leaks+f.Corruptions+f.DirtyReads+f.FalseRejections+f.UnjudgedKeys, name)
				for kind, n := range f.Opportunities {
					chances[kind] += n
				}
			})
			require.NotZero(t, chances["stale"]*chances["violations"]*chances["lost_writes"], chances)
		})
	}
}
