package oracle

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// Porcupine decides by search whether a history is linearizable. It orders calls before returns of
// the same time, which is what "equal stamps say nothing about order" asks.

// plain is a register without versions. Its first value is whatever is read first: the initial
// value or an absence.
var plain = porcupine.Model{
	Init: func() any { return "?" },
	Step: func(state, input, output any) (bool, any) {
		op, now := input.(targets.Operation), state.(string)
		switch {
		case op.Kind == targets.Write:
			return true, op.Token
		case op.Kind == targets.Delete:
			return true, ""
		case now == "?":
			return op.Reply.Absent || writeSeq(op.Reply.Token) == targets.SeedSeq, op.Reply.Token
		}
		return now == op.Reply.Token, now
	},
}

// linearizable asks porcupine about a world, of which it sees what the harness saw.
func (w *world) linearizable(m porcupine.Model) bool {
	read := map[string]bool{}
	for _, o := range w.reads() {
		read[o.Reply.Token] = true
	}
	var history []porcupine.Operation
	for i, a := range w.acts {
		o, end := a.op, int64(a.op.Returned)
		if o.Kind.Changes() && o.Outcome != targets.OK {
			if o.Outcome == targets.Failed && (o.Kind == targets.Delete || !read[o.Token]) {
				continue
			}
			end = math.MaxInt64 // it may have had its effect at any time, or after everything
		}
		history = append(history, porcupine.Operation{ClientId: i, Input: o, Output: o, Call: int64(o.Sent), Return: end})
	}
	return porcupine.CheckOperations(m, history)
}

var strong = Config{Families: map[string]Family{"price": {Class: Strong, Horizon: time.Minute}}}

// The verdict on a strong family without versions equals porcupine's with a plain register.
func TestStrongWithoutVersionsEqualsPorcupine(t *testing.T) {
	t.Parallel()
	good, bad, byZones := 0, 0, 0
	for _, r := range []recipe{
		blind,
		{seeded: true, unknown: true, blind: true, deletes: true, writes: 5, reads: 7, span: 12},
		{seeded: true, unknown: true, blind: true, broken: true, deletes: true, writes: 6, reads: 8, span: 16},
		{seeded: true, unknown: true, blind: true, broken: true, within: 3, writes: 6, reads: 8, span: 16},
		{seeded: true, unknown: true, blind: true, broken: true, deletes: true, past: true, audits: true, writes: 5, reads: 8, span: 14},
		{seeded: true, unknown: true, blind: true, stale: true, past: true, audits: true, writes: 5, reads: 8, span: 14},
	} {
		worlds(t, histories*10/18, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
			judged, f := w.stream(rng, strong)
			_, g := w.stream(rng, strong)
			for _, x := range []*Findings{&f, &g} { // when a rejection and a read contradict each other, either may come first
				x.Accusations = slices.DeleteFunc(x.Accusations, func(a Accusation) bool { return a.Kind == "false rejection" })
			}
			require.Equal(t, f, g, "interleaving mattered: %s", name)
			require.Zero(t, f.UnjudgedKeys, name)
			if r.past && f.UndecidedKeys > 0 { // the source itself answered "not found" without a deletion that explains it
				require.False(t, w.linearizable(plain), name)
				return
			}
			require.Zero(t, f.UndecidedKeys, name)
			accused := f.Violations["strong"]+f.DirtyReads+f.LostWrites+f.Rollbacks > 0
			require.Equal(t, !w.linearizable(plain), accused, "%v %s", f.Accusations, name)
			if !accused {
				good++
				return
			}
			bad++
			stale := false
			for _, d := range judged {
				stale = stale || d.Answer == Stale
			}
			if !stale && f.DirtyReads == 0 {
				byZones++
			}
		})
	}
	t.Logf("%d linearizable, %d not, of which %d without any read that is proven stale", good, bad, byZones)
	require.Greater(t, min(good, bad), histories/2)
	require.Greater(t, byZones, histories/30)
}

// numbered is what an ordered register holds: the last version, and whether it is an absence.
type numbered struct {
	n      uint64
	absent bool
}

// ordered is a register whose writes take effect in the order of their versions. A deletion of
// unknown version fits anywhere.
var orderedModel = porcupine.Model{
	Init: func() any { return numbered{absent: true} },
	Step: func(state, input, output any) (bool, any) {
		op, now := input.(targets.Operation), state.(numbered)
		switch n := op.Reply.Version; {
		case op.Kind == targets.Delete && n == 0:
			return true, numbered{now.n, true}
		case op.Kind.Changes():
			return n > now.n, numbered{n, op.Kind == targets.Delete}
		case op.Reply.Absent:
			return now.absent, now
		default:
			return now == numbered{n, false}, now
		}
	},
}

// versioned gives the world with the versions that reads showed of writes that carried none,
// without writes that no one read, and with the initial value as a write, if it was read: what the
// ordered model asks.
func (w *world) versioned() *world {
	shown := map[string]uint64{}
	for _, o := range w.reads() {
		shown[o.Reply.Token] = o.Reply.Version
	}
	v := &world{}
	for _, a := range w.acts {
		if a.op.Kind == targets.Write && a.op.Reply.Version == 0 {
			if a.op.Reply.Version = shown[a.op.Token]; a.op.Reply.Version == 0 {
				continue
			}
		}
		v.acts = append(v.acts, a)
	}
	seed := targets.NewToken(run, targets.SeedSeq, key9)
	if n := shown[seed]; n != 0 {
		o := targets.Operation{Request: targets.Request{Kind: targets.Write, Token: seed}, Sent: -1, Returned: -1}
		o.Reply.Version = n
		v.acts = append(v.acts, act{op: o})
	}
	return v
}

// The verdict on a strong family with versions equals porcupine's with an ordered register.
func TestStrongWithVersionsEqualsPorcupine(t *testing.T) {
	t.Parallel()
	good, bad, byAbsence := 0, 0, 0
	for _, r := range []recipe{
		{seeded: true, unknown: true, stale: true, broken: true, writes: 4, reads: 5, span: 8},
		{seeded: true, unknown: true, broken: true, writes: 6, reads: 8, span: 16},
		{seeded: true, unknown: true, broken: true, deletes: true, writes: 5, reads: 7, span: 12},
		{seeded: true, stale: true, deletes: true, within: 3, writes: 6, reads: 8, span: 12},
	} {
		worlds(t, histories*10/12, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
			judged, f := w.stream(rng, strong)
			accused := f.Violations["strong"]+f.DirtyReads+f.Corruptions > 0
			require.Zero(t, f.UndecidedKeys, name)
			require.Equal(t, !w.versioned().linearizable(orderedModel), accused, "%v %s", f.Accusations, name)
			if !accused {
				good++
				return
			}
			bad++
			stale := false
			for _, d := range judged {
				stale = stale || d.Answer == Stale
			}
			if !stale && f.DirtyReads+f.Corruptions == 0 {
				byAbsence++
			}
		})
	}
	t.Logf("%d linearizable, %d not, of which %d by absences alone", good, bad, byAbsence)
	require.Greater(t, min(good, bad), histories/2)
	require.NotZero(t, byAbsence)
}

// writeSeq gives the operation that wrote a token; [targets.SeedSeq] for seeds and for what is no
// token.
func writeSeq(token string) uint64 {
	if t, ok := targets.ParseToken(token); ok {
		return t.Seq
	}
	return targets.SeedSeq
}
