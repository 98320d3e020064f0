package virtual

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"path"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/targets"
)

// local gives the form that a fault takes here.
func (w *world) local(f faults.Fault) faults.Fault {
	if strings.HasPrefix(f.String(), "sham") {
		return quiet{f, faults.Lasts(f)}
	}
	switch f := f.(type) {
	case faults.Restart:
		return restart{f, w}
	case faults.Expire:
		return expire{f, w}
	case faults.Split:
		return split{f, w}
	}
	return f // that only needs relays
}

// restart takes a store away and brings it back empty.
type restart struct {
	faults.Restart
	w *world
}

func (f restart) Inject(context.Context, faults.Site) (faults.Injected, error) {
	name := targets.RedisName(f.Region, f.Pool)
	s, ok := f.w.stores[name]
	if !ok {
		return faults.Injected{}, fmt.Errorf("%s: this place has no Redis %q", f, name)
	}
	before, keys := s.Incarnation(), len(s.Keys())
	s.Stop()
	heal := func(context.Context) (string, error) {
		s.Start()
		if s.Incarnation() == before {
			return "", fmt.Errorf("%s: it is the incarnation that it was", f)
		}
		return fmt.Sprintf("incarnation %d with %d keys before, %d with %d after", before, keys, s.Incarnation(), len(s.Keys())), nil
	}
	return faults.Injected{Began: time.Now(), Hold: f.Down, Heal: heal}, nil
}

// expire lets many keys expire at once.
type expire struct {
	faults.Expire
	w *world
}

func (f expire) Inject(_ context.Context, site faults.Site) (faults.Injected, error) {
	pattern := f.Pattern
	if f.Family != "" {
		pattern = site.Pattern(f.Family)
	}
	nodes := map[string]faults.Node{} // only their names matter
	for name := range f.w.stores {
		nodes[name] = nil
	}
	names, err := f.Redises(nodes)
	if err != nil {
		return faults.Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	began, gone := time.Now(), 0
	for _, name := range names {
		s := f.w.stores[name]
		var picked []string
		for _, k := range s.Keys() {
			if match, err := path.Match(pattern, k); err != nil {
				return faults.Injected{}, fmt.Errorf("%s: %w", f, err)
			} else if match && f.picks(k) {
				picked = append(picked, k)
			}
		}
		gone += s.Expire(picked...)
	}
	evidence := ""
	if gone > 0 {
		evidence = fmt.Sprintf("%d keys expired", gone)
	}
	return faults.Injected{Evidence: evidence, Began: began, Heal: func(context.Context) (string, error) { return evidence, nil }}, nil
}

// picks says whether a key is among the share that is to expire.
func (f expire) picks(k string) bool {
	if f.Share == 0 || f.Share >= 1 {
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(k))
	return float64(h.Sum32()) < f.Share*math.MaxUint32
}

// split cuts the wires between two regions' relays.
type split struct {
	faults.Split
	w *world
}

func (f split) Inject(context.Context, faults.Site) (faults.Injected, error) {
	wires := []*wire{
		f.w.wire(targets.RelayEdge(f.Between[0], f.Between[1])),
		f.w.wire(targets.RelayEdge(f.Between[1], f.Between[0])),
	}
	for _, w := range wires {
		w.set(true)
	}
	heal := func(context.Context) (string, error) {
		var lost int64
		for _, w := range wires {
			passed, n := w.counts()
			if passed > 0 {
				return "", fmt.Errorf("%s: something came through", f)
			}
			lost += n
			w.set(false)
		}
		if lost == 0 {
			return "", nil
		}
		return fmt.Sprintf("%d messages lost", lost), nil
	}
	return faults.Injected{Began: time.Now(), Hold: f.For, Heal: heal}, nil
}

// quiet breaks nothing for as long as a sham lasts.
type quiet struct {
	of    faults.Fault
	lasts time.Duration
}

func (f quiet) String() string { return f.of.String() }

func (f quiet) Inject(context.Context, faults.Site) (faults.Injected, error) {
	heal := func(context.Context) (string, error) { return "nothing was broken", nil }
	return faults.Injected{Began: time.Now(), Hold: f.lasts, Heal: heal}, nil
}
