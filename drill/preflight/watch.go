package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Watched is a target whose premises are watched while it is under load. Two acknowledged changes
// of one key that tell the same version show that versions do not tell changes apart, as times do
// that two changes share: from then on no answer of the family has one, and accusations that rest
// on each change having its own are withdrawn. The order of different versions proves what it did.
type Watched struct {
	environment.Target
	families map[string]*watchedFamily
}

type watchedFamily struct {
	loose atomic.Bool // its versions count no more

	mu    sync.Mutex
	acked map[ackedVersion]bool
	at    time.Time // when loose was set
	seen  string    // by what
}

type ackedVersion struct {
	key     targets.Key
	version uint64
}

// Watch watches a target during the load. What was not asked before is not watched.
func (h Habits) Watch(target environment.Target) *Watched {
	w := &Watched{Target: target, families: map[string]*watchedFamily{}}
	for name := range h.families {
		w.families[name] = &watchedFamily{acked: map[ackedVersion]bool{}}
	}
	return w
}

// Do implements [targets.Target].
func (w *Watched) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := w.Target.Do(ctx, r)
	f := w.families[r.Key.Family]
	if f == nil || err != nil || reply.Version == 0 {
		return reply, err
	}
	if r.Kind.Changes() && !f.loose.Load() {
		f.ack(r.Key, reply.Version)
	}
	if f.loose.Load() {
		reply.Version = 0
	}
	return reply, nil
}

// ack notes the version of an acknowledged change.
func (f *watchedFamily) ack(k targets.Key, version uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := ackedVersion{k, version}
	if !f.acked[v] {
		f.acked[v] = true
		return
	}
	if !f.loose.Swap(true) {
		f.at, f.seen = time.Now(), fmt.Sprintf("two changes of %s were answered with the version %d", k, version)
		f.acked = nil
	}
}

// Premises gives the premises as they stand after the load. They were found before it; epoch is the
// drill's offset 0.
func (w *Watched) Premises(before []report.Premise, epoch time.Time) []report.Premise {
	after := slices.Clone(before)
	for _, name := range slices.Sorted(maps.Keys(w.families)) {
		f := w.families[name]
		if !f.loose.Load() {
			continue
		}
		f.mu.Lock()
		at, seen := f.at.Sub(epoch).Seconds(), f.seen
		f.mu.Unlock()
		after = append(after, report.Premise{Name: slo.PremiseDistinct, Family: name, Seen: seen,
			NeededFor: slo.Metrics().NeededFor(slo.PremiseDistinct), BrokenS: &at,
			Fix: "remove answer: {version: ...}, or show one that counts changes"})
	}
	return after
}
