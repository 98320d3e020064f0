package slo

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ranks are the tightest that reach the Confidence, compared with binomial sums added up term
// by term.
func TestQuantileRanksAreTheTightestExactOnes(t *testing.T) {
	for _, p := range []float64{0.5, 0.95, 0.99, 0.999} {
		for _, n := range []int64{1, 2, 4, 5, 6, 58, 59, 60, 100, 298, 299, 300, 473, 1000, 2994, 2995, 3000} {
			low, high := QuantileRanks(n, p)
			below := binomialSums(n, p) // below[k] = P(X <= k-1)
			wantLow, wantHigh := int64(0), n+1
			for k := int64(1); k <= n; k++ {
				if 1-below[k] >= Confidence {
					wantLow = k
				}
				if below[k] >= Confidence && wantHigh == n+1 {
					wantHigh = k
				}
			}
			require.Equal(t, wantLow, low, "low of n=%d p=%g", n, p)
			require.Equal(t, wantHigh, high, "high of n=%d p=%g", n, p)
		}
	}
}

func binomialSums(n int64, p float64) []float64 {
	below := make([]float64, n+2)
	logChoose := 0.0
	for k := int64(0); k <= n; k++ {
		below[k+1] = below[k] + math.Exp(logChoose+float64(k)*math.Log(p)+float64(n-k)*math.Log(1-p))
		logChoose += math.Log(float64(n-k)) - math.Log(float64(k+1))
	}
	return below
}

func TestNeededSamples(t *testing.T) {
	for p, want := range map[float64]int64{0.5: 5, 0.95: 59, 0.99: 299, 0.999: 2995} {
		require.Equal(t, want, NeededSamples(p))
		_, high := QuantileRanks(want, p)
		require.Equal(t, want, high, "p=%g: the largest sample bounds it", p)
		_, high = QuantileRanks(want-1, p)
		require.Equal(t, want, high, "p=%g: one sample less bounds nothing", p)
	}
}

// By simulation: each bound is wrong in about 5% of the runs at most, whatever the distribution.
// (Equality is possible for one-sided bounds, hence the slack of four standard errors.)
func TestQuantileBoundsHoldInSimulation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const runs = 400
	for name, d := range map[string]struct {
		draw  func() float64 // seconds
		truth func(p float64) float64
	}{
		"uniform":     {func() float64 { return rng.Float64() }, func(p float64) float64 { return p }},
		"exponential": {func() float64 { return rng.ExpFloat64() * 0.02 }, func(p float64) float64 { return -math.Log(1-p) * 0.02 }},
		"bimodal": { // hits and misses
			func() float64 {
				if rng.Float64() < 0.97 {
					return 0.001 * rng.Float64()
				}
				return 0.05 + 0.01*rng.Float64()
			},
			func(p float64) float64 {
				if p < 0.97 {
					return 0.001 * p / 0.97
				}
				return 0.05 + 0.01*(p-0.97)/0.03
			},
		},
	} {
		for _, p := range []float64{0.5, 0.95, 0.99} {
			truth := d.truth(p)
			tooHigh, tooLow := 0, 0
			low, high := QuantileRanks(400, p)
			sample := make([]float64, 400)
			for range runs {
				for i := range sample {
					sample[i] = d.draw()
				}
				slices.Sort(sample)
				if sample[low-1] > truth {
					tooHigh++
				}
				if sample[high-1] < truth {
					tooLow++
				}
			}
			slack := runs*(1-Confidence) + 4*math.Sqrt(runs*Confidence*(1-Confidence))
			require.LessOrEqual(t, float64(tooHigh), slack, "%s p=%g: lower bounds above the truth", name, p)
			require.LessOrEqual(t, float64(tooLow), slack, "%s p=%g: upper bounds below the truth", name, p)
		}
	}
}

func TestNormalApproximationMeetsTheExactRanks(t *testing.T) {
	for _, p := range []float64{0.5, 0.99, 0.999} {
		exactLow, exactHigh := QuantileRanks(exactSamples, p)
		low, high := QuantileRanks(exactSamples+1, p)
		require.InDelta(t, exactLow, low, 4)
		require.InDelta(t, exactHigh, high, 4)
	}
}

func TestSignificantlyAbove(t *testing.T) {
	for _, c := range []struct {
		k, n int64
		p    float64
		want bool
	}{
		{0, 0, 0.01, false}, {0, 1000, 0, false}, {1, 1000, 0, true},
		{10, 1000, 0.01, false}, {15, 1000, 0.01, false}, {25, 1000, 0.01, true}, {1000, 1000, 0.01, true},
		{1, 1, 0.01, false}, {2, 2, 0.01, true}, {5, 10, 1, false}, {500, 1000, 0.5, false}, {560, 1000, 0.5, true},
	} {
		require.Equal(t, c.want, SignificantlyAbove(c.k, c.n, c.p), "%+v", c)
	}
}

func TestPoissonAbove(t *testing.T) {
	require.InDelta(t, 1-math.Exp(-1)*(1+1+0.5), poissonAbove(2, 1), 1e-12)
	require.InDelta(t, 1-math.Exp(-1)*(1+1+0.5), poissonAbove(2.7, 1), 1e-12)
	require.Zero(t, poissonAbove(2, 0))
}
