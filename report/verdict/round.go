package verdict

import (
	"math"
	"time"
)

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
