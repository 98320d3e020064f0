// Package verdict makes the report of one drill: measurements, and the reasons why some of them
// prove less than they seem to, become outcomes ([Evaluate]).
//
// Order of calls for each drill:
//
//	rec := measure.NewRecorder(measure.RecorderConfig{Objectives: objectives, Classes: classes})
//	rec.Mark(measure.Steady, 3*time.Second)      // planned boundaries: ahead
//	// while the drill runs, from any goroutine:
//	rec.Observe(op)                              // every operation of the workload that ended
//	rec.Load(load)                               // targets.LoadCounter.OnLoad
//	rec.Judged(judgement)                        // oracle.Config.Judged
//	rec.Mark(measure.Fault, planned)             // when it happens
//	rec.Struck(now)                              // before the first fault is injected
//	rec.Mark(measure.Recovery, healed)           // when the heal was observed
//	rec.Mark(measure.Audit, end)                 // the end of the load; ahead only after Recovery is marked
//	// when everything has ended:
//	rec.Finish(judge.Finish(), now)
//	drill := verdict.Evaluate(rec, verdict.Input{Name: "mass-expiry"})
//	latency := rec.Intervals("mass-expiry", started)
package verdict
