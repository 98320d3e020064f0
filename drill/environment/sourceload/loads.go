// Package sourceload counts loads of the source of a service, by what the suite says can count
// them.
package sourceload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	nethttp "net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/origin"
)

// Bounds of reading a service's own counter.
const (
	pollEvery = 250 * time.Millisecond
	pollLimit = 2 * time.Second
	pollBody  = 16 << 20
	pollMost  = 100_000 // loads in one interval that are passed on one by one
)

// Poll counts loads of the source by a counter that the service itself shows. What the counter grew
// by between two looks is spread over the time between them. It does not tell which keys were
// loaded; a histogram beside it may tell how many loads of a key there were at once.
type Poll struct {
	plan   *scenarios.LoadPlan
	reader Statistics // instead of a page of metrics; nil: read that
	dial   Dial
	client *nethttp.Client
	tell   func(targets.Load)
	epoch  time.Time
	stop   context.CancelFunc
	done   sync.WaitGroup

	family string         // of all loads, where the suite has only one
	origin *origin.Client // instead of polling; nil: poll

	mu     sync.Mutex
	missed uint64 // loads that the origin did not keep
	failed int
	why    string
}

// New makes the counter of a plan, and sees that it can be asked; nil without a plan.
func New(ctx context.Context, plan *scenarios.LoadPlan, mixes []load.Mix, reader Statistics, dial Dial) (*Poll, error) {
	if plan == nil {
		return nil, nil
	}
	if plan.Postgres != "" && reader == nil {
		return nil, errors.New("counting loads of the source: this program can't ask a PostgreSQL for its statistics")
	}
	l := &Poll{plan: plan, reader: reader, dial: dial, client: &nethttp.Client{
		Timeout: pollLimit, Transport: &nethttp.Transport{DialContext: dial}, CheckRedirect: asItIs,
	}}
	if len(mixes) == 1 {
		l.family = mixes[0].Family
	}
	if plan.Origin != "" {
		return l, l.healthy(ctx)
	}
	if _, err := l.read(ctx); err != nil {
		return nil, fmt.Errorf("counting loads of the source: %w", err)
	}
	return l, nil
}

// asItIs has a redirect be the answer: what it leads to was not asked for.
func asItIs(*nethttp.Request, []*nethttp.Request) error { return nethttp.ErrUseLastResponse }

// Statistics asks the database at a URL how many transactions it has ended, without the questions
// themselves. It makes its connections by dial.
type Statistics func(ctx context.Context, url string, dial Dial) (float64, error)

// Dial makes a connection, as [net.Dialer.DialContext] does.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// Keyed says whether loads are counted by key.
func (l *Poll) Keyed() bool { return l.plan.Origin != "" }

// healthy sees whether the origin is there.
func (l *Poll) healthy(ctx context.Context) error {
	if err := l.get(ctx, l.plan.Origin+"/healthz"); err != nil {
		return fmt.Errorf("counting loads of the source: the origin's admin address: %w", err)
	}
	return nil
}

func (l *Poll) get(ctx context.Context, url string) error {
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("GET %s answered %s", url, res.Status)
	}
	return nil
}

// MeansOnly says whether seconds can't be distinguished.
func (l *Poll) MeansOnly() bool { return l.plan.Postgres != "" }

// Widths reports whether it is known how many loads of their key were under way.
func (l *Poll) Widths() bool { return l.plan.Stampede != "" }

// SetEpoch says when offset 0 of all times is; it comes before Begin.
func (l *Poll) SetEpoch(epoch time.Time) { l.epoch = epoch }

// follow hears of every load from the origin itself.
func (l *Poll) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.origin.Loads(ctx, func(b origin.Batch[origin.SeenLoad]) error {
			l.mu.Lock()
			l.missed += b.Missed
			l.mu.Unlock()
			for _, e := range b.Events {
				if e.Arrived < 0 { // before the drill
					continue
				}
				e.Key = targets.Key{Family: l.family, ID: e.Path}
				l.tell(e.Load)
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.failed++
		l.why = err.Error()
		l.mu.Unlock()
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
		}
	}
}

