package measure

import (
	"fmt"
	"slices"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
)

// Loads implements [slo.Measurements].
func (v *view) Loads() slo.Loads {
	l := &v.cell.loads
	out := slo.Loads{Detail: v.about.Loads, Total: l.total, Redundant: l.redundant}
	out.PeakAt, out.Peak = l.peak()
	w := &l.widest
	out.Widest = slo.Stampede{
		Width: w.Width, AtMost: max(l.most, w.Width), Key: w.Key.String(), Region: w.Region, At: w.Arrived,
		Cause: v.corroboration("stampede.max"),
	}
	if l.redundant > 0 {
		out.Again = slo.Evidence{Text: loaded(&l.again), Region: l.again.Region}
	}
	c, length, missing := v.agg.view(v.labels, []Phase{Steady})
	out.Steady, out.SteadyTime, out.NoSteady = c.loads.total, length, len(missing) > 0
	return out
}

// corroboration gives the first of what others saw of the cause, in the phases of the view.
func (v *view) corroboration(metric string) string {
	for _, c := range v.about.Corroborations {
		if c.Metric == metric && v.contains(c.At) {
			return c.Text
		}
	}
	return ""
}

// Lag implements [slo.Measurements].
func (v *view) Lag(tier string) slo.Lag {
	if tier != "" {
		return v.lagOf(tier)
	}
	var lags []oracle.Lag
	for _, l := range v.agg.found.Lags {
		at := slo.Labels{Family: l.Family.Value(), Class: v.agg.classes[l.Family.Value()]}
		if v.contains(l.Committed) && v.labels.Selects(&at) {
			lags = append(lags, l)
		}
	}
	if len(lags) == 0 {
		return slo.Lag{Missing: "no commit of these labels superseded anything " + v.Scope().During()}
	}
	slices.SortFunc(lags, func(a, b oracle.Lag) int { return int(a.Lag - b.Lag) })
	out := slo.Lag{Low: make([]float64, len(lags))}
	for i, l := range lags {
		out.Low[i] = l.Lag.Seconds()
	}
	out.High = out.Low
	if worst := lags[len(lags)-1]; worst.Lag > 0 {
		out.Worst.Region = worst.Region.Value()
		out.Worst.Text = fmt.Sprintf("longest: a %s committed at %s was still read stale%s %s later", worst.Family.Value(),
			slo.FormatMoment(worst.Committed), slo.InRegion(worst.Region.Value()), slo.FormatDuration(worst.Lag))
	}
	return out
}

// lagOf gives the lag of a tier as it saw it itself.
func (v *view) lagOf(tier string) slo.Lag {
	b, heard := tierBounds{}, false
	for _, l := range v.agg.inside {
		heard = heard || l.tier == tier
		at := slo.Labels{Family: l.key.Family, Class: v.agg.classes[l.key.Family]}
		if l.tier == tier && v.contains(l.committed) && v.labels.Selects(&at) {
			b.add(l)
		}
	}
	n := len(b.low)
	switch {
	case n == 0 && !heard:
		return slo.Lag{Missing: "no " + tier + " reported when it dropped superseded copies"}
	case n == 0:
		return slo.Lag{Missing: "no commit of these labels superseded anything " + v.Scope().During()}
	}
	b.sort()
	out := slo.Lag{Low: b.low, High: b.high, Open: int64(b.open), Worst: slo.Evidence{Region: b.worst.last.region}}
	if b.worst.open {
		out.Worst.Text = fmt.Sprintf("%s of %s commits were never dropped everywhere: %s did not report %s, committed at %s",
			slo.FormatCount(out.Open), slo.FormatCount(int64(n)), b.worst.last, b.worst.key, slo.FormatMoment(b.worst.committed))
	} else {
		out.Worst.Text = fmt.Sprintf("longest: %s dropped %s %s after the commit at %s",
			b.worst.last, b.worst.key, slo.FormatDuration(b.worst.lag), slo.FormatMoment(b.worst.committed))
	}
	return out
}

// LagTiers are the tiers that reported in a phase when they dropped what its commits superseded.
func (r *Results) LagTiers(p Phase) (tiers []string) {
	for _, l := range r.agg.inside {
		if !slices.Contains(tiers, l.tier) && r.agg.times.of(l.committed) == p {
			tiers = append(tiers, l.tier)
		}
	}
	return tiers
}
