package oracle

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// histories is how many worlds each property is held against; fewer under the race detector, which
// can find nothing in one goroutine.
var histories = map[bool]int{false: 6000, true: 500}[raceDetector]

// plays is how many worlds of correct caches are played a mode: CACHEDRILL_HISTORIES, or a sample.
func plays(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("CACHEDRILL_HISTORIES"), strconv.Itoa(histories/3)))
	require.NoError(t, err)
	return n
}

// named is a world as failures show it.
type named struct {
	seed int
	w    *world
}

func (n named) String() string { return fmt.Sprintf("seed %d\n%s", n.seed, n.w) }

// worlds plays n worlds, each with its own seed.
func worlds(t *testing.T, n int, r recipe, check func(t *testing.T, name named, rng *rand.Rand, w *world)) {
	t.Helper()
	for seed := range n {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		w := newWorld(rng, r)
		check(t, named{seed, w}, rng, w)
		if t.Failed() {
			return
		}
	}
}

var blackBox = recipe{seeded: true, unknown: true, stale: true, writes: 4, reads: 5, span: 9}

// Every answer equals what enumerating all commit orders and times says, and does not depend on the
// interleaving.
func TestAnswersEqualEnumeration(t *testing.T) {
	counted := map[Answer]int{}
	worlds(t, histories, blackBox, func(t *testing.T, name named, rng *rand.Rand, w *world) {
		judged, _ := w.stream(rng, Config{})
		again, _ := w.stream(rng, Config{})
		require.Equal(t, judged, again, "interleaving mattered: %s", name)
		for _, a := range w.acts {
			if a.op.Kind != targets.Read {
				continue
			}
			d := judged[a.op.Seq]
			answer, low, high := w.bruteForce(a.op)
			counted[answer]++
			require.Equal(t, answer.String(), d.Answer.String(), "read %d of %s", a.op.Seq, name)
			require.Equal(t, low, d.Low, "low of read %d of %s", a.op.Seq, name)
			require.Equal(t, high, d.High, "high of read %d of %s", a.op.Seq, name)
		}
	})
	for _, a := range []Answer{Fresh, Stale, Indeterminate} {
		require.Greater(t, counted[a], histories/20, "the worlds must exercise %s: %v", a, counted)
	}
}

// Where acknowledgements do not tell versions, the enumeration can prove more, by counting which
// numbers are taken. What the judge proves still holds in every enumerated history, and its bounds
// enclose all of them.
func TestAnswersHoldInEveryEnumeratedHistory(t *testing.T) {
	silent := blackBox
	silent.silent = true
	definite, possible := 0, 0
	worlds(t, histories, silent, func(t *testing.T, name named, rng *rand.Rand, w *world) {
		judged, _ := w.stream(rng, Config{})
		again, _ := w.stream(rng, Config{})
		require.Equal(t, judged, again, "interleaving mattered: %s", name)
		for _, a := range w.acts {
			if a.op.Kind != targets.Read {
				continue
			}
			d := judged[a.op.Seq]
			answer, low, high := w.bruteForce(a.op)
			if answer != Indeterminate {
				possible++
			}
			if d.Answer != Indeterminate {
				definite++
				require.Equal(t, answer.String(), d.Answer.String(), "read %d of %s", a.op.Seq, name)
			}
			require.LessOrEqual(t, d.Low, low, "low of read %d of %s", a.op.Seq, name)
			if d.High >= 0 {
				require.GreaterOrEqual(t, d.High, high, "high of read %d of %s", a.op.Seq, name)
			}
		}
	})
	require.Greater(t, definite, possible*8/10, "the judge proves most of what can be proven: %d of %d", definite, possible)
}

// When a Begin was called so late that the read had been judged, the judge knows less of what was
// seen, and more of what cannot have happened yet. It never mistakes anything for stale, and all
// that it says is true.
func TestLateBeginsAreSound(t *testing.T) {
	late := blackBox
	late.lateBegins = true
	worlds(t, histories, late, func(t *testing.T, name named, rng *rand.Rand, w *world) {
		judged, _ := w.stream(rng, Config{})
		for _, a := range w.acts {
			if a.op.Kind != targets.Read {
				continue
			}
			d := judged[a.op.Seq]
			if answer, _, _ := w.bruteForce(a.op); answer != d.Answer {
				require.NotContains(t, []Answer{answer, d.Answer}, Stale, "read %d of %s", a.op.Seq, name)
			}
			w.requireTrue(t, d, name)
		}
	})
}

// requireTrue holds a judgement against what really happened.
func (w *world) requireTrue(t *testing.T, d Judgement, name named) {
	t.Helper()
	superseded := never
	for _, c := range w.commits {
		if c.n > d.Version {
			superseded = c.at
			break
		}
	}
	truth := max(0, d.Op.Sent-superseded)
	switch d.Answer {
	case Fresh:
		require.Greater(t, superseded, d.Op.Sent, "read %d of %s", d.Op.Seq, name)
	case Stale:
		require.Less(t, superseded, d.Op.Sent, "read %d of %s", d.Op.Seq, name)
	}
	if d.Answer != Unjudged {
		require.LessOrEqual(t, d.Low, truth, "read %d of %s", d.Op.Seq, name)
		if d.High >= 0 {
			require.GreaterOrEqual(t, d.High, truth, "read %d of %s", d.Op.Seq, name)
		}
	}
}