// Begin starts looking.
func (l *Poll) Begin(tell func(targets.Load)) {
	l.tell = tell
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	if l.plan.Origin == "" {
		l.done.Go(func() { l.run(ctx) })
		return
	}
	var err error
	if l.origin, err = origin.NewClient(l.plan.Origin, l.epoch, l.dial); err != nil {
		l.failed, l.why = 1, err.Error()
		return
	}
	l.done.Go(func() { l.follow(ctx) })
}

func (l *Poll) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last, at := math.NaN(), time.Duration(0)
	var widths widthLog
	for {
		now := time.Since(l.epoch)
		p, err := l.read(ctx)
		v := p.loads
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.mu.Lock()
			l.failed++
			l.why = err.Error()
			l.mu.Unlock()
		default:
			if v < last { // the service was started anew, and its counter with it
				last = 0
			}
			widths.grow(p.widths)
			if n := int(v - last); !math.IsNaN(last) && n > 0 {
				n = min(n, pollMost)
				for i := range n {
					arrived := at + (now-at)*time.Duration(2*i+1)/time.Duration(2*n)
					if arrived >= 0 {
						width, widest := widths.next()
						l.tell(targets.Load{Arrived: arrived, Done: now, Width: width, Widest: widest})
					}
				}
			}
			last, at = v, now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// page is what was read at one look.
type page struct {
	loads  float64  // the counter, summed over its labels
	widths []bucket // in order of width
}

// read looks.
func (l *Poll) read(ctx context.Context) (page, error) {
	if l.reader != nil {
		ctx, cancel := context.WithTimeout(ctx, pollLimit)
		defer cancel()
		n, err := l.reader(ctx, l.plan.Postgres, l.dial)
		return page{loads: n}, err
	}
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodGet, l.plan.Prometheus, nil)
	if err != nil {
		return page{}, err
	}
	res, err := l.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != nethttp.StatusOK {
		return page{}, fmt.Errorf("%s answered %s", l.plan.Prometheus, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, pollBody))
	if err != nil {
		return page{}, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return page{}, fmt.Errorf("%s: %w", l.plan.Prometheus, err)
	}
	f, ok := all[l.plan.Counter]
	if !ok {
		return page{}, fmt.Errorf("%s has no %s", l.plan.Prometheus, l.plan.Counter)
	}
	if t := f.GetType(); t != dto.MetricType_COUNTER && t != dto.MetricType_UNTYPED {
		return page{}, errors.New(l.plan.Counter + " is no counter")
	}
	p := page{}
	for _, m := range f.GetMetric() {
		p.loads += m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	if l.plan.Stampede == "" {
		return p, nil
	}
	h, ok := all[l.plan.Stampede]
	switch {
	case !ok:
		return page{}, fmt.Errorf("%s has no %s", l.plan.Prometheus, l.plan.Stampede)
	case h.GetType() != dto.MetricType_HISTOGRAM:
		return page{}, errors.New(l.plan.Stampede + " is no histogram")
	}
	p.widths = bucketsOf(h.GetMetric())
	return p, nil
}

// Trouble says how often the counter could not be read.
func (l *Poll) Trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missed > 0 {
		return fmt.Sprintf("%d loads of the source arrived too late and are not counted: the origin keeps only so many", l.missed)
	}
	if l.failed == 0 {
		return ""
	}
	return fmt.Sprintf("the counter of source loads could not be read %d times (%s): loads of that time are counted when it could be again", l.failed, l.why)
}

// Close ends the looking and waits for it.
func (l *Poll) Close() {
	if l.stop != nil {
		l.stop()
	}
	l.done.Wait()
	l.client.CloseIdleConnections()
	if l.origin != nil {
		l.origin.Close()
	}
}
