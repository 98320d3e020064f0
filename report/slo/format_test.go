package slo

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"0": FormatCount(0), "999": FormatCount(999), "1,962": FormatCount(1962), "-1,234,567": FormatCount(-1234567), "-999": FormatCount(-999),
		"100%": FormatPercent(1), "3.6%": FormatPercent(0.036), "33.3%": FormatPercent(1.0 / 3), "0%": FormatPercent(0), "0.12%": FormatPercent(0.00123), "0.0031%": FormatPercent(0.000031),
		"702/s": FormatRate(702.4), "1.5/s": FormatRate(1.5), "12,000/s": FormatRate(12000), "0/s": FormatRate(0),
		"900us": FormatSeconds(0.0009), "1.25ms": FormatSeconds(0.00125), "52.5ms": FormatSeconds(0.0525), "188ms": FormatSeconds(0.188), "2.1s": FormatSeconds(2.1), "0s": FormatSeconds(0),
		"-40ms": FormatSeconds(-0.04), "unbounded": FormatSeconds(math.Inf(1)), "1s": FormatSeconds(0.9999), "1ms": FormatSeconds(0.0009999),
		"900B": FormatBytes(900), "1.25MB": FormatBytes(1.25e6), "12.3GB": FormatBytes(12.3e9), "40kB": FormatBytes(4e4), "123TB": FormatBytes(123e12),
		"0.35": FormatMoney(0.35), "1.23": FormatMoney(1.2345), "123.45": FormatMoney(123.451),
		"19.412s": FormatMoment(19412 * time.Millisecond), "0.8s": FormatTenths(800 * time.Millisecond),
	} {
		require.Equal(t, want, got)
	}
}
