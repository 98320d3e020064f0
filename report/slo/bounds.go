package slo

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// confidence of every one-sided bound on a percentile.
const Confidence = 0.95

// exactSamples is up to how many samples binomial probabilities are computed exactly. Above it the
// normal approximation is off by less than a rank, and the incomplete beta function converges
// slowly.
const exactSamples = 1_000_000

// QuantileRanks gives the order statistics that bound the p-quantile (0 < p < 1) of the population
// behind n samples, each with one-sided 95% confidence: the quantile is at least the low-th
// smallest sample and at most the high-th, counted from 1. low = 0 and high = n+1 mean that the
// samples are too few for that side: no sample is surely below, or above.
//
// The number of samples below the quantile is Binomial(n, p), whatever the distribution: the k-th
// smallest lies at or below the quantile exactly when at least k samples do.
func QuantileRanks(n int64, p float64) (low, high int64) {
	if n <= 0 {
		return 0, 1
	}
	if n > exactSamples {
		const z = 1.6448536269514722 // the normal distribution's 95% point
		mean, sd := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
		low = int64(math.Floor(mean - z*sd))
		high = int64(math.Ceil(mean+z*sd)) + 1
		return max(low, 0), min(high, n+1)
	}
	// P(at least k samples below) falls with k: the largest k that still reaches the confidence.
	low = int64(sort.Search(int(n), func(i int) bool { return atLeast(n, int64(i+1), p) < Confidence }))
	// P(at most k-1 samples below) rises with k: the smallest k that reaches it.
	high = 1 + int64(sort.Search(int(n), func(i int) bool { return 1-atLeast(n, int64(i+1), p) >= Confidence }))
	return low, high
}

// QuantileOfSorted bounds the p-quantile of a population by samples of which the lower and the
// upper bounds are given, each in ascending order.
func QuantileOfSorted(low, high []float64, p float64) Range {
	lowRank, _ := QuantileRanks(int64(len(low)), p)
	_, highRank := QuantileRanks(int64(len(high)), p)
	r := Range{0, math.Inf(1)}
	if lowRank >= 1 {
		r.Low = low[lowRank-1]
	}
	if highRank <= int64(len(high)) {
		r.High = high[highRank-1]
	}
	return r
}

// NeededSamples is how many samples a p-quantile needs before it has an upper bound at all.
func NeededSamples(p float64) int64 { return int64(math.Ceil(math.Log(1-Confidence) / math.Log(p))) }

// atLeast is P(X >= k) for X ~ Binomial(n, p).
func atLeast(n, k int64, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), p)
}

// SignificantlyAbove says whether k of n is more than a true share of p explains: with less than
// the probability that a normal variable lies 3 standard deviations above its mean.
func SignificantlyAbove(k, n int64, p float64) bool {
	const threeSigma = 0.0013498980316300933
	return n > 0 && float64(k) > p*float64(n) && atLeast(n, k, p) < threeSigma
}

// poissonAbove is P(X > k) for X ~ Poisson(mean).
func poissonAbove(k, mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	return mathext.GammaIncReg(math.Floor(k)+1, mean)
}

// shareBounds bounds the true share of a kind of which k of n samples were, with one-sided 95%
// confidence each way (Clopper and Pearson: exact, whatever the share). n is above 0.
func shareBounds(k, n int64) Range {
	r := Range{0, 1}
	if k > 0 {
		r.Low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), 1-Confidence)
	}
	if k < n {
		r.High = mathext.InvRegIncBeta(float64(k+1), float64(n-k), Confidence)
	}
	return r
}
