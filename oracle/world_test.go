package oracle

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// A world is one small true history of one key: what really happened, and what a harness saw of it.
// Times are small integers, so that ties are common: at equal times either order is possible.

const run = "r1"

var key9 = targets.Key{Family: "price", ID: "9", Tenant: "t3", Currency: "EUR"}

// act is one operation with the truth about it.
type act struct {
	op     targets.Operation
	began  time.Duration // when Begin is called: between Sent and the moment at which the target acts
	called time.Duration // when End is called: at Returned or later
}

// event is one true commit.
type event struct {
	n       uint64
	token   string
	at      time.Duration
	deleted bool
	by      uint64 // the operation that made it; [targets.SeedSeq] for the initial value
}

type world struct {
	acts    []act
	commits []event // by version
}

// recipe says what may occur in a world.
type recipe struct {
	historian  bool // deletions may occur
	seeded     bool // perhaps
	unknown    bool // writes of unknown outcome, which may commit late or never
	duplicates bool // a write may commit twice
	silent     bool // acknowledgements may not tell the version
	stale      bool // reads may answer any version that was committed by their return
	lateBegins bool // Begin may be called later than Sent
	within     time.Duration
	writes     int
	reads      int
	span       int  // times are below it
	audits     bool // a read past the caches after everything
	past       bool // reads past the caches inside the order
	deletes    bool // some writes are deletions
	broken     bool // writes that failed may commit; reads may answer any value at all
	blind      bool // no versions are known
	mute       bool // half of the answers don't
}

func pick(rng *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(rng.Int64N(int64(hi-lo)+1))
}

