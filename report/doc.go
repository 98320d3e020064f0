// Package report is the document that a run leaves ([Report]) and its plain forms: JSON, [Text],
// [Markdown], [JUnit], and [WriteLatencyLog]. [Explain] and [Visualize] show one accusation.
//
// Judging is elsewhere: report/slo has objectives and outcomes, report/measure counts what happens
// in a drill, and report/verdict makes a [Drill] of it. For the run:
//
//	r := report.Report{Version: version, Seed: seed, Started: started, Scenarios: drills}.Conclude()
//	err := report.WriteDir(dir, r, latency...)
//	err = report.Text(os.Stdout, r, report.TextOptions{Repeat: line})
//	os.Exit(r.Outcome.ExitCode())
package report
