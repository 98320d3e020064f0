package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// sleepPrecisely sleeps for about d, or less when a signal interrupts it: callers look at the
// clock. Go's timers wake up to a millisecond late, through the poller; this is the kernel's high
// resolution timer. The kernel adds a slack of 50 us to a thread's sleeps unless it is set
// otherwise, which is why the thread is ours meanwhile.
func sleepPrecisely(d time.Duration) {
	if d <= 0 {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const leastSlack, defaultSlack = 1, 0 // ns; 0 restores what the thread started with
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, leastSlack, 0, 0, 0)
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, defaultSlack, 0, 0, 0)
}
