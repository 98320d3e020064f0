package reality

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/tests/program"
)

const (
	realSample = 12 * time.Second
	realMost   = 10 * time.Minute
	realSettle = 60 * time.Second // for everything to be reachable again after the last fault was healed
)

// realBudget is how long the soak may take: a minute a seed that CACHEDRILL_SOAK asks for, ten at
// most. One of a minute leaves most of it to the controls, and to starting.
func realBudget() (lasts time.Duration, soak bool) {
	first, last, ok := program.Seeds("CACHEDRILL_SOAK")
	if !ok {
		return realSample, false
	}
	lasts = min(realMost, time.Duration(last-first+1)*time.Minute)
	if lasts <= time.Minute {
		lasts /= 3
	}
	return lasts, true
}

// realSeed is another one each time, or what CACHEDRILL_REALITY_SEED says.
func realSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CACHEDRILL_REALITY_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("CACHEDRILL_REALITY_SEED=%d draws the same operations and faults", seed)
	return seed
}

// Whatever goes wrong with real servers and the network between: strong families stay linearizable,
// bounded ones within their bound, eventual ones converge after all was healed, and no acknowledged
// write is lost. CACHEDRILL_SOAK makes a sample of twelve seconds a soak of up to ten minutes.
func TestSoakReality(t *testing.T) {
	redistest.Need(t)
	lasts, _ := realBudget()
	before := goleak.IgnoreCurrent()
	for attempt := 1; ; attempt++ {
		seen := false
		t.Run(fmt.Sprint("attempt ", attempt), func(t *testing.T) { // everything has ended after it
			seen = reallyRun(t, lasts, lasts > time.Minute || attempt == realAttempts)
		})
		if seen || t.Failed() {
			break
		}
	}
	goleak.VerifyNone(t, before)
}

// realAttempts is how often a sample is taken that saw too little, as on a machine that is very
// busy.
const realAttempts = 3

// reallyRun fails when something was wrong, and says whether there was enough to see; it fails for
// that too if it must be.
func reallyRun(t *testing.T, lasts time.Duration, must bool) bool {
	w := newReality(t, policy.Recommended(), realSeed(t))
	windows := w.run(t.Context(), lasts, nil)
	a := w.settle(t)
	v := judge(a)
	rows := w.byFault(windows)
	t.Logf("\n%s%s", table(rows), w.summary(a, v, windows))
	require.Empty(t, v.broken, "seed %d", w.seed)
	require.Empty(t, w.problems)
	var missing []string
	for _, family := range realOrder {
		if v.chances[family] == 0 || v.cached[family] == 0 {
			missing = append(missing, "no cached read of "+family+" could have been wrong")
		}
		if w.troubled(windows, a, family) == 0 {
			missing = append(missing, "no read of "+family+" met a fault")
		}
	}
	if lasts > time.Minute {
		for _, r := range rows {
			if why := r.missing(); why != "" {
				missing = append(missing, why)
			}
		}
	}
	if must {
		require.Empty(t, missing)
	}
	return len(missing) == 0
}

// missing says what there was not to see of a kind of fault.
func (r *faultRow) missing() string {
	switch felt := r.failed + r.slow + r.deep + r.refused + r.unknown; {
	case r.windows == 0 && r.kind != "nothing":
		return r.kind + " did not happen"
	case r.reads == 0:
		return "no read while: " + r.kind
	case r.bitten == 0 && (r.kind == "redis flushed" || r.kind == "redis evicts" || r.kind == "listeners cut off"):
		return r.kind + ": nothing was there"
	case felt == 0 && r.kind != "nothing":
		return r.kind + " was not felt"
	}
	return ""
}

// troubled counts the answered reads of a family that began while a fault of their worker was on.
func (w *reality) troubled(windows []realWindow, a account, family string) (n int) {
	number := map[string]int{}
	for _, c := range w.workers {
		number[c.name] = c.number
	}
	for _, r := range a.reads {
		if familyOf(r.name) == family && slices.ContainsFunc(windows, func(win realWindow) bool {
			return win.err == nil && win.from < r.from && r.from < win.to && win.hits(number[r.worker])
		}) {
			n++
		}
	}
	return n
}

// run lets load and faults happen until they are over, or enough says so; it is asked every few
// seconds.
func (w *reality) run(ctx context.Context, lasts time.Duration, enough func() bool) (windows []realWindow) {
	w.start = time.Now() // nothing has been asked for yet
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { w.load(ctx) })
	both.Go(func() { windows = w.trouble(ctx, w.plan(lasts)) })
	both.Go(func() { w.watchClock(ctx) })
	for enough != nil && ctx.Err() == nil {
		wait(ctx, 3*time.Second)
		if enough() {
			cancel()
		}
	}
	both.Wait()
	return windows
}

// watchClock looks whether the machine's wall clock is set: PostgreSQL tells that time, and bounded
// families rest on it.
func (w *reality) watchClock(ctx context.Context) {
	const most = 20 * time.Millisecond
	apart := func() time.Duration { // of the wall clock from the monotonic one
		now := time.Now()
		return time.Duration(now.Round(0).UnixNano()-w.start.Round(0).UnixNano()) - now.Sub(w.start)
	}
	for ctx.Err() == nil {
		was := apart()
		wait(ctx, 200*time.Millisecond)
		if by := apart() - was; by > most || by < -most {
			w.problem("the wall clock was set by %v", by)
		}
	}
}

