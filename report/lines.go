package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// consistencyLine puts the nines of a drill that failed into a line; empty when every write was
// consistent at once.
func consistencyLine(s Drill) string {
	n := len(s.ConsistentWithin)
	if s.Outcome != slo.Fail || n == 0 || s.ConsistentWithin[n-1].WithinMS == 0 {
		return ""
	}
	var parts []string
	for _, c := range s.ConsistentWithin[max(0, n-3):] {
		parts = append(parts, slo.FormatDecimal(c.Share*100, 4)+"% "+window(c.WithinMS))
	}
	return fmt.Sprintf("%s writes; visible everywhere: %s", slo.FormatCount(s.Consistency[0].Writes), strings.Join(parts, ", "))
}

// window shows a length in milliseconds as "at once" or "within 185 ms".
func window(ms float64) string {
	if ms == 0 {
		return "at once"
	}
	length := slo.FormatSeconds(ms / 1e3)
	number := strings.TrimRight(length, "mus")
	return "within " + number + " " + length[len(number):]
}

// cacheLine sums up what the caches counted, leaving out what never happened; empty where they have
// no counts.
func cacheLine(c *CacheFigures) string {
	if c == nil {
		return ""
	}
	out := []string{fmt.Sprintf("%s reads", slo.FormatCount(c.Reads))}
	if c.HitRatio.L1 != nil {
		out = append(out, "L1 hits "+slo.FormatPercent(*c.HitRatio.L1))
	}
	if c.HitRatio.L2 != nil {
		out = append(out, "L2 hits "+slo.FormatPercent(*c.HitRatio.L2))
	}
	out = append(out, figure(c.SourceLoads, "source loads"), figure(c.SourceChecks, "source checks"))
	if len(c.StaleServes) > 0 {
		out = append(out, "stale served: "+listed(c.StaleServes, ""))
	}
	out = append(out, figure(c.LeaseWaits, "lease waits"), figure(c.BreakerOpenings, "breaker openings"), figure(c.BusGaps, "bus gaps"))
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" })
	return "cache: " + strings.Join(out, ", ")
}

// figure shows a number of what happened at all.
func figure(n *int64, what string) string {
	if n == nil || *n == 0 {
		return ""
	}
	return slo.FormatCount(*n) + " " + what
}

// listed shows numbers by their words, in the order of the words: "12 refresh, 3 spare".
func listed(by map[string]int64, none string) string {
	var out []string
	for _, word := range slices.Sorted(maps.Keys(by)) {
		out = append(out, slo.FormatCount(by[word])+" "+word)
	}
	if len(out) == 0 {
		return none
	}
	return strings.Join(out, ", ")
}

// costLine says what a million requests cost; empty when it is not known.
func costLine(s Drill) string {
	if s.Cost == nil {
		return ""
	}
	return fmt.Sprintf("a million requests cost %s %s: %s", slo.FormatMoney(s.Cost.PerMillion), s.Cost.Currency, costParts(s.Cost))
}

func costParts(c *CostSummary) string {
	return measure.CostParts(func(r cost.Reason) (float64, bool) {
		v, ok := c.By[string(r)]
		return v, ok
	})
}
