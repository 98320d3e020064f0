package slo

import "fmt"

var (
	sourceMean = Metric{Name: "source_qps.mean", Unit: UnitRate, Labels: perLoad, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:   "loads that arrived at the source, per second of the phase",
		Shape: Shape{Times: true}, Measure: meanLoads}
	sourcePeak = Metric{Name: "source_qps.peak", Unit: UnitRate, Labels: perLoad, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:   "most loads that arrived at the source in one second (buckets of 1 s from the start of the phase)",
		Shape: Shape{Times: true}, Measure: peakLoads, Whole: onlyGrows}
	stampede = Metric{Name: "stampede.max", Unit: UnitCount, Labels: perLoad, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:     "most loads of one key from one region under way at once",
		Measure: widestStampede, Whole: onlyGrows}
	redundantLoads = Metric{Name: "redundant_loads", Unit: UnitCount, Labels: perLoad, Groups: anyGroup, Presumes: nothing, Needs: Needs{Samples: SampleRead},
		Doc:     "loads beyond the first of the same version of a key by the same region",
		Measure: repeatedLoads, Whole: onlyGrows}
)

// LoadsNotCounted is why nothing is known of loads at a source that counts none.
const LoadsNotCounted = "the target does not count loads at its source"

// uncounted says why loads can't be measured in the scope; "" when they can.
func uncounted(from Measurements, d LoadDetail) string {
	switch {
	case !d.Counted:
		return LoadsNotCounted
	case !d.PerLabel && from.Scope().Labelled:
		return "what counts the loads of the source does not tell them apart"
	}
	return ""
}

const unkeyed = "what counts the loads of the source does not tell which keys they are of"

func meanLoads(from Measurements, _ Objective) Measurement {
	l, s := from.Loads(), from.Scope()
	if why := uncounted(from, l.Detail); why != "" {
		return NotMeasured(why)
	}
	if from.Operations().Ended == 0 && l.Total == 0 || s.Length <= 0 {
		return noOperation(from)
	}
	mean := float64(l.Total) / s.Length.Seconds()
	return Measurement{
		Known:    Exactly(mean),
		Observed: FormatRate(mean),
		Evidence: fmt.Sprintf("%s loads in %s", FormatCount(l.Total), FormatDuration(s.Length)),
	}
}

func peakLoads(from Measurements, _ Objective) Measurement {
	l, s := from.Loads(), from.Scope()
	if why := uncounted(from, l.Detail); why != "" {
		return NotMeasured(why)
	}
	if !l.Detail.PerSecond {
		return NotMeasured("what counts the loads of the source tells too late in which second they arrived")
	}
	if from.Operations().Ended == 0 && l.Total == 0 || s.Length <= 0 {
		return noOperation(from)
	}
	m := Measurement{Known: Exactly(float64(l.Peak)), Observed: FormatRate(float64(l.Peak))}
	if l.Peak > 0 {
		m.Evidence = fmt.Sprintf("%s loads arrived in the second from %s", FormatCount(l.Peak), FormatMoment(l.PeakAt))
	}
	return m
}

func noLoad(from Measurements) Measurement {
	return NotMeasured("no load reached the source " + from.Scope().During())
}

func widestStampede(from Measurements, _ Objective) Measurement {
	l := from.Loads()
	why := uncounted(from, l.Detail)
	if l.Detail.Counted && !l.Detail.Width {
		why = unkeyed
	}
	switch {
	case why != "":
		return NotMeasured(why)
	case l.Total == 0:
		return noLoad(from)
	case l.Widest.Width == 0:
		return NotMeasured("the target does not tell how many loads of a key were under way")
	}
	w := l.Widest
	m := Measurement{Known: Exactly(float64(w.Width)), Observed: FormatCount(int64(w.Width)), Where: w.Region}
	if w.AtMost > w.Width {
		m.Known.High = float64(w.AtMost)
		m.Why = "what counts the loads tells widths apart only roughly"
	}
	if w.Width > 1 {
		key := "one key"
		if l.Detail.PerKey {
			key = w.Key
		}
		m.Evidence = fmt.Sprintf("%s loads of %s under way at once%s at %s, each asking the source for the same key",
			FormatCount(int64(w.Width)), key, InRegion(w.Region), FormatMoment(w.At))
		if w.Cause != "" {
			m.Evidence += "; " + w.Cause
		}
	}
	return m
}

func repeatedLoads(from Measurements, _ Objective) Measurement {
	l := from.Loads()
	why := uncounted(from, l.Detail)
	if l.Detail.Counted && !l.Detail.PerKey {
		why = unkeyed
	}
	switch {
	case why != "":
		return NotMeasured(why)
	case l.Total == 0:
		return noLoad(from)
	}
	m := Measurement{
		Known:    Exactly(float64(l.Redundant)),
		Observed: fmt.Sprintf("%s of %s loads", FormatCount(l.Redundant), FormatCount(l.Total)),
	}
	if l.Redundant > 0 {
		m.Where, m.Evidence = l.Again.Region, "first: "+l.Again.Text+" was loaded there before"
	}
	return m
}

// InRegion gives " in eu"; of no region nothing.
func InRegion(region string) string {
	if region == "" {
		return ""
	}
	return " in " + region
}
