package report

import (
	"fmt"

	"gonum.org/v1/gonum/mathext"
)

// burn measures how fast the error budget of an objective over weeks burns: the share of operations that did
// not end ok, as a multiple of the share that the objective allows. 1x spends the budget exactly; 14.4x, for
// an hour, 2% of a month's.
//
// The operations seen are samples of the many that such a time would bring, so the share is known within
// one-sided 95% bounds each way only.
func (s *scope) burn(objective float64) measurement {
	c := s.cell
	if c.ended == 0 {
		return nothing("no operation of these labels ended " + s.during())
	}
	m := s.errors() // for its evidence
	allowed := 1 - objective
	bad := c.failed + c.unknown
	share := shareBounds(bad, c.ended)
	m.known = Range{share.Low / allowed, share.High / allowed}
	m.observed = fmt.Sprintf("%sx (%s of %s operations, %s allowed)",
		trimmed(float64(bad)/float64(c.ended)/allowed, 2), count(bad), count(c.ended), percent(allowed))
	m.why = fmt.Sprintf("%s operations bound it to %sx..%sx with 95%% confidence each way, and the limit lies between",
		count(c.ended), trimmed(m.known.Low, 2), trimmed(m.known.High, 2))
	return m
}

// shareBounds bounds the true share of a kind of which k of n samples were, with one-sided 95% confidence
// each way (Clopper and Pearson: exact, whatever the share). n is above 0.
func shareBounds(k, n int64) Range {
	r := Range{0, 1}
	if k > 0 {
		r.Low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), 1-confidence)
	}
	if k < n {
		r.High = mathext.InvRegIncBeta(float64(k+1), float64(n-k), confidence)
	}
	return r
}
