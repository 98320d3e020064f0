package oracle

import (
	"slices"
	"time"
)

// Finish judges what is still pending with what is known, looks for what was lost, and gives the findings. It is
// called once, after every other call has returned.
func (j *Judge) Finish() Findings {
	var done []verdict
	j.each(func(_ *shard, k *keyState) {
		if k.register != nil {
			k.register.close()
		}
	})
	for i := range j.shards {
		s := &j.shards[i]
		s.mu.Lock()
		for s.waiting.first != nil {
			done = j.judgeFirst(s, &s.waiting, done)
		}
		s.mu.Unlock()
		done = j.pronounceAll(done)
	}
	j.each(func(s *shard, k *keyState) {
		for k.waiting.first != nil {
			done = j.judgeFirst(s, &k.waiting, done)
		}
	})
	j.pronounceAll(done)

	var f Findings
	var c counts
	n := 0
	j.each(func(_ *shard, k *keyState) { n += len(k.history.versions) })
	f.Lags = make([]Lag, 0, n)
	j.each(func(s *shard, k *keyState) {
		j.reckon(s, k)
		j.conclude(s, k, &f)
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

// reckon settles what is left of a key's writes.
func (j *Judge) reckon(s *shard, k *keyState) {
	sealed := time.Duration(j.sealed.Load())
	for _, w := range k.open {
		switch {
		case w.state == inFlight:
			s.counts.unknown++
		case w.state == unplaced && j.cfg.Historian && w.returned < sealed:
			if !k.inLog(&w) && k.trusted() {
				s.counts.lostChecked++
				j.lost(k, w, " and is not in the source's history",
					acked(k.key, w.seq, w.claimed, w.sent, w.returned), j.end(k.key))
			}
		}
	}
	for i := range k.history.versions {
		v := &k.history.versions[i]
		if v.contested {
			s.counts.lostChecked++
		}
		checked := v.own < k.looked() || j.cfg.Historian || v.gone
		switch {
		case !checked, v.deleted && v.ackedAt == never:
		case v.ackedAt != never && (v.ackedAt < k.looked() || j.cfg.Historian || v.gone):
			s.counts.lostChecked++
		default:
			s.counts.rollbacksChecked++
		}
	}
}

// report puts the ledger into the findings.
func (j *Judge) report(f *Findings) {
	for _, fam := range j.families {
		if fam.told.Load() { // an empty answer among tokens is a damaged one
			f.Corruptions += int(fam.blanks.n.Load())
			for _, a := range fam.blanks.kept("") {
				j.ledger.keep(kindCorruption, a)
			}
		}
	}
	f.LostWrites, f.Rollbacks = j.ledger.total(kindLost), j.ledger.total(kindRollback)
	f.Leaks, f.DirtyReads = j.ledger.total(kindLeak), j.ledger.total(kindDirty)
	f.Corruptions += j.ledger.total(kindCorruption)
	f.FalseRejections = j.ledger.total(kindFalseRejection)
	f.Violations = map[string]int{}
	for _, fam := range j.families {
		if fam.classed {
			f.Violations[fam.class()] = int(j.ledger.violations[fam.Class].Load())
		}
	}
	for i := range j.ledger.trays {
		f.Accusations = append(f.Accusations, j.ledger.trays[i].kept(kind(i).String())...)
	}
	slices.SortStableFunc(f.Accusations, chronological)
}
