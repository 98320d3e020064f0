package oracle

import (
	"slices"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
)

// Finish judges what is still pending with what is known, looks for what was lost, and gives the
// findings. It is called once, after every other call has returned.
func (j *Judge) Finish() Findings {
	j.finished = true
	var done []verdict
	j.each(func(_ *shard, k *keyState) {
		if k.values != nil {
			k.values.Close()
		}
	})
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		for s.waiting.first != nil {
			done = s.judgeFirst(&s.waiting, done)
		}
		s.mu.Unlock()
		done = j.emitAll(done)
	}
	j.each(func(s *shard, k *keyState) {
		for k.waiting.first != nil {
			done = s.judgeFirst(&k.waiting, done)
		}
	})
	j.emitAll(done)

	var f Findings
	var c counts
	n := 0
	j.each(func(_ *shard, k *keyState) { n += len(k.history.All) })
	f.Lags = make([]Lag, 0, n)
	j.each(func(_ *shard, k *keyState) {
		k.conclude(&f)
		f.StaleIncidents += k.incidents()
		f.Lags = k.lags(f.Lags)
	})
	for i := range j.shards {
		c.add(&j.shards[i].counts)
	}
	f.Writes, f.Acknowledged, f.UnknownWrites = c.writes, c.acknowledged, c.unknown
	f.SessionViolations, f.Unjudged = c.sessions, c.unjudged
	f.Opportunities = map[string]int{
		"stale": c.canStale, "violations": c.canViolate, "leaks": c.leaks, "corruptions": c.corruptions,
		"dirty_reads": c.corruptions, "sessions": c.sessionsChecked, "false_rejections": c.rejected,
		"lost_writes": c.lostChecked, "rollbacks": c.rollbacksChecked,
	}
	j.report(&f)
	return f
}

// conclude looks at a key's whole history.
func (k *keyState) conclude(f *Findings) {
	for i := range k.open.all {
		if k.open.all[i].state == history.InFlight {
			k.counts.unknown++
		}
	}
	by := k.whole()
	by.conclude()
	switch {
	case by.unjudged() != "":
		f.UnjudgedKeys++
	case !by.explained():
		f.UndecidedKeys++
	}
}

// report puts the accusations into the findings.
func (j *Judge) report(f *Findings) {
	for _, fam := range j.families {
		if fam.tokens.Load() { // an empty answer among tokens is a damaged one
			f.Corruptions += int(fam.blanks.n.Load())
			for _, a := range fam.blanks.kept("") {
				j.accused.keep(kindCorruption, a)
			}
		}
	}
	f.LostWrites, f.Rollbacks = j.accused.total(kindLost), j.accused.total(kindRollback)
	f.Leaks, f.DirtyReads = j.accused.total(kindLeak), j.accused.total(kindDirty)
	f.Corruptions += j.accused.total(kindCorruption)
	f.FalseRejections = j.accused.total(kindFalseRejection)
	f.Violations = map[string]int{}
	for _, fam := range j.families {
		if fam.classed {
			f.Violations[fam.class()] = int(j.accused.violations[fam.Class].Load())
		}
	}
	for i := range j.accused.byKind {
		f.Accusations = append(f.Accusations, j.accused.byKind[i].kept(kind(i).String())...)
	}
	slices.SortStableFunc(f.Accusations, chronological)
}
