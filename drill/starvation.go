package drill

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// starvedShare is the share of the processors' time that must have been taken away for a drill to
// be void. A continuous integration machine that others use loses some percent; at a quarter,
// latencies are no longer the target's.
const starvedShare = 0.25

// clockTick is the unit of /proc/stat, USER_HZ, which is 100 per second on every platform that Go
// runs Linux on.
const clockTick = 10 * time.Millisecond

// cpuLoss is processor time that was taken away from this machine or this control group since they
// started. It is cumulative, and summed over all processors.
type cpuLoss struct {
	at        time.Time
	stolen    time.Duration // by the hypervisor, for other machines
	throttled time.Duration // by the control group's quota
	known     bool          // false: this system does not count it
}

// starvation measures how much processor time is taken away while a drill runs.
type starvation struct {
	read  func() cpuLoss
	cpus  int
	first cpuLoss
}

func beginStarvation(read func() cpuLoss, cpus int) *starvation {
	return &starvation{read: read, cpus: cpus, first: read()}
}

// starved is why the drill's machine was starved since the measurement began; "" when it was not,
// or when the system does not tell.
func (s *starvation) starved() string {
	last := s.read()
	capacity := last.at.Sub(s.first.at) * time.Duration(s.cpus)
	if !s.first.known || !last.known || capacity <= 0 {
		return ""
	}
	stolen, throttled := last.stolen-s.first.stolen, last.throttled-s.first.throttled
	share := float64(stolen+throttled) / float64(capacity)
	if share < starvedShare {
		return ""
	}
	return fmt.Sprintf("%.0f%% of the processors' time was taken away (%.1fs of %.1fs on %d processors: %.1fs by the hypervisor, %.1fs by the control group's quota)",
		100*share, (stolen + throttled).Seconds(), capacity.Seconds(), s.cpus, stolen.Seconds(), throttled.Seconds())
}

// readCPULoss reads /proc/stat and the control group's cpu.stat. Systems without the first count
// nothing.
func readCPULoss() cpuLoss {
	loss := cpuLoss{at: time.Now()}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return loss
	}
	loss.stolen, loss.known = parseSteal(string(stat))
	if group, err := os.ReadFile("/sys/fs/cgroup/cpu.stat"); err == nil {
		loss.throttled = parseThrottled(string(group))
	}
	return loss
}

// parseSteal reads the eighth figure of the line "cpu  user nice system idle iowait irq softirq
// steal ...".
func parseSteal(stat string) (time.Duration, bool) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	ticks, err := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * clockTick, err == nil
}

// parseThrottled reads "throttled_usec 1234" of a version 2 control group; 0 where there is no
// quota.
func parseThrottled(stat string) time.Duration {
	for lines := bufio.NewScanner(strings.NewReader(stat)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if us, err := strconv.ParseInt(value, 10, 64); err == nil && name == "throttled_usec" {
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}

// processors is how many this process may use.
func processors() int { return runtime.GOMAXPROCS(0) }
