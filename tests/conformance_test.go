package tests

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/environment/virtual"
	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/zoo"
	"github.com/cachedrill/cachedrill/tests/program"
)

// TestConformance shows the zoo's caches to their drills and writes down who was caught by what. A
// broken cache must be caught by its own drill and objective, with evidence; a correct one must be
// accused of nothing in any drill. CACHEDRILL_VIRTUAL_SEEDS says over how many seeds in virtual
// time, CACHEDRILL_CONFORMANCE how often in real time on a real Redis; there correct ones are
// drilled correctTimes as often. make conformance runs it.
func TestConformance(t *testing.T) {
	_, runs, ok := program.Seeds("CACHEDRILL_CONFORMANCE")
	if !ok {
		t.Skip("CACHEDRILL_CONFORMANCE is not set to a number of runs; make conformance sets it")
	}
	_, seeds, ok := program.Seeds("CACHEDRILL_VIRTUAL_SEEDS")
	require.True(t, ok, "CACHEDRILL_VIRTUAL_SEEDS must be a number of seeds")
	redistest.Need(t)
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	c := &conformance{suite: suite, seen: map[string]*sightings{}}
	for _, a := range zoo.Specimens() {
		c.seen[a.Name] = &sightings{}
	}
	inBubble := func(sc scenarios.Scenario, where environment.Options) (res drill.Result, err error) {
		t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res, err = drill.RunIn(t.Context(), sc, virtual.Open, where, drill.Options{Seed: where.Seed})
			})
		})
		return res, err
	}
	inReal := func(sc scenarios.Scenario, where environment.Options) (drill.Result, error) {
		where.Backend = redis.Process
		return drill.RunIn(t.Context(), sc, environment.New, where, drill.Options{Seed: where.Seed})
	}
	c.show(t, virtualLanes, seeds, seeds, func(s *sightings) *tally { return &s.virtual }, inBubble)
	c.show(t, realLanes, runs, correctRuns(runs), func(s *sightings) *tally { return &s.real }, inReal)
	page := c.page(seeds, runs)
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile("../docs/conformance.md", []byte(page), 0o644))
	}
	t.Log(page)
	escaped := 0
	for _, a := range zoo.Specimens() {
		s := c.seen[a.Name]
		if a.Correct() {
			require.Empty(t, s.accusations, a.Name)
			continue
		}
		require.LessOrEqual(t, s.virtual.shown-s.virtual.caught, max(1, s.virtual.shown/100), "%s in virtual time", a.Name)
		escaped += s.real.shown - s.real.caught
	}
	if runs == 1 {
		escaped-- // in a sample, what happens once in a hundred drills may happen once
	}
	require.LessOrEqual(t, escaped, 0, "broken caches that were not caught in real time")
}

// conformance is what came of it.
type conformance struct {
	suite scenarios.Suite
	mu    sync.Mutex
	seen  map[string]*sightings
}

type sightings struct {
	virtual, real tally
	evidence      string   // the first
	accusations   []string // of a correct cache: there must be none
}

// tally counts drills.
type tally struct{ shown, caught, unknown int }

// How many drills run beside each other. In real time more than two disturb each other on a small
// machine: what is missed about time is then unknown.
const (
	virtualLanes = 4
	realLanes    = 2
)

// correctTimes is how much more often correct caches are drilled in real time: 10 times for 3.
const correctTimes = 10.0 / 3

// tries is how often a drill that ended unknown, or could not be run, is repeated: the machine was
// too busy.
const tries = 6

// show runs the drills, broken caches n times at their own.
func (c *conformance) show(t *testing.T, lanes, n, correct int, of func(*sightings) *tally, run func(scenarios.Scenario, environment.Options) (drill.Result, error)) {
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(lanes)
	only := os.Getenv("CACHEDRILL_ANIMALS") // names with commas between; all when it is empty
	for _, a := range zoo.Specimens() {
		if only != "" && !slices.Contains(strings.Split(only, ","), a.Name) {
			continue
		}
		for _, s := range c.plan(a, n, correct) {
			g.Go(func() error { return c.one(ctx, a, s.drill, s.seed, of, run) })
		}
	}
	require.NoError(t, g.Wait())
}

// correctRuns is how often correct caches are drilled in real time: ten times for three, twice in a
// sample.
func correctRuns(n int) int {
	if n == 1 {
		return 2
	}
	return int(math.Ceil(float64(n) * correctTimes))
}

// sitting is one drill for one cache.
type sitting struct {
	drill string
	seed  uint64
}

// plan shows a broken cache to its own drill n times, and a correct one to all drills in turn.
func (c *conformance) plan(a zoo.Specimen, n, correct int) (out []sitting) {
	names := c.suite.Names()
	switch {
	case !a.Correct():
		for i := range n {
			out = append(out, sitting{a.Drill, uint64(i) + 1})
		}
	default:
		for i := range correct { // in a sample, not every cache meets the same drills
			out = append(out, sitting{names[(i+len(a.Name))%len(names)], uint64(i) + 1})
		}
	}
	return out
}

