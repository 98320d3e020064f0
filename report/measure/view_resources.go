package measure

import (
	"fmt"
	"math"
	"strings"

	"github.com/cachedrill/cachedrill/internal/cost"
	"github.com/cachedrill/cachedrill/report/slo"
)

// Used implements [slo.Measurements].
func (v *view) Used(r slo.Resource) slo.Amount {
	switch r {
	case slo.RedisMemory:
		return v.redisMemory()
	case slo.CrossRegion:
		return v.crossRegionBytes()
	}
	return v.money()
}

const noMemory = "nothing here tells how much memory a Redis uses"

func (v *view) redisMemory() slo.Amount {
	regions := v.agg.used.regions()
	if v.labels.Region != "" {
		regions = []string{v.labels.Region}
	}
	if len(v.agg.used.memory) == 0 {
		return slo.Amount{Missing: noMemory}
	}
	out := slo.Amount{Known: slo.Range{Low: -1, High: -1}}
	for _, region := range regions {
		for _, sp := range v.agg.stretches(v.phases) {
			u := v.agg.used.of(region, sp)
			if !u.known() {
				// One that does not tell may use any amount.
				out.Known.High, out.Why = math.Inf(1), u.why
				continue
			}
			if u.most.Low > out.Known.Low {
				out.Known.Low, out.Where = u.most.Low, region
				out.Evidence = fmt.Sprintf("used_memory of redis@%s was %s bytes at %s",
					region, slo.FormatCount(int64(u.most.Low)), slo.FormatMoment(u.at))
			}
			if u.most.High > out.Known.High {
				out.Known.High, out.Why = u.most.High, u.why
			}
		}
	}
	switch {
	case out.Known.Low >= 0:
		return out
	case out.Why != "":
		return slo.Amount{Missing: out.Why}
	}
	return slo.Amount{Missing: noMemory}
}

func (v *view) crossRegionBytes() slo.Amount {
	r, why := v.crossed()
	if why != "" {
		return slo.Amount{Missing: why}
	}
	out := slo.Amount{
		Known: r, Where: v.labels.Region,
		Evidence: fmt.Sprintf("the relays exchanged %s bytes in %s", slo.FormatCount(int64(r.High)), slo.FormatDuration(v.length)),
		Why: fmt.Sprintf("%s to %s bytes crossed, and the limit lies between",
			slo.FormatCount(int64(r.Low)), slo.FormatCount(int64(r.High))),
	}
	if v.agg.used.oneRegion() {
		out.Blind = "there is one region only: nothing can cross"
	}
	return out
}

// crossed bounds the bytes that crossed regions in the view; why says why nothing is known.
func (v *view) crossed() (sum slo.Range, why string) {
	if v.about.CrossRegionUnavailable != "" {
		return slo.Nothing(), v.about.CrossRegionUnavailable
	}
	for _, sp := range v.agg.stretches(v.phases) {
		r := v.agg.used.crossed(v.labels.Region, sp)
		sum.Low, sum.High = sum.Low+r.Low, sum.High+r.High
	}
	if !sum.Known() {
		return sum, "the target was not asked what crosses regions " + v.Scope().During()
	}
	return sum, ""
}

// bill is what was used, from at least to at most.
type bill struct{ least, most cost.Usage }

// bill says what was used of what has a price; why says what is not known of it.
func (v *view) bill() (b bill, why string) {
	p := v.about.Prices
	if p == nil {
		return b, "nothing has a price: the suite needs prices: {currency: EUR, ...}"
	}
	if v.cell.ended == 0 {
		return b, "no operation ended " + v.Scope().During()
	}
	b.least.Requests = float64(v.cell.ended)
	if p.PerMillionSourceLoads > 0 {
		if !v.about.Loads.Counted {
			return b, slo.LoadsNotCounted
		}
		b.least.SourceLoads = float64(v.cell.loads.total)
	}
	if p.PerGBHourRedisMemory > 0 {
		if len(v.agg.used.memory) == 0 {
			return b, noMemory
		}
		for _, region := range v.agg.used.regions() {
			for _, sp := range v.agg.stretches(v.phases) {
				u := v.agg.used.of(region, sp)
				if !u.known() {
					return b, u.why
				}
				b.least.RedisByteSeconds += u.byteSeconds
			}
		}
	}
	b.most = b.least
	if p.PerGBCrossRegion > 0 {
		r, why := v.crossed()
		if why != "" {
			return b, why
		}
		b.least.CrossRegionBytes, b.most.CrossRegionBytes = r.Low, r.High
	}
	return b, ""
}

func (v *view) money() slo.Amount {
	b, why := v.bill()
	if why != "" {
		return slo.Amount{Missing: why}
	}
	p, per := v.about.Prices, 1e6/b.least.Requests
	known := slo.Range{Low: p.Cost(b.least) * per, High: p.Cost(b.most) * per}
	return slo.Amount{
		Known: known, Currency: p.Currency,
		Why: fmt.Sprintf("it lies between %s and %s, and the limit between", slo.FormatMoney(known.Low), slo.FormatMoney(known.High)),
		Evidence: fmt.Sprintf("%s requests: %s", slo.FormatCount(v.cell.ended),
			CostParts(func(r cost.Reason) (float64, bool) { return p.Price(r) * b.most.Of(r) * per, p.Price(r) > 0 })),
	}
}

// CostParts shows the reasons of a cost that have one: "source loads 0.8, redis memory 0.12".
func CostParts(of func(cost.Reason) (amount float64, ok bool)) string {
	var out []string
	for _, r := range cost.Reasons {
		if v, ok := of(r); ok {
			out = append(out, strings.ReplaceAll(string(r), "_", " ")+" "+slo.FormatMoney(v))
		}
	}
	return strings.Join(out, ", ")
}

// Bill is what was used from steady to recovery, where only bounds are known the most; ok is false
// when it is not known, or nothing has a price.
func (r *Results) Bill() (used cost.Usage, ok bool) {
	v := r.over(slo.GroupAlways, phasesOf(slo.GroupAlways, false), slo.Labels{})
	if v.Scope().Missing != "" {
		return used, false
	}
	b, why := v.bill()
	return b.most, why == ""
}
