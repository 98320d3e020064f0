package measure

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// resources collects what was used, as it was asked for from time to time. It may be used
// concurrently. Its memory grows with the time that a drill takes.
type resources struct {
	mu        sync.Mutex
	memory    map[string][]targets.Memory
	crossings []targets.CrossRegionSample
}

func (r *resources) addMemory(m targets.Memory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memory == nil {
		r.memory = map[string][]targets.Memory{}
	}
	r.memory[m.Region] = append(r.memory[m.Region], m)
}

func (r *resources) addCrossRegion(c targets.CrossRegionSample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crossings = append(r.crossings, c)
}

// finished gives everything in the order of time.
func (r *resources) finished() *usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := &usage{memory: map[string][]targets.Memory{}, crossings: slices.Clone(r.crossings)}
	for region, samples := range r.memory {
		u.memory[region] = slices.SortedStableFunc(slices.Values(samples), func(a, b targets.Memory) int { return cmp.Compare(a.At, b.At) })
	}
	slices.SortStableFunc(u.crossings, func(a, b targets.CrossRegionSample) int { return cmp.Compare(a.At, b.At) })
	return u
}

// usage is what was used in a drill.
type usage struct {
	memory    map[string][]targets.Memory // by region
	crossings []targets.CrossRegionSample
}

// stretch is a part of a drill; its end is no part of it.
type stretch struct{ from, to time.Duration }

// stretches gives the phases that the drill reached, those that follow each other as one.
func (a *aggregate) stretches(phases []Phase) (out []stretch) {
	for _, p := range phases {
		start, end, ok := a.times.span(p)
		switch last := len(out) - 1; {
		case !ok || end <= start:
		case last >= 0 && out[last].to == start:
			out[last].to = end
		default:
			out = append(out, stretch{start, end})
		}
	}
	return out
}

// memoryUsed is what is known of the memory of one Redis over some time.
type memoryUsed struct {
	most        slo.Range // bytes
	at          time.Duration
	byteSeconds float64
	why         string // the range is as wide as it is
}

// of gives what a region's Redis used in a stretch. What it used between two answers lies below the
// peak that the second shows.
func (u *usage) of(region string, s stretch) memoryUsed {
	out := memoryUsed{most: slo.Nothing(), why: "the Redis of " + region + " was not asked how much memory it uses"}
	samples := u.memory[region]
	from := s.from
	held := int64(-1) // what it used last, -1: not known
	silent := false   // its last answer in the stretch does not show it
	for i := range samples {
		m := &samples[i]
		after := m.At >= s.to
		if m.Problem != "" {
			out.why = "the Redis of " + region + " did not show it: " + m.Problem
			silent = silent || m.At >= s.from && !after
			if after {
				break
			}
			continue
		}
		if m.At < s.from {
			held = m.Used
			continue
		}
		if held < 0 {
			held = m.Used
		}
		until := min(m.At, s.to)
		out.byteSeconds += float64(held) * (until - from).Seconds()
		from, held, silent = until, m.Used, false
		if after { // its peak covers what came after the last answer in the stretch
			if !out.known() {
				break
			}
			out.most.High = max(out.most.High, float64(m.Peak))
			break
		}
		if !out.known() {
			out.most = slo.Exactly(0)
		}
		if float64(m.Used) >= out.most.Low {
			out.most.Low, out.at = float64(m.Used), m.At
		}
		out.most.High = max(out.most.High, float64(m.Used), float64(m.Peak))
	}
	if !out.known() {
		return out
	}
	out.byteSeconds += float64(max(held, 0)) * (s.to - from).Seconds()
	if silent {
		out.most.High = math.Inf(1)
		return out
	}
	out.why = fmt.Sprintf("it lies between %s, the most that it showed, and its peak of %s", slo.FormatBytes(out.most.Low), slo.FormatBytes(out.most.High))
	return out
}

func (m *memoryUsed) known() bool { return !math.IsNaN(m.most.Low) }

// crossed bounds the bytes that a region ("": all) asked of others in a stretch. What crossed
// between two samples around a boundary may be on either side of it.
func (u *usage) crossed(region string, s stretch) slo.Range {
	sum := func(c *targets.CrossRegionSample) (n float64) {
		for of, bytes := range c.Bytes {
			if region == "" || of == region {
				n += float64(bytes)
			}
		}
		return n
	}
	var before, first, last, after *targets.CrossRegionSample
	for i := range u.crossings {
		c := &u.crossings[i]
		if c.At <= s.from {
			before = c
		}
		if c.At >= s.from && first == nil {
			first = c
		}
		if c.At <= s.to {
			last = c
		}
		if c.At >= s.to && after == nil {
			after = c
		}
	}
	if before == nil || after == nil {
		return slo.Nothing()
	}
	r := slo.Range{High: sum(after) - sum(before)}
	if first != nil && last != nil && last.At >= first.At {
		r.Low = sum(last) - sum(first)
	}
	return r
}

func (u *usage) regions() []string { return slices.Sorted(maps.Keys(u.memory)) }

// oneRegion says that nothing can cross.
func (u *usage) oneRegion() bool { return len(u.crossings) > 0 && len(u.crossings[0].Bytes) < 2 }
