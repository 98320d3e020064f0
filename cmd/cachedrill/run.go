package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// runFlags are what a user can say about a run.
type runFlags struct {
	file, policy, redis, out string
	seed                     uint64
	named                    bool // the policy was
	seeded                   bool
	retry                    int
	sham, dry, quiet, json   bool
}

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
			f.seeded, f.named = c.Flags().Changed("seed"), c.Flags().Changed("policy")
			return runDrills(c, f, args)
		},
	}
	fileFlag(c, &f.file)
	c.Flags().StringVar(&f.policy, "policy", "recommended", "how the cache behaves: a policy of the suite")
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

// plan is a run that was found to be possible.
type plan struct {
	flags     runFlags
	suite     scenarios.Suite
	scenarios []scenarios.Scenario
	where     environment.Options
	options   drill.Options
	redis     string // what the report says of it
}

func makePlan(f runFlags, names []string) (plan, string, error) {
	suite, note, err := loadSuite(f.file)
	if err != nil {
		return plan{}, "", err
	}
	p := plan{flags: f, suite: suite, scenarios: suite.Scenarios}
	if len(names) > 0 {
		p.scenarios = nil
		for _, n := range names {
			sc, err := suite.Scenario(n)
			if err != nil {
				return plan{}, "", exit{exitUsage, err}
			}
			p.scenarios = append(p.scenarios, sc)
		}
	}
	http, isHTTP := suite.Target.(*scenarios.HTTPTarget)
	if isHTTP && !f.named {
		f.policy = suite.DefaultPolicy()
		p.flags.policy = f.policy
	}
	if p.where.Policy, err = suite.Policy(f.policy); err != nil {
		return plan{}, "", exit{exitUsage, err}
	}
	p.where.Env, p.where.Out, p.options.Policy = suite.Env[f.policy], f.out, p.where.Policy.Name
	if f.retry < 0 {
		return plan{}, "", exit{exitUsage, fmt.Errorf("--retry-unknown %d: how often can't be negative", f.retry)}
	}
	if isHTTP {
		p.redis = http.RedisIs()
	} else if p.where.Backend, p.redis, err = redis.Resolve(f.redis); err != nil {
		return plan{}, "", exit{exitUsage, err}
	}
	p.options.Sham = f.sham
	p.options.Seed = f.seed
	if !f.seeded {
		p.options.Seed = uint64(rand.Uint32()) // short enough to type
	}
	p.where.Seed = p.options.Seed
	return p, note, nil
}

// total is how long load will be sent, over all scenarios.
func (p plan) total() time.Duration {
	var t time.Duration
	for _, sc := range p.scenarios {
		t += sc.Phases.Total()
	}
	return t
}

func (p plan) header() string {
	word := "drills"
	if len(p.scenarios) == 1 {
		word = "drill"
	}
	where := "redis " + string(p.where.Backend)
	if _, isHTTP := p.suite.Target.(*scenarios.HTTPTarget); isHTTP {
		where = p.suite.Target.String()
	}
	h := fmt.Sprintf("cachedrill  %d %s, ~%.0f s  policy %s  %s  seed %d",
		len(p.scenarios), word, (p.total() + time.Duration(len(p.scenarios))*time.Second).Seconds(),
		p.options.Policy, where, p.options.Seed)
	if p.flags.sham {
		h += "  SHAM: nothing is broken"
	}
	return h
}

// repeat is the command line that does the same again.
func (p plan) repeat(names []string) string {
	words := []string{"cachedrill run"}
	for _, n := range names {
		words = append(words, quoted(n))
	}
	if p.flags.file != "" {
		words = append(words, "-f "+quoted(p.flags.file))
	}
	if p.options.Policy != p.suite.DefaultPolicy() {
		words = append(words, "--policy "+p.options.Policy)
	}
	if p.flags.redis != "auto" {
		words = append(words, "--redis "+p.flags.redis)
	}
	if p.flags.sham {
		words = append(words, "--sham")
	}
	if p.flags.retry > 0 {
		words = append(words, fmt.Sprintf("--retry-unknown %d", p.flags.retry))
	}
	return strings.Join(append(words, fmt.Sprintf("--seed %d", p.options.Seed)), " ")
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
	if f.dry {
		printPlan(c.OutOrStdout(), p)
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

// keepRecords opens the undo journal and the audit log, where something might outlive us: what is
// ours ends with us.
func (p *plan) keepRecords() (closing func(), err error) {
	if _, isHTTP := p.suite.Target.(*scenarios.HTTPTarget); !isHTTP {
		return func() {}, nil
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the undo journal: %w", err)
	}
	if p.where.Journal, err = undo.OpenJournal(filepath.Join(stateDir, undo.JournalFile)); err != nil {
		return nil, err
	}
	if p.where.Audit, err = undo.OpenAudit(filepath.Join(cmp.Or(p.flags.out, stateDir), undo.AuditFile)); err != nil {
		return nil, errors.Join(err, p.where.Journal.Close())
	}
	return func() { _ = errors.Join(p.where.Journal.Close(), p.where.Audit.Close()) }, nil // every line was synced
}

// eventOutlets are the writers that get every event as a line of JSON.
func eventOutlets(c *cobra.Command, f runFlags, file *os.File) (all []io.Writer) {
	if file != nil {
		all = append(all, file)
	}
	if f.json {
		all = append(all, c.OutOrStdout())
	}
	return all
}

// drill runs one scenario, again while it ends unknown and may be repeated.
func (p plan) drill(ctx context.Context, sc scenarios.Scenario, outlets []io.Writer, screen func() *screen) (drill.Result, error) {
	for try := 1; ; try++ {
		s, subs := screen(), newSubscribers()
		subs.add(s.show)
		for _, w := range outlets {
			subs.write(w, sc.Name)
		}
		opt := p.options
		opt.Events = subs.stream
		res, err := drill.RunIn(ctx, sc, environment.New, p.where, opt)
		lost := subs.end()
		s.clear()
		if lost != nil {
			s.say(lost.Error())
		}
		if err != nil || res.Scenario.Outcome != slo.Unknown || try > p.flags.retry {
			if try > 1 {
				res.Scenario.Attempts = try
			}
			if err == nil {
				s.say(strings.TrimSpace(strings.ToUpper(res.Scenario.Outcome.String()) + "   " + res.Scenario.Why))
			}
			return res, err
		}
		s.say(fmt.Sprintf("unknown, trying again: %s", res.Scenario.Why))
	}
}

// interrupted says what is left after Ctrl-C: nothing, or what could not be healed or ended.
func interrupted(err error) error {
	var left *environment.CleanupError
	if errors.As(err, &left) {
		return exit{exitInterrupted, fmt.Errorf("interrupted, and not everything could be put back: %w", left)}
	}
	return exit{exitInterrupted, errors.New("interrupted: healed and stopped, no verdict")}
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

// quoted makes a word safe to paste into a shell.
func quoted(word string) string {
	if strings.ContainsAny(word, " \t'\"$&;|<>()*?[]#~`\\!") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// colours says whether to write in colour: on a terminal, unless NO_COLOR is set (no-color.org).
func colours(w any) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
