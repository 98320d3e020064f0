package drilltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// Variables of the environment that a run heeds.
const (
	SeedVariable = "CACHEDRILL_SEED" // the seed of the operations
	OutVariable  = "CACHEDRILL_OUT"  // a directory for the reports, one folder a test
)

// Option changes how a drill is run.
type Option func(*settings)

type settings struct {
	seed        uint64
	seeded      bool
	out         string
	skipUnknown bool
}

// Seed fixes the operations: the same seed sends the same ones. It goes before CACHEDRILL_SEED;
// without both it is random.
func Seed(seed uint64) Option { return func(s *settings) { s.seed, s.seeded = seed, true } }

// Out is the directory that the report is written to. It goes before CACHEDRILL_OUT; without both
// [Run] writes to the test's artifacts.
func Out(dir string) Option { return func(s *settings) { s.out = dir } }

// SkipUnknown lets [Run] skip what could not be decided, instead of failing it: for machines that
// are too busy to tell.
func SkipUnknown() Option { return func(s *settings) { s.skipUnknown = true } }

func gather(opts []Option) (settings, error) {
	var s settings
	for _, o := range opts {
		o(&s)
	}
	if s.seeded {
		return s, nil
	}
	s.seed = uint64(rand.Uint32()) // short enough to type
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return s, fmt.Errorf("%s=%q is no seed; a number from 0 to 2^64-1", SeedVariable, text)
		}
	}
	return s, nil
}

// Measure runs the scenario against the target, once, outside of any test. An error means that the
// scenario can't be used, that the harness could not do its work, or that ctx ended; a missed
// objective is in the report. Nothing stays injected, unless the error says so. The target is not
// closed.
func Measure(ctx context.Context, target targets.Target, sc Scenario, opts ...Option) (report.Report, error) {
	s, err := gather(opts)
	if err != nil {
		return report.Report{}, err
	}
	parsed, err := parse(target, &sc)
	if err != nil {
		return report.Report{}, err
	}
	if s.out == "" {
		s.out = os.Getenv(OutVariable)
	}
	return execute(ctx, target, parsed, s)
}

func parse(target targets.Target, sc *Scenario) (scenarios.Scenario, error) {
	if target == nil {
		return scenarios.Scenario{}, errors.New("there is no target")
	}
	return sc.parse(fmt.Sprintf("go: %T", target))
}

func execute(ctx context.Context, target targets.Target, sc scenarios.Scenario, s settings) (report.Report, error) {
	rep := report.Report{
		Version: version(), Seed: s.seed, Started: time.Now(),
		Environment: report.Environment{Redis: "the target's own", CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()},
	}
	open := func(_ context.Context, sc scenarios.Scenario, opt environment.Options) (environment.Environment, error) {
		return environment.Go(target, sc, opt)
	}
	res, err := drill.RunIn(ctx, sc, open, environment.Options{Seed: s.seed}, drill.Options{Seed: s.seed})
	if err != nil {
		return rep, err
	}
	rep.Scenarios = []report.Drill{res.Scenario}
	rep = rep.Conclude()
	if s.out == "" {
		return rep, nil
	}
	return rep, report.WriteDir(s.out, rep, res.Intervals)
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "github.com/cachedrill/cachedrill" {
			return cmp.Or(m.Version, "(devel)")
		}
	}
	return "unknown"
}

// beforeDeadline is what is left of a test's time for healing, when its drill has to be cut short.
const beforeDeadline = 5 * time.Second

