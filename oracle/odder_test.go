package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// Eventual families promise nothing during a fault and until they had their time after it.
func TestEventualFamilies(t *testing.T) {
	d := newDrill(t, Config{Families: map[string]Family{"price": {Class: Eventual, Within: ms(10), Horizon: ms(1000)}}})
	d.write(1, 1, 2, 1)
	d.write(2, 3, 4, 2)
	at := func(i int) { d.read(uint64(i), i, i, 1, 1) }
	at(14) // exactly as old as allowed
	at(15)
	d.j.FaultHealed(ms(16)) // of nothing
	d.j.FaultBegan(ms(20))
	at(19)
	at(20)
	d.j.FaultBegan(ms(25))
	d.j.FaultHealed(ms(40))
	at(45)
	d.j.FaultHealed(ms(30)) // late
	at(50)
	at(51)
	d.j.FaultBegan(ms(60))
	at(60)
	d.j.FaultHealed(ms(60))
	at(70)
	at(71)
	f := d.j.Finish()
	got, can := map[uint64]bool{}, 0
	for _, j := range d.judged {
		require.Equal(t, Stale, j.Answer)
		got[j.Op.Seq] = j.Violation
		if j.CanViolate {
			can++
			require.True(t, j.Violation || j.Op.Seq == 14)
		}
	}
	require.Equal(t, map[uint64]bool{14: false, 15: true, 19: true, 20: false, 45: false, 50: false, 51: true, 60: false, 70: false, 71: true}, got)
	require.Equal(t, 4, f.Violations["eventual"])
	require.Equal(t, can, f.Opportunities["violations"])
	require.Equal(t, 5, can)
}

// A request for k keys is k reads that share number and interval. Each waits for what overlaps it
// on its own key.
func TestReadsOfManyKeys(t *testing.T) {
	d := newDrill(t, Config{})
	key := func(i int) targets.Key { return targets.Key{Family: "price", ID: string(rune('a' + i))} }
	on := func(i int, o targets.Operation) targets.Operation {
		o.Key = key(i)
		if o.Kind == targets.Write {
			o.Token = targets.NewToken(run, o.Seq, o.Key)
		}
		return o
	}
	for i := range 3 {
		o := on(i, op(targets.Write, uint64(i+1), 1, 2))
		o.Reply.Version = 1
		d.do(o)
	}
	late := on(1, op(targets.Write, 9, 3, 20))
	d.j.Begin(late)
	again := on(2, op(targets.Write, 8, 3, 4))
	again.Reply.Version = 2
	d.do(again)
	var reads []targets.Operation
	for i := range 3 {
		o := on(i, op(targets.Read, 50, 10, 12))
		o.Session = 7
		d.j.Begin(o)
		o.Reply = targets.Reply{Version: 1, Token: targets.NewToken(run, uint64(i+1), o.Key)}
		reads = append(reads, o)
	}
	for _, o := range reads {
		d.j.End(o)
	}
	require.Len(t, d.judged, 2, "one waits for the write of its key")
	late.Reply.Version = 2
	d.j.End(late)
	require.Len(t, d.judged, 3)
	got := map[string]Answer{}
	for _, j := range d.judged {
		got[j.Op.Key.ID] = j.Answer
	}
	require.Equal(t, map[string]Answer{"a": Fresh, "b": Indeterminate, "c": Stale}, got)
	f := d.j.Finish()
	require.Equal(t, 1, f.Violations["strong"])
	require.Len(t, texts(f, "violation"), 1)
}

