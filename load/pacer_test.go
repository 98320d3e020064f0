package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Hits that are due close to each other share a wake-up, and none is sent before it is due.
func TestHitsShareWakeUps(t *testing.T) {
	const lead, total = 40 * time.Millisecond, 200 * time.Millisecond
	for name, c := range map[string]struct {
		rate  float64
		grain time.Duration
		most  int // sleeps in a hundred hits
	}{
		"5000/s by threes":  {5000, together, 35},
		"2000/s one by one": {2000, together, 101},
		"5000/s, no grain":  {5000, 0, 101},
		"20000/s by tens":   {20000, together, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSchedule([]Step{{Rate: c.rate}}, total)
			require.NoError(t, err)
			p := &pacer{Attack: Attack{Schedule: s, Start: time.Now().Add(lead)}, plan: plan{schedule: s}, ctx: t.Context(), log: newSendLog(0, 0), grain: c.grain}
			sleeps := 0
			p.Sleep = func(d time.Duration) {
				sleeps++
				p.Start = p.Start.Add(-d) // the clock goes on by as much
			}
			for n := range s.Count() {
				due := p.due(n)
				wait, stop := p.Pace(0, n)
				require.Zero(t, wait)
				require.False(t, stop)
				now := time.Since(p.Start)
				require.GreaterOrEqual(t, now, due, "hit %d went before it was due", n)
			}
			most := int(s.Count())*c.most/100 + int((lead+total)/slice) + 1
			require.LessOrEqual(t, sleeps, most)
			_, stop := p.Pace(0, s.Count())
			require.True(t, stop)
		})
	}
}

// wake gives the due time of the last hit within the grain, and never looks past the schedule's
// end.
func TestWake(t *testing.T) {
	s, err := NewSchedule([]Step{{Rate: 5000}}, time.Second)
	require.NoError(t, err)
	p := &pacer{Attack: Attack{Schedule: s}, plan: plan{schedule: s}, grain: together}
	require.Equal(t, p.due(12), p.wake(10, p.due(10)), "200 us apart: three go together")
	last := s.Count() - 1
	require.Equal(t, p.due(last), p.wake(last, p.due(last)))
	p.grain = 199 * time.Microsecond
	require.Equal(t, p.due(10), p.wake(10, p.due(10)))
	p.grain = 0
	require.Equal(t, p.due(10), p.wake(10, p.due(10)))
}
