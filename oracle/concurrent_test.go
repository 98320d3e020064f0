package oracle

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// service is a small real service: rows under one lock, and a cache that is correct (every write
// replaces the copy under the row's lock) until a field makes it misbehave.
type service struct {
	clock atomic.Int64 // every look at it is a moment of its own
	rows  []row
	log   func(targets.Commit)

	keepStale  int // every n-th write of a row leaves the cached copy as it is, until the next one; 0: none
	forget     int // every n-th write is acknowledged and not applied
	swap       int // every n-th read answers the neighbouring row
	mangle     int // every n-th read answers a damaged value
	silentAcks bool
}

type row struct {
	sync.Mutex
	key           targets.Key
	source, cache targets.Reply
	ops           int
}

func (s *service) now() time.Duration { return time.Duration(s.clock.Add(1)) }

func nth(n, every int) bool { return every > 0 && n%every == every-1 }

func (s *service) do(rng *rand.Rand, r targets.Request, at int) (targets.Reply, targets.Outcome) {
	row := &s.rows[at]
	row.Lock()
	row.ops++
	n := row.ops
	row.Unlock()
	if r.Kind == targets.Read && nth(n, s.swap) {
		row = &s.rows[(at+1)%len(s.rows)]
	}
	row.Lock()
	defer row.Unlock()
	if r.Kind == targets.Read {
		a := row.cache
		if r.Instance == targets.SourceInstance {
			a = row.source
		} else if nth(n, s.mangle) {
			a.Token = a.Token[1:]
		}
		return a, targets.OK
	}
	lost := rng.IntN(40) // few enough unknown writes that no key is crowded
	if lost == 0 {
		return targets.Reply{}, targets.Failed
	}
	next := targets.Reply{Version: row.source.Version + 1, Token: r.Token}
	switch {
	case lost == 1:
		return targets.Reply{}, targets.Unknown
	case nth(n, s.forget):
		return targets.Reply{Version: next.Version}, targets.OK
	}
	row.source = next
	if s.log != nil {
		s.log(targets.Commit{Key: row.key, Version: next.Version, Token: r.Token, At: s.now()})
	}
	if !nth(n, s.keepStale) {
		row.cache = next
	}
	switch {
	case lost == 2:
		return targets.Reply{}, targets.Unknown
	case s.silentAcks:
		return targets.Reply{}, targets.OK
	}
	return targets.Reply{Version: next.Version}, targets.OK
}

// drive runs clients against the service at full speed, then reads everything past the cache.
func (s *service) drive(clients, ops int, historian bool) Findings {
	const rows = 8
	s.rows = make([]row, rows)
	commits := make(chan targets.Commit, 1024)
	var judged atomic.Int64
	j := New(Config{Run: run, Historian: historian, Judged: func(Judgement) { judged.Add(1) },
		Families: map[string]Family{"price": {Class: Strong, Horizon: time.Hour}}, Siblings: func(targets.Key) bool { return true }})
	var logged sync.Mutex // commit order across rows
	var teller sync.WaitGroup
	if historian {
		s.log = func(c targets.Commit) { logged.Lock(); defer logged.Unlock(); c.At = s.now(); commits <- c }
		teller.Go(func() {
			n := 0
			for c := range commits {
				j.Commit(c)
				if n++; n%7 == 0 {
					j.Commit(targets.Commit{At: c.At}) // everything before it was sent
				}
			}
		})
	}
	for i := range s.rows {
		r := &s.rows[i]
		r.key = targets.Key{Family: "price", ID: "9", Tenant: fmt.Sprint("t", i)}
		r.source = targets.Reply{Version: 1, Token: targets.NewToken(run, targets.SeedSeq, r.key)}
		r.cache = r.source
		if historian {
			s.log(targets.Commit{Key: r.key, Version: 1, Token: r.source.Token})
		}
	}
	var seq atomic.Uint64
	reads := atomic.Int64{}
	one := func(rng *rand.Rand, session uint64, kind targets.Kind, at int, instance string) {
		o := targets.Operation{Request: targets.Request{Seq: seq.Add(1), Kind: kind, Key: s.rows[at].key, Session: session, Instance: instance}}
		if kind == targets.Write {
			o.Token = targets.NewToken(run, o.Seq, o.Key)
		}
		o.Sent = s.now()
		j.Begin(o)
		o.Reply, o.Outcome = s.do(rng, o.Request, at)
		o.Returned = s.now()
		j.End(o)
		if kind == targets.Read {
			reads.Add(1)
		}
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), 5))
			for range ops {
				kind := targets.Read
				if rng.IntN(5) == 0 {
					kind = targets.Write
				}
				one(rng, uint64(c)+1, kind, rng.IntN(rows)*rng.IntN(2), "")
			}
		})
	}
	wg.Wait()
	for i := range s.rows {
		one(nil, 0, targets.Read, i, targets.SourceInstance)
	}
	close(commits)
	teller.Wait()
	if historian {
		j.Commit(targets.Commit{At: s.now()})
	}
	f := j.Finish()
	if judged.Load() != reads.Load() {
		panic(fmt.Sprintf("%d of %d reads were judged", judged.Load(), reads.Load()))
	}
	return f
}

// Under real concurrency a correct service is never accused, and each way to break it is found
// under its own name.
func TestConcurrentService(t *testing.T) {
	for _, historian := range []bool{false, true} {
		for _, c := range []struct {
			name  string
			make  func() *service
			found func(Findings) int
		}{
			{"correct", func() *service { return &service{} }, nil},
			{"correct, silent acknowledgements", func() *service { return &service{silentAcks: true} }, nil},
			{"stale copies", func() *service { return &service{keepStale: 9} }, func(f Findings) int { return f.Violations["strong"] }},
			{"lost writes", func() *service { return &service{forget: 9} }, func(f Findings) int { return f.LostWrites }},
			{"leaks", func() *service { return &service{swap: 50} }, func(f Findings) int { return f.Leaks }},
			{"damage", func() *service { return &service{mangle: 50} }, func(f Findings) int { return f.Corruptions }},
		} {
			t.Run(fmt.Sprintf("%s, historian=%v", c.name, historian), func(t *testing.T) {
				f := c.make().drive(8, 400, historian)
				if c.found == nil {
					require.Empty(t, f.Accusations)
					require.Zero(t, f.Unjudged)
					require.Zero(t, f.SessionViolations)
					require.NotZero(t, f.Opportunities["stale"])
					require.NotZero(t, f.Opportunities["violations"])
					require.NotZero(t, f.Opportunities["leaks"])
					require.NotZero(t, f.Opportunities["corruptions"])
					require.NotZero(t, f.Opportunities["sessions"])
					if historian {
						require.Equal(t, f.Acknowledged, f.Opportunities["lost_writes"])
					}
					return
				}
				require.NotZero(t, c.found(f))
				innocent := Findings{LostWrites: f.LostWrites, Leaks: f.Leaks, Corruptions: f.Corruptions}
				switch c.name {
				case "stale copies":
					require.Zero(t, innocent.LostWrites+innocent.Leaks+innocent.Corruptions+f.DirtyReads+f.Rollbacks)
				case "leaks":
					require.Zero(t, f.LostWrites+f.Violations["strong"]+f.DirtyReads+f.Rollbacks+f.Corruptions)
				case "damage":
					require.Zero(t, f.LostWrites+f.Violations["strong"]+f.DirtyReads+f.Rollbacks+f.Leaks)
				}
			})
		}
	}
}
