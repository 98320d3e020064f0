//go:build !linux

package load

import "time"

// sleepPrecisely sleeps for about d, as precisely as Go's timers do: callers look at the clock.
func sleepPrecisely(d time.Duration) { time.Sleep(d) }
