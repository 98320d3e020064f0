package service

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/cost"
)

// books is an usageMeter of what a test says.
type books struct {
	*usageMeter
	usage   cost.Usage
	crossed int64
	memory  int64
	away    error
	now     time.Time
	alarms  []string
}

func newBooks(budgets ...cost.Budget) *books {
	b := &books{memory: 1e6, now: time.Unix(1000, 0)}
	b.usageMeter = newUsageMeter("eu", Metering{
		Prices:  &cost.Prices{Currency: "EUR", PerMillionRequests: 1, PerMillionSourceLoads: 10, PerGBHourRedisMemory: 3600, PerGBCrossRegion: 100},
		Budgets: budgets, CrossRegionBytes: func() int64 { return b.crossed }, Alarm: func(s string) { b.alarms = append(b.alarms, s) },
	}, func() cost.Usage { return b.usage }, func(context.Context) (int64, int64, error) { return b.memory, 0, b.away })
	return b
}

func (b *books) after(t *testing.T, d time.Duration) {
	b.now = b.now.Add(d)
	b.sample(t.Context(), b.now)
}

// tells requires that these are all the samples of a metric.
func (b *books) tells(t *testing.T, name string, lines ...string) {
	t.Helper()
	text, err := testutil.CollectAndFormat(b.ledger, expfmt.TypeTextPlain, name)
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name+"{") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	require.Len(t, found, len(lines), "%v", found)
	for i, line := range found { // sums of prices are about right
		series, is, _ := strings.Cut(line, " ")
		wanted, want, _ := strings.Cut(lines[i], " ")
		require.Equal(t, wanted, series)
		has, err := strconv.ParseFloat(is, 64)
		require.NoError(t, err)
		should, err := strconv.ParseFloat(want, 64)
		require.NoError(t, err)
		require.InDelta(t, should, has, 1e-9*should)
	}
}

func TestAnAccountBooksWhatWasUsed(t *testing.T) {
	b := newBooks()
	b.usage, b.crossed = cost.Usage{Requests: 3e6, SourceLoads: 2e5}, 5e8
	b.after(t, 0)
	b.after(t, 0) // nothing is booked twice
	b.tells(t, "cachedrill_requests_total", `cachedrill_requests_total{region="eu"} 3e+06`)
	b.tells(t, "cachedrill_cross_region_bytes_total", `cachedrill_cross_region_bytes_total{region="eu"} 5e+08`)
	b.tells(t, "cachedrill_cost_total", `cachedrill_cost_total{currency="EUR",reason="cross_region",region="eu"} 50`,
		`cachedrill_cost_total{currency="EUR",reason="requests",region="eu"} 3`, `cachedrill_cost_total{currency="EUR",reason="source_loads",region="eu"} 2`)
	b.usage.Requests += 1e6
	b.tells(t, "cachedrill_requests_total", `cachedrill_requests_total{region="eu"} 4e+06`) // who is asked knows, without a look
}

func TestMemoryCostsWhatItUsesForAsLongAsItDoes(t *testing.T) {
	b := newBooks() // a MB for a second costs 0.001
	b.after(t, 0)
	b.tells(t, "cachedrill_redis_cost_total", `cachedrill_redis_cost_total{currency="EUR",region="eu"} 0`)
	b.after(t, 5*time.Second)
	b.tells(t, "cachedrill_redis_cost_total", `cachedrill_redis_cost_total{currency="EUR",region="eu"} 0.005`)
	b.memory = 3e6
	b.after(t, 5*time.Second) // what it used until now was less
	b.tells(t, "cachedrill_redis_cost_total", `cachedrill_redis_cost_total{currency="EUR",region="eu"} 0.01`)
	b.tells(t, "cachedrill_redis_memory_bytes", `cachedrill_redis_memory_bytes{region="eu"} 3e+06`)
	b.away = errors.New("away")
	b.after(t, 5*time.Second)
	require.Zero(t, testutil.CollectAndCount(b.ledger, "cachedrill_redis_memory_bytes"))
	b.after(t, time.Hour) // what it used is unknown
	b.tells(t, "cachedrill_redis_cost_total", `cachedrill_redis_cost_total{currency="EUR",region="eu"} 0.025`)
	b.away = nil
	b.after(t, time.Hour)
	b.after(t, 5*time.Second)
	b.tells(t, "cachedrill_redis_cost_total", `cachedrill_redis_cost_total{currency="EUR",region="eu"} 0.04`)
}