// settle waits until everybody can be reached and has been notified, asks every worker for every
// name, and gives what is to be judged.
func (w *reality) settle(t *testing.T) account {
	t.Helper()
	ctx := t.Context()
	for _, r := range w.regions {
		_, err := r.node.Identity(ctx)
		require.NoError(t, err, "redis of %s after it was healed", r.name)
	}
	var first account
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		var err error
		first, err = w.account(ctx)
		require.NoError(t, err)
	}, realSettle, 100*time.Millisecond, "PostgreSQL after it was healed")
	seen := w.now()
	known := map[string]int{}
	for name, of := range first.commits {
		known[name] = len(of)
	}
	for _, r := range w.regions {
		require.Eventually(t, func() bool {
			own, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			tip, err := r.log.Tip(own)
			return err == nil && r.relay.Through() >= tip
		}, realSettle, 10*time.Millisecond, "the relay of %s does not come to the end of the history", r.name)
	}
	healed := w.now()
	wait(ctx, realFamilies["eventual"].Converges()+100*time.Millisecond)
	var all sync.WaitGroup
	for _, c := range w.workers {
		all.Go(func() {
			for _, family := range realOrder {
				for id := range realHot + realCold {
					n := key.Name{Family: family, ID: fmt.Sprint(id)}
					if !w.finally(ctx, c, n, uint64(known[nameOf(n)]), healed) {
						w.problem("%s can't read %s after everything was healed", c.name, nameOf(n))
						return
					}
				}
			}
		})
	}
	all.Wait()
	a, err := w.account(ctx)
	require.NoError(t, err)
	require.NoError(t, w.rows(ctx, a.commits))
	a.seen, a.known, a.healed = seen, known, healed
	return a
}

// finally reads a name after everything was healed. That a worker heard of a lasting one's newest
// version takes as long as its connection takes to come back, which is waited for, within reason.
func (w *reality) finally(ctx context.Context, c *realWorker, n key.Name, newest uint64, healed time.Duration) bool {
	ask := func(final bool) (uint64, bool) {
		own, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return w.read(own, c, n, final)
	}
	for end := time.Now().Add(realSettle); ctx.Err() == nil; wait(ctx, 20*time.Millisecond) {
		late := time.Now().After(end)
		if n.Family == "lasting" && !late {
			if version, ok := ask(false); !ok || version < newest {
				w.mu.Lock()
				w.heard = max(w.heard, w.now()-healed)
				w.mu.Unlock()
				continue
			}
		}
		if _, ok := ask(true); ok || late {
			return ok
		}
	}
	return false
}

func (w *reality) summary(a account, v *verdict, windows []realWindow) string {
	commits, revived, ackedWrites, broken := 0, 0, 0, 0
	for _, of := range a.commits {
		commits += len(of)
	}
	for _, o := range a.writes {
		if o.outcome == acked {
			ackedWrites++
		}
	}
	for _, p := range w.proxies {
		revived += len(p.Restarts())
	}
	for _, b := range v.broken {
		broken += len(b)
	}
	s := fmt.Sprintf("%d operations: %d answered reads, %d writes (%d acknowledged, %d unknown of which %d were committed), %d commits, %d left out\n",
		len(w.asked), len(a.reads), len(a.writes), ackedWrites, v.unknown, v.landed, commits, w.withheld)
	s += fmt.Sprintf("%d faults; proxies started anew %d times\n", len(windows), revived)
	for _, family := range realOrder {
		s += fmt.Sprintf("%-8s %6d reads soon after a newer version was there, %6d of them answered by a cache; %6d answered while a fault was on; the oldest answer was proven stale by %v\n",
			family, v.chances[family], v.cached[family], w.troubled(windows, a, family), v.worst[family])
	}
	if w.heard > 0 {
		s += fmt.Sprintf("the last worker that had missed something knew it within %v\n", w.heard)
	}
	return s + fmt.Sprintf("%d violations", broken)
}

// Each control that a promise rests on is missed when it is removed.
func TestSoakRealityFindsWhatIsMissing(t *testing.T) {
	if _, soak := realBudget(); !soak {
		t.Skip("CACHEDRILL_SOAK is not set; make soak sets it")
	}
	redistest.Need(t)
	for _, c := range []struct{ without, breaks string }{
		{"class-routing", "strong"},
		{"fence", "leased"},
		{"age-clamp", "brief"},
	} {
		t.Run(c.without, func(t *testing.T) {
			p, err := policy.Recommended().Without(c.without)
			require.NoError(t, err)
			w := newReality(t, p, realSeed(t))
			var found []string
			w.run(t.Context(), 2*time.Minute, func() bool {
				if a, err := w.account(t.Context()); err == nil {
					found = judge(a).broken[c.breaks]
				}
				return len(found) > 0
			})
			require.NotEmpty(t, found, "nothing is missed")
			t.Logf("after %v: %d, the first: %s", w.now().Round(time.Second), len(found), found[0])
		})
	}
}
