package drilltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/drilltest"
	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

func TestMain(m *testing.M) {
	redistest.Main()
	goleak.VerifyTestMain(m)
}

// What the documentation shows: a drill of a shop that keeps its promises.
func TestShop(t *testing.T) {
	s := newShop(10 * time.Second)
	got := drilltest.Run(t, target{s}, promises(s))
	require.Equal(t, slo.Pass, got.Outcome, got.Why)
	require.Positive(t, got.Oracle.Opportunities["lost_writes"])
	require.Contains(t, got.Faults[0].Evidence, "calls of the database failed")
}

// broken makes the tests below be the failing ones; they are run by [fails].
const broken = "CACHEDRILL_TEST_BROKEN"

func TestForgetfulShop(t *testing.T) {
	if os.Getenv(broken) == "" {
		t.Skip("it is there to fail: see TestAMissedObjectiveIsAFailedSubtest")
	}
	s := newShop(10 * time.Second)
	s.forget = true
	drilltest.Run(t, target{s}, promises(s))
}

func TestUnprovenFault(t *testing.T) {
	if os.Getenv(broken) == "" {
		t.Skip("it is there to fail: see TestWhatNobodyCanTell")
	}
	s := newShop(10 * time.Second)
	sc := promises(s)
	sc.Faults[0].Inject = func(context.Context) (func(context.Context) (string, error), error) {
		return func(context.Context) (string, error) { return "", nil }, nil
	}
	var opts []drilltest.Option
	if os.Getenv(broken) == "skip" {
		opts = append(opts, drilltest.SkipUnknown())
	}
	drilltest.Run(t, target{s}, sc, opts...)
}

func TestBadScenario(t *testing.T) {
	if os.Getenv(broken) == "" {
		t.Skip("it is there to fail: see TestABadScenarioEndsItsTest")
	}
	s := newShop(time.Second)
	sc := promises(s)
	sc.Objectives.Fault = []string{"p99 < fast"}
	drilltest.Run(t, target{s}, sc)
	t.Log("and went on")
}

// again runs one of the tests above in a process of its own, as go test would.
func again(t *testing.T, name, how string, env ...string) (out string, failed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^"+name+"$")
	cmd.Env = append(os.Environ(), append(env, broken+"="+how)...)
	b, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return string(b), err != nil
}

func TestAMissedObjectiveIsAFailedSubtest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, failed := again(t, "TestForgetfulShop", "1", drilltest.OutVariable+"="+dir, drilltest.SeedVariable+"=7")
	require.True(t, failed, out)
	require.Contains(t, out, "--- FAIL: TestForgetfulShop/always/violations_==_0", out)
	require.Contains(t, out, "--- PASS: TestForgetfulShop/always/lost_writes_==_0", out)
	require.Contains(t, out, "--- FAIL: TestForgetfulShop/verdict", out)
	// What a person needs is in the message: value, limit, evidence with a key, and how to see it
	// again.
	require.Regexp(t, regexp.MustCompile(`violations == 0 \(always\)\n +observed: +[1-9][0-9]*.*\n +limit: +== 0\n(.*\n)? *evidence: +.*product:`), out)
	require.Contains(t, out, "repeat: CACHEDRILL_SEED=7 go test -count=1 -run '^TestForgetfulShop$' github.com/cachedrill/cachedrill/drilltest")

	raw, err := os.ReadFile(filepath.Join(dir, "TestForgetfulShop", "report.json"))
	require.NoError(t, err)
	var rep report.Report
	require.NoError(t, json.Unmarshal(raw, &rep))
	require.Equal(t, slo.Fail, rep.Outcome)
	require.EqualValues(t, 7, rep.Seed)
	require.FileExists(t, filepath.Join(dir, "TestForgetfulShop", "junit.xml"))
}

func TestWhatNobodyCanTell(t *testing.T) {
	t.Parallel()
	out, failed := again(t, "TestUnprovenFault", "1")
	require.True(t, failed, "unknown is no pass: %s", out)
	require.Contains(t, out, "--- FAIL: TestUnprovenFault/verdict")
	require.Regexp(t, "unknown: .*evidence", out)

	out, failed = again(t, "TestUnprovenFault", "skip")
	require.False(t, failed, out)
	require.Contains(t, out, "--- SKIP: TestUnprovenFault/verdict")
}

func TestABadScenarioEndsItsTest(t *testing.T) {
	t.Parallel()
	out, failed := again(t, "TestBadScenario", "1")
	require.True(t, failed)
	require.Contains(t, out, "the scenario can't be used")
	require.Contains(t, out, "fast")
	require.NotContains(t, out, "and went on")
}

