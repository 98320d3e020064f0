package oracle

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// replay tells the events of an accusation, and nothing else, to a fresh judge.
func replay(cfg Config, history []Event) (map[uint64]Judgement, Findings) {
	judged := map[uint64]Judgement{}
	cfg.Judged = func(d Judgement) { judged[d.Op.Seq] = d }
	type call struct {
		at    time.Duration
		order int // at one time: commits, begins, ends, the seal
		do    func(*Judge)
	}
	var calls []call
	token := func(e Event) string {
		switch {
		case e.Token != "", e.Absent:
			return e.Token
		case e.Writer == NoWriter:
			return ""
		}
		return targets.NewToken(cfg.Run, e.Writer, e.Key)
	}
	for _, e := range history {
		op := targets.Operation{Request: targets.Request{Seq: e.Seq, Kind: targets.Write, Key: e.Key, Instance: e.Instance, Region: e.Region}, Sent: e.Sent}
		switch e.What {
		case Committed:
			calls = append(calls, call{e.At, 0, func(j *Judge) {
				j.Commit(targets.Commit{Key: e.Key, Version: e.Version, Token: token(e), Deleted: e.Absent, At: e.At})
			}})
			continue
		case Sealed:
			calls = append(calls, call{e.At, 3, func(j *Judge) { j.Commit(targets.Commit{At: e.At}) }})
			continue
		case Answered:
			op.Kind = targets.Read
		default:
			op.Token = token(e)
		}
		calls = append(calls, call{e.Sent, 1, func(j *Judge) { j.Begin(op) }})
		if e.What == WriteSent {
			continue
		}
		op.Returned = e.Returned
		op.Reply.Version = e.Version
		if e.What == Answered {
			op.Reply = targets.Reply{Version: e.Version, Token: token(e), Absent: e.Absent, Tier: e.Tier, Worker: e.Worker, Owner: e.Owner}
		}
		if e.What == WriteRejected {
			op.Outcome, op.Err = targets.Failed, targets.ErrNotApplied
		}
		calls = append(calls, call{e.Returned, 2, func(j *Judge) { j.End(op) }})
	}
	slices.SortStableFunc(calls, func(a, b call) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
	j := New(cfg)
	for _, c := range calls {
		c.do(j)
	}
	if cfg.Historian && !slices.ContainsFunc(history, func(e Event) bool { return e.What == Sealed }) {
		j.Commit(targets.Commit{At: never - 1})
	}
	return judged, j.Finish()
}

// accusesAgain says whether the events alone lead to the same accusation. was is how the accused
// read was judged; zero when no read is accused.
func accusesAgain(cfg Config, history []Event, a Accusation, was Judgement) bool {
	judged, f := replay(cfg, history)
	now := judged[was.Op.Seq]
	if was.Answer == Unjudged {
		now = was
	}
	return now.Version == was.Version && now.Next == was.Next && now.NextAt == was.NextAt &&
		slices.ContainsFunc(f.Accusations, func(b Accusation) bool {
			return a.Kind == b.Kind && a.Text == b.Text && a.Proof == b.Proof && a.Low == b.Low && a.At == b.At
		})
}

func show(history []Event) string {
	s := ""
	for _, e := range history {
		s += fmt.Sprintf("  %s %+v\n", e.What, e)
	}
	return s
}

// oneRegister is a oneRegister whose versions only grow, for porcupine: input is what was done, the
// state is the version. An acknowledged write of unknown version makes one that no read of the
// history answered.
var oneRegister = porcupine.Model{
	Init: func() any { return [2]uint64{} },
	Step: func(state, input, _ any) (bool, any) {
		now, e := state.([2]uint64), input.(Event)
		switch {
		case e.What == Answered:
			return now == [2]uint64{e.Version}, now
		case e.Version == 0:
			return true, [2]uint64{now[0], now[1] + 1}
		}
		return e.Version > now[0], [2]uint64{e.Version}
	},
}

// operations makes a history into porcupine's. base is what the accused read answered.
func operations(history []Event, base uint64) []porcupine.Operation {
	const forever = int64(never)
	written := map[uint64]bool{0: true}
	for _, e := range history {
		if e.What != Answered {
			written[e.Version] = true
		}
	}
	var ops []porcupine.Operation
	add := func(e Event, from, to time.Duration) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: e, Call: int64(from), Return: int64(to)})
	}
	for _, e := range history {
		switch e.What {
		case Committed:
			add(e, e.At, e.At)
		case WriteSent:
			add(e, e.Sent, time.Duration(forever))
		case WriteAcked:
			add(e, e.Sent, e.Returned)
		case Answered:
			if e.Accused {
				e.Version = base
			}
			if !written[e.Version] { // there before, at an unknown time
				written[e.Version] = true
				add(Event{What: WriteSent, Version: e.Version}, -1<<62, time.Duration(forever))
			}
			add(e, e.Sent, e.Returned)
		}
	}
	return ops
}

// The evidence of a stale read of a strong family is enough, independently checked, and minimal: a
// fresh judge that is given of nothing else accuses the same read of the same, and no longer when
// any one of the events is left out; porcupine finds it not linearizable, and without the accused
// read linearizable.
func TestEvidenceOfStaleReads(t *testing.T) {
	strong := map[string]Family{"price": {Class: Strong}}
	for _, c := range []struct {
		name string
		recipe
	}{
		{"blackbox", recipe{seeded: true, stale: true, unknown: true, duplicates: true, writes: 4, reads: 6, span: 16}},
		{"silent acknowledgements", recipe{seeded: true, stale: true, silent: true, unknown: true, writes: 4, reads: 6, span: 16}},
		{"historian", recipe{historian: true, seeded: true, stale: true, unknown: true, writes: 4, reads: 6, span: 16}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checked := 0
			for seed := range uint64(2000) {
				rng := rand.New(rand.NewPCG(seed, 11))
				w := newWorld(rng, c.recipe)
				cfg := Config{Run: run, Historian: c.historian, Families: strong}
				judged, f := w.stream(rng, cfg)
				for _, a := range f.Accusations {
					if a.Kind != "violation" || a.Op.Key != key9 { // or of answers "not found" together
						continue
					}
					checked++
					about := fmt.Sprintf("seed %d: %s\n%s\n%sof\n%s", seed, a.Text, a.Proof, show(a.History), w)
					was := judged[a.Op.Seq]
					require.True(t, accusesAgain(cfg, a.History, a, was), about)
					require.False(t, porcupine.CheckOperations(oneRegister, operations(a.History, was.Version)), about)
					for i, e := range a.History {
						less := slices.Delete(slices.Clone(a.History), i, i+1)
						require.False(t, accusesAgain(cfg, less, a, was), "without %s %+v\n%s", e.What, e, about)
						if e.Accused {
							require.True(t, porcupine.CheckOperations(oneRegister, operations(less, was.Version)), about)
						}
					}
				}
			}
			require.Greater(t, checked, 200)
			t.Logf("%d accusations", checked)
		})
	}
}