// Writes of unknown outcome make a key without versions unjudged, too, beyond a cap; and it is
// counted. What was acknowledged or read is no such write, however much there is.
func TestTooManyUnknownWritesWithoutVersions(t *testing.T) {
	d := newDrill(t, Config{})
	lost := func(seq uint64) {
		o := op(targets.Write, seq, 3, 4)
		o.Outcome = targets.Unknown
		d.do(o)
	}
	for i := range uint64(10 * history.MaxUnresolved) {
		d.write(10_000+i, 1, 2, 0)
	}
	for i := range uint64(history.MaxUnresolved) {
		lost(100 + i)
	}
	d.read(2, 5, 6, 0, 10_000)
	require.Equal(t, Indeterminate, d.judged[0].Answer)
	d.read(3, 5, 6, 0, 100) // it took effect
	lost(200)
	d.read(4, 9, 10, 0, 100)
	require.Equal(t, Indeterminate, d.judged[2].Answer)
	lost(201)
	d.read(5, 9, 10, 0, 10_000)
	d.read(6, 9, 10, 0, 201) // forgotten, but not "never written"
	require.Equal(t, "too many writes of unknown outcome", d.judged[3].Why)
	f := d.j.Finish()
	require.Empty(t, f.Accusations)
	require.Equal(t, [3]int{2, 1, 0}, [3]int{f.Unjudged, f.UnjudgedKeys, f.UndecidedKeys})
}

// A deadline that turns a write unknown lets go of the reads that waited for it, and they stay as
// they were judged.
func TestADeadlineReleasesReads(t *testing.T) {
	for _, version := range []uint64{0, 1} {
		d := newDrill(t, Config{})
		d.write(1, 1, 2, version)
		w := op(targets.Write, 2, 3, 20)
		d.j.Begin(w)
		d.read(3, 5, 6, version, 1)
		require.Empty(t, d.judged)
		w.Outcome = targets.Unknown
		d.j.End(w)
		require.Len(t, d.judged, 1)
		d.read(4, 30, 31, 2*version, 2)
		f := d.j.Finish()
		require.Len(t, d.judged, 2)
		require.Equal(t, [2]Answer{Indeterminate, Fresh}, [2]Answer{d.judged[0].Answer, d.judged[1].Answer})
		require.Equal(t, [2]int{1, 0}, [2]int{f.UnknownWrites, f.UnjudgedKeys})
	}
}

// From the first operation that tells a version on, a key is judged by versions; reads that
// returned before are not.
func TestVersionsToldLater(t *testing.T) {
	d := newDrill(t, Config{})
	d.write(1, 1, 2, 0)
	w := op(targets.Write, 2, 8, 40)
	d.j.Begin(w)
	d.read(3, 5, 6, 0, 1)    // returned before any version was known
	d.read(4, 10, 30, 0, 1)  // returned after
	d.read(5, 20, 21, 10, 1) // versioned
	w.Reply.Version = 11
	d.j.End(w)
	d.read(6, 50, 51, 0, 1)
	f := d.j.Finish()
	got := map[uint64][2]uint64{}
	for _, j := range d.judged {
		got[j.Op.Seq] = [2]uint64{uint64(j.Answer), j.Version}
	}
	require.Equal(t, map[uint64][2]uint64{
		3: {uint64(Fresh), 0}, 4: {uint64(Indeterminate), 10}, 5: {uint64(Indeterminate), 10}, 6: {uint64(Stale), 10},
	}, got)
	require.Equal(t, 1, f.Violations["strong"])
	require.Nil(t, d.j.onlyKey().values)
}

// Two writes at once that one reader sees in one order and another in the other: no read is proven
// stale, and yet no order explains them.
func TestZonesInConflict(t *testing.T) {
	d := newDrill(t, Config{})
	a, b := op(targets.Write, 1, 1, 90), op(targets.Write, 2, 1, 91)
	d.j.Begin(a)
	d.j.Begin(b)
	d.read(3, 10, 11, 0, 1)
	d.read(4, 20, 21, 0, 2)
	d.read(5, 30, 31, 0, 1)
	d.j.End(a)
	d.j.End(b)
	f := d.j.Finish()
	for _, j := range d.judged {
		require.Equal(t, Indeterminate, j.Answer)
	}
	require.Equal(t, 1, f.Violations["strong"])
	require.Equal(t, []string{price9 + ": no order of its writes explains all reads: " +
		"the value of write 1 (sent at 0.001s, acknowledged at 0.090s), seen at 0.011s, last read by read 5, sent at 0.030s; " +
		"the value of write 2 (sent at 0.001s, acknowledged at 0.091s), seen at 0.021s, last read by read 4, sent at 0.020s"}, texts(f, "violation"))
}
