package reality

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
)

// realFault is one thing that goes wrong, and for how long.
type realFault struct {
	kind, subject string
	at, lasts     time.Duration
	hits          func(worker int) bool
	inject, heal  func(context.Context) (bitten int, err error) // bitten: keys lost, listeners cut off; heal may be nil
}

// realWindow is one that happened.
type realWindow struct {
	kind     string
	from, to time.Duration
	hits     func(worker int) bool
	bitten   int
	err      error // it could not be injected
}

const (
	faultsAtOnce  = 3
	faultPatience = 30 * time.Second // with an injection, and with one attempt to heal
	healAttempts  = 4
	calmEvery     = 20 * time.Second // then nothing goes wrong for a moment, for comparison
	calmLasts     = 2 * time.Second
	killsApart    = 20 * time.Second // PostgreSQL takes seconds to recover on a busy machine, and nothing can be seen meanwhile
)

// realKinds are what can go wrong, and how often, in parts of the sum.
var realKinds = []struct {
	kind  string
	parts int
}{
	{"edge slow", 16}, {"edge black-holed", 10}, {"edge stalled", 10}, {"edge reset", 8}, {"edge refuses", 6}, {"answers cut off", 12}, {"answers late", 10},
	{"redis killed", 5}, {"redis stopped", 6}, {"redis flushed", 6}, {"redis evicts", 6}, {"listeners cut off", 6},
	{"worker replaced", 5}, {"relay restarted", 2}, {"postgres killed", 3},
}

// plan draws what goes wrong: each kind once, then at random. No two are on the same thing at once.
func (w *reality) plan(lasts time.Duration) (plan []*realFault) {
	rng := rand.New(rand.NewPCG(w.seed, 2))
	var kinds []string
	for _, k := range realKinds {
		kinds = append(kinds, k.kind)
	}
	rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	next := func() string {
		if len(kinds) > 0 {
			k := kinds[0]
			kinds = kinds[1:]
			return k
		}
		sum := 0
		for _, k := range realKinds {
			sum += k.parts
		}
		at := rng.IntN(sum)
		for _, k := range realKinds {
			if at -= k.parts; at < 0 {
				return k.kind
			}
		}
		return ""
	}
	busy := map[string]time.Duration{} // until when, with a margin
	killed := -killsApart
	lanes := make([]time.Duration, faultsAtOnce)
	for i := range lanes {
		lanes[i] = 500*time.Millisecond + time.Duration(rng.Int64N(int64(500*time.Millisecond)))
	}
	for {
		sort.Slice(lanes, func(i, j int) bool { return lanes[i] < lanes[j] })
		at := lanes[0]
		if at > lasts-time.Second {
			return plan
		}
		f := w.fault(rng, next())
		f.at = at
		if lasts := time.Duration(100+rng.IntN(600)*(1+rng.IntN(4))) * time.Millisecond; f.lasts == 0 {
			f.lasts = lasts
		}
		if f.subject == "postgres" {
			if at < killed+killsApart {
				continue
			}
			killed = at
			f.lasts = min(f.lasts, 300*time.Millisecond)
		}
		calm := (at/calmEvery + 1) * calmEvery
		f.lasts = min(f.lasts, calm-at, lasts-at)
		if until := busy[f.subject]; until > at { // it has to wait for the other
			f.at = until
		}
		end := f.at + f.lasts
		if f.at < calm {
			busy[f.subject] = end + 100*time.Millisecond
			plan = append(plan, f)
		}
		end += time.Duration(rng.IntN(500)) * time.Millisecond
		if end > calm {
			end = max(end, calm+calmLasts)
		}
		lanes[0] = end
	}
}

