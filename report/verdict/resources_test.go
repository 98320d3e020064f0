package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

const mb = 1_000_000

// used is a drill of 2 s each of warmup, steady, fault and recovery, in which two regions use what
// edits say: 5 MB each, with a peak of 6 MB, asked for every 100 ms; and 1,000 bytes of each region
// cross in 100 ms. There are 1,000 operations and 10 loads a second.
type used struct {
	memory   func(*targets.Memory) bool // false: not asked
	crossing func(*targets.CrossRegionSample)
	input    Input
}

func (u used) judged(t *testing.T, expr string) report.SLO {
	t.Helper()
	f := newFeed(t, expr)
	for p := measure.Steady; p <= measure.Audit; p++ {
		if p <= measure.Recovery {
			f.Mark(p, time.Duration(p)*2*time.Second)
		}
	}
	f.Mark(measure.Audit, 8*time.Second)
	f.ops(0, 8*time.Second, 1000, func(i int, op *targets.Operation) {
		if i%100 == 0 {
			f.Load(targets.Load{Key: op.Key, Region: "eu", Arrived: op.Due, Done: op.Returned, Version: 1})
		}
	})
	for at := time.Duration(0); at <= 8*time.Second+100*ms; at += 100 * ms {
		c := targets.CrossRegionSample{At: at, Bytes: map[string]int64{"eu": int64(at/(100*ms)) * 1000, "us": int64(at/(100*ms)) * 1000}}
		if u.crossing != nil {
			u.crossing(&c)
		}
		f.CrossRegion(c)
		for _, region := range []string{"eu", "us"} {
			m := targets.Memory{Region: region, At: at, Used: 5 * mb, Peak: 6 * mb}
			if u.memory == nil || u.memory(&m) {
				f.Memory(m)
			}
		}
	}
	f.Finish(oracle.Findings{}, 9*time.Second)
	u.input.Loads = slo.LoadDetail{Counted: true, PerKey: true, PerLabel: true, PerSecond: true, Width: true}
	r := f.Results(u.input.circumstances())
	return judge(r, r.Objectives()[0].Group, r.Objectives()[0].Objective)
}

func TestMemoryOfRedis(t *testing.T) {
	during := func(from, to time.Duration, region string, edit func(*targets.Memory) bool) func(*targets.Memory) bool {
		return func(m *targets.Memory) bool { return m.Region != region || m.At < from || m.At >= to || edit(m) }
	}
	grown := func(m *targets.Memory) bool { m.Used = 50 * mb; m.Peak = 60 * mb; return true }
	silent := func(m *targets.Memory) bool {
		*m = targets.Memory{Region: m.Region, At: m.At, Problem: "i/o timeout"}
		return true
	}
	fault, recovery, end := 4*time.Second, 6*time.Second, 8*time.Second
	for _, c := range []struct {
		name, expr string
		memory     func(*targets.Memory) bool
		want       slo.Outcome
		says       string
	}{
		{"below", "fault: redis_memory.max < 7MB", nil, slo.Pass, "5MB"},
		{"between its highest sample and its peak", "fault: redis_memory.max < 5500kB", nil, slo.Unknown, "its peak of 6MB"},
		{"above", "fault: redis_memory.max < 5MB", nil, slo.Fail, "used_memory of redis@eu was 5,000,000 bytes at 5.900s"},
		{"one of two grew", "fault: redis_memory.max < 40MB", during(5*time.Second, recovery, "us", grown), slo.Fail, "redis@us"},
		{"the other one did", "fault: redis_memory.max{region=eu} < 40MB", during(5*time.Second, recovery, "us", grown), slo.Pass, "5MB"},
		{"it grew later", "fault: redis_memory.max < 40MB", during(recovery+100*ms, end, "us", grown), slo.Pass, "5MB"},
		{"always sees all", "always: redis_memory.max < 40MB", during(recovery+100*ms, end, "us", grown), slo.Fail, "50MB"},
		{"it grew between two answers", "fault: redis_memory.max < 40MB",
			during(5*time.Second, 5*time.Second+100*ms, "us", func(m *targets.Memory) bool { m.Peak = 60 * mb; return true }), slo.Unknown, "peak of 60MB"},
		{"a gap is bounded by the peak after it", "fault: redis_memory.max < 7MB", during(fault+100*ms, recovery-100*ms, "us", silent), slo.Pass, ""},
		{"silent to the end", "fault: redis_memory.max < 7MB", during(fault+100*ms, time.Minute, "us", silent), slo.Unknown, "the Redis of us did not show it: i/o timeout"},
		{"silent, and proven before", "fault: redis_memory.max < 5MB", during(fault+100*ms, time.Minute, "us", silent), slo.Fail, ""},
		{"one never tells", "fault: redis_memory.max < 7MB", during(0, time.Minute, "us", silent), slo.Unknown, "the Redis of us did not show it"},
		{"none ever tells", "fault: redis_memory.max < 7MB", func(m *targets.Memory) bool { return silent(m) }, slo.Unknown, "did not show it: i/o timeout"},
		{"none is asked", "fault: redis_memory.max < 7MB", func(*targets.Memory) bool { return false }, slo.Unknown, "nothing here tells how much memory a Redis uses"},
		{"one is down", "fault: redis_memory.max < 7MB", during(fault, recovery, "us", func(m *targets.Memory) bool {
			*m = targets.Memory{Region: "us", At: m.At, Down: true}
			return true
		}), slo.Pass, "5MB"},
		{"the lower bound exceeds the limit", "fault: redis_memory.max > 4MB", nil, slo.Pass, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := used{memory: c.memory}.judged(t, c.expr)
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed+" "+row.Evidence+" "+row.Why, c.says)
		})
	}
}

