package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/cachedrill/cachedrill/reference"
)

// Counts is what was counted so far.
type Counts struct {
	Families map[string]FamilyCounts
	Tenants  map[string]Answers // those that are counted by name, and "other"; nil: none are
	Lag      map[reference.Path]Histogram
	Flights  Histogram // readers of each look past the worker's memory
	Openings int64     // of the circuit breaker
	Gaps     int64
}

// Answers are reads that were answered, by where the answer came from.
type Answers struct{ L1, L2, Source int64 }

// FamilyCounts is what was counted of a family.
type FamilyCounts struct {
	Answers
	Failed        int64         // reads without an answer
	HitTook       time.Duration // of all answers of L1 and L2 together
	MissTook      time.Duration // of all of the source
	Loads, Checks int64         // questions to the source; those that the worker did not put aren't
	Stale         map[reference.StaleReason]int64
	LeaseWaits    int64
	Refreshes     map[reference.Outcome]int64
	Changes       int64 // whatever came of them
}

// Histogram is how often which values were seen.
type Histogram struct {
	Upper  []float64 // bounds of the buckets; +Inf is the last
	Counts []int64   // of each bucket alone
	Sum    float64
}

// Counts gives what was counted so far. Figures may be a few events apart while caches are at work.
func (m *Metrics) Counts() Counts {
	c := Counts{Families: map[string]FamilyCounts{}, Lag: map[reference.Path]Histogram{},
		Flights: histogramOf(m.shared), Openings: valueOf(m.opened), Gaps: valueOf(m.gaps)}
	for name, f := range m.families {
		c.Families[name] = f.counts()
	}
	for p, h := range m.lag {
		c.Lag[p] = histogramOf(h)
	}
	for name, b := range m.tenants {
		if c.Tenants == nil {
			c.Tenants = map[string]Answers{}
		}
		c.Tenants[name] = b.counts()
	}
	return c
}

func (b *byTier) counts() Answers {
	return Answers{L1: valueOf(b.l1), L2: valueOf(b.l2), Source: valueOf(b.source)}
}

func (f *family) counts() FamilyCounts {
	c := FamilyCounts{Answers: f.reads.counts(), LeaseWaits: valueOf(f.waits),
		Stale: map[reference.StaleReason]int64{}, Refreshes: map[reference.Outcome]int64{}}
	for _, n := range f.errors {
		c.Failed += valueOf(n)
	}
	for t, h := range f.took {
		took := time.Duration(histogramOf(h).Sum * float64(time.Second))
		if t == reference.TierSource {
			c.MissTook += took
		} else {
			c.HitTook += took
		}
	}
	for i, sum := range []*int64{&c.Loads, &c.Checks} {
		for o, n := range f.loads[i] {
			if o != reference.Shed {
				*sum += valueOf(n)
			}
		}
	}
	for why, n := range f.stale {
		c.Stale[why] = valueOf(n)
	}
	for o, n := range f.refreshes {
		c.Refreshes[o] = valueOf(n)
	}
	for _, kind := range f.writes {
		for _, n := range kind {
			c.Changes += valueOf(n)
		}
	}
	return c
}

func written(m any) *dto.Metric {
	var out dto.Metric
	_ = m.(prometheus.Metric).Write(&out) // counters and histograms without exemplars have nothing that could fail
	return &out
}

func valueOf(c prometheus.Counter) int64 { return int64(written(c).GetCounter().GetValue()) }

func histogramOf(o prometheus.Observer) Histogram {
	h := written(o).GetHistogram()
	out, below := Histogram{Sum: h.GetSampleSum()}, uint64(0)
	for _, b := range h.GetBucket() {
		out.Upper = append(out.Upper, b.GetUpperBound())
		out.Counts = append(out.Counts, int64(b.GetCumulativeCount()-below))
		below = b.GetCumulativeCount()
	}
	out.Upper = append(out.Upper, math.Inf(1))
	out.Counts = append(out.Counts, int64(h.GetSampleCount()-below))
	return out
}
