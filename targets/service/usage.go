package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/reference/metrics"
)

// Metering configures what a [Process] accounts for.
type Metering struct {
	Prices  *cost.Prices // nil: costs are not counted
	Budgets []cost.Budget
	// CrossRegionBytes counts the bytes so far between the process and what it uses in other
	// regions; nil: there are none.
	CrossRegionBytes func() int64
	// Alarm gets a line when a budget is exceeded, and when it is kept again; nil: no alarms. It
	// must return quickly.
	Alarm func(line string)
}

const (
	// sampleEvery is the time between two samples of what is used.
	sampleEvery = 5 * time.Second
	// A budget per requests is judged by the last budgetWindow, and by no fewer requests than
	// leastRequests: the relay goes on asking when there is no traffic, and a few requests would
	// have a large share of that.
	budgetWindow  = 5 * time.Minute
	leastRequests = 1000
)

// usageMeter keeps the ledger of a process: it samples what is used, adds up costs, and raises
// alarms.
type usageMeter struct {
	region   string
	metering Metering
	counted  func() cost.Usage                                     // requests and source loads since start
	memory   func(ctx context.Context) (used, peak int64, _ error) // of Redis, in bytes
	ledger   *metrics.Ledger

	mu      sync.Mutex
	booked  cost.Usage // what is in the ledger already, without memory
	held    int64      // bytes of Redis at the last sample; -1: unknown
	sampled time.Time
	recent  []usageSample // of the window, the oldest first
	states  map[cost.BudgetName]cost.State
}

// usageSample is what had been used at one time.
type usageSample struct {
	at time.Time
	cost.Usage
}

// ownReasons are the costs of the process itself; that of Redis is the region's.
var ownReasons = []cost.Reason{cost.Requests, cost.SourceLoads, cost.CrossRegion}

func newUsageMeter(region string, m Metering, counted func() cost.Usage, memory func(context.Context) (int64, int64, error)) *usageMeter {
	u := &usageMeter{region: region, metering: m, counted: counted, memory: memory, held: -1, states: map[cost.BudgetName]cost.State{}}
	cfg := metrics.LedgerConfig{Region: region, Budgets: map[string]float64{}, Before: u.book}
	if m.Prices != nil {
		cfg.Currency = m.Prices.Currency
		for _, r := range ownReasons {
			cfg.Reasons = append(cfg.Reasons, string(r))
		}
	}
	for _, b := range m.Budgets {
		cfg.Budgets[string(b.Name)] = b.Limit
	}
	u.ledger = metrics.NewLedger(cfg)
	return u
}

// run samples until ctx ends.
func (u *usageMeter) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		u.sample(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// book brings what was counted since the last call into the ledger.
func (u *usageMeter) book() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bookLocked()
}

func (u *usageMeter) bookLocked() {
	now := u.counted()
	if u.metering.CrossRegionBytes != nil {
		now.CrossRegionBytes = float64(u.metering.CrossRegionBytes())
	}
	u.ledger.Requests(now.Requests - u.booked.Requests)
	u.ledger.Crossed(now.CrossRegionBytes - u.booked.CrossRegionBytes)
	if p := u.metering.Prices; p != nil {
		for _, r := range ownReasons {
			u.ledger.Cost(string(r), p.Price(r)*(now.Of(r)-u.booked.Of(r)))
		}
	}
	u.booked = now
}

// sample asks Redis for its memory, books what was used, and judges the budgets.
func (u *usageMeter) sample(ctx context.Context, now time.Time) {
	own, cancel := context.WithTimeout(ctx, probeTimeout)
	used, _, err := u.memory(own)
	cancel()
	if ctx.Err() != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bookLocked()
	if u.held >= 0 && u.metering.Prices != nil {
		u.ledger.RedisCost(u.metering.Prices.Price(cost.RedisMemory) * float64(u.held) * now.Sub(u.sampled).Seconds())
	}
	u.sampled, u.held = now, used
	if err != nil {
		u.held = -1
	}
	u.ledger.RedisMemory(used, err == nil)
	for len(u.recent) > 1 && now.Sub(u.recent[1].at) >= budgetWindow {
		u.recent = u.recent[1:]
	}
	u.recent = append(u.recent, usageSample{now, u.booked})
	for _, b := range u.metering.Budgets {
		u.judge(b)
	}
}

// judge puts into the ledger whether a budget is kept, and raises an alarm when that has changed.
func (u *usageMeter) judge(b cost.Budget) {
	used, known := u.used(b.Name)
	if !known {
		u.ledger.Exceeded(string(b.Name), false, false)
		return // the last state stands, as far as alarms go
	}
	is, was := b.Judge(used), u.states[b.Name]
	u.ledger.Exceeded(string(b.Name), is == cost.Exceeded, true)
	u.states[b.Name] = is
	if is == was || is == cost.Within && was == cost.Untold || u.metering.Alarm == nil {
		return
	}
	word := "exceeded"
	if is == cost.Within {
		word = "kept again"
	}
	line := fmt.Sprintf("budget %s of %s is %s: %s of %s; alert %s", b.Name, u.region, word, cost.InBytes(used), cost.InBytes(b.Limit), b.Alert)
	if b.Owner.Team != "" {
		line += fmt.Sprintf("; owner %s, %s", b.Owner.Team, b.Owner.Contact)
	}
	u.metering.Alarm(line)
}

// used is how much is used of what a budget limits; known is false when there is no figure.
func (u *usageMeter) used(b cost.BudgetName) (used float64, known bool) {
	if b == cost.RedisMemoryBytes {
		return float64(u.held), u.held >= 0
	}
	first, last := u.recent[0], u.recent[len(u.recent)-1]
	requests := last.Requests - first.Requests
	if requests < leastRequests {
		return 0, false
	}
	return (last.CrossRegionBytes - first.CrossRegionBytes) / requests * 1e6, true
}
