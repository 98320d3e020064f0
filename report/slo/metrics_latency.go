package slo

import "fmt"

var (
	p50 = Metric{Name: "p50", Unit: UnitDuration, Labels: perAnswer, Groups: anyGroup, Presumes: nothing, Needs: perLatency,
		Doc:   "median latency, counted from when an operation was due",
		Shape: Shape{Quantile: 0.50, Timed: true}, Measure: percentile, Whole: latencyOfWhole}
	p95 = Metric{Name: "p95", Unit: UnitDuration, Labels: perAnswer, Groups: anyGroup, Presumes: nothing, Needs: perLatency,
		Doc:   "95th percentile of latency, counted from when an operation was due",
		Shape: Shape{Quantile: 0.95, Timed: true}, Measure: percentile, Whole: latencyOfWhole}
	p99 = Metric{Name: "p99", Unit: UnitDuration, Labels: perAnswer, Groups: anyGroup, Presumes: nothing, Needs: perLatency,
		Doc:   "99th percentile of latency; passing needs 299 samples or more",
		Shape: Shape{Quantile: 0.99, Timed: true}, Measure: percentile, Whole: latencyOfWhole}
	p999 = Metric{Name: "p999", Unit: UnitDuration, Labels: perAnswer, Groups: anyGroup, Presumes: nothing, Needs: perLatency,
		Doc:   "99.9th percentile of latency; passing needs 2,995 samples or more",
		Shape: Shape{Quantile: 0.999, Timed: true}, Measure: percentile, Whole: latencyOfWhole}
	slowest = Metric{Name: "max", Unit: UnitDuration, Labels: perAnswer, Groups: anyGroup, Presumes: nothing, Needs: perLatency,
		Doc:   "longest latency seen",
		Shape: Shape{Timed: true}, Measure: longestLatency, Whole: onlyGrows}

	perLatency = Needs{Samples: SampleOperation, Latency: true}
)

func percentile(from Measurements, o Objective) Measurement {
	ops, p := from.Operations(), o.Definition().Quantile
	n := ops.Latency.Count()
	if n == 0 {
		return noOperation(from)
	}
	corrected := ops.Latency.Bounds(p)
	m := Measurement{
		Observed: FormatDuration(ops.Latency.Quantile(p)),
		Where:    ops.Slowest.Region,
		Evidence: "worst: " + FormatDuration(ops.Latency.Max()) + " " + ops.Slowest.Text,
		Why:      fewSamples(corrected, n, p),
	}
	return charged(m, o, ops, corrected, ops.Service.Bounds(p).Low)
}

func longestLatency(from Measurements, o Objective) Measurement {
	ops := from.Operations()
	if ops.Latency.Count() == 0 {
		return noOperation(from)
	}
	longest := ops.Latency.Max()
	m := Measurement{Observed: FormatDuration(longest), Where: ops.Slowest.Region, Evidence: ops.Slowest.Text}
	return charged(m, o, ops, Exactly(longest.Seconds()), ops.Service.Max().Seconds())
}

// charged completes a measurement of latency with what is known of the latency that the target is
// to blame for. Corrected latency, from the due time, bounds it from above: a pass needs it. Where
// no operation waited for a worker, whatever lies between due and sent is the generator's own
// lateness: then service time bounds it from below, and a miss needs the target alone to miss.
// Under a limit of workers waiting for a free one is the target's doing, and corrected latency is
// both bounds.
func charged(m Measurement, o Objective, ops Operations, corrected Range, service float64) Measurement {
	m.Known = corrected
	if !ops.SentOnTime {
		return m
	}
	m.Known.Low = min(corrected.Low, service)
	limit := o.Limit.Value
	if m.Known.Decide(o.Op, limit) == Unknown && corrected.Decide(o.Op, limit) != Unknown {
		m.Why = "operations were sent late by the generator, and the limit lies between"
	}
	return m
}

// fewSamples explains why samples are too few to compare a percentile with a limit.
func fewSamples(r Range, n int64, p float64) string {
	if need := NeededSamples(p); n < need {
		return fmt.Sprintf("%s samples are too few: an upper bound on this percentile needs %s", FormatCount(n), FormatCount(need))
	}
	return fmt.Sprintf("%s samples bound it to %s..%s with 95%% confidence each way, and the limit lies between",
		FormatCount(n), FormatSeconds(r.Low), FormatSeconds(r.High))
}

func noOperation(from Measurements) Measurement {
	return NotMeasured("no operation of these labels ended " + from.Scope().During())
}
