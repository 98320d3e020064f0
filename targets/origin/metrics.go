package origin

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the origin shows to Prometheus. A path is never a label.
type metrics struct {
	registry *prometheus.Registry
	loads    prometheus.Counter
	checks   prometheus.Counter
	audits   prometheus.Counter
	refused  prometheus.Counter
	answers  *prometheus.CounterVec
	commits  *prometheus.CounterVec
	widths   prometheus.Histogram
	queued   prometheus.Histogram
}

func newMetrics(o *Origin) *metrics {
	const space = "cachedrill_origin_"
	m := &metrics{
		registry: prometheus.NewRegistry(),
		loads:    prometheus.NewCounter(prometheus.CounterOpts{Name: space + "loads_total", Help: "Reads that reached the origin, when they arrived; without HEAD and audits."}),
		checks:   prometheus.NewCounter(prometheus.CounterOpts{Name: space + "checks_total", Help: "HEAD requests that reached the origin."}),
		audits:   prometheus.NewCounter(prometheus.CounterOpts{Name: space + "audits_total", Help: "Reads that were marked as no part of the workload."}),
		refused:  prometheus.NewCounter(prometheus.CounterOpts{Name: space + "shed_total", Help: "Requests that were turned away because the queue was full."}),
		answers:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: space + "answers_total", Help: "Loads and checks by the status of their answer; 499: the client had gone."}, []string{"status"}),
		commits:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: space + "commits_total", Help: "Changes that were committed."}, []string{"kind"}),
		widths: prometheus.NewHistogram(prometheus.HistogramOpts{Name: space + "load_width", Help: "Loads of the same path under way when a load arrived, itself included.",
			Buckets: []float64{1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000}}),
		queued: prometheus.NewHistogram(prometheus.HistogramOpts{Name: space + "queued_seconds", Help: "How long loads waited for a server.",
			Buckets: []float64{.0001, .001, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}}),
	}
	gauge := func(name, help string, get func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: space + name, Help: help}, get)
	}
	m.registry.MustRegister(m.loads, m.checks, m.audits, m.refused, m.answers, m.commits, m.widths, m.queued,
		gauge("loads_in_flight", "Loads and checks under way, those that wait included.", func() float64 { n, _ := o.under.read(); return float64(n) }),
		gauge("load_width_max", "The most loads of one path that were ever under way at once.", func() float64 { _, n := o.under.read(); return float64(n) }),
		gauge("waiting", "Requests that wait for a server.", func() float64 { return float64(o.queue.waiting.Load()) }),
		gauge("following", "Requests for loads and commits that wait for news.", func() float64 { return float64(o.following.Load()) }),
		gauge("objects", "Objects that are known, absences included.", func() float64 { n, _ := o.shelf.size(); return float64(n) }),
		gauge("bytes", "Bytes of their bodies and paths.", func() float64 { _, n := o.shelf.size(); return float64(n) }))
	for _, status := range []string{"200", "304", "404", "499", "503"} { // from zero, so that rates see the first
		m.answers.WithLabelValues(status)
	}
	for _, kind := range []string{"put", "delete"} {
		m.commits.WithLabelValues(kind)
	}
	return m
}

// arrived counts what is no audit.
func (m *metrics) arrived(l Load) {
	if l.Head {
		m.checks.Inc()
		return
	}
	m.loads.Inc()
	m.widths.Observe(float64(l.Width))
}

func (m *metrics) ended(l Load) {
	if l.Audit {
		m.audits.Inc()
		return
	}
	m.answers.WithLabelValues(strconv.Itoa(l.Status)).Inc()
	if l.Status == 503 {
		m.refused.Inc()
		return
	}
	m.queued.Observe(float64(l.Queued) / 1e9)
}

func (m *metrics) wrote(obj object) {
	kind := "put"
	if obj.deleted {
		kind = "delete"
	}
	m.commits.WithLabelValues(kind).Inc()
}
