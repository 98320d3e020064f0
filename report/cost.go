package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/internal/cost"
)

const noPrices = "nobody said what anything costs: the suite needs prices: {currency: EUR, ...}"

// bill is what was used in a scope, from at least to at most.
type bill struct{ least, most cost.Usage }

// bill says what was used of what has a price; why says what is not known of it.
func (s *scope) bill(p *cost.Prices) (b bill, why string) {
	if p == nil {
		return b, noPrices
	}
	if s.cell.ended == 0 {
		return b, "no operation ended " + s.during()
	}
	b.least.Requests = float64(s.cell.ended)
	if p.PerMillionSourceLoads > 0 {
		if !s.drill.LoadsCounted {
			return b, notCounted
		}
		b.least.SourceLoads = float64(s.cell.loads.total)
	}
	if p.PerGBHourRedisMemory > 0 {
		if len(s.agg.used.memory) == 0 {
			return b, noMemory
		}
		for _, region := range s.agg.used.regions() {
			for _, sp := range s.agg.stretches(s.phases) {
				u := s.agg.used.of(region, sp)
				if !u.known() {
					return b, u.why
				}
				b.least.RedisByteSeconds += u.byteSeconds
			}
		}
	}
	b.most = b.least
	if p.PerGBCrossRegion > 0 {
		r, why := s.crossed()
		if why != "" {
			return b, why
		}
		b.least.CrossRegionBytes, b.most.CrossRegionBytes = r.Low, r.High
	}
	return b, ""
}

func (s *scope) costPerMillion() measurement {
	p := s.drill.Prices
	b, why := s.bill(p)
	if why != "" {
		return nothing(why)
	}
	per := 1e6 / b.least.Requests
	m := measurement{known: Range{p.Cost(b.least) * per, p.Cost(b.most) * per}}
	m.observed = fmt.Sprintf("%s %s", amount(m.known.High), p.Currency)
	m.why = fmt.Sprintf("it lies between %s and %s, and the limit between", amount(m.known.Low), amount(m.known.High))
	m.evidence = fmt.Sprintf("%s requests: %s", count(s.cell.ended), parts(summary(p, b.most, s.cell.ended)))
	return m
}

// cost is that of steady, fault and recovery together; nil when it is not known.
func (a *aggregate) cost(d *Drill) *CostSummary {
	s, missing := newScope(a, d, GroupAlways, Objective{Metric: "cost_per_million"})
	if missing != "" {
		return nil
	}
	b, why := s.bill(d.Prices)
	if why != "" {
		return nil
	}
	return summary(d.Prices, b.most, s.cell.ended)
}

func summary(p *cost.Prices, u cost.Usage, requests int64) *CostSummary {
	per := 1e6 / float64(requests)
	c := &CostSummary{Currency: p.Currency, Requests: requests, PerMillion: *rounded(p.Cost(u)*per, 9), By: map[string]float64{}}
	for _, r := range cost.Reasons {
		if p.Price(r) > 0 {
			c.By[string(r)] = *rounded(p.Price(r)*u.Of(r)*per, 9)
		}
	}
	return c
}

// parts shows the reasons of a cost: "source loads 0.8, redis memory 0.12".
func parts(c *CostSummary) string {
	var out []string
	for _, r := range cost.Reasons {
		if v, ok := c.By[string(r)]; ok {
			out = append(out, strings.ReplaceAll(string(r), "_", " ")+" "+amount(v))
		}
	}
	return strings.Join(out, ", ")
}

// costLine says what a million requests cost; empty when it is not known.
func costLine(s Scenario) string {
	if s.Cost == nil {
		return ""
	}
	return fmt.Sprintf("a million requests cost %s %s: %s", amount(s.Cost.PerMillion), s.Cost.Currency, parts(s.Cost))
}

// amount shows money to three digits, or to hundredths.
func amount(v float64) string {
	if v >= 100 {
		return trimmed(v, 2)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
