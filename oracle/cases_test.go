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

// Two writes race, and a cache keeps the one that lost: no single read is proven stale, and no
// order of the writes explains all of them.
func TestACacheThatKeepsTheLoserOfARace(t *testing.T) {
	at := func(instance string) func(*targets.Operation) {
		return func(o *targets.Operation) { o.Instance = instance }
	}
	race := func(d *drill, kinds ...targets.Kind) {
		var all []targets.Operation
		for i, kind := range kinds {
			o := op(kind, uint64(i+1), 1, 4+i)
			all = append(all, o)
			d.j.Begin(o)
		}
		for _, o := range all {
			d.j.End(o)
		}
	}
	for name, c := range map[string]struct {
		play  func(d *drill)
		wrong bool
	}{
		"the source has the other, for ever": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			for i := range 5 {
				d.read(uint64(10+2*i), 1000+100*i, 1001+100*i, 0, 1)
				d.read(uint64(11+2*i), 1050+100*i, 1051+100*i, 0, 2, past)
			}
		}, true},
		"once each, at the end": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			d.read(10, 1000, 1001, 0, 1, at("eu/1"))
			d.read(11, 1002, 1003, 0, 2, past)
		}, true},
		"the other way round, at the end": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			d.read(10, 1000, 1001, 0, 2, past)
			d.read(11, 1002, 1003, 0, 1, at("eu/1"))
		}, true},
		"two instances disagree": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			d.read(10, 1000, 1001, 0, 1, at("eu/1"))
			d.read(11, 1002, 1003, 0, 2, at("eu/2"))
		}, true},
		"a deletion lost the race": {func(d *drill) {
			race(d, targets.Write, targets.Delete)
			d.read(10, 1000, 1001, 0, 1, past)
			d.read(11, 1002, 1003, 0, 0, absent)
		}, true},
		"a deletion won the race": {func(d *drill) {
			race(d, targets.Write, targets.Delete)
			d.read(10, 1000, 1001, 0, 0, absent, past)
			d.read(11, 1002, 1003, 0, 1)
		}, true},
		"all agree": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			d.read(10, 6, 7, 0, 1, at("eu/1"))
			d.read(11, 1000, 1001, 0, 1, at("eu/1"))
			d.read(12, 1002, 1003, 0, 1, at("eu/2"))
			d.read(13, 1002, 1003, 0, 1, past)
		}, false},
		"as old as the class allows": {func(d *drill) {
			race(d, targets.Write, targets.Write)
			d.read(10, 6, 7, 0, 2, past)
			d.read(11, 8, 9, 0, 1, at("eu/1"))
		}, false},
	} {
		for _, family := range []Family{{Class: Strong}, {Class: Bounded, Within: ms(100)}, {Class: Eventual, Within: ms(100)}, {Unclassed: true}} {
			class := map[bool]string{true: "none", false: family.Class.String()}[family.Unclassed]
			t.Run(name+", "+class, func(t *testing.T) {
				d := newDrill(t, Config{Families: map[string]Family{"price": family}})
				c.play(d)
				f := d.j.Finish()
				wrong := c.wrong && !family.Unclassed || name == "as old as the class allows" && family.Class == Strong && !family.Unclassed
				require.Equal(t, wrong, f.Violations[class] > 0, f.Accusations)
				require.Zero(t, f.LostWrites+f.Rollbacks+f.UndecidedKeys, f.Accusations)
				for _, a := range f.Accusations {
					if a.Kind == "violation" {
						require.Contains(t, a.Text, "no order of its writes explains")
						require.Equal(t, class, a.Class)
						require.NotEmpty(t, a.Proof)
					}
				}
			})
		}
	}
}

// A source that takes a write back is accused itself, not the caches before it.
func TestASourceThatTakesAWriteBack(t *testing.T) {
	d := newDrill(t, Config{})
	first, second := op(targets.Write, 1, 1, 5), op(targets.Write, 2, 1, 5)
	d.j.Begin(first)
	d.j.Begin(second)
	d.j.End(first)
	d.j.End(second)
	d.read(3, 10, 11, 0, 1, past)
	d.read(4, 20, 21, 0, 2, past)
	d.read(5, 30, 31, 0, 1, past)
	d.read(6, 32, 33, 0, 1)
	f := d.j.Finish()
	require.Equal(t, [2]int{1, 0}, [2]int{f.LostWrites, f.Violations["strong"]}, f.Accusations)
	require.Contains(t, texts(f, "lost write")[0], "the value of write 2 of "+price9+" was there and is gone")
}

// Answers "not found" of which an earlier one implies the later are one: a key that stays deleted
// is decided, however often it is read.
func TestManyAnswersNotFound(t *testing.T) {
	for _, class := range []Class{Strong, Bounded} {
		d := newDrill(t, Config{Families: map[string]Family{"price": {Class: class}}})
		d.write(1, 1, 2, 0)
		d.delete(2, 3, 4, 0)
		for i := range 200 {
			d.read(uint64(10+i), 10+2*i, 11+2*i, 0, 0, absent)
		}
		d.write(3, 1000, 1001, 0)
		d.delete(4, 1002, 1003, 0)
		for i := range 200 {
			d.read(uint64(1010+i), 1010+2*i, 1011+2*i, 0, 0, absent)
		}
		f := d.j.Finish()
		require.Zero(t, f.UndecidedKeys+len(f.Accusations), f.Accusations)
	}
}

// A key that was there before the drill, and that nobody deleted, is answered as not found before
// anybody read it.
func TestASeededKeyThatIsNotFoundFirst(t *testing.T) {
	for _, c := range []struct {
		name          string
		version       uint64
		deletes, want int
	}{
		{"versions", 1, 0, 1},
		{"versions that began before the drill", 7, 0, 1},
		{"no versions", 0, 0, 1},
		{"deleted, with versions", 1, 1, 0},
		{"deleted, without versions", 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t, Config{})
			if c.deletes > 0 {
				d.delete(1, 3, 20, 0, outcome(targets.Unknown))
			}
			d.read(2, 10, 12, 0, 0, absent)
			d.read(3, 11, 14, c.version, targets.SeedSeq)
			f := d.j.Finish()
			require.Equal(t, c.want, f.Violations["strong"], f.Accusations)
		})
	}
}
