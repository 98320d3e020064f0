package oracle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// FuzzJudge makes any calls in any order, also such as no caller may make: the judge must answer
// every read at most once a call, and not panic. Then it plays a world made from the same input,
// and holds the answers against the batch reference.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("begin and end"), uint64(1), byte(0))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, uint64(2), byte(0xff))
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		data := make([]byte, 400)
		for k := range data {
			data[k] = byte(rng.Uint32())
		}
		f.Add(data, uint64(i), byte(i*13))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, flags byte) {
		anyCalls(t, data, flags&1 != 0)
		r := recipe{seeded: true, unknown: true, stale: true, blind: true, deletes: flags&2 != 0, broken: flags&4 != 0, writes: 3, reads: 4, span: 7}
		rng := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(rng, r)
		judged, _ := w.stream(rng, strong)
		for _, o := range w.reads() {
			if d := judged[o.Seq]; d.Accused == "" {
				least, _ := w.looseWorlds(o)
				require.Equal(t, least, d.Low, "read %d of %s", o.Seq, w)
			}
		}
		r.blind, r.deletes, r.broken = false, false, false
		w = newWorld(rng, r)
		judged, _ = w.stream(rng, strong)
		for _, o := range w.reads() {
			answer, low, high := w.bruteForce(o)
			require.Equal(t, fmt.Sprint(answer, low, high), fmt.Sprint(judged[o.Seq].Answer, judged[o.Seq].Low, judged[o.Seq].High), "read %d of %s", o.Seq, w)
		}
	})
}

// anyCalls turns four bytes into a call.
func anyCalls(t *testing.T, data []byte, historian bool) {
	ended, judged := 0, 0
	j := New(Config{Run: run, Historian: historian, Families: map[string]Family{"price": {Class: Class(len(data) % 3), Within: 3, Horizon: 5}},
		Judged: func(d Judgement) {
			judged++
			require.GreaterOrEqual(t, d.Low, time.Duration(0))
			require.GreaterOrEqual(t, d.High, time.Duration(-1)) // what contradicts itself may have Low > High
			_ = d.Text()
		}})
	other := key9
	other.Tenant = "t4"
	now := time.Duration(0)
	for ; len(data) >= 4; data = data[4:] {
		a, b, c, d := data[0], data[1], data[2], data[3]
		now += time.Duration(a >> 6)
		o := targets.Operation{Request: targets.Request{Seq: uint64(b & 15), Kind: targets.Kind(b >> 4 & 3), Key: key9, Session: uint64(b >> 6)},
			Sent: max(0, now-time.Duration(c&7)), Outcome: targets.Outcome(c >> 3 & 3)}
		if d&1 != 0 {
			o.Key = other
		}
		if d&14 == 14 {
			o.Instance = targets.SourceInstance
		}
		author := uint64(d >> 4)
		if author == 15 {
			author = targets.SeedSeq
		}
		value := targets.NewToken(run, author, o.Key)
		switch {
		case a&31 == 31:
			value = targets.NewToken("r0", author, o.Key)
		case a&31 == 30:
			value = value[1:]
		case a&31 == 29:
			value = ""
		}
		if o.Kind == targets.Write {
			o.Token = targets.NewToken(run, o.Seq, o.Key)
		}
		switch a & 7 {
		case 0, 1:
			o.Outcome = targets.OK
			j.Begin(o)
		case 2, 3, 4, 5:
			o.Returned = now
			o.Reply.Version = uint64(c >> 5 & 3)
			switch {
			case o.Kind.Changes():
			case d&8 != 0:
				o.Reply.Absent = true
			default:
				o.Reply.Token = value
			}
			if o.Outcome == targets.OK && !o.Kind.Changes() {
				ended++
			}
			j.End(o)
		case 6:
			if historian {
				j.Commit(targets.Commit{Key: o.Key, Version: uint64(c & 3), Token: value, Deleted: value == "", At: o.Sent})
			}
		case 7:
			if d&2 != 0 {
				j.FaultBegan(now)
			} else {
				j.FaultHealed(now)
			}
		}
	}
	j.Finish()
	require.Equal(t, ended, judged)
}
