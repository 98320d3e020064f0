package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/reference/metrics"
)

// Spending says what a [Process] is to account for.
type Spending struct {
	Prices  *cost.Prices // nil: no costs are told
	Budgets []cost.Budget
	// Crossed is how many bytes went so far between the process and what it uses in other regions; nil: nothing does.
	Crossed func() int64
	// Alarm is told in a line when a budget is exceeded, and when it is kept again; nil: nobody is. It must be quick.
	Alarm func(line string)
}

const (
	// lookEvery is the time between two looks at what is used.
	lookEvery = 5 * time.Second
	// A budget per requests is judged by the last budgetWindow, and by no fewer requests than leastRequests: the relay goes on asking
	// when nobody else does, and a few requests have a large share of that.
	budgetWindow  = 5 * time.Minute
	leastRequests = 1000
)

// account keeps the ledger of a process: it looks at what is used, does the sums, and raises alarms.
type account struct {
	region  string
	spend   Spending
	counted func() cost.Usage                                  // requests and source loads so far
	memory  func(ctx context.Context) (used, _ int64, _ error) // of Redis
	ledger  *metrics.Ledger

	mu     sync.Mutex
	booked cost.Usage // what the ledger has already, without memory
	held   int64      // what Redis used when it was looked at last; -1: it did not tell
	looked time.Time
	recent []moment // of the window, the oldest first
	states map[cost.BudgetName]cost.State
}

// moment is what had been used at some time.
type moment struct {
	at time.Time
	cost.Usage
}

// costs of a process's own; that of Redis is the region's.
var ownReasons = []cost.Reason{cost.Requests, cost.SourceLoads, cost.CrossRegion}

func newAccount(region string, s Spending, counted func() cost.Usage, memory func(context.Context) (int64, int64, error)) *account {
	a := &account{region: region, spend: s, counted: counted, memory: memory, held: -1, states: map[cost.BudgetName]cost.State{}}
	cfg := metrics.LedgerConfig{Region: region, Budgets: map[string]float64{}, Before: a.book}
	if s.Prices != nil {
		cfg.Currency = s.Prices.Currency
		for _, r := range ownReasons {
			cfg.Reasons = append(cfg.Reasons, string(r))
		}
	}
	for _, b := range s.Budgets {
		cfg.Budgets[string(b.Name)] = b.Limit
	}
	a.ledger = metrics.NewLedger(cfg)
	return a
}

// run looks until ctx ends.
func (a *account) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a.look(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// book brings what was counted since the last time into the ledger.
func (a *account) book() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bookLocked()
}

func (a *account) bookLocked() {
	now := a.counted()
	if a.spend.Crossed != nil {
		now.CrossRegionBytes = float64(a.spend.Crossed())
	}
	a.ledger.Requests(now.Requests - a.booked.Requests)
	a.ledger.Crossed(now.CrossRegionBytes - a.booked.CrossRegionBytes)
	if p := a.spend.Prices; p != nil {
		for _, r := range ownReasons {
			a.ledger.Cost(string(r), p.Price(r)*(now.Of(r)-a.booked.Of(r)))
		}
	}
	a.booked = now
}

// look asks Redis for its memory, books what was used, and judges the budgets.
func (a *account) look(ctx context.Context, now time.Time) {
	own, cancel := context.WithTimeout(ctx, probeTimeout)
	used, _, err := a.memory(own)
	cancel()
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bookLocked()
	if a.held >= 0 && a.spend.Prices != nil {
		a.ledger.RedisCost(a.spend.Prices.Price(cost.RedisMemory) * float64(a.held) * now.Sub(a.looked).Seconds())
	}
	a.looked, a.held = now, used
	if err != nil {
		a.held = -1
	}
	a.ledger.RedisMemory(used, err == nil)
	for len(a.recent) > 1 && now.Sub(a.recent[1].at) >= budgetWindow {
		a.recent = a.recent[1:]
	}
	a.recent = append(a.recent, moment{now, a.booked})
	for _, b := range a.spend.Budgets {
		a.judge(b)
	}
}

// judge says whether a budget is kept, in the ledger, and to whom it concerns when that has changed.
func (a *account) judge(b cost.Budget) {
	used, told := a.used(b.Name)
	if !told {
		a.ledger.Exceeded(string(b.Name), false, false)
		return // the last word stands, as far as alarms go
	}
	is, was := b.Judge(used), a.states[b.Name]
	a.ledger.Exceeded(string(b.Name), is == cost.Exceeded, true)
	a.states[b.Name] = is
	if is == was || is == cost.Within && was == cost.Untold || a.spend.Alarm == nil {
		return
	}
	word := "exceeded"
	if is == cost.Within {
		word = "kept again"
	}
	line := fmt.Sprintf("budget %s of %s is %s: %s of %s; alert %s", b.Name, a.region, word, cost.InBytes(used), cost.InBytes(b.Limit), b.Alert)
	if b.Owner.Team != "" {
		line += fmt.Sprintf("; owner %s, %s", b.Owner.Team, b.Owner.Contact)
	}
	a.spend.Alarm(line)
}

// used is how much is used of what a budget is for; told is false when nothing tells.
func (a *account) used(b cost.BudgetName) (used float64, told bool) {
	if b == cost.RedisMemoryBytes {
		return float64(a.held), a.held >= 0
	}
	first, last := a.recent[0], a.recent[len(a.recent)-1]
	requests := last.Requests - first.Requests
	if requests < leastRequests {
		return 0, false
	}
	return (last.CrossRegionBytes - first.CrossRegionBytes) / requests * 1e6, true
}