// newWorld makes a world.
func newWorld(rng *rand.Rand, r recipe) *world {
	w := &world{}
	end := time.Duration(r.span)
	seq := uint64(0)
	if r.seeded && rng.IntN(2) == 0 {
		w.commits = append(w.commits, event{token: targets.NewToken(run, targets.SeedSeq, key9), at: -1, by: targets.SeedSeq})
	}
	for range 1 + rng.IntN(r.writes) {
		sent := pick(rng, 1, end)
		a := act{op: targets.Operation{Sent: sent, Returned: pick(rng, sent, end),
			Request: targets.Request{Seq: seq, Kind: targets.Write, Key: key9, Token: targets.NewToken(run, seq, key9), Session: rng.Uint64N(3)}}}
		if r.deletes && rng.IntN(3) == 0 {
			a.op.Kind, a.op.Token = targets.Delete, ""
		}
		seq++
		commits := []time.Duration{}
		acted := a.op.Returned
		switch x := rng.IntN(10); {
		case x < 2 && r.unknown:
			a.op.Outcome = targets.Unknown
			if rng.IntN(3) > 0 {
				commits = append(commits, pick(rng, sent, end))
				acted = min(acted, commits[0])
			}
		case x < 3:
			a.op.Outcome = targets.Failed
			if r.broken && rng.IntN(2) == 0 {
				commits = append(commits, pick(rng, sent, end))
			}
		default:
			commits = append(commits, pick(rng, sent, a.op.Returned))
			acted = commits[0]
			if r.duplicates && rng.IntN(6) == 0 {
				commits = append(commits, pick(rng, commits[0], end))
			}
		}
		a.began = sent
		if r.lateBegins {
			a.began = pick(rng, sent, acted)
		}
		for _, c := range commits {
			w.commits = append(w.commits, event{token: a.op.Token, at: c, deleted: a.op.Kind == targets.Delete, by: a.op.Seq})
		}
		w.acts = append(w.acts, a)
	}
	if r.historian {
		for range rng.IntN(2) {
			w.commits = append(w.commits, event{deleted: true, at: pick(rng, 1, end), by: targets.SeedSeq})
		}
	}
	rng.Shuffle(len(w.commits), func(i, j int) { w.commits[i], w.commits[j] = w.commits[j], w.commits[i] })
	slices.SortStableFunc(w.commits, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for i := range w.commits {
		w.commits[i].n = uint64(i + 1)
	}
	for i := range w.acts {
		if o := &w.acts[i].op; o.Outcome == targets.OK && !(r.silent && rng.IntN(2) == 0) {
			o.Reply.Version = w.commits[slices.IndexFunc(w.commits, func(e event) bool { return e.by == o.Seq })].n
		}
	}
	for range 1 + rng.IntN(r.reads) {
		if r.past && rng.IntN(3) == 0 {
			exact := r
			exact.stale, exact.broken, exact.within = false, false, 0
			w.read(rng, exact, pick(rng, 1, end), end, seq, targets.SourceInstance)
		} else {
			w.read(rng, r, pick(rng, 1, end), end, seq, "")
		}
		seq++
	}
	if r.audits {
		w.read(rng, recipe{}, end+1, end+3, seq, targets.SourceInstance)
	}
	rng.Shuffle(len(w.acts), func(i, j int) { w.acts[i], w.acts[j] = w.acts[j], w.acts[i] })
	for i := range w.acts {
		if r.blind || r.mute && rng.IntN(2) == 0 {
			w.acts[i].op.Reply.Version = 0
		}
	}
	for i := range w.acts {
		a := &w.acts[i]
		a.called = pick(rng, a.op.Returned, a.op.Returned+time.Duration(rng.IntN(r.span)))
	}
	return w
}

// read adds a read that answers the version current at some moment between sent and its return, or,
// if the recipe allows, an older one.
func (w *world) read(rng *rand.Rand, r recipe, sent, end time.Duration, seq uint64, instance string) {
	a := act{op: targets.Operation{Sent: sent, Returned: pick(rng, sent, end),
		Request: targets.Request{Seq: seq, Key: key9, Session: rng.Uint64N(3), Region: "eu", Instance: instance}}}
	at := pick(rng, a.op.Sent, a.op.Returned)
	a.began = sent
	if r.lateBegins {
		a.began = pick(rng, sent, at)
	}
	current := 0 // number of commits that the read saw
	for current < len(w.commits) && (w.commits[current].at < at || w.commits[current].at == at && rng.IntN(2) == 0) {
		current++
	}
	switch {
	case r.stale && rng.IntN(2) == 0:
		current = rng.IntN(current + 1)
	case r.broken && rng.IntN(12) == 0:
		current = rng.IntN(len(w.commits) + 1)
	case r.within > 0: // as old as the bound allows
		for current > 0 && w.commits[current-1].at >= sent-r.within && rng.IntN(2) == 0 {
			current--
		}
	}
	if current == 0 || w.commits[current-1].deleted {
		a.op.Reply.Absent = true
	} else {
		c := w.commits[current-1]
		a.op.Reply = targets.Reply{Version: c.n, Token: c.token, Tier: targets.TierL2}
	}
	w.acts = append(w.acts, a)
}

// call is one call of the judge.
type call struct {
	at  time.Duration
	do  func(*Judge)
	end bool
}

// calls gives every call in an order that real time allows: a Begin comes before any End of the
// same time, for an End happens after the target acted, and that happens after Begin. Everything
// else of one time is shuffled.
func (w *world) calls(rng *rand.Rand, historian bool) []call {
	var all []call
	for _, a := range w.acts {
		all = append(all, call{a.began, func(j *Judge) {
			op := a.op
			op.Reply, op.Outcome, op.Returned = targets.Reply{}, targets.OK, 0
			j.Begin(op)
		}, false})
		all = append(all, call{a.called, func(j *Judge) { j.End(a.op) }, true})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b call) int {
		if a.at == b.at && a.end != b.end {
			if b.end {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	if historian {
		all = w.interleaveLog(rng, all)
	}
	return all
}

// interleaveLog puts commits and seals among the calls, in their own order and not before they
// happened, and ends with a seal past everything.
func (w *world) interleaveLog(rng *rand.Rand, all []call) []call {
	now := func(t time.Duration) int { // the first position at which time t has come, and what was sent by then has begun
		return slices.IndexFunc(append(all[:len(all):len(all)], call{at: 1 << 40}), func(c call) bool {
			return c.at > t || c.at == t && c.end
		})
	}
	pos := 0
	var log []call
	var where []int
	for _, c := range w.commits {
		pos = max(pos, now(c.at))
		pos += rng.IntN(len(all) - pos + 1)
		if rng.IntN(2) == 0 { // everything before this commit's time has been sent
			log, where = append(log, call{do: func(j *Judge) { j.Commit(targets.Commit{At: c.at}) }}), append(where, pos)
		}
		commit := targets.Commit{Key: key9, Version: c.n, Token: c.token, Deleted: c.deleted, At: c.at}
		log, where = append(log, call{do: func(j *Judge) { j.Commit(commit) }}), append(where, pos)
		if rng.IntN(8) == 0 { // twice
			log, where = append(log, call{do: func(j *Judge) { j.Commit(commit) }}), append(where, pos)
		}
	}
	log, where = append(log, call{do: func(j *Judge) { j.Commit(targets.Commit{At: 1000}) }}), append(where, pos+rng.IntN(len(all)-pos+1))
	var out []call
	for i := 0; i <= len(all); i++ {
		for len(where) > 0 && where[0] == i {
			out, log, where = append(out, log[0]), log[1:], where[1:]
		}
		if i < len(all) {
			out = append(out, all[i])
		}
	}
	return out
}

// stream plays a world to a judge.
func (w *world) stream(rng *rand.Rand, cfg Config) (map[uint64]Judgement, Findings) {
	cfg.Run = run
	judged := map[uint64]Judgement{}
	cfg.Judged = func(d Judgement) {
		if _, twice := judged[d.Op.Seq]; twice {
			panic("judged twice")
		}
		judged[d.Op.Seq] = d
	}
	j := New(cfg)
	for _, c := range w.calls(rng, cfg.Historian) {
		c.do(j)
	}
	f := j.Finish()
	return judged, f
}

// reads gives the reads of a world.
func (w *world) reads() (all []targets.Operation) {
	for _, a := range w.acts {
		if a.op.Kind == targets.Read {
			all = append(all, a.op)
		}
	}
	return all
}

func (w *world) String() string {
	s := "commits:\n"
	for _, c := range w.commits {
		s += fmt.Sprintf("  v%d at %d %s deleted=%v\n", c.n, c.at, c.token, c.deleted)
	}
	for _, a := range w.acts {
		o := a.op
		s += fmt.Sprintf("  %s %d [%d,%d] %s v%d %s absent=%v session=%d instance=%q begin=%d end=%d\n", o.Kind, o.Seq, o.Sent, o.Returned,
			o.Outcome, o.Reply.Version, o.Reply.Token, o.Reply.Absent, o.Session, o.Instance, a.began, a.called)
	}
	return s
}