// Run drills the target, with a subtest for each objective: steady/errors < 1%, fault/p99 < 50ms,
// and verdict for the drill as a whole. A missed one fails with what was observed, the limit and
// the evidence; an unknown one fails with the reason, or is skipped with [SkipUnknown]. The line
// that repeats the drill comes with each. A scenario that can't be used ends the test at once. The
// target is not closed: its maker does that.
//
// The report is written to the test's artifacts, which go test -artifacts keeps, unless [Out] or
// CACHEDRILL_OUT name a directory.
func Run(t *testing.T, target targets.Target, sc Scenario, opts ...Option) report.Drill {
	t.Helper()
	if sc.Name == "" {
		sc.Name = t.Name()
	}
	s, err := gather(opts)
	if err != nil {
		t.Fatalf("drilltest: %v", err)
	}
	parsed, err := parse(target, &sc)
	if err != nil {
		t.Fatalf("drilltest: the scenario can't be used:\n%v", err)
	}
	if s.out == "" {
		s.out = t.ArtifactDir()
		if dir := os.Getenv(OutVariable); dir != "" {
			s.out = filepath.Join(dir, folder.Replace(t.Name()))
		}
	}
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		end = end.Add(-beforeDeadline)
		if left := time.Until(end); left < parsed.Phases.Total() {
			t.Fatalf("drilltest: it takes %v, and the test may take %v; go test -timeout, or shorter Phases", parsed.Phases.Total(), left.Round(time.Second))
		}
		own, cancel := context.WithDeadline(ctx, end)
		defer cancel()
		ctx = own
	}
	repeat := "repeat: " + SeedVariable + "=" + strconv.FormatUint(s.seed, 10) + " go test -count=1 -run '^" + t.Name() + "$' " + here()
	rep, err := execute(ctx, target, parsed, s)
	if err != nil {
		t.Fatalf("drilltest: %v\n%s", err, repeat)
	}
	drilled := rep.Scenarios[0]
	t.Logf("%s\n%s\nreport: %s", overview(drilled), repeat, s.out)
	tell(t, drilled, s, repeat)
	return drilled
}

// folder makes a directory's name of a test's.
var folder = strings.NewReplacer("/", "_", "\\", "_", ":", "_")

// here is the package under test, as go test takes it.
func here() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		if path, ok := strings.CutSuffix(info.Path, ".test"); ok {
			return path
		}
	}
	return "."
}

func overview(s report.Drill) string {
	line := fmt.Sprintf("%s: %s, %d operations", s.Name, s.Outcome, s.Operations.Sent)
	for _, f := range s.Faults {
		line += "\nfault " + f.Name + ": " + cmp.Or(f.Problem, f.Evidence, "no evidence")
	}
	for _, n := range s.Notes {
		line += "\nnote: " + n
	}
	return line
}

// tell makes the subtests.
func tell(t *testing.T, s report.Drill, how settings, repeat string) {
	t.Helper()
	for _, g := range slo.Groups() {
		var rows []report.SLO
		for _, o := range s.SLOs {
			if o.Phase == g {
				rows = append(rows, o)
			}
		}
		if len(rows) == 0 {
			continue
		}
		t.Run(string(g), func(t *testing.T) {
			for _, o := range rows {
				t.Run(o.Expr, func(t *testing.T) {
					settle(t, o.Outcome, objective(o), how, repeat)
				})
			}
		})
	}
	t.Run("verdict", func(t *testing.T) {
		settle(t, s.Outcome, cmp.Or(s.Why, "every objective was met"), how, repeat)
	})
}

func settle(t *testing.T, o slo.Outcome, text string, how settings, repeat string) {
	switch {
	case o == slo.Pass:
		t.Log(text)
	case o == slo.Unknown && how.skipUnknown:
		t.Skipf("unknown: %s\n%s", text, repeat)
	case o == slo.Unknown:
		t.Errorf("unknown: %s\n%s", text, repeat)
	default:
		t.Errorf("%s\n%s", text, repeat)
	}
}

// objective says what came of one, a thing a line.
func objective(o report.SLO) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", o.Expr, o.Phase)
	for _, part := range []struct{ name, text string }{
		{"observed", o.Observed}, {"limit", o.Limit}, {"where", o.Where}, {"evidence", o.Evidence}, {"why", o.Why},
	} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%-9s %s", part.name+":", part.text)
		}
	}
	return b.String()
}
