package report

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// count shows a number with thousands separators: 1,962.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent shows a ratio: 100%, 3.6%, 0.12%, 0.00031%.
func percent(r float64) string {
	v := r * 100
	switch {
	case v >= 10 || v == 0:
		return trimmed(v, 1) + "%"
	case v >= 0.01:
		return trimmed(v, 2) + "%"
	}
	return strconv.FormatFloat(v, 'g', 2, 64) + "%"
}

// perSecond shows a rate: 702/s, 1.5/s.
func perSecond(v float64) string {
	if v >= 100 {
		return count(int64(math.Round(v))) + "/s"
	}
	return trimmed(v, 1) + "/s"
}

// length shows a duration given in seconds to about three digits: 900us, 1.25ms, 188ms, 2.1s.
func length(s float64) string {
	sign := ""
	if s < 0 {
		sign, s = "-", -s
	}
	switch {
	case math.IsInf(s, 1):
		return "unbounded"
	case s == 0:
		return "0s"
	case s < 0.9995e-3:
		return sign + trimmed(s*1e6, 0) + "us"
	case s < 9.995e-3:
		return sign + trimmed(s*1e3, 2) + "ms"
	case s < 99.95e-3:
		return sign + trimmed(s*1e3, 1) + "ms"
	case s < 0.9995:
		return sign + trimmed(s*1e3, 0) + "ms"
	}
	return sign + trimmed(s, 2) + "s"
}

func duration(d time.Duration) string { return length(d.Seconds()) }

// seconds shows a span to a tenth: 0.8s.
func seconds(d time.Duration) string { return trimmed(d.Seconds(), 1) + "s" }

// moment shows an offset from the start of the drill: 19.412s.
func moment(at time.Duration) string { return strconv.FormatFloat(at.Seconds(), 'f', 3, 64) + "s" }

func trimmed(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// rounded keeps a number readable in JSON; not a number is nothing.
func rounded(v float64, decimals int) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	scale := math.Pow(10, float64(decimals))
	v = math.Round(v*scale) / scale
	return &v
}

func millis(d time.Duration) float64 { return *rounded(d.Seconds()*1e3, 3) }

func secondsOf(d time.Duration) float64 { return *rounded(d.Seconds(), 6) }

func (n opNote) String() string {
	s := n.kind.String() + " of " + n.key.String()
	if n.tier != "" {
		s += " from " + n.tier
	}
	if n.where != "" {
		s += " at " + n.where
	}
	return s + ", due " + moment(n.due)
}

// loaded describes a load: "product:17 (tenant t3) v4 in eu at 19.412s".
func loaded(l *targets.Load) string {
	s := l.Key.String()
	if l.Version > 0 {
		s += " v" + strconv.FormatUint(l.Version, 10)
	}
	if l.Region != "" {
		s += " in " + l.Region
	}
	return s + " at " + moment(l.Arrived)
}
