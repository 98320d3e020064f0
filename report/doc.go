// Package report says what was concluded from a drill: it counts what happened ([Recorder]), judges
// objectives by it ([Evaluate]) and shows the result ([Text], [WriteDir]).
//
// An objective is pass, fail or unknown. A measurement is a [Range] within which the true value is
// known to lie, and [Range.Decide] makes the outcome of it; [DrillOutcome] and [SuiteOutcome] combine
// outcomes. What nothing could have shown to be missed is unknown, never a pass.
//
// The order of calls, for each drill:
//
//	rec := report.NewRecorder(report.RecorderConfig{Objectives: objectives, Classes: classes})
//	rec.Mark(report.Steady, 3*time.Second)      // planned boundaries: ahead
//	// while the drill runs, from any goroutine:
//	rec.Observe(op)                             // every operation of the workload that ended
//	rec.Load(load)                              // targets.LoadCounter.OnLoad
//	rec.Judged(judgement)                       // oracle.Config.Judged
//	rec.Mark(report.Fault, injected)            // when it happens
//	rec.Mark(report.Recovery, healed)           // when the heal was observed
//	rec.Mark(report.Audit, end)                 // the end of the load; ahead only after Recovery is marked
//	// when everything has ended:
//	rec.Finish(judge.Finish(), now)
//	scenario := report.Evaluate(rec, report.Drill{Name: "mass-expiry"})
//	latency := rec.Intervals("mass-expiry", started)
//
// and for the run:
//
//	r := report.Report{Version: version, Seed: seed, Started: started, Scenarios: scenarios}.Conclude()
//	err := report.WriteDir(dir, r, latency)
//	err = report.Text(os.Stdout, r, report.TextOptions{Repeat: line})
//	os.Exit(r.Outcome.ExitCode())
package report