func (w *reality) fault(rng *rand.Rand, kind string) *realFault {
	r := w.regions[rng.IntN(len(w.regions))]
	c := w.workers[rng.IntN(len(w.workers))]
	f := &realFault{kind: kind, hits: func(n int) bool { return w.workers[n].region == r }}
	do := func(what func(context.Context) error) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) { return 0, what(ctx) }
	}
	switch {
	case strings.HasPrefix(kind, "edge"):
		on := []wire{c.toRedis, c.toPG, c.toPG, r.bus}[rng.IntN(4)] // the relay's less often
		if on != r.bus {
			f.hits = func(n int) bool { return n == c.number }
		}
		on.badly(f, weather(rng, kind))
	case kind == "answers cut off": // PostgreSQL commits, and the answer is lost
		f.hits = func(n int) bool { return n == c.number }
		f.lasts = time.Duration(20+rng.IntN(130)) * time.Millisecond
		c.toPG.badly(f, link.Mode{Kind: link.Blackhole, Direction: link.Down})
	case kind == "answers late": // the answer was true when PostgreSQL gave it
		f.hits = func(n int) bool { return n == c.number }
		f.lasts = time.Duration(500+rng.IntN(1500)) * time.Millisecond
		by := time.Duration(110+rng.IntN(70)) * time.Millisecond
		c.toPG.badly(f, link.Mode{Kind: link.Latency, Direction: link.Down, By: by, Jitter: 10 * time.Millisecond})
	case kind == "redis killed":
		f.subject = "redis of " + r.name
		f.inject, f.heal = do(r.node.Kill), do(func(ctx context.Context) error {
			if _, err := r.node.Identity(ctx); err == nil {
				return nil // the kill had failed
			}
			return r.node.Start(ctx)
		})
	case kind == "redis stopped":
		f.subject = "redis of " + r.name
		f.inject, f.heal = do(r.node.Pause), do(r.node.Resume)
	case kind == "redis flushed":
		f.subject = "redis of " + r.name
		f.inject = func(ctx context.Context) (int, error) {
			n, err := r.node.Client().DBSize(ctx).Result()
			if err != nil {
				return 0, err
			}
			return int(n), r.node.Client().FlushAll(ctx).Err()
		}
	case kind == "redis evicts":
		f.subject = "redis of " + r.name
		pick := rand.New(rand.NewPCG(rng.Uint64(), 3))
		f.inject = func(ctx context.Context) (n int, err error) {
			keys := r.node.Client().Scan(ctx, 0, "", 1000).Iterator()
			var gone []string
			for keys.Next(ctx) {
				if pick.IntN(2) == 0 {
					gone = append(gone, keys.Val())
				}
			}
			if err := keys.Err(); err != nil || len(gone) == 0 {
				return 0, err
			}
			k, err := r.node.Client().Del(ctx, gone...).Result()
			return int(k), err
		}
	case kind == "listeners cut off":
		f.subject = "redis of " + r.name
		f.inject = func(ctx context.Context) (int, error) {
			n, err := r.node.Client().Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Int()
			return n, err
		}
	case kind == "worker replaced":
		f.subject = "worker " + c.name
		f.hits = func(n int) bool { return n == c.number }
		f.inject = do(func(context.Context) error { c.leave(); return nil })
		f.heal = do(func(ctx context.Context) error {
			for {
				err := w.begin(ctx, c)
				if err == nil || ctx.Err() != nil {
					return err
				}
				time.Sleep(50 * time.Millisecond) // PostgreSQL can't be reached
			}
		})
	case kind == "relay restarted":
		f.subject = "relay of " + r.name
		f.inject = do(func(context.Context) error { r.relayOff(); return nil })
		f.heal = do(func(context.Context) error { w.relayOn(r); return nil })
	case kind == "postgres killed":
		f.subject = "postgres"
		f.hits = func(int) bool { return true }
		f.inject, f.heal = do(func(context.Context) error { return w.cluster.Kill() }), do(w.cluster.Restart)
	}
	return f
}

