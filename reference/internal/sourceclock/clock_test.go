package sourceclock

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever the source's clock showed, however long its answers took, and however much faster than
// ours it runs within the assumed error: the bound is never below it, and no looser than the best
// answer allows.
func TestUpperClockIsAnUpperBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := 1 + rapid.Float64Range(-RateError, RateError).Draw(rt, "rate error")
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [3]time.Duration {
			upTo := func(d time.Duration, what string) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(d)).Draw(t, what))
			}
			return [3]time.Duration{upTo(time.Hour, "pause"), upTo(time.Minute, "there"), upTo(time.Minute, "back")}
		}), 1, 20).Draw(rt, "answers")
		synctest.Test(t, func(*testing.T) {
			start := time.Now()
			source := func() int64 { return 1e15 + int64(float64(time.Since(start))*rate) }
			c := New(nil)
			for _, s := range steps {
				time.Sleep(s[0])
				asked := c.Instant()
				time.Sleep(s[1])
				answered := source()
				time.Sleep(s[2])
				c.Learn(answered, asked)
				if c.Now() < source() {
					rt.Fatalf("bound %d below the source's clock %d", c.Now(), source())
				}
				if alone := bound(answered, asked, c.Instant()); c.Now() > alone {
					rt.Fatalf("bound %d, and the last answer alone says %d", c.Now(), alone)
				}
			}
		})
	})
}
