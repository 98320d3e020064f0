package verdict

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

const ms = time.Millisecond

// feed gives a recorder made-up operations, in order, from one goroutine.
type feed struct {
	*measure.Recorder
	seq uint64
}

func newFeed(t *testing.T, objectives ...string) *feed {
	t.Helper()
	return &feed{Recorder: measure.NewRecorder(measure.RecorderConfig{
		Objectives: grouped(t, objectives...),
		Classes:    map[string]string{"product": "bounded", "price": "strong"},
	})}
}

// grouped reads objectives written as "group: expression".
func grouped(t *testing.T, texts ...string) []slo.PhaseObjective {
	t.Helper()
	var out []slo.PhaseObjective
	for _, text := range texts {
		for _, g := range slo.Groups() {
			if rest, ok := cut(text, string(g)+": "); ok {
				o := parsed(t, rest)
				require.Nil(t, o.CheckGroup(g), text)
				out = append(out, slo.PhaseObjective{Group: g, Objective: o})
			}
		}
	}
	require.Len(t, out, len(texts))
	return out
}

func cut(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// ops feeds rate operations per second, due from from up to to: reads of product:1 in eu from l1
// that take 1 ms, unless edit changes them.
func (f *feed) ops(from, to time.Duration, rate int, edit func(i int, op *targets.Operation)) {
	step := time.Second / time.Duration(rate)
	for i, due := 0, from; due < to; i, due = i+1, due+step {
		op := targets.Operation{
			Request: targets.Request{Seq: f.seq, Key: targets.Key{Family: "product", ID: "1", Tenant: "t1"}, Region: "eu"},
			Reply:   targets.Reply{Version: 1, Tier: targets.TierL1, Worker: "eu-0"},
			Due:     due, Sent: due, Returned: due + ms,
		}
		f.seq++
		if edit != nil {
			edit(i, &op)
		}
		f.Observe(op)
	}
}

func taking(d time.Duration) func(int, *targets.Operation) {
	return func(_ int, op *targets.Operation) { op.Returned = op.Due + d }
}

func failing(_ int, op *targets.Operation) {
	op.Outcome, op.Err, op.Reply = targets.Failed, errors.New("connection refused"), targets.Reply{}
}

func parsed(t *testing.T, expr string) slo.Objective {
	t.Helper()
	o, err := slo.ParseObjective(expr)
	require.Nil(t, err, expr)
	return o
}

func num(v float64) *float64 { return &v }
