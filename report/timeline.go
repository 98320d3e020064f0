package report

// TimelinePoint is what was measured during one window of a drill. Offsets are in seconds from its
// start, latencies in milliseconds from the due time, shares 0..1.
type TimelinePoint struct {
	FromS      float64 `json:"from_s"`     // offset of the window's start, in s
	ToS        float64 `json:"to_s"`       // offset of the window's end, in s
	Phase      string  `json:"phase"`      // phase at the end of the window
	Rate       float64 `json:"rate"`       // rate of operations that ended, per second
	Errors     float64 `json:"errors"`     // share of operations that did not end ok, 0..1
	P50MS      float64 `json:"p50_ms"`     // 50th percentile of latency, in ms
	P95MS      float64 `json:"p95_ms"`     // 95th percentile of latency, in ms
	P99MS      float64 `json:"p99_ms"`     // 99th percentile of latency, in ms
	SourceQPS  float64 `json:"source_qps"` // rate of loads of the source, per second
	Stale      float64 `json:"stale"`      // share of judged reads that were proven stale, 0..1
	Violations int     `json:"violations"` // number of reads proven older than their class allows, since the start
}

// maxTimelinePoints bounds a report's timeline: twenty minutes of windows of half a second.
const maxTimelinePoints = 2400

// Timeline collects points and keeps their number bounded: when there are too many, neighbours are
// joined, and from then on as many windows make one point as in the others.
type Timeline struct {
	points []TimelinePoint
	join   int // windows in a point; 0 stands for 1
	inLast int // windows in the last point
}

// Add appends a window.
func (t *Timeline) Add(p TimelinePoint) {
	t.join = max(t.join, 1)
	if len(t.points) > 0 && t.inLast < t.join {
		last := &t.points[len(t.points)-1]
		*last = last.joined(p)
		t.inLast++
		return
	}
	if len(t.points) == maxTimelinePoints {
		for i := 0; i+1 < len(t.points); i += 2 {
			t.points[i/2] = t.points[i].joined(t.points[i+1])
		}
		t.points = t.points[:len(t.points)/2]
		t.join *= 2
	}
	t.points = append(t.points, p)
	t.inLast = 1
}

// Points gives what was collected, in order of time.
func (t *Timeline) Points() []TimelinePoint { return t.points }

// joined is one point for two that follow each other: rates are means over the time, shares are
// weighted by it, and of percentiles the worse one is kept.
func (p TimelinePoint) joined(o TimelinePoint) TimelinePoint {
	a, b := p.ToS-p.FromS, o.ToS-o.FromS
	mean := func(x, y float64) float64 { return (x*a + y*b) / max(a+b, 1e-9) }
	return TimelinePoint{
		FromS: p.FromS, ToS: o.ToS, Phase: o.Phase, Violations: o.Violations,
		Rate: mean(p.Rate, o.Rate), Errors: mean(p.Errors, o.Errors), Stale: mean(p.Stale, o.Stale),
		SourceQPS: mean(p.SourceQPS, o.SourceQPS),
		P50MS:     max(p.P50MS, o.P50MS), P95MS: max(p.P95MS, o.P95MS), P99MS: max(p.P99MS, o.P99MS),
	}
}
