package oracle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// stranger is a key of a service that is known by its answers alone.
type stranger struct {
	j      *Judge
	key    targets.Key
	seq    uint64
	judged []Judgement
}

func newStranger(cfg Config) *stranger {
	s := &stranger{key: targets.Key{Family: "product", ID: "1"}}
	cfg.Run, cfg.ForeignWriters = "run", true
	cfg.Judged = func(j Judgement) { s.judged = append(s.judged, j) }
	s.j = New(cfg)
	return s
}

func (s *stranger) do(at time.Duration, op targets.Operation) string {
	op.Seq, op.Key, op.Due, op.Sent = s.seq, s.key, at, at
	if op.Kind == targets.Write {
		op.Token = targets.NewToken("run", s.seq, s.key)
	}
	s.seq++
	s.j.Begin(op)
	op.Returned = at + time.Millisecond
	s.j.End(op)
	return op.Token
}

func (s *stranger) write(at time.Duration) string {
	return s.do(at, targets.Operation{Request: targets.Request{Kind: targets.Write}})
}

func (s *stranger) read(at time.Duration, instance string, r targets.Reply) {
	s.do(at, targets.Operation{Request: targets.Request{Instance: instance}, Reply: r})
}

func TestAbsencesOfSharedKeysProveNothing(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := newStranger(Config{Shared: shared, Families: map[string]Family{"product": {Class: Bounded, Within: time.Second, Horizon: time.Hour}}})
		s.read(time.Second, "", targets.Reply{Token: s.write(0)})
		s.read(10*time.Second, "", targets.Reply{Absent: true})
		s.read(11*time.Second, targets.SourceInstance, targets.Reply{Absent: true})
		f := s.j.Finish()
		require.Equal(t, !shared, len(f.Accusations) > 0, "shared %v: %v", shared, f.Accusations)
		require.Equal(t, !shared, f.LostWrites > 0)
	}
}

// What was accepted, and no more than that, may be made later or never: only a read that shows it
// is evidence of it.
func TestAcceptedChangesProveNothing(t *testing.T) {
	for _, kind := range []targets.Kind{targets.Write, targets.Delete} {
		for _, version := range []uint64{0, 2} {
			for _, o := range []targets.Outcome{targets.Accepted, targets.OK} {
				s := newStranger(Config{Families: map[string]Family{"product": {Class: Strong, Horizon: time.Hour}}})
				first := targets.Reply{Token: s.write(0)}
				if version > 0 {
					first.Version = version - 1
				}
				s.read(time.Second, "", first)
				s.do(2*time.Second, targets.Operation{Request: targets.Request{Kind: kind}, Outcome: o, Reply: targets.Reply{Version: version}})
				s.read(3*time.Second, "", first)
				s.read(4*time.Second, targets.SourceInstance, first)
				f := s.j.Finish()
				if o == targets.OK {
					require.NotEmpty(t, f.Accusations, "%s, version %d", kind, version)
					continue
				}
				require.Empty(t, f.Accusations, "%s, version %d", kind, version)
				require.Zero(t, f.LostWrites)
			}
		}
	}
	// Once a read showed it, it is superseding like any other.
	s := newStranger(Config{Families: map[string]Family{"product": {Class: Strong, Horizon: time.Hour}}})
	first := targets.Reply{Token: s.write(0)}
	second := targets.Reply{Token: s.do(time.Second, targets.Operation{Request: targets.Request{Kind: targets.Write}, Outcome: targets.Accepted})}
	s.read(2*time.Second, "", first)
	s.read(3*time.Second, targets.SourceInstance, second)
	require.Empty(t, s.j.Finish().Accusations)
	s = newStranger(Config{Families: map[string]Family{"product": {Class: Strong, Horizon: time.Hour}}})
	first = targets.Reply{Token: s.write(0)}
	second = targets.Reply{Token: s.do(time.Second, targets.Operation{Request: targets.Request{Kind: targets.Write}, Outcome: targets.Accepted})}
	s.read(3*time.Second, targets.SourceInstance, second)
	s.read(4*time.Second, "", first)
	require.NotEmpty(t, s.j.Finish().Accusations)
}

func TestValuesOfOthersAreNotTorn(t *testing.T) {
	s := newStranger(Config{})
	token := s.write(0)
	s.read(time.Second, "", targets.Reply{Token: "a red chair"})
	require.Zero(t, s.j.Finish().Corruptions)
	s = newStranger(Config{})
	s.write(0)
	s.read(time.Second, "", targets.Reply{Token: token[:len(token)-3]})
	require.Equal(t, 1, s.j.Finish().Corruptions, "it begins as the drill's do")
}

// That an acknowledged write is not lost is shown by a fresh answer from the source, at the end,
// and by no other.
func TestWhatShowsThatAWriteIsNotLost(t *testing.T) {
	for _, c := range []struct {
		instance, tier string
		older          bool
		want           int
	}{
		{"local/1", targets.TierSource, false, 1},
		{"local/1", targets.TierL2, false, 0},
		{"local/1", "", false, 0},
		{"", targets.TierSource, false, 0},
		{"local/1", targets.TierSource, true, 0},
	} {
		s := newStranger(Config{})
		first := s.write(0)
		last := s.write(time.Second)
		if c.older {
			last = first
		}
		s.read(2*time.Second, c.instance, targets.Reply{Token: last, Tier: c.tier})
		f := s.j.Finish()
		require.Equal(t, c.want > 0, f.Opportunities["lost_writes"] > 0, "%+v: %v", c, f.Opportunities)
		require.Zero(t, f.LostWrites)
	}
}

func TestAFamilyThatPromisesNothing(t *testing.T) {
	for _, unclassed := range []bool{false, true} {
		s := newStranger(Config{Families: map[string]Family{"product": {Unclassed: unclassed, Horizon: time.Hour}}})
		first := s.write(0)
		s.write(time.Second)
		s.read(5*time.Second, "", targets.Reply{Token: first})
		f := s.j.Finish()
		require.Len(t, s.judged, 1)
		require.Equal(t, Stale, s.judged[0].Answer)
		require.True(t, s.judged[0].CanBeStale)
		require.Equal(t, !unclassed, s.judged[0].Violation)
		_, has := f.Violations["bounded"]
		require.Equal(t, !unclassed, has)
	}
}