func TestBytesThatCrossRegions(t *testing.T) {
	for _, c := range []struct {
		name, expr string
		crossing   func(*targets.CrossRegionSample)
		input      Input
		want       slo.Outcome
		says       string
	}{
		{"both regions", "fault: cross_region_bytes <= 40kB", nil, Input{}, slo.Pass, "40kB"},
		{"too many", "fault: cross_region_bytes < 40kB", nil, Input{}, slo.Fail, "exchanged 40,000 bytes in 2s"},
		{"one region's", "fault: cross_region_bytes{region=us} <= 20kB", nil, Input{}, slo.Pass, ""},
		{"all phases", "always: cross_region_bytes < 120kB", nil, Input{}, slo.Fail, "120kB"},
		{"between two looks around a boundary", "fault: cross_region_bytes < 45kB", func(c *targets.CrossRegionSample) {
			if c.At > 4*time.Second-150*ms && c.At < 4*time.Second+50*ms {
				c.At -= 50 * ms
			}
		}, Input{}, slo.Pass, "38kB..40kB"},
		{"the limit lies there", "fault: cross_region_bytes < 39kB", func(c *targets.CrossRegionSample) {
			if c.At > 4*time.Second-150*ms && c.At < 4*time.Second+50*ms {
				c.At -= 50 * ms
			}
		}, Input{}, slo.Unknown, "38,000 to 40,000 bytes crossed"},
		{"one region", "fault: cross_region_bytes < 1MB", func(c *targets.CrossRegionSample) { c.Bytes = map[string]int64{"eu": 0} }, Input{}, slo.Unknown, "one region only"},
		{"one region, and some had to", "fault: cross_region_bytes > 1MB", func(c *targets.CrossRegionSample) { c.Bytes = map[string]int64{"eu": 0} }, Input{}, slo.Fail, ""},
		{"untold", "fault: cross_region_bytes < 1MB", nil, Input{Resources: Resources{CrossRegionUnavailable: "nothing is sent"}}, slo.Unknown, "nothing is sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := used{crossing: c.crossing, input: c.input}.judged(t, c.expr)
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed+" "+row.Evidence+" "+row.Why, c.says)
		})
	}
	f := newFeed(t, "fault: cross_region_bytes < 1MB")
	f.Mark(measure.Fault, 0)
	f.ops(0, time.Second, 100, nil)
	f.Finish(oracle.Findings{}, time.Second)
	r := f.Results(measure.Circumstances{})
	row := judge(r, slo.GroupFault, r.Objectives()[0].Objective)
	require.Equal(t, slo.Unknown, row.Outcome)
	require.Contains(t, row.Why, "was not asked")
}

func TestCostOfAMillionRequests(t *testing.T) {
	// In the 2 s of the fault: 2,000 requests, 20 loads, 20 MB s of memory, 40 kB that cross. For a
	// million: 500 times as much.
	p := cost.Prices{Currency: "EUR", PerMillionRequests: 1, PerMillionSourceLoads: 100, PerGBHourRedisMemory: 3600, PerGBCrossRegion: 50}
	without := func(edit func(*cost.Prices)) *cost.Prices {
		q := p
		edit(&q)
		return &q
	}
	silent := func(m *targets.Memory) bool { m.Problem = "away"; return true }
	for _, c := range []struct {
		name, expr string
		used       used
		want       slo.Outcome
		says       string
	}{
		{"all of it", "fault: cost_per_million < 13.001", used{input: Input{Resources: Resources{Prices: &p}}}, slo.Pass, "13 EUR"},
		{"too much", "fault: cost_per_million < 12.999", used{input: Input{Resources: Resources{Prices: &p}}}, slo.Fail, "2,000 requests: requests 1, source loads 1, redis memory 10, cross region 1"},
		{"always", "always: cost_per_million <= 12.999", used{input: Input{Resources: Resources{Prices: &p}}}, slo.Fail, "13 EUR"},
		{"without prices", "fault: cost_per_million < 100", used{}, slo.Unknown, "nothing has a price"},
		{"what costs nothing may be unknown", "fault: cost_per_million < 3.01", used{memory: silent,
			input: Input{Resources: Resources{Prices: without(func(p *cost.Prices) { p.PerGBHourRedisMemory = 0 })}}}, slo.Pass, "3 EUR"},
		{"what costs something must", "fault: cost_per_million < 100", used{memory: silent, input: Input{Resources: Resources{Prices: &p}}}, slo.Unknown, "did not show it: away"},
		{"nor what does not cross", "fault: cost_per_million < 12.01", used{
			input: Input{Resources: Resources{CrossRegionUnavailable: "nothing is sent", Prices: without(func(p *cost.Prices) { p.PerGBCrossRegion = 0 })}}}, slo.Pass, "12 EUR"},
		{"what has a price must be known", "fault: cost_per_million < 100", used{input: Input{Resources: Resources{CrossRegionUnavailable: "nothing is sent", Prices: &p}}}, slo.Unknown, "nothing is sent"},
		{"in one region nothing can cross", "fault: cost_per_million < 12.01", used{input: Input{Resources: Resources{Prices: &p}},
			crossing: func(c *targets.CrossRegionSample) { c.Bytes = map[string]int64{"eu": 0} }}, slo.Pass, "12 EUR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := c.used.judged(t, c.expr)
			require.Equal(t, c.want, row.Outcome, "%+v", row)
			require.Contains(t, row.Observed+" "+row.Evidence+" "+row.Why, c.says)
		})
	}
}
