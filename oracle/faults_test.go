package oracle

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// Each proven fault is found, counted once, under its own name, in words that a person understands.
func TestFaultsAreFound(t *testing.T) {
	other := key9
	other.Tenant = "t4"
	owner := func(o *targets.Operation) { o.Reply.Owner = other }
	foreign := func(k targets.Key, seq uint64) string { return targets.NewToken(run, seq, k) }
	elsewhere := func(d *drill, k targets.Key) { // an operation on another key, so that the judge knows it
		o := op(targets.Write, 77, 1, 2)
		o.Key, o.Token, o.Reply.Version = k, foreign(k, 77), 1
		d.do(o)
	}
	unrelated := targets.Key{Family: "product", ID: "17"}

	for _, c := range []struct {
		name string
		log  bool
		play func(d *drill)
		want map[string]string // kind: text
	}{
		{"a stale read of a strong family", false, func(d *drill) {
			d.write(1, 1, 2, 3)
			d.write(2, 10, 20, 4)
			d.read(3, 920, 930, 3, 1)
		}, map[string]string{
			"stale":     price9 + " read v3 at 0.920s from l2 at eu-1; v4 was acknowledged at 0.020s, 900ms before the read began",
			"violation": price9 + " read v3 at 0.920s from l2 at eu-1; v4 was acknowledged at 0.020s, 900ms before the read began",
		}},
		{"the same, by the log", true, func(d *drill) {
			d.commit(3, 1, 2)
			d.commit(4, 2, 20)
			d.read(3, 920, 930, 3, 1)
			d.seal(1000)
		}, map[string]string{
			"stale":     price9 + " read v3 at 0.920s from l2 at eu-1; v4 was committed at 0.020s, 900ms before the read began",
			"violation": price9 + " read v3 at 0.920s from l2 at eu-1; v4 was committed at 0.020s, 900ms before the read began",
		}},
		{"not found, long after the creation", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.read(3, 5, 6, 0, 0, absent)
			d.seal(10)
		}, map[string]string{
			"stale":     price9 + " was answered as not found at 0.005s in eu; v1 was committed at 0.002s, 3ms before the read began",
			"violation": price9 + " was answered as not found at 0.005s in eu; v1 was committed at 0.002s, 3ms before the read began",
		}},
		{"a value that says it is another tenant's", false, func(d *drill) {
			d.read(3, 5, 6, 1, targets.SeedSeq, owner)
		}, map[string]string{"leak": price9 + " answered with the value of price:9 (tenant t4, currency EUR) at 0.005s from l2 at eu-1"}},
		{"a token of another tenant", false, func(d *drill) {
			elsewhere(d, other)
			d.read(3, 5, 6, 1, 0, token(foreign(other, 77)))
		}, map[string]string{"leak": price9 + " answered with the value of price:9 (tenant t4, currency EUR) at 0.005s from l2 at eu-1"}},
		{"another tenant's initial value, by the log", true, func(d *drill) {
			d.j.Commit(targets.Commit{Key: other, Version: 1, Token: foreign(other, targets.SeedSeq)})
			d.commit(1, targets.SeedSeq, 0)
			d.read(3, 5, 6, 1, 0, token(foreign(other, targets.SeedSeq)))
			d.seal(10)
		}, map[string]string{"leak": price9 + " answered with the value of price:9 (tenant t4, currency EUR) at 0.005s from l2 at eu-1"}},
		{"a token of another family", false, func(d *drill) {
			elsewhere(d, unrelated)
			d.read(3, 5, 6, 1, 0, token(foreign(unrelated, 77)))
		}, map[string]string{"corruption": price9 + " answered with the value of product:17 at 0.005s from l2 at eu-1"}},
		{"a token of an unknown key", false, func(d *drill) {
			d.read(3, 5, 6, 1, 0, token(foreign(unrelated, 77)))
		}, map[string]string{"corruption": price9 + ": the value of write 77 as v1, answered at 0.005s from l2 at eu-1, was the value of a key unknown to this drill"}},
		{"a damaged token", false, func(d *drill) {
			d.read(3, 5, 6, 1, 0, token("rubbish"))
		}, map[string]string{"corruption": price9 + ` answered with a damaged value "rubbish" at 0.005s from l2 at eu-1`}},
		{"an empty value among values", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.read(3, 5, 6, 1, 0, token(""))
			d.read(4, 7, 8, 1, 1)
			d.seal(10)
		}, map[string]string{"corruption": price9 + ": v1, answered at 0.005s from l2 at eu-1, carried no value"}},
		{"one version, two values", false, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.write(2, 3, 4, 2)
			d.read(3, 5, 6, 2, 1)
		}, map[string]string{"corruption": price9 + " answered v2 with the value of write 1 at 0.005s from l2 at eu-1, but v2 is the value of write 2"}},
		{"one version, two values, by the log", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.commit(2, 2, 4)
			d.read(3, 5, 6, 2, 1)
			d.seal(10)
		}, map[string]string{"corruption": price9 + " answered v2 with the value of write 1 at 0.005s from l2 at eu-1, but v2 is the value of write 2"}},
		{"a version that precedes one seen before it was sent", false, func(d *drill) {
			d.write(1, 1, 2, 5)
			d.write(2, 10, 12, 4)
		}, map[string]string{"corruption": "the value of write 2 became v4 of " + price9 + "; it was sent at 0.010s, but v5 had been acknowledged already at 0.002s"}},
		{"a value under the version of another write, before that was acknowledged", false, func(d *drill) {
			first, second := op(targets.Write, 1, 1, 20), op(targets.Write, 2, 2, 3)
			d.j.Begin(first)
			second.Reply.Version = 6
			d.do(second)
			d.read(3, 5, 6, 5, 2)
			first.Reply.Version = 5
			d.j.End(first)
			d.read(4, 30, 31, 4, 0, past) // accused, but no more: what was seen can't be believed
		}, map[string]string{
			"corruption": "v5 of " + price9 + " had been answered with the value of write 2; the value of write 1 was acknowledged as v5 at 0.020s",
			"dirty read": price9 + ": the value of write 0 as v4, answered at 0.030s past the caches at eu-1, was stored by no write of this drill",
		}},
		{"a version that the source answers with another value than was seen", false, func(d *drill) {
			for seq := range uint64(2) {
				o := op(targets.Write, seq+1, 1, 2)
				o.Outcome = targets.Unknown
				d.do(o)
			}
			d.read(3, 5, 6, 5, 1)
			d.read(4, 20, 21, 5, 2, past)
		}, map[string]string{"rollback": "v5 of " + price9 + " was seen at 0.006s and is gone; the source answered its version with another value"}},
		{"a value that no write stored", false, func(d *drill) {
			d.read(3, 5, 6, 1, 55)
		}, map[string]string{"dirty read": price9 + ": the value of write 55 as v1, answered at 0.005s from l2 at eu-1, was stored by no write of this drill"}},
		{"a value that was never committed", true, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.commit(1, 1, 2)
			o := op(targets.Write, 2, 3, 5)
			o.Outcome = targets.Unknown
			d.do(o)
			d.read(3, 5, 6, 2, 2)
			d.seal(10)
		}, map[string]string{"dirty read": price9 + ": the value of write 2 as v2, answered at 0.005s from l2 at eu-1, was not in the source's history by then"}},
		{"a value that was committed after it was answered", true, func(d *drill) {
			d.j.Begin(op(targets.Write, 2, 3, 0))
			d.read(3, 5, 6, 1, 2)
			d.commit(1, 2, 7)
			d.seal(10)
			d.read(4, 11, 12, 1, 2)
			d.seal(20)
		}, map[string]string{"dirty read": price9 + ": the value of write 2 as v1, answered at 0.005s from l2 at eu-1, was not in the source's history by then"}},
		{"a rejected write that is read", false, func(d *drill) {
			o := op(targets.Write, 1, 1, 2)
			o.Outcome, o.Err = targets.Failed, targets.ErrNotApplied
			d.do(o)
			d.read(3, 5, 6, 1, 1)
			d.read(4, 7, 8, 1, 1)
		}, map[string]string{"false rejection": "write 1 of " + price9 + " was rejected as not applied, and was there as v1 at 0.005s"}},
		{"a rejected write that is read without a version", false, func(d *drill) {
			o := op(targets.Write, 1, 1, 2)
			o.Outcome, o.Err = targets.Failed, targets.ErrNotApplied
			d.do(o)
			d.read(3, 5, 6, 0, 1)
			d.read(4, 7, 8, 0, 1)
		}, map[string]string{"false rejection": "write 1 of " + price9 + " was rejected as not applied, and was there at 0.005s"}},
		{"a rejected write that was read before it was rejected", false, func(d *drill) {
			o := op(targets.Write, 1, 1, 9)
			d.j.Begin(o)
			d.read(3, 5, 6, 1, 1)
			o.Outcome, o.Err = targets.Failed, targets.ErrNotApplied
			d.j.End(o)
		}, map[string]string{"false rejection": "write 1 of " + price9 + " was rejected as not applied, and was there as v1 at 0.009s"}},
		{"a rejected write in the log", true, func(d *drill) {
			o := op(targets.Write, 1, 1, 2)
			o.Outcome, o.Err = targets.Failed, targets.ErrNotApplied
			d.do(o)
			d.commit(1, 1, 2)
			d.seal(5)
		}, map[string]string{"false rejection": "write 1 of " + price9 + " was rejected as not applied, and was there as v1 at 0.002s"}},
		{"an acknowledged write that is not in the log", true, func(d *drill) {
			d.write(1, 1, 12, 5)
			d.seal(20)
		}, map[string]string{"lost write": "write 1 of " + price9 + " was acknowledged as v5 at 0.012s and is not in the source's history"}},
		{"an acknowledged write that the source does not answer", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.write(2, 3, 4, 5)
			d.read(3, 5, 6, 5, 2) // it was seen, too: still one fault
			d.read(4, 20, 21, 4, 1, past)
			d.read(5, 22, 23, 4, 1, past)
		}, map[string]string{"lost write": "write 2 of " + price9 + " was acknowledged as v5 at 0.004s; the source answered v4 at 0.020s"}},
		{"everything is gone, even a write of unknown version", false, func(d *drill) {
			d.write(1, 1, 2, 0)
			d.read(4, 20, 21, 0, 0, absent, past)
		}, map[string]string{"lost write": "write 1 of " + price9 + " was acknowledged at 0.002s; the source answered not found at 0.020s"}},
		{"two writes acknowledged as one version", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.write(2, 1, 3, 4)
			d.read(4, 20, 21, 4, 1, past)
		}, map[string]string{"lost write": "write 2 of " + price9 + " was acknowledged as v4 at 0.003s; another write was acknowledged as the same version"}},
		{"a version that was seen and is gone", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			o := op(targets.Write, 2, 3, 4)
			o.Outcome = targets.Unknown
			d.do(o)
			d.read(3, 5, 6, 5, 2)
			d.read(4, 20, 21, 4, 1, past)
		}, map[string]string{"rollback": "v5 of " + price9 + " was seen at 0.006s and is gone; the source answered v4 at 0.020s"}},
		{"a version that is another value now", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.commit(1, 2, 8)
			d.seal(20)
		}, map[string]string{"rollback": "v1 of " + price9 + " was committed at 0.002s and is gone; its version was committed again with another value"}},
		{"a logged version that the source no longer answers", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.commit(2, 2, 8)
			d.read(4, 20, 21, 1, 1, past)
			d.seal(30)
		}, map[string]string{"rollback": "v2 of " + price9 + " was committed at 0.008s and is gone; the source answered v1 at 0.020s"}},
		{"a value that the source answers instead of the acknowledged one", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			o := op(targets.Write, 2, 3, 4)
			o.Outcome = targets.Unknown
			d.do(o)
			d.read(4, 20, 21, 4, 2, past)
		}, map[string]string{"lost write": "write 1 of " + price9 + " was acknowledged as v4 at 0.002s; the source answered its version with another value"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t, Config{Historian: c.log})
			c.play(d)
			f := d.j.Finish()
			got := map[string]string{}
			for _, a := range f.Accusations {
				require.NotContains(t, got, a.Kind, "once")
				got[a.Kind] = a.Text
				require.Equal(t, "price", a.Family)
				require.Equal(t, "strong", a.Class)
				require.NotEmpty(t, a.Proof)
				require.NotEmpty(t, a.History)
				if strings.HasSuffix(a.Text, "carried no value") {
					continue // that other values of the family carry one is not in its history
				}
				cfg := Config{Run: run, Historian: c.log, Families: map[string]Family{"price": {Class: Strong}}}
				require.True(t, accusesAgain(cfg, a.History, a, Judgement{}), "%s\n%s\n%s", a.Text, a.Proof, show(a.History))
			}
			require.Equal(t, c.want, got)
			counted := map[string]int{"lost write": f.LostWrites, "rollback": f.Rollbacks, "leak": f.Leaks, "corruption": f.Corruptions,
				"dirty read": f.DirtyReads, "false rejection": f.FalseRejections, "violation": f.Violations["strong"]}
			for kind, n := range counted {
				want := 0
				if _, ok := c.want[kind]; ok {
					want = 1
				}
				require.Equal(t, want, n, kind)
			}
		})
	}
}
