package verdict

import (
	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
)

// costSummary is what steady, fault and recovery together cost; nil when it is not known.
func costSummary(r *measure.Results, p *cost.Prices) *report.CostSummary {
	used, ok := r.Bill()
	if !ok {
		return nil
	}
	per := 1e6 / used.Requests
	c := &report.CostSummary{
		Currency: p.Currency, Requests: int64(used.Requests), PerMillion: *rounded(p.Cost(used)*per, 9), By: map[string]float64{},
	}
	for _, reason := range cost.Reasons {
		if p.Price(reason) > 0 {
			c.By[string(reason)] = *rounded(p.Price(reason)*used.Of(reason)*per, 9)
		}
	}
	return c
}
