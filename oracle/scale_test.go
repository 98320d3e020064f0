package oracle

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// TestScale judges reads by the hundred million and says what that takes. It runs for minutes, so
// only when asked:
//
//	CACHEDRILL_SCALE=100000000 go test -run TestScale -v -timeout 30m ./oracle
//
// The number is the operations, of which one in a hundred is a write; at 100,000,000 the heap must
// stay below 300 MB at its peak, garbage, the traffic's own keys and the findings included.
func TestScale(t *testing.T) {
	ops, err := strconv.Atoi(os.Getenv("CACHEDRILL_SCALE"))
	if err != nil {
		t.Skip("CACHEDRILL_SCALE is not set to a number of operations")
	}
	for _, historian := range []bool{true, false} {
		t.Run(map[bool]string{true: "historian", false: "blackbox"}[historian], func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(280e6)) // garbage must not pile up to twice what lives
			s := newScale(100_000, 1_000, historian)
			began := time.Now()
			s.run(ops)
			f := s.judge.Finish()
			s.measure()
			took := time.Since(began)
			t.Logf("%d operations, %d writes in %v (%.0f/s): peak heap %.0f MB, live after the last collection %.0f MB, peak RSS of the process %s",
				ops, f.Writes, took.Round(time.Second), float64(ops)/took.Seconds(), s.peak/1e6, s.live()/1e6, peakRSS(t))
			require.InDelta(t, ops/100, f.Writes, float64(ops)/1000)
			require.Equal(t, ops-f.Writes, s.judged)
			require.Zero(t, f.Unjudged)
			require.Empty(t, f.Accusations)
			if ops == 100_000_000 {
				require.Less(t, s.peak, 300e6)
			}
			runtime.KeepAlive(s)
		})
	}
}

// scale is traffic that is made while it is judged: Zipf keys, thirty operations in flight, a
// microsecond apart.
type scale struct {
	historian bool
	judge     *Judge
	rng       *rand.Rand
	sessions  uint64
	picks     []uint32 // keys, drawn beforehand
	rows      []current
	flying    [30]targets.Operation
	judged    int
	peak      float64
}

type current struct {
	key     targets.Key
	version uint64
	token   string
}

func newScale(keys, sessions int, historian bool) *scale {
	s := &scale{historian: historian, rng: rand.New(rand.NewPCG(1, 2)), sessions: uint64(sessions),
		picks: make([]uint32, 1<<20), rows: make([]current, keys)}
	zipf := rand.NewZipf(s.rng, 1.01, 1, uint64(keys-1))
	for i := range s.picks {
		s.picks[i] = uint32(zipf.Uint64())
	}
	s.judge = New(Config{Run: run, Historian: historian, Judged: func(Judgement) { s.judged++ },
		Siblings: func(targets.Key) bool { return true },
		Families: map[string]Family{"product": {Class: Bounded, Within: time.Second, Horizon: time.Minute}}})
	for i := range s.rows {
		key := targets.Key{Family: "product", ID: fmt.Sprint(i), Tenant: "t3", Locale: "de"}
		s.rows[i] = current{key, 1, targets.NewToken(run, targets.SeedSeq, key)}
		if historian {
			s.judge.Commit(targets.Commit{Key: key, Version: 1, Token: s.rows[i].token})
		}
	}
	return s
}

func (s *scale) run(ops int) {
	for n := range ops + len(s.flying) {
		at := time.Duration(n+1) * time.Microsecond
		slot := &s.flying[n%len(s.flying)]
		if n >= len(s.flying) {
			slot.Returned = at
			s.judge.End(*slot)
		}
		if n < ops {
			*slot = s.operation(uint64(n), at)
		}
		if n%8192 == 0 && s.historian {
			s.judge.Commit(targets.Commit{At: at})
		}
		if n%(1<<20) == 0 {
			s.measure()
		}
	}
	if s.historian {
		s.judge.Commit(targets.Commit{At: never - 1})
	}
}

func (s *scale) operation(seq uint64, at time.Duration) targets.Operation {
	r := &s.rows[s.picks[s.rng.Uint32()%uint32(len(s.picks))]]
	op := targets.Operation{Sent: at, Request: targets.Request{Seq: seq, Key: r.key, Session: s.rng.Uint64N(s.sessions) + 1, Region: "eu"}}
	if s.rng.Uint32()%100 == 0 {
		op.Kind, op.Token = targets.Write, targets.NewToken(run, seq, r.key)
		s.judge.Begin(op)
		r.version, r.token = r.version+1, op.Token
		op.Reply.Version = r.version
		if s.historian {
			s.judge.Commit(targets.Commit{Key: r.key, Version: r.version, Token: r.token, At: at + 1})
		}
		return op
	}
	s.judge.Begin(op)
	op.Reply = targets.Reply{Version: r.version, Token: r.token, Tier: targets.TierL1, Worker: "eu-1"}
	return op
}

func (s *scale) measure() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.peak = max(s.peak, float64(m.HeapAlloc))
}

func (s *scale) live() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// peakRSS is what the kernel says; "unknown" where it says nothing.
func peakRSS(t *testing.T) string {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	defer func() { require.NoError(t, f.Close()) }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
