package slo

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// FormatCount shows a number with thousands separators: 1,962.
func FormatCount(n int64) string {
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

// FormatPercent shows a ratio: 100%, 3.6%, 0.12%, 0.00031%.
func FormatPercent(r float64) string {
	v := r * 100
	switch {
	case v >= 10 || v == 0:
		return FormatDecimal(v, 1) + "%"
	case v >= 0.01:
		return FormatDecimal(v, 2) + "%"
	}
	return strconv.FormatFloat(v, 'g', 2, 64) + "%"
}

// FormatRate shows a rate: 702/s, 1.5/s.
func FormatRate(v float64) string {
	if v >= 100 {
		return FormatCount(int64(math.Round(v))) + "/s"
	}
	return FormatDecimal(v, 1) + "/s"
}

// FormatSeconds shows a duration given in seconds to about three digits: 900us, 1.25ms, 188ms,
// 2.1s.
func FormatSeconds(s float64) string {
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
		return sign + FormatDecimal(s*1e6, 0) + "us"
	case s < 9.995e-3:
		return sign + FormatDecimal(s*1e3, 2) + "ms"
	case s < 99.95e-3:
		return sign + FormatDecimal(s*1e3, 1) + "ms"
	case s < 0.9995:
		return sign + FormatDecimal(s*1e3, 0) + "ms"
	}
	return sign + FormatDecimal(s, 2) + "s"
}

// FormatDuration shows a duration as [FormatSeconds] does.
func FormatDuration(d time.Duration) string { return FormatSeconds(d.Seconds()) }

// FormatTenths shows a span to a tenth: 0.8s.
func FormatTenths(d time.Duration) string { return FormatDecimal(d.Seconds(), 1) + "s" }

// FormatMoment shows an offset from the start of the drill: 19.412s.
func FormatMoment(at time.Duration) string {
	return strconv.FormatFloat(at.Seconds(), 'f', 3, 64) + "s"
}

// FormatDecimal shows a number with at most so many decimals, without zeros at the end.
func FormatDecimal(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// FormatBytes shows an amount to three digits: 900B, 1.25MB.
func FormatBytes(v float64) string {
	unit, by := "B", 1.0
	for _, u := range byteUnits[4:8] {
		if v >= u.bytes*0.9995 {
			unit, by = u.name, u.bytes
		}
	}
	v /= by
	switch {
	case by == 1 || v >= 99.95:
		return FormatDecimal(v, 0) + unit
	case v >= 9.995:
		return FormatDecimal(v, 1) + unit
	}
	return FormatDecimal(v, 2) + unit
}

// FormatMoney shows an amount of money to three digits, or to hundredths.
func FormatMoney(v float64) string {
	if v >= 100 {
		return FormatDecimal(v, 2)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
