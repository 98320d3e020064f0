package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// delete is an acknowledged deletion, unless change says otherwise.
func (d *drill) delete(seq uint64, from, to int, version uint64, change ...func(*targets.Operation)) {
	o := op(targets.Delete, seq, from, to)
	o.Reply.Version = version
	for _, c := range change {
		c(&o)
	}
	d.do(o)
}

func (d *drill) buried(version uint64, at int) {
	d.j.Commit(targets.Commit{Key: key9, Version: version, Deleted: true, At: ms(at)})
}

func TestDeletions(t *testing.T) {
	for _, c := range []struct {
		name string
		log  bool
		play func(d *drill)
		want map[string]string
	}{
		{"a value read after its deletion was acknowledged", false, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.delete(2, 3, 4, 2)
			d.read(3, 10, 11, 1, 1)
			d.read(4, 10, 11, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " read v1 at 0.010s from l2 at eu-1; v2 was acknowledged at 0.004s, 6ms before the read began"}},
		{"the same without versions", false, func(d *drill) {
			d.write(1, 1, 2, 0)
			d.delete(2, 3, 4, 0)
			d.read(3, 10, 11, 0, 1)
			d.read(4, 10, 11, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " read the value of write 1 at 0.010s from l2 at eu-1; a later write was acknowledged at 0.004s, 6ms before the read began"}},
		{"not found after a re-creation", false, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.delete(2, 3, 4, 2)
			d.write(3, 5, 6, 3)
			d.read(4, 10, 11, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " was answered as not found at 0.010s in eu; v3 was acknowledged at 0.006s, 4ms before the read began"}},
		{"not found after a re-creation, without versions", false, func(d *drill) {
			d.write(1, 1, 2, 0)
			d.delete(2, 3, 4, 0)
			d.write(3, 5, 6, 0)
			d.read(4, 10, 11, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " was answered as not found at 0.010s in eu; a later write was acknowledged at 0.006s, 4ms before the read began"}},
		{"a silent deletion does not explain what came after it", false, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.delete(2, 3, 4, 0)
			d.write(3, 5, 6, 3)
			d.read(4, 10, 11, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " was answered as not found at 0.010s in eu; v3 was acknowledged at 0.006s, 4ms before the read began"}},
		{"an acknowledged deletion that the source does not answer", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.delete(2, 3, 4, 5)
			d.read(3, 20, 21, 4, 1, past)
		}, map[string]string{"lost write": "a deletion of " + price9 + " was acknowledged as v5 at 0.004s; the source answered v4 at 0.020s"}},
		{"the same without versions", false, func(d *drill) {
			d.write(1, 1, 2, 0)
			d.delete(2, 3, 4, 0)
			d.read(3, 20, 21, 0, 1, past)
			d.read(4, 22, 23, 0, 1, past)
		}, map[string]string{"lost write": "deletion 2 of " + price9 + " was acknowledged at 0.004s; the source answered the value of write 1 at 0.020s"}},
		{"a write that the source lost, without versions", false, func(d *drill) {
			d.delete(1, 1, 2, 0)
			d.write(2, 3, 4, 0)
			d.read(4, 20, 21, 0, 0, absent, past)
		}, map[string]string{"lost write": "write 2 of " + price9 + " was acknowledged at 0.004s; the source answered not found at 0.020s"}},
		{"a value that was seen and is gone, without versions", false, func(d *drill) {
			d.write(1, 1, 2, 0)
			o := op(targets.Write, 2, 3, 4)
			o.Outcome = targets.Unknown
			d.do(o)
			d.read(3, 5, 6, 0, 2)
			d.read(4, 20, 21, 0, 1, past)
		}, map[string]string{"rollback": "the value of write 2 of " + price9 + " was seen at 0.006s and is gone; the source answered the value of write 1 at 0.020s"}},
		{"an acknowledged deletion that is not in the log", true, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.commit(1, 1, 2)
			d.delete(2, 3, 4, 2)
			d.seal(20)
		}, map[string]string{"lost write": "deletion 2 of " + price9 + " was acknowledged as v2 at 0.004s and is not in the source's history"}},
		{"a deletion and a write acknowledged as one version", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.delete(2, 1, 3, 4)
		}, map[string]string{"lost write": "deletion 2 of " + price9 + " was acknowledged as v4 at 0.003s; another write was acknowledged as the same version"}},
		{"odd: a deletion in the log by an unknown client", true, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.commit(1, 1, 2)
			d.delete(2, 3, 5, 2)
			d.buried(2, 4)
			d.delete(3, 3, 5, 2)
			d.delete(4, 6, 7, 0)
			d.delete(5, 6, 7, 0, outcome(targets.Unknown))
			d.delete(6, 6, 7, 0, outcome(targets.Failed))
			d.read(7, 8, 9, 0, 0, absent)
			d.seal(20)
		}, map[string]string{}},
		{"odd: two deletions acknowledged as one version", false, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.delete(2, 5, 8, 2)
			d.delete(3, 3, 7, 2)
			d.read(4, 4, 4, 0, 0, absent)
			d.read(5, 20, 21, 0, 0, absent, past)
		}, map[string]string{}},
		{"odd: an unknown deletion lands late", false, func(d *drill) {
			d.delete(1, 1, 2, 0, outcome(targets.Unknown))
			d.write(2, 3, 4, 7)
			d.read(3, 20, 21, 0, 0, absent)
			d.read(4, 22, 23, 0, 0, absent, past)
		}, map[string]string{}},
		{"odd: the same without versions", false, func(d *drill) {
			d.delete(1, 1, 2, 0, outcome(targets.Unknown))
			d.write(2, 3, 4, 0)
			d.read(3, 20, 21, 0, 0, absent)
			d.read(4, 22, 23, 0, 0, absent, past)
		}, map[string]string{}},
		{"a deletion that was rejected explains nothing", false, func(d *drill) {
			d.write(2, 3, 4, 0)
			d.delete(1, 5, 6, 0, outcome(targets.Failed))
			d.read(3, 20, 21, 0, 0, absent)
		}, map[string]string{"stale": "", "violation": price9 + " was answered as not found at 0.020s in eu; a later write was acknowledged at 0.004s, 16ms before the read began"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t, Config{Historian: c.log})
			c.play(d)
			got := map[string]string{}
			for _, a := range d.j.Finish().Accusations {
				require.NotContains(t, got, a.Kind, "once")
				got[a.Kind] = a.Text
				if a.Kind == "stale" {
					got[a.Kind] = ""
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

// A write may be stored twice, and the second commit may carry the very time of the seal: a token
// without a version does not say which of the two was read.
func TestATokenStoredAgainAtTheTimeOfASeal(t *testing.T) {
	d := newDrill(t, Config{Historian: true})
	d.commit(1, 1, 4)
	d.commit(2, 2, 8)
	d.read(3, 9, 12, 0, 1)
	d.seal(12)
	d.commit(3, 1, 12)
	d.seal(20)
	require.Len(t, d.judged, 1)
	require.Equal(t, Fresh, d.judged[0].Answer)
	require.Empty(t, d.j.Finish().Accusations)
}