func (c *conformance) one(ctx context.Context, a zoo.Specimen, name string, seed uint64, of func(*sightings) *tally, run func(scenarios.Scenario, environment.Options) (drill.Result, error)) error {
	sc, err := c.suite.Scenario(name)
	if err != nil {
		return err
	}
	var s report.Drill
	for try := 1; try <= tries && ctx.Err() == nil; try++ {
		res, err := run(sc, environment.Options{Policy: a.Policy, Seed: seed})
		if err != nil && try == tries {
			return fmt.Errorf("%s at %s, seed %d: %w", a.Name, name, seed, err)
		}
		if s = res.Scenario; err == nil && s.Outcome != slo.Unknown {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen[a.Name]
	counts := of(seen)
	counts.shown++
	if s.Outcome == slo.Unknown {
		counts.unknown++
	}
	for _, o := range s.SLOs {
		switch {
		case o.Outcome != slo.Fail:
		case a.Correct() && !(a.Costly && zoo.AboutCost(o.Expr)):
			seen.accusations = append(seen.accusations, fmt.Sprintf("%s, seed %d: %s, observed %s: %s", name, seed, o.Expr, o.Observed, o.Evidence))
		case !a.Correct() && strings.HasPrefix(o.Expr, a.Objective):
			counts.caught++
			if seen.evidence == "" {
				seen.evidence = o.Observed + ": " + o.Evidence
			}
			return nil
		}
	}
	return nil
}

// page is docs/conformance.md.
func (c *conformance) page(seeds, runs int) string {
	var b strings.Builder
	b.WriteString("# Conformance: who was caught, and by what\n\n<!-- Written by make conformance -->\n\n")
	fmt.Fprintf(&b, "The zoo's caches at its drills (targets/zoo/zoo.yaml): over %d seeds in virtual time, and %d times each in real time on a\n"+
		"real Redis behind network proxies, correct ones %d times, at the drills in turn. `cachedrill run -f targets/zoo/zoo.yaml DRILL --policy NAME`\n"+
		"repeats any of them.\n\n## Broken caches\n\nEach must be caught by its own drill and its own objective, with evidence.\n\n"+
		"| cache | what is wrong | drill | objective | virtual | real | first evidence |\n| --- | --- | --- | --- | --- | --- | --- |\n", seeds, runs, correctRuns(runs))
	for _, a := range zoo.Specimens() {
		if s := c.seen[a.Name]; !a.Correct() {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %d of %d | %d of %d | %s |\n", a.Name, a.What, a.Drill, a.Objective,
				s.virtual.caught, s.virtual.shown, s.real.caught, s.real.shown, strings.ReplaceAll(s.evidence, "|", "/"))
		}
	}
	b.WriteString("\n## Correct caches, however odd\n\nNone may be accused of anything. Of those marked *costly*, objectives about cost and time are left out: they ask the\n" +
		"source too often, or take longer, and are right.\n\n| cache | what is odd | virtual | real | accused of |\n| --- | --- | --- | --- | --- |\n")
	for _, a := range zoo.Specimens() {
		s := c.seen[a.Name]
		if !a.Correct() {
			continue
		}
		name, accused := "`"+a.Name+"`", "nothing"
		if a.Costly {
			name += " (costly)"
		}
		if len(s.accusations) > 0 {
			accused = strings.Join(s.accusations, "; ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, a.What, drills(s.virtual), drills(s.real), accused)
	}
	b.WriteString("\nIn every drill keys are deleted and created again, some never existed, some values are empty. A wall clock that is stepped\n" +
		"(`TestSteppedClocks`, and on a real Redis `TestSteppedWallClockChangesNoVerdict`) and judging by answers alone (`TestZooAsBlackBoxes`) have\n" +
		"tests of their own. The controls `shedding` and `retry-budget` prevent failures that sustain themselves: [metastability](metastability.md) has\n" +
		"the drill that catches a cache without them, the retry storm.\n")
	return b.String()
}

func drills(n tally) string {
	if n.unknown == 0 {
		return fmt.Sprintf("%d drills", n.shown)
	}
	return fmt.Sprintf("%d drills, %d of them unknown", n.shown, n.unknown)
}

// Every animal is a policy of the zoo's suite, so that anybody can look at it.
func TestZooSuiteHasEveryAnimal(t *testing.T) {
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	for _, a := range zoo.Specimens() {
		require.Contains(t, suite.Policies, a.Name)
		if !a.Correct() {
			require.True(t, slices.Contains(suite.Names(), a.Drill), "%s: no drill %q", a.Name, a.Drill)
		}
	}
}
