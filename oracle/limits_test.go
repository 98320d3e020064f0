package oracle

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// Writes of unknown outcome make reads indeterminate, and beyond a cap the key unjudged; survival
// is still checked.
func TestTooManyUnknownWrites(t *testing.T) {
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 1)
	for i := range uint64(history.MaxUnresolved) {
		o := op(targets.Write, 100+i, 3, 4)
		o.Outcome = targets.Unknown
		d.do(o)
	}
	d.read(2, 5, 6, 1, 1)
	require.Equal(t, Indeterminate, d.judged[0].Answer)
	o := op(targets.Write, 200, 7, 8)
	o.Outcome = targets.Unknown
	d.do(o)
	d.read(3, 9, 10, 1, 1)
	require.Equal(t, Unjudged, d.judged[1].Answer)
	d.read(4, 9, 10, 2, 200) // forgotten, but not "never written"
	d.read(5, 20, 21, 0, 0, absent, past)
	f := d.j.Finish()
	require.Equal(t, []string{"write 1 of " + price9 + " was acknowledged as v1 at 0.002s; the source answered not found at 0.020s"},
		texts(f, "lost write"))
	require.Zero(t, f.DirtyReads)
	require.Equal(t, 3, f.Unjudged)
}

// A target whose acknowledgements tell no versions does not crowd a key, as long as its reads do.
func TestSilentAcknowledgementsDoNotCrowd(t *testing.T) {
	d := newDrill(t, Config{})
	at := 0
	for i := range 10 * history.MaxUnresolved {
		seq := uint64(3*i + 1)
		d.write(seq, at+1, at+2, 0) // overwritten before anybody saw it
		d.write(seq+1, at+3, at+4, 0)
		d.read(seq+2, at+5, at+6, uint64(2*i+2), seq+1)
		at += 10
	}
	judged := d.judged
	d.read(1e6, at+1, at+2, 2, 2) // v3 was never seen, and is forgotten, but it is what superseded v2
	f := d.j.Finish()
	require.Zero(t, f.Unjudged)
	old := d.judged[len(judged)]
	require.Equal(t, Stale, old.Answer)
	require.LessOrEqual(t, old.Low, ms(at+1-12))
	require.GreaterOrEqual(t, old.High, ms(at+1-11))
	for _, j := range judged {
		require.Equal(t, Fresh, j.Answer, j.Text())
	}
	require.Less(t, len(d.j.onlyKey().open.all), history.MaxUnresolved+1)
}

func (j *Judge) onlyKey() (only *keyState) {
	j.each(func(_ *shard, k *keyState) { only = k })
	return only
}

// After answers that contradict each other, or a log that does, nothing more is concluded from
// them.
func TestContradictionsMakeAKeyUnjudged(t *testing.T) {
	d := newDrill(t, Config{})
	for seq := range uint64(2) {
		o := op(targets.Write, seq+1, 1, 2)
		o.Outcome = targets.Unknown
		d.do(o)
	}
	d.read(3, 5, 6, 5, 1)
	d.read(4, 7, 8, 5, 2)
	d.read(5, 9, 10, 5, 1)
	require.Equal(t, []string{"", "corruption", ""}, []string{d.judged[0].Accused, d.judged[1].Accused, d.judged[2].Accused})
	require.Equal(t, "the target's answers contradict each other", d.judged[2].Why)
	require.Equal(t, 1, d.j.Finish().Unjudged)

	d = newDrill(t, Config{Historian: true})
	d.commit(1, 1, 2)
	d.commit(1, 2, 8)
	d.read(3, 9, 10, 1, 1)
	d.seal(20)
	require.Equal(t, "the source contradicted its own history", d.judged[0].Why)
}

func TestWords(t *testing.T) {
	require.Equal(t, []string{"lost write", "rollback", "leak", "corruption", "dirty read", "false rejection", "violation", "stale"}, Kinds())
	require.Equal(t, "bounded strong invalid", fmt.Sprint(Bounded, Strong, Class(9)))
	require.Equal(t, "unjudged fresh stale indeterminate invalid", fmt.Sprint(Unjudged, Fresh, Stale, Indeterminate, Answer(9)))
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 1)
	d.read(2, 3, 4, 1, 1)
	d.j.Begin(op(targets.Write, 3, 5, 0))
	d.read(4, 6, 7, 1, 1)
	d.read(5, 6, 7, 0, 0, token(targets.NewToken("r0", 1, key9)))
	d.j.Finish()
	got := []string{}
	for _, j := range d.judged {
		got = append(got, j.Text())
	}
	require.Equal(t, []string{
		price9 + " read v1 at 0.003s from l2 at eu-1, which was current when the read began",
		price9 + " read v0 at 0.006s from l2 at eu-1; not judged: another run wrote this value",
		price9 + " read v1 at 0.006s from l2 at eu-1; not judged: another run wrote to this key",
	}, got)
}

// When too many reads wait, those that would have to wait are unjudged, and what they prove still
// counts.
func TestTooManyReadsWait(t *testing.T) {
	for _, log := range []bool{false, true} {
		d := newDrill(t, Config{Historian: log})
		d.j.Begin(op(targets.Write, 1, 1, 0))
		d.j.waiting.Store(maxWaiting)
		d.read(2, 3, 4, 1, 1)
		require.Len(t, d.judged, 1)
		require.Equal(t, Unjudged, d.judged[0].Answer)
		d.j.waiting.Store(0)
		if log {
			d.commit(1, 1, 2)
		}
		d.read(3, 5, 6, 1, 1)
		if log {
			d.seal(7)
		}
		f := d.j.Finish()
		require.Len(t, d.judged, 2)
		require.Equal(t, Fresh, d.judged[1].Answer)
		require.Equal(t, 1, f.Unjudged)
		require.Empty(t, f.Accusations)
	}
}
