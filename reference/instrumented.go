package reference

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/sourceclock"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
)

// instrumented wraps the operations of a cache, its source and its listener, and reports to an
// observer what went through them. Nil wraps without reporting. What no wrapper can see is reported
// where it is decided: that a copy is served although a better one was wanted, a wait for another
// worker's load, and a refresh.
type instrumented struct {
	observer Observer
	clock    *sourceclock.Clock
	families map[string]*family
}

// instrument has the cache report to an observer. It comes before anything runs.
func (c *Cache) instrument(o Observer) {
	if o == nil {
		c.observer = NopObserver{}
		return
	}
	c.observer, c.instrumented = o, &instrumented{o, c.clock, c.families}
	c.misses.Landed = func(name string, readers int) {
		if !strings.Contains(name, " ") { // keys have none; what is no reader's begins with a word and one
			o.Shared(readers)
		}
	}
	c.strong.checks.Landed, c.strong.loads.Landed = o.Shared, o.Shared
	o.Breaker(false)
}

// get wraps [Cache.get].
func (i *instrumented) get(ctx context.Context, c *Cache, n *key.Name, a *Answer) error {
	began := i.clock.Instant()
	err := c.get(ctx, n, began, a)
	e := ReadEvent{Family: n.Family, Tenant: n.Tenant, Tier: a.Tier, Outcome: Done}
	if err != nil {
		if errors.Is(err, ErrFamily) || errors.Is(err, key.ErrName) {
			return err
		}
		e.Tier, e.Outcome = "", outcome(err)
	}
	e.Took = time.Duration(i.clock.Instant() - began)
	i.observer.Read(e)
	return err
}

// write wraps a change.
func (i *instrumented) write(family string, deleted bool, change func() (source.Record, error)) (source.Record, error) {
	if i == nil {
		return change()
	}
	began := i.clock.Instant()
	r, err := change()
	if _, known := i.families[family]; !known {
		return r, err
	}
	e := WriteEvent{Family: family, Delete: deleted, Outcome: Done, Took: time.Duration(i.clock.Instant() - began)}
	switch {
	case errors.Is(err, source.ErrNotApplied):
		e.Outcome = NotApplied
	case err != nil:
		e.Outcome = Unknown
	}
	i.observer.Write(e)
	return r, err
}

// instrumentedSource reports the loads and version reads of a source, each attempt by itself.
type instrumentedSource struct {
	source.Source
	observer Observer
}

// source wraps a source.
func (i *instrumented) source(s source.Source) source.Source {
	if i == nil {
		return s
	}
	return instrumentedSource{s, i.observer}
}

// Load implements [source.Source].
func (s instrumentedSource) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	began := time.Now()
	r, err := s.Source.Load(ctx, n, by)
	s.report(LoadEvent{Family: n.Family, Took: time.Since(began)}, by, err)
	return r, err
}

// Version implements [source.Source].
func (s instrumentedSource) Version(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	began := time.Now()
	r, err := s.Source.Version(ctx, n, by)
	s.report(LoadEvent{Family: n.Family, Check: true, Took: time.Since(began)}, by, err)
	return r, err
}

func (s instrumentedSource) report(e LoadEvent, by source.Caller, err error) {
	if by.Audit {
		return
	}
	if e.Outcome = outcome(err); e.Outcome == Shed {
		e.Outcome = Refused
	}
	s.observer.Load(e)
}

// shed reports a read that the worker refused to ask the source for.
func (i *instrumented) shed(n key.Name, check bool) {
	if i != nil {
		i.observer.Load(LoadEvent{Family: n.Family, Check: check, Outcome: Shed})
	}
}

// listener does what the invalidation bus asks of a worker's memory.
type listener interface {
	gap()                                // messages may have been lost
	purge(what purge.Selection)          // copies must go, though nothing supersedes them
	superseded(f *family, m bus.Message) // a version was superseded
}

// instrumentedListener reports what a worker hears on the invalidation bus.
type instrumentedListener struct {
	listener
	*instrumented
}

// listener wraps a listener.
func (i *instrumented) listener(l listener) listener {
	if i == nil {
		return l
	}
	return instrumentedListener{l, i}
}

func (l instrumentedListener) gap() {
	l.observer.Gap()
	l.listener.gap()
}

func (l instrumentedListener) purge(what purge.Selection) {
	l.listener.purge(what)
	l.observer.Purge()
}

// superseded reports how long ago, about, the version was committed, where the message has that
// time.
func (l instrumentedListener) superseded(f *family, m bus.Message) {
	if m.At != 0 {
		l.observer.Lag(f.Schema.Family, PathBus, time.Duration(max(0, l.clock.About(l.clock.Instant())-m.At)))
	}
	l.listener.superseded(f, m)
}

// servedForNow reports why a copy is served at source time now that is being renewed. One that is
// renewed early is as good as any.
func (c *Cache) servedForNow(f *family, m *policy.Meta, now int64, suspect bool) {
	switch {
	case suspect:
		c.observer.Stale(f.Schema.Family, StaleAfterGap)
	case now >= m.FreshUntil:
		c.observer.Stale(f.Schema.Family, StaleRefresh)
	}
}

// errSkipped marks a background refresh that was left to a later reader, because too many were
// under way.
var errSkipped = errors.New("too many refreshes are under way")

// outcome is how a read, load or refresh ended with err.
func outcome(err error) Outcome {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, errSkipped):
		return Skipped
	case errors.Is(err, source.ErrShed):
		return Shed
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Failed
}
