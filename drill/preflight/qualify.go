package preflight

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

const (
	coldKeys    = 3               // keys of each family that are written and read at once
	askPatience = 2 * time.Second // at least, of one request
	firstSeq    = 1 << 33         // numbers of the writes that are not the workload's
	goSettle    = 5 * time.Second // of a target whose suite does not say
)

// Qualify asks a target after the premises of a drill: a few unhurried operations for each family,
// on keys that the workload does not have.
func Qualify(ctx context.Context, sc scenarios.Scenario, env environment.Environment) (Habits, error) {
	began := time.Now()
	h := Habits{run: env.Run(), families: map[string]*habit{}, Settle: goSettle}
	if plan, ok := sc.Target.(*scenarios.HTTPTarget); ok {
		h.Settle = plan.Service.Settle
	}
	found := make([]*asked, len(sc.Workload.Mixes))
	var asking sync.WaitGroup
	for i, m := range sc.Workload.Mixes {
		a := &asked{ctx: ctx, target: env.Target(), run: env.Run(), family: m.Family, settle: h.Settle,
			timeout: max(sc.Workload.Timeout, askPatience), bypass: env.Capabilities().Bypass, everAbsent: m.Deletes > 0 || m.Absent > 0}
		a.writes, a.deletes = m.Writes > 0, m.Deletes > 0
		if plan, ok := sc.Target.(*scenarios.HTTPTarget); ok {
			f, _ := plan.Service.Family(m.Family)
			a.writes, a.deletes, a.bypass = f.Written(), f.Delete != nil, a.bypass && f.Bypass != nil
		}
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(env.Run())) // never fails
		a.base = m.Keys + 1 + int(sum.Sum32()%90_000)*8
		a.shape = targets.Key{Family: m.Family, Tenant: first(m.Tenants), Locale: first(m.Locales), Currency: first(m.Currencies)}
		found[i] = a
		asking.Go(a.qualify)
	}
	asking.Wait()
	for _, a := range found {
		h.families[a.family] = &a.habit
		h.Premises = append(h.Premises, a.premises...)
		h.Notes = append(h.Notes, a.notes...)
	}
	h.Took = time.Since(began)
	return h, ctx.Err()
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// asked is a family that is being asked after. It is wide because it holds what a conversation
// begins with beside what it found.
type asked struct {
	ctx                                 context.Context
	target                              targets.Target
	run, family                         string
	shape                               targets.Key // all of a key but its ID
	base                                int         // the first ID
	settle, timeout                     time.Duration
	writes, deletes, bypass, everAbsent bool

	habit
	seq      uint64
	versions []uint64 // of changes of the first key, in order
	premises []report.Premise
	notes    []string
}

func (a *asked) key(i int) targets.Key {
	k := a.shape
	k.ID = strconv.Itoa(a.base + i)
	return k
}

func (a *asked) do(r targets.Request) (targets.Reply, error) {
	ctx, cancel := context.WithTimeout(a.ctx, a.timeout)
	defer cancel()
	r.Seq = targets.SeedSeq
	return a.target.Do(ctx, r)
}

func (a *asked) read(k targets.Key, instance string) (targets.Reply, error) {
	return a.do(targets.Request{Kind: targets.Read, Key: k, Instance: instance})
}

// write stores a token of the greatest length first.
func (a *asked) write(k targets.Key) (token string, reply targets.Reply, err error) {
	seq := uint64(targets.SeedSeq)
	if a.seq > 0 {
		seq = firstSeq + a.seq
	}
	a.seq++
	token = targets.NewToken(a.run, seq, k)
	reply, err = a.do(targets.Request{Kind: targets.Write, Key: k, Token: token})
	return token, reply, err
}

// sight is how something that was written came to be seen.
type sight struct {
	atOnce, shown bool
	lag           time.Duration // until it was seen
	as            targets.Reply // the answer that showed it, or the last one
	err           error
}

// watch reads until what was written shows, or patience ends. An empty token waits for absence.
func (a *asked) watch(k targets.Key, instance, token string, patience time.Duration) (s sight) {
	for began, n := time.Now(), 0; ; n++ {
		s.as, s.err = a.read(k, instance)
		s.lag = time.Since(began)
		if s.err == nil && (token == "" && s.as.Absent || token != "" && (s.as.Token == token || isPart(s.as.Token, token, a.run))) {
			s.shown, s.atOnce = true, n == 0
			if s.atOnce {
				s.lag = 0
			}
			return s
		}
		if s.lag > patience || a.ctx.Err() != nil {
			return s
		}
		select {
		case <-time.After(showAgain / 4):
		case <-a.ctx.Done():
		}
	}
}

// isPart reports whether a value is a token that was cut off, or to which something was added.
func isPart(value, token, run string) bool {
	n := min(len(value), len(token))
	return n > len(run)+2 && value[:n] == token[:n] && isTorn(value, run)
}

// shown says what an answer showed instead of what was written.
func (s sight) shownInstead() string {
	switch {
	case s.err != nil:
		return s.err.Error()
	case s.as.Absent:
		return "not found"
	}
	return fmt.Sprintf("%q", s.as.Token)
}

// addVersion notes the version that answered a change of the first key.
func (a *asked) addVersion(r targets.Reply) { a.versions = append(a.versions, r.Version) }

// grow reports whether the versions grew.
func grow(versions []uint64) bool {
	shown := slices.DeleteFunc(slices.Clone(versions), func(v uint64) bool { return v == 0 })
	for i := 1; i < len(shown); i++ {
		if shown[i] <= shown[i-1] {
			return false
		}
	}
	return true
}
