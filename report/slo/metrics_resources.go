package slo

import "fmt"

var (
	redisMemory = Metric{Name: "redis_memory.max", Unit: UnitBytes, Labels: perRegion, Groups: anyGroup, Presumes: nothing,
		Doc: "the most memory that a Redis used (its used_memory, asked for every 100 ms; above it bounded by its " +
			"used_memory_peak)",
		Shape: Shape{Inexact: "peak of memory"}, Measure: mostMemory, Whole: onlyGrows}
	crossRegionBytes = Metric{Name: "cross_region_bytes", Unit: UnitBytes, Labels: perRegion, Groups: anyGroup, Presumes: nothing,
		Doc: "bytes between relays of different regions, both ways, by the region that asked; counted where the " +
			"connections are made, past the proxies",
		Measure: bytesCrossed, Whole: onlyGrows}
	costPerMillion = Metric{Name: "cost_per_million", Unit: UnitMoney, Groups: anyGroup, Presumes: nothing,
		Doc: "what a million requests cost by the suite's prices: requests, loads at the source, memory of Redis, " +
			"bytes that cross regions",
		Measure: cost}
)

// amount takes over what is known of a resource; what was observed is for the caller to say.
func amount(a Amount) Measurement {
	if a.Missing != "" {
		return NotMeasured(a.Missing)
	}
	return Measurement{Known: a.Known, Where: a.Where, Evidence: a.Evidence, Why: a.Why, Blind: a.Blind}
}

func mostMemory(from Measurements, _ Objective) Measurement {
	m := amount(from.Used(RedisMemory))
	if m.Known.Known() {
		m.Observed = FormatBytes(m.Known.Low)
	}
	return m
}

func bytesCrossed(from Measurements, _ Objective) Measurement {
	m := amount(from.Used(CrossRegion))
	if m.Known.Known() {
		low, high := FormatBytes(m.Known.Low), FormatBytes(m.Known.High)
		m.Observed = low
		if low != high {
			m.Observed = low + ".." + high
		}
	}
	return m
}

func cost(from Measurements, _ Objective) Measurement {
	a := from.Used(Money)
	m := amount(a)
	if !m.Known.Known() {
		return m
	}
	m.Observed = fmt.Sprintf("%s %s", FormatMoney(m.Known.High), a.Currency)
	return m
}