// trouble lets the plan happen. When it returns, all is healed, also when ctx ended before.
func (w *reality) trouble(ctx context.Context, plan []*realFault) []realWindow {
	var all sync.WaitGroup
	var mu sync.Mutex
	var windows []realWindow
	turns := map[string]*sync.Mutex{}
	for _, f := range plan {
		if turns[f.subject] == nil {
			turns[f.subject] = &sync.Mutex{}
		}
		turn := turns[f.subject]
		all.Go(func() {
			wait(ctx, time.Until(w.start.Add(f.at)))
			turn.Lock()
			defer turn.Unlock()
			if ctx.Err() != nil {
				return
			}
			win := realWindow{kind: f.kind, from: w.now(), hits: f.hits}
			own, cancel := context.WithTimeout(context.Background(), faultPatience)
			win.bitten, win.err = f.inject(own)
			cancel()
			if win.err == nil {
				wait(ctx, f.lasts)
			}
			for attempt := 1; f.heal != nil; attempt++ {
				own, cancel := context.WithTimeout(context.Background(), faultPatience)
				_, err := f.heal(own)
				cancel()
				if err == nil {
					break
				}
				if attempt == healAttempts {
					w.problem("%s of %s can't be healed: %v", f.kind, f.subject, err)
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			win.to = w.now()
			mu.Lock()
			defer mu.Unlock()
			windows = append(windows, win)
		})
	}
	all.Wait()
	return windows
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// faultRow is what was asked of those whom a kind of fault could hit, while it lasted.
type faultRow struct {
	kind                                  string
	windows, missed, bitten               int
	lasted                                time.Duration
	reads, failed, slow, deep             int
	writes, acked, refused, unknown, held int
}

const slowRead = 100 * time.Millisecond

func (r *faultRow) count(o realAsked) {
	took := o.to - o.from
	if o.change {
		r.writes++
		switch o.ended {
		case acked:
			r.acked++
		case refused:
			r.refused++
		default:
			r.unknown++
		}
		if took > 3*slowRead {
			r.held++
		}
		return
	}
	r.reads++
	switch {
	case o.ended != acked:
		r.failed++
	case took > slowRead:
		r.slow++
	}
	if o.deep {
		r.deep++
	}
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(of))
}

// byFault counts the operations by what was wrong meanwhile; one counts in several rows when
// several things were.
func (w *reality) byFault(windows []realWindow) (rows []*faultRow) {
	of := map[string]*faultRow{}
	calm := &faultRow{kind: "nothing"}
	for _, k := range realKinds {
		of[k.kind] = &faultRow{kind: k.kind}
		rows = append(rows, of[k.kind])
	}
	for _, win := range windows {
		if win.err != nil {
			of[win.kind].missed++
			continue
		}
		of[win.kind].windows++
		of[win.kind].bitten += win.bitten
		of[win.kind].lasted += win.to - win.from
	}
	sort.Slice(windows, func(i, j int) bool { return windows[i].from < windows[j].from })
	longest := time.Duration(0)
	for _, win := range windows {
		longest = max(longest, win.to-win.from)
	}
	for _, o := range w.asked {
		first := sort.Search(len(windows), func(i int) bool { return windows[i].from+longest >= o.from })
		troubled := map[string]bool{}
		for _, win := range windows[first:] {
			if win.from > o.to {
				break
			}
			if win.err == nil && win.to >= o.from && win.hits(o.worker) {
				troubled[win.kind] = true
			}
		}
		for kind := range troubled {
			of[kind].count(o)
		}
		if len(troubled) == 0 {
			calm.count(o)
		}
	}
	return append(rows, calm)
}

func table(rows []*faultRow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %7s %8s %6s | %7s %7s %7s %7s | %6s %7s %7s %7s\n", "meanwhile", "windows", "lasted", "bitten",
		"reads", "failed", ">100ms", "source", "writes", "acked", "refused", "unknown")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-18s %7d %8s %6d | %7d %7s %7s %7s | %6d %7s %7d %7d\n", r.kind, r.windows, r.lasted.Round(100*time.Millisecond), r.bitten,
			r.reads, percent(r.failed, r.reads), percent(r.slow, r.reads), percent(r.deep, r.reads), r.writes, percent(r.acked, r.writes), r.refused, r.unknown)
	}
	return b.String()
}
