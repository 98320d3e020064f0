package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// What is odd, but allowed, is not accused.
func TestOddButAllowed(t *testing.T) {
	for _, c := range []struct {
		name     string
		log      bool
		play     func(d *drill)
		unjudged int
	}{
		{"a value of another run makes the key unjudged", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.read(3, 5, 6, 9, 0, token(targets.NewToken("r0", 5, key9)))
			d.read(4, 7, 8, 3, 1)
			d.read(5, 20, 21, 2, 0, token(targets.NewToken("r0", 4, key9)), past)
		}, 3},
		{"a value of another run that the log knows is like any other", true, func(d *drill) {
			d.j.Commit(targets.Commit{Key: key9, Version: 1, Token: targets.NewToken("r0", 5, key9)})
			d.read(3, 5, 6, 1, 0, token(targets.NewToken("r0", 5, key9)))
			d.seal(10)
		}, 0},
		{"a target that tells no tokens is judged by versions", false, func(d *drill) {
			d.read(3, 5, 6, 1, 0, token(""))
			d.read(4, 7, 8, 1, 0, token(""))
			d.read(5, 9, 10, 2, 0, token(""))
		}, 0},
		{"a target that tells nothing is not judged", false, func(d *drill) {
			d.read(3, 5, 6, 0, 0, token(""))
		}, 1},
		{"a target that tells no versions is judged where they are known", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.read(3, 5, 6, 0, 1)
			d.write(2, 7, 8, 0)
			d.read(4, 9, 10, 0, 2)
		}, 1},
		{"an unknown write is never lost", true, func(d *drill) {
			o := op(targets.Write, 2, 3, 4)
			o.Outcome = targets.Unknown
			d.do(o)
			d.seal(20)
		}, 0},
		{"an unknown write that the source does not answer", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			o := op(targets.Write, 2, 3, 4)
			o.Outcome = targets.Unknown
			d.do(o)
			d.read(4, 20, 21, 4, 1, past)
		}, 0},
		{"a source read that began before the acknowledgement", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.write(2, 3, 30, 5)
			d.read(4, 20, 40, 4, 1, past)
		}, 0},
		{"a deletion explains that nothing is there", true, func(d *drill) {
			d.write(1, 1, 5, 1)
			d.commit(1, 1, 2)
			d.j.Commit(targets.Commit{Key: key9, Version: 2, Deleted: true, At: ms(6)})
			d.read(3, 7, 8, 0, 0, absent)
			d.read(4, 20, 21, 0, 0, absent, past)
			d.seal(30)
		}, 0},
		{"a log that ends early proves nothing lost and nothing dirty", true, func(d *drill) {
			d.seal(2)
			d.write(1, 1, 2, 1)
			d.read(3, 7, 8, 1, 1)
			d.read(4, 7, 8, 0, 0, absent)
		}, 1},
		{"a log that ends early may lack the deletion", true, func(d *drill) {
			d.commit(1, 1, 1)
			d.seal(2)
			d.read(4, 7, 8, 0, 0, absent)
			d.read(5, 7, 8, 0, 0, absent, past)
		}, 0},
		{"a deletion at the time of the seal", true, func(d *drill) {
			d.commit(1, 1, 1)
			d.read(4, 5, 6, 0, 0, absent)
			d.seal(6)
			d.j.Commit(targets.Commit{Key: key9, Version: 2, Deleted: true, At: ms(6)})
			d.seal(7)
		}, 0},
		{"the log arrives twice", true, func(d *drill) {
			d.commit(1, 1, 2)
			d.commit(1, 1, 2)
			d.seal(1)
		}, 0},
		{"failed reads", false, func(d *drill) {
			d.write(1, 1, 2, 4)
			d.read(4, 20, 21, 3, 1, outcome(targets.Failed))
		}, 0},
		{"an End without a Begin", false, func(d *drill) {
			o := op(targets.Write, 1, 1, 2)
			o.Reply.Version = 1
			d.j.End(o)
			r := op(targets.Read, 2, 3, 4)
			r.Reply = targets.Reply{Version: 1, Token: tok(1)}
			d.j.End(r)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t, Config{Historian: c.log})
			c.play(d)
			f := d.j.Finish()
			require.Empty(t, f.Accusations)
			require.Equal(t, c.unjudged, f.Unjudged)
			require.Zero(t, f.LostWrites+f.Rollbacks+f.Leaks+f.Corruptions+f.DirtyReads+f.FalseRejections+f.Violations["strong"])
		})
	}
}
