package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
)

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [SCENARIO...]",
		Short: "Run drills and end with a verdict",
		Long: `Runs the scenarios of a suite, or the ones that are named, one after the other, and ends with a
verdict: exit code 0 pass, 1 fail, 3 unknown. Ctrl-C heals what is broken, cleans up, and exits 130.

The same seed sends the same operations. It is random unless given, and printed with the line that
repeats the run.`,
		Example: `  cachedrill run
  cachedrill run mass-expiry --policy naive
  cachedrill run --redis process --out drill-out --seed 7
  cachedrill run --sham      # the same machinery, nothing broken: must pass`,
		RunE: func(c *cobra.Command, args []string) error {
			f.seeded = c.Flags().Changed("seed")
			return runDrills(c, f, args)
		},
	}
	fileFlag(c, &f.file)
	c.Flags().StringVar(&f.policy, "policy", "", "how the cache behaves: a policy of the suite (default: the one that the suite names, or its only one; of the reference service recommended)")
	c.Flags().StringVar(&f.redis, "redis", "auto", "where Redis comes from: embedded, process (redis-server on PATH), or auto")
	c.Flags().StringVar(&f.out, "out", "", "write report.json, junit.xml, summary.md, latency.hlog and events.jsonl into this directory")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "of the operations (default random)")
	c.Flags().IntVar(&f.retry, "retry-unknown", 0, "repeat a drill that ended unknown up to this often; the report says how often it was tried")
	c.Flags().BoolVar(&f.sham, "sham", false, "replace each fault by its sham, which breaks nothing: what still fails isn't the fault's doing")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "print what would be done, and do nothing")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "no progress, only the verdict")
	c.Flags().BoolVar(&f.json, "json", false, "print events as they happen, a JSON document a line, and the report as the last one, instead of the summary")
	return c
}

func runDrills(c *cobra.Command, f runFlags, names []string) error {
	p, note, err := makePlan(f, names)
	if err != nil {
		return err
	}
	stderr := c.ErrOrStderr()
	if note != "" && !f.quiet {
		fmt.Fprintln(stderr, note)
	}
	if !f.quiet {
		for _, line := range p.suite.Warnings() {
			fmt.Fprintln(stderr, secret.Redact(line))
		}
	}
	if f.dry {
		printPlan(secret.Writer(c.OutOrStdout()), p)
		return nil
	}
	if err := checkOut(f.out); err != nil {
		return err
	}
	if !f.quiet {
		fmt.Fprintf(stderr, "%s\nCtrl-C heals and stops.\n\n", p.header())
	}
	closing, err := p.keepRecords()
	if err != nil {
		return exit{exitUsage, err}
	}
	defer closing()
	events, err := openEvents(f.out)
	if err != nil {
		return exit{exitUsage, err}
	}
	if events != nil {
		defer events.Close()
	}
	outlets := eventOutlets(c, f, events)
	asker := &statistics{}
	defer asker.close(context.WithoutCancel(c.Context()))
	p.where.Statistics = asker.ask
	rep := report.Report{
		Version: version(), Seed: p.options.Seed, Started: time.Now(),
		Environment: report.Environment{Redis: p.redis, CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()},
	}
	var latency []measure.Intervals
	for i, sc := range p.scenarios {
		title := fmt.Sprintf("[%d/%d] %s", i+1, len(p.scenarios), sc.Name)
		res, err := p.drill(c.Context(), sc, outlets, func() *screen { return newScreen(stderr, f.quiet, title) })
		if c.Context().Err() != nil {
			return interrupted(err)
		}
		if err != nil {
			res.Scenario = couldNotRun(sc, p.options.Policy, err)
		}
		rep.Scenarios = append(rep.Scenarios, res.Scenario)
		latency = append(latency, res.Intervals)
	}
	rep = rep.Conclude()
	secret.Scrub(&rep)
	code := rep.Outcome.ExitCode()
	if err := write(c, f, rep, latency, p.repeat(names)); err != nil {
		if code == exitPass {
			code = exitUnknown
		}
		return exit{code, err}
	}
	if code != exitPass {
		return exit{code: code}
	}
	return nil
}

// eventOutlets are the writers that get every event as a line of JSON.
func eventOutlets(c *cobra.Command, f runFlags, file *os.File) (all []io.Writer) {
	if file != nil {
		all = append(all, secret.Writer(file))
	}
	if f.json {
		all = append(all, secret.Writer(c.OutOrStdout()))
	}
	return all
}

// couldNotRun is the place of a drill that the harness failed to run: unknown, with the reason.
func couldNotRun(sc scenarios.Scenario, policy string, err error) report.Drill {
	return report.Drill{
		Name: sc.Name, Description: sc.Why, Policy: policy, Outcome: slo.Unknown, Why: "the drill could not be run: " + err.Error(),
		Phases: []report.PhaseSummary{}, Breakdown: []report.BreakdownRow{}, Faults: []report.FaultSummary{}, SLOs: []report.SLO{},
	}
}

func write(c *cobra.Command, f runFlags, rep report.Report, latency []measure.Intervals, repeat string) error {
	var shown error
	if f.json {
		shown = writeReportLine(c.OutOrStdout(), rep)
	} else {
		shown = report.Text(c.OutOrStdout(), rep, report.TextOptions{Color: colours(c.OutOrStdout()), Repeat: repeat, Dir: f.out})
	}
	if f.out == "" {
		return shown
	}
	if err := report.WriteDir(f.out, rep, latency...); err != nil {
		return errors.Join(shown, err)
	}
	if !f.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "wrote %s: report.json, junit.xml, summary.md, latency.hlog, events.jsonl\n", f.out)
	}
	return shown
}

// writeReportLine writes the report as the last line of a stream of events.
func writeReportLine(w io.Writer, rep report.Report) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	err := out.Encode(struct {
		Event  string        `json:"event"`
		Report report.Report `json:"report"`
	}{"report", rep})
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}

// checkOut finds out before the drills, and not after, that reports can't be written.
func checkOut(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return exit{exitUsage, fmt.Errorf("--out: %w", err)}
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return exit{exitUsage, fmt.Errorf("--out: %w", err)}
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return exit{exitUsage, fmt.Errorf("--out: %w", err)}
	}
	return nil
}

// version is the module's version, or what the build knows of its origin.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
