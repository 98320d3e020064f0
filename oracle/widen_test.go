package oracle

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// widened gives the world with intervals that are no narrower: operations sent no later and
// returned no earlier. The operation fixed keeps its interval, and what was sent after its return
// still was.
func (w *world) widened(rng *rand.Rand, fixed *targets.Operation) *world {
	v := &world{commits: w.commits, acts: slices.Clone(w.acts)}
	for i := range v.acts {
		a := &v.acts[i]
		if fixed != nil && a.op.Seq == fixed.Seq {
			continue
		}
		sent := max(0, a.op.Sent-time.Duration(rng.IntN(4)))
		if fixed != nil && a.op.Sent > fixed.Returned {
			sent = max(sent, fixed.Returned+1)
		}
		a.op.Sent, a.began = sent, sent
		a.op.Returned += time.Duration(rng.IntN(4))
		a.called = max(a.called, a.op.Returned)
	}
	return v
}

// Knowing less precisely when the others happened never turns an answer into another one, and
// nothing into a proof: a proven answer stays or becomes indeterminate, and the bounds move apart.
// And whatever is known less precisely, no accusation is added.
//
// The judged read keeps its own interval: one that began earlier is another question (its value may
// not have been superseded yet: stale becomes fresh). What was sent after its return stays so: else
// it would tell something. And with versions, an answer "not found" may be judged as a later
// absence when more of them can have been committed by its return, which is more favourable: only
// that it does not become stale, or staler, is claimed of it.
func TestWideningProvesNothing(t *testing.T) {
	base := recipe{seeded: true, unknown: true, stale: true, deletes: true, writes: 4, reads: 4, span: 12, audits: true}
	for name, change := range map[string]func(*recipe){
		"versions":    func(r *recipe) { r.deletes = false },
		"deletions":   func(r *recipe) {},
		"silent":      func(r *recipe) { r.silent = true },
		"no versions": func(r *recipe) { r.blind = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base
			change(&r)
			weakened, kept, cleared := 0, 0, 0
			worlds(t, histories/3, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
				judged, f := w.stream(rng, strong)
				v := w.widened(rng, nil)
				_, g := v.stream(rng, strong)
				for kind, n := range accusations(g) {
					require.False(t, n > 0 && accusations(f)[kind] == 0, "%s added: %v\n%s", kind, g.Accusations, named{name.seed, v})
				}
				if f.Violations["strong"] > 0 && g.Violations["strong"] == 0 {
					cleared++
				}
				for _, o := range w.reads() {
					v := w.widened(rng, &o)
					again, _ := v.stream(rng, strong)
					was, is := judged[o.Seq], again[o.Seq]
					if o.Reply.Absent && !r.blind { // it may now be another absence, that is more favourable
						require.True(t, is.Answer != Stale || was.Answer == Stale, "read %d: %s became stale of %s\nwidened %s", o.Seq, was.Answer, name, v)
						require.LessOrEqual(t, is.Low, was.Low, "read %d of %s\nwidened %s", o.Seq, name, v)
						continue
					}
					require.True(t, is.Answer == was.Answer || is.Answer == Indeterminate, "read %d: %s became %s of %s\nwidened %s", o.Seq, was.Answer, is.Answer, name, v)
					require.LessOrEqual(t, is.Low, was.Low, "read %d of %s\nwidened %s", o.Seq, name, v)
					if is.High >= 0 {
						require.True(t, was.High >= 0 && is.High >= was.High, "read %d: high %d became %d of %s\nwidened %s", o.Seq, was.High, is.High, name, v)
					}
					if is.Answer != was.Answer {
						weakened++
					} else if is.Answer != Indeterminate {
						kept++
					}
				}
			})
			require.NotZero(t, weakened*kept*cleared)
		})
	}
}

// accusations counts the findings that accuse.
func accusations(f Findings) map[string]int {
	return map[string]int{
		"violation": f.Violations["strong"], "lost write": f.LostWrites, "rollback": f.Rollbacks, "leak": f.Leaks,
		"corruption": f.Corruptions, "dirty read": f.DirtyReads, "false rejection": f.FalseRejections,
	}
}