func TestABudgetOfMemoryIsAlarmedBothWays(t *testing.T) {
	b := newBooks(cost.Budget{Name: cost.RedisMemoryBytes, Limit: 2e6, Owner: cost.Owner{Team: "shop", Contact: "#shop"}, Alert: "#oncall"})
	exceeded := func(v string) {
		t.Helper()
		b.tells(t, "cachedrill_budget_exceeded", `cachedrill_budget_exceeded{budget="redis_memory_bytes",region="eu"} `+v)
	}
	b.after(t, 0)
	exceeded("0")
	require.Empty(t, b.alarms, "as it should be is no news")
	b.memory = 2_000_001
	for range 3 {
		b.after(t, 5*time.Second)
		exceeded("1")
	}
	require.Equal(t, []string{"budget redis_memory_bytes of eu is exceeded: 2MB of 2MB; alert #oncall; owner shop, #shop"}, b.alarms)
	b.away = errors.New("away")
	b.after(t, 5*time.Second)
	require.Zero(t, testutil.CollectAndCount(b.ledger, "cachedrill_budget_exceeded"), "nothing tells")
	b.away = nil
	b.after(t, 5*time.Second)
	exceeded("1")
	require.Len(t, b.alarms, 1, "still the same")
	b.memory = 2e6
	b.after(t, 5*time.Second)
	exceeded("0")
	require.Equal(t, "budget redis_memory_bytes of eu is kept again: 2MB of 2MB; alert #oncall; owner shop, #shop", b.alarms[1])
}

func TestABudgetOfWhatCrossesIsForTheLastMinutes(t *testing.T) {
	b := newBooks(cost.Budget{Name: cost.CrossRegionBytesPerMillion, Limit: 5e8, Alert: "ines"})
	exceeded := func(lines ...string) {
		t.Helper()
		for i := range lines {
			lines[i] = `cachedrill_budget_exceeded{budget="cross_region_bytes_per_million_requests",region="eu"} ` + lines[i]
		}
		if len(lines) == 0 {
			require.Zero(t, testutil.CollectAndCount(b.ledger, "cachedrill_budget_exceeded"))
			return
		}
		b.tells(t, "cachedrill_budget_exceeded", lines...)
	}
	b.after(t, 0)
	exceeded()
	b.usage.Requests, b.crossed = leastRequests-1, 500*leastRequests
	b.after(t, 5*time.Second)
	exceeded() // too few requests
	b.usage.Requests++
	b.after(t, 5*time.Second)
	exceeded("0") // exactly the limit
	b.crossed++
	b.after(t, 5*time.Second)
	exceeded("1")
	require.Equal(t, []string{"budget cross_region_bytes_per_million_requests of eu is exceeded: 500MB of 500MB; alert ines"}, b.alarms)
	for range int(budgetWindow/(5*time.Second)) + 3 { // as much as that crosses no more, and what did is forgotten
		b.usage.Requests += 100
		b.crossed += 100 * 400
		b.after(t, 5*time.Second)
	}
	exceeded("0")
	require.Len(t, b.alarms, 2)
	require.LessOrEqual(t, len(b.recent), int(budgetWindow/(5*time.Second))+2, "moments out of the window are forgotten")
}

func TestAnAccountEndsWithItsContext(t *testing.T) {
	b := newBooks()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.run(ctx)
	require.Empty(t, b.recent)
}