// With a historian the log decides, whatever was acknowledged, and in whichever order things
// arrive.
func TestAnswersEqualTheLog(t *testing.T) {
	r := recipe{historian: true, seeded: true, unknown: true, silent: true, duplicates: true, stale: true, lateBegins: true,
		writes: 6, reads: 8, span: 14}
	worlds(t, histories, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
		judged, f := w.stream(rng, Config{Historian: true})
		again, g := w.stream(rng, Config{Historian: true})
		require.Equal(t, judged, again, "interleaving mattered: %s", name)
		require.LessOrEqual(t, f.SessionViolations, w.sessionViolations(), name)
		for _, x := range []*Findings{&f, &g} { // a write's end may come after the seal
			x.SessionViolations, x.Opportunities["sessions"] = 0, 0
		}
		require.Equal(t, f, g, "interleaving mattered: %s", name)
		for _, a := range w.acts {
			if a.op.Kind != targets.Read {
				continue
			}
			d := judged[a.op.Seq]
			answer, staleness := w.logAnswer(a.op)
			require.Equal(t, answer.String(), d.Answer.String(), "read %d of %s", a.op.Seq, name)
			require.Equal(t, [2]time.Duration{staleness, staleness}, [2]time.Duration{d.Low, d.High}, "read %d of %s", a.op.Seq, name)
		}
		require.Zero(t, f.LostWrites+f.Rollbacks+f.Leaks+f.Corruptions+f.DirtyReads+f.FalseRejections+f.Unjudged, name)
		ends := func(v uint64) time.Duration { return w.commits[v].at }
		require.Equal(t, staleIncidents(judged, ends), f.StaleIncidents, name)
	})
}

// What is counted does not depend on the interleaving either.
func TestFindingsDoNotDependOnInterleaving(t *testing.T) {
	r := blackBox
	r.audits = true
	seen, sessions := Findings{}, 0
	worlds(t, histories, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
		cfg := Config{Families: map[string]Family{"price": {Class: Bounded, Within: 2, Horizon: 6}}}
		judged, f := w.stream(rng, cfg)
		_, g := w.stream(rng, cfg)
		require.LessOrEqual(t, f.SessionViolations, w.sessionViolations(), name)
		sessions += w.sessionViolations()
		seen.SessionViolations += f.SessionViolations
		for _, x := range []*Findings{&f, &g} { // two versions a session are remembered: here up to 9 operations of one overlap
			x.SessionViolations, x.Opportunities["sessions"] = 0, 0
		}
		require.Equal(t, f, g, name)
		require.Zero(t, f.LostWrites+f.Rollbacks+f.Leaks+f.Corruptions+f.DirtyReads+f.FalseRejections+f.Unjudged, name)
		counted := map[string]int{}
		for _, d := range judged {
			if d.Violation {
				require.Greater(t, d.Low, time.Duration(2), name)
				counted["bounded"]++
			}
			if d.CanViolate {
				seen.Opportunities = map[string]int{"violations": seen.Opportunities["violations"] + 1}
			}
		}
		require.Equal(t, counted["bounded"], f.Violations["bounded"], name)
		seen.StaleIncidents += f.StaleIncidents
		seen.LostWrites += f.Opportunities["lost_writes"]
		seen.Rollbacks += f.Opportunities["rollbacks"]
	})
	require.Greater(t, seen.SessionViolations, sessions*95/100)
	require.NotZero(t, seen.StaleIncidents*seen.SessionViolations*seen.LostWrites*seen.Rollbacks*seen.Opportunities["violations"], seen)
}

// A correct cache is never accused: strong reads answer a version current at some moment between
// being sent and returning, bounded ones one superseded at most D before they were sent; writes are
// acknowledged late, duplicated, lost in the network, delivered after their client gave up, and
// rejected.
func TestCorrectCachesAreNeverAccused(t *testing.T) {
	base := recipe{seeded: true, unknown: true, silent: true, lateBegins: true, audits: true, writes: 5, reads: 8, span: 12}
	for _, c := range []struct {
		name                  string
		historian, duplicates bool
		family                Family
	}{
		{"strong, black box", false, false, Family{Class: Strong, Horizon: 5}},
		{"strong, black box, duplicates", false, true, Family{Class: Strong, Horizon: 5}},
		{"strong, historian", true, true, Family{Class: Strong, Horizon: 5}},
		{"bounded, black box", false, false, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"bounded, black box, duplicates", false, true, Family{Class: Bounded, Within: 3, Horizon: 5}},
		{"bounded, historian", true, true, Family{Class: Bounded, Within: 3, Horizon: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := base
			r.historian, r.duplicates, r.within = c.historian, c.duplicates, c.family.Within
			chances := map[string]int{}
			worlds(t, histories, r, func(t *testing.T, name named, rng *rand.Rand, w *world) {
				judged, f := w.stream(rng, Config{Historian: c.historian, Families: map[string]Family{"price": c.family}})
				for _, a := range f.Accusations {
					require.True(t, a.Kind == "stale" && c.family.Class == Bounded, "%s\n%s", a.Text, name)
				}
				require.Equal(t, map[string]int{c.family.Class.String(): 0}, f.Violations, name)
				require.Zero(t, f.LostWrites+f.Rollbacks+f.Leaks+f.Corruptions+f.DirtyReads+f.FalseRejections+f.Unjudged, name)
				for _, d := range judged {
					if c.duplicates && !c.historian { // an unseen duplicate can't be known: only Low is promised
						d.High = -1
						if d.Answer == Fresh {
							continue
						}
					}
					w.requireTrue(t, d, name)
				}
				for kind, n := range f.Opportunities {
					chances[kind] += n
				}
			})
			require.NotZero(t, chances["stale"]*chances["violations"]*chances["lost_writes"]*chances["rollbacks"], chances)
		})
	}
}
