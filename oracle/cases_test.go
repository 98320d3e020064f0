package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// Histories of correct targets that simpler rules would accuse.
func TestCorrectHistoriesAreNotAccused(t *testing.T) {
	one := func(f Family) map[string]Family { return map[string]Family{"price": f} }
	strong := one(Family{Class: Strong})
	for name, c := range map[string]struct {
		cfg  Config
		play func(d *drill)
	}{
		"a shared key that another client deleted": {Config{Shared: true, Families: strong}, func(d *drill) {
			d.write(1, 1, 2, 0)
			d.read(2, 5, 6, 0, 0, absent)
		}},
		"a value stored again after the last seal": {Config{Historian: true, Families: strong}, func(d *drill) {
			d.commit(1, 1, 2)
			d.commit(2, 2, 5)
			d.seal(7)
			d.write(1, 1, 2, 0)
			d.write(2, 4, 6, 0)
			d.read(3, 9, 10, 0, 1)
			d.read(4, 11, 12, 0, 1, past)
		}},
		"a deletion among too many writes of unknown outcome": {Config{Families: one(Family{Class: Bounded, Within: ms(100)})}, func(d *drill) {
			d.write(1, 1, 2, 1)
			for i := range uint64(64) {
				o := op(targets.Write, 100+i, 3, 4)
				o.Outcome = targets.Unknown
				d.do(o)
			}
			o := op(targets.Delete, 200, 5, 6)
			o.Token, o.Outcome = "", targets.Unknown
			d.do(o)
			d.write(2, 7, 8, 2)
			d.read(3, 10, 11, 0, 0, absent, past)
		}},
		"an answer that a fault overtook": {Config{Families: one(Family{Class: Eventual, Within: ms(10)})}, func(d *drill) {
			d.write(1, 1, 2, 1)
			d.write(2, 3, 4, 2)
			d.j.FaultBegan(ms(21))
			d.j.FaultHealed(ms(30))
			d.read(3, 20, 25, 1, 1)
		}},
		"a session that read a value stored twice": {Config{Historian: true, Families: one(Family{Class: Bounded, Within: ms(100)})}, func(d *drill) {
			session := func(o *targets.Operation) { o.Session = 1 }
			d.commit(1, 1, 2)
			d.commit(2, 2, 5)
			d.commit(3, 1, 8)
			d.seal(50)
			d.read(3, 4, 10, 0, 1, session) // at 4, when the value was current for the first time
			d.read(4, 11, 12, 0, 2, session)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, c.cfg)
			c.play(d)
			f := d.j.Finish()
			require.Zero(t, f.Violations["strong"]+f.Violations["eventual"]+f.Violations["bounded"])
			require.Zero(t, f.LostWrites+f.Rollbacks+f.Corruptions+f.DirtyReads+f.SessionViolations, f.Accusations)
		})
	}
}

// Wrong histories that simpler rules would miss.
func TestWrongHistoriesAreAccused(t *testing.T) {
	t.Run("acknowledgements without versions, and the source answers an earlier one", func(t *testing.T) {
		for _, kind := range []targets.Kind{targets.Write, targets.Delete} {
			d := newDrill(t, Config{})
			d.write(1, 1, 2, 0)
			d.read(2, 3, 4, 1, 1)
			o := op(kind, 3, 5, 6)
			if kind == targets.Delete {
				o.Token = ""
			}
			d.do(o)
			d.read(4, 10, 11, 1, 1, past)
			f := d.j.Finish()
			require.Equal(t, 1, f.LostWrites, kind)
			require.Len(t, texts(f, "lost write"), 1)
		}
	})
	t.Run("a version that was acknowledged as a value is answered as an absence", func(t *testing.T) {
		d := newDrill(t, Config{})
		d.write(1, 1, 2, 1)
		d.read(2, 3, 4, 0, 0, absent, func(o *targets.Operation) { o.Reply.Version = 1 })
		f := d.j.Finish()
		require.Equal(t, 1, f.Corruptions)
		require.Equal(t, []string{price9 + " answered v1 with an absence at 0.003s in eu, but v1 is the value of write 1"}, texts(f, "corruption"))
	})
}