func TestScenariosThatCantBeUsed(t *testing.T) {
	s := newShop(time.Second)
	for name, c := range map[string]struct {
		change func(*drilltest.Scenario)
		says   []string
	}{
		"no name":             {func(s *drilltest.Scenario) { s.Name = "" }, []string{"Name"}},
		"no rate":             {func(s *drilltest.Scenario) { s.Rate = 0 }, []string{"needs a rate", "1500/s"}},
		"negative rate":       {func(s *drilltest.Scenario) { s.Rate = -1 }, []string{"above 0"}},
		"no families":         {func(s *drilltest.Scenario) { s.Families = nil }, []string{"mix of families"}},
		"family twice":        {func(s *drilltest.Scenario) { s.Families = append(s.Families, s.Families[0]) }, []string{"Families[1]", "twice"}},
		"no bound":            {func(s *drilltest.Scenario) { s.Families[0].Within = 0 }, []string{`Families[0] "product"`, "Within: time.Second"}},
		"bound of a strong":   {func(s *drilltest.Scenario) { s.Families[0].Class = drilltest.Strong }, []string{"drilltest.Bounded"}},
		"unknown class":       {func(s *drilltest.Scenario) { s.Families[0].Class = "weak" }, []string{`"weak"`, "drilltest.Strong"}},
		"share in percent":    {func(s *drilltest.Scenario) { s.Families[0].Writes = 5 }, []string{"Writes 5", "0.05"}},
		"shares":              {func(s *drilltest.Scenario) { s.Families[0].Share = 0.5 }, []string{"add up to 50%"}},
		"variants":            {func(s *drilltest.Scenario) { s.Families[0].Vary = []string{"variant"} }, []string{`"variant"`}},
		"locales":             {func(s *drilltest.Scenario) { s.Families[0].Vary = []string{"locale"} }, []string{"varies by locale"}},
		"unknown metric":      {func(s *drilltest.Scenario) { s.Objectives.Fault = []string{"p98 < 5ms"} }, []string{"p98", "p95"}},
		"unknown family":      {func(s *drilltest.Scenario) { s.Objectives.Fault = []string{"p99{family=prodct} < 5ms"} }, []string{"prodct", "product"}},
		"too few samples":     {func(s *drilltest.Scenario) { s.Objectives.Fault = []string{"p999 < 5ms"} }, []string{"p999", "phases"}},
		"fault outlasts":      {func(s *drilltest.Scenario) { s.Faults[0].For = time.Minute }, []string{"database down", "1m0s"}},
		"fault without name":  {func(s *drilltest.Scenario) { s.Faults[0].Name = "" }, []string{"Faults[0]"}},
		"nothing injected":    {func(s *drilltest.Scenario) { s.Faults[0].Inject = nil }, []string{"Inject"}},
		"YAML of no kind":     {func(s *drilltest.Scenario) { s.YAML = "workload: [" }, []string{"YAML:1:"}},
		"YAML, unknown field": {func(s *drilltest.Scenario) { s.YAML = "phases: {wramup: 1s}" }, []string{"YAML:1:10", "warmup"}},
		"YAML, no Redis":      {func(s *drilltest.Scenario) { s.YAML = "faults: [{keys.flush: {region: main}}]" }, []string{"which Redis"}},
	} {
		t.Run(name, func(t *testing.T) {
			sc := promises(s)
			c.change(&sc)
			_, err := drilltest.Measure(t.Context(), target{s}, sc)
			require.Error(t, err)
			for _, text := range c.says {
				require.Contains(t, err.Error(), text)
			}
		})
	}
	_, err := drilltest.Measure(t.Context(), nil, promises(s))
	require.ErrorContains(t, err, "no target")
	t.Setenv(drilltest.SeedVariable, "x")
	_, err = drilltest.Measure(t.Context(), target{s}, promises(s))
	require.ErrorContains(t, err, `CACHEDRILL_SEED="x"`)
}

func TestYAMLGoesBehindTheFields(t *testing.T) {
	t.Parallel()
	s := newShop(10 * time.Second)
	sc := promises(s)
	sc.Rate, sc.Phases, sc.Objectives = 0, drilltest.Phases{}, drilltest.Objectives{Fault: []string{"errors < 60%"}}
	sc.YAML = `
workload: {rate: 500/s}
phases: {warmup: 100ms, steady: 300ms, fault: 300ms, recovery: 200ms}
slo:
  fault: ["errors < 1%", "goodput > 1/s"]
`
	rep, err := drilltest.Measure(t.Context(), target{s}, sc, drilltest.Seed(3))
	require.NoError(t, err)
	got := rep.Scenarios[0]
	require.EqualValues(t, 450, got.Operations.Planned)
	var exprs []string
	for _, o := range got.SLOs {
		if o.Phase == slo.GroupFault {
			exprs = append(exprs, o.Expr)
		}
	}
	require.Equal(t, []string{"goodput > 1/s", "errors < 60%"}, exprs, "the field has replaced what the YAML says of errors")
}

