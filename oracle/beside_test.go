package oracle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// A slow fill: a read that is under way while the write is made stores what it loaded after it.
func TestWhoStoredAStaleCopyStandsBesideIt(t *testing.T) {
	from := func(tier string) func(*targets.Operation) {
		return func(o *targets.Operation) { o.Reply.Tier = tier }
	}
	for name, c := range map[string]struct {
		cfg     Config
		version uint64 // of the first write; 0: values alone
	}{
		"versions":  {Config{}, 1},
		"values":    {Config{}, 0},
		"log":       {Config{Historian: true}, 1},
		"unclassed": {Config{Families: map[string]Family{"price": {Unclassed: true}}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrill(t, c.cfg)
			second := c.version
			if second != 0 {
				second++
			}
			d.write(1, 0, 5, c.version)
			if c.cfg.Historian {
				d.commit(1, 1, 3)
				d.commit(2, 2, 105)
			}
			d.read(2, 20, 30, c.version, 1, from(targets.TierSource)) // long over
			slow := op(targets.Read, 3, 95, 140)
			slow.Reply = targets.Reply{Version: c.version, Token: tok(1), Tier: targets.TierSource, Worker: "eu-2"}
			d.j.Begin(slow)
			d.write(2, 100, 110, second)
			d.read(4, 104, 112, c.version, 1) // a hit stores nothing
			d.j.End(slow)
			d.read(5, 106, 109, second, 2, from(targets.TierSource)) // the newer value
			d.read(9, 200, 201, c.version, 1)
			if c.cfg.Historian {
				d.seal(1000)
			}
			var stale []Accusation
			f := d.j.Finish()
			d.j.Beside(&f)
			for _, a := range f.Accusations {
				if a.Kind == "stale" && a.Op.Seq == 9 {
					stale = append(stale, a)
				}
			}
			require.Len(t, stale, 1)
			require.Equal(t, []Event{{What: Answered, Key: key9, Seq: 3, Version: c.version, Writer: 1, Sent: 95 * time.Millisecond, Returned: 140 * time.Millisecond,
				Tier: targets.TierSource, Worker: "eu-2", Region: "eu"}}, stale[0].Beside)
			for _, e := range stale[0].History {
				require.NotEqual(t, uint64(3), e.Seq, "it proves nothing")
			}
		})
	}
}

// Of many reads the latest are remembered, and none of a key that is not changed.
func TestReadsBesideAreBounded(t *testing.T) {
	d := newDrill(t, Config{})
	d.read(1, 0, 1, 1, 7, func(o *targets.Operation) { o.Reply.Tier = targets.TierSource })
	_, hash := d.j.shardOf(key9)
	s, _ := d.j.shardOf(key9)
	require.Nil(t, s.find(hash, key9).underWay)
	d.j.Begin(op(targets.Write, 2, 10, 0))
	for i := range uint64(9) {
		d.read(10+i, 20+int(i), 30, 1, 7, func(o *targets.Operation) { o.Reply.Tier = "" })
	}
	for i := range uint64(9) {
		d.read(20+i, 20+int(i), 30, 2, 8, func(o *targets.Operation) { o.Reply.Tier = "" })
	}
	reads := s.find(hash, key9).underWay.reads
	require.Len(t, reads, 2, "by value")
	require.Len(t, reads[answer{version: 1}], mostUnderWay)
	require.Equal(t, uint64(18), reads[answer{version: 1}][mostUnderWay-1].seq)
}
