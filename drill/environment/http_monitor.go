package environment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/internal/redismonitor"
	"github.com/cachedrill/cachedrill/report/measure"
)

// listen begins to listen to the Redis, if the suite wants that.
func (s *httpEnvironment) listen(ctx context.Context) (err error) {
	r := s.plan.Environment.Redis
	if r == nil || !r.Monitor {
		return nil
	}
	o := redismonitor.Options{Addr: s.redisAddr(), Dial: s.gate.DialContext}
	if r.Backend == "" {
		c := s.redis.Client().Options()
		o.Network, o.Addr, o.Username, o.Password, o.TLS = c.Network, c.Addr, c.Username, c.Password, c.TLSConfig
	}
	s.monitor, err = redismonitor.Listen(ctx, o, r.KeyPrefix)
	return err
}

// stolenLocks are the locks that were deleted by a client that did not hold them: that is how two
// loads of a key come to meet.
func (s *httpEnvironment) stolenLocks(epoch time.Time) []measure.Corroboration {
	if s.monitor == nil {
		return nil
	}
	f := s.monitor.Found(epoch)
	offset := func(at time.Duration) time.Duration { return at + f.Shift }
	// Those after which somebody else went to work, too, explain most.
	slices.SortStableFunc(f.Thefts, func(a, b redismonitor.Theft) int {
		switch {
		case a.Next != nil && b.Next == nil:
			return -1
		case a.Next == nil && b.Next != nil:
			return 1
		}
		return 0
	})
	var out []measure.Corroboration
	for i := range f.Thefts {
		t := &f.Thefts[i]
		text := t.Tell(func(at time.Duration) string { return fmt.Sprintf("%.3fs", offset(at).Seconds()) })
		out = append(out, measure.Corroboration{Metric: "stampede.max", At: offset(t.Deleted.At), Text: "the Redis was asked (MONITOR): " + text})
	}
	return out
}

// monitorNotes are what a reader of the report should know of the listening.
func (s *httpEnvironment) monitorNotes() []string {
	if s.monitor == nil {
		return nil
	}
	f := s.monitor.Found(time.Time{})
	var notes []string
	if n := len(f.Thefts); n > 0 {
		notes = append(notes, fmt.Sprintf("locks were deleted by somebody whose they were not: %d times (MONITOR)", n))
	}
	if f.Shared {
		notes = append(notes, "MONITOR does not tell who holds a lock: they are given back over other connections than they were taken over")
	}
	if f.Gaps > 0 {
		notes = append(notes, fmt.Sprintf("MONITOR was cut off %d times (%s): what the locks were at then is not known", f.Gaps, f.Why))
	}
	return notes
}