// An error of the heal is an error of the drill, since something is left broken.
func TestHealing(t *testing.T) {
	t.Parallel()
	s := newShop(10 * time.Second)
	sc := promises(s)
	heals := 0
	sc.Faults[0].Inject = func(context.Context) (func(context.Context) (string, error), error) {
		return func(context.Context) (string, error) { heals++; return "", errors.New("it is stuck") }, nil
	}
	_, err := drilltest.Measure(t.Context(), target{s}, sc)
	require.ErrorContains(t, err, "database down could not be healed: healing: it is stuck")
	require.Positive(t, heals)

	ctx, cancel := context.WithCancel(t.Context())
	healed := false
	sc.Faults[0].Inject = func(context.Context) (func(context.Context) (string, error), error) {
		cancel()
		return func(ctx context.Context) (string, error) { healed = ctx.Err() == nil; return "x", nil }, nil
	}
	_, err = drilltest.Measure(ctx, target{s}, sc)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, healed, "a drill that is cut short heals, with a context that lives")
}

// inside is a shop whose database tells its history and its loads.
type inside struct {
	target
	epoch time.Time
	tell  func(targets.Load)
	log   chan targets.Commit
	next  map[targets.Key]uint64
}

func (i *inside) SetEpoch(t time.Time)                         { i.epoch = t }
func (i *inside) OnLoad(tell func(targets.Load))               { i.tell = tell }
func (i *inside) Settle(context.Context) error                 { return nil }
func (i *inside) at(t time.Time) time.Duration                 { return t.Sub(i.epoch) }
func (i *inside) Prewarm(context.Context, []targets.Key) error { return nil }

func (i *inside) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	if r.Kind == targets.Write {
		i.shop.mu.Lock()
		defer i.shop.mu.Unlock()
		i.shop.db[r.Key.ID] = r.Token
		delete(i.shop.cache, r.Key.ID)
		i.next[r.Key]++
		i.log <- targets.Commit{Key: r.Key, Version: i.next[r.Key], Token: r.Token, At: time.Duration(time.Now().UnixNano())}
		return targets.Reply{}, nil
	}
	arrived := time.Now()
	reply, err := i.target.Do(ctx, r)
	if i.tell != nil {
		i.tell(targets.Load{Key: r.Key, Arrived: i.at(arrived), Done: i.at(time.Now()), Width: 1, Audit: r.Instance == targets.SourceInstance})
	}
	return reply, err
}

func (i *inside) Commits(ctx context.Context) <-chan targets.Commit {
	out := make(chan targets.Commit)
	go func() {
		defer close(out)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		send := func(c targets.Commit) bool {
			select {
			case out <- c:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for {
			// All commits before now are in the log: they are put there under the lock.
			i.shop.mu.Lock()
			now, n := time.Now(), len(i.log)
			i.shop.mu.Unlock()
			for range n {
				c := <-i.log
				c.At -= time.Duration(i.epoch.UnixNano())
				if !send(c) {
					return
				}
			}
			if !send(targets.Commit{At: i.at(now)}) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Optional interfaces of the target count: with a history and loads, more can be judged.
func TestOptionalInterfaces(t *testing.T) {
	t.Parallel()
	s := newShop(10 * time.Second)
	i := &inside{target: target{s}, log: make(chan targets.Commit, 1<<16), next: map[targets.Key]uint64{}}
	sc := promises(s)
	sc.Faults = nil
	sc.Objectives = drilltest.Objectives{Always: []string{"violations == 0", "lost_writes == 0", "source_qps.mean < 10000/s"}}
	rep, err := drilltest.Measure(t.Context(), i, sc)
	require.NoError(t, err)
	got := rep.Scenarios[0]
	require.NotEqual(t, slo.Fail, got.Outcome, got.Why)
	require.Zero(t, got.Operations.Withheld, "a history tells the order of concurrent changes")
	require.NotNil(t, got.Phases[1].SourceQPS.Mean)
	require.Positive(t, got.Phases[1].Reads.Fresh)
	require.Equal(t, fmt.Sprintf("go: %T", i), got.Target)
}
