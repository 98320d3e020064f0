package origin

import (
	"context"
	"sync"
)

// Load is a read that reached the origin, as /loads tells it once it has ended. Times are
// nanoseconds since the origin's start.
type Load struct {
	N           uint64 `json:"n"`       // its number among the loads, from 1, in the order in which they ended
	Path        string `json:"path"`    // path and query
	Arrived     int64  `json:"arrived"` // before any queueing
	Queued      int64  `json:"queued"`  // from then until a server took it up, or it went away
	Done        int64  `json:"done"`    // when its answer was ready, or it went away
	Version     uint64 `json:"version"` // what it read; 0: it failed, or the path never had an object
	Width       int    `json:"width"`   // loads of this path under way at its arrival, itself included; 0 of a HEAD and of an audit
	Status      int    `json:"status"`  // 200, 304, 404, 503 when it was shed, 499 when the client had gone
	Head        bool   `json:"head,omitempty"`
	Conditional bool   `json:"conditional,omitempty"` // it had an If-None-Match
	Audit       bool   `json:"audit,omitempty"`       // no part of the workload: neither queued nor counted
}

// Commit is a change of an object, as /commits tells it.
type Commit struct {
	N       uint64  `json:"n"` // its number among the commits, from 1, in their order
	Path    string  `json:"path"`
	Version uint64  `json:"version"`          // of the path, from 1, none left out
	At      int64   `json:"at"`               // when it became visible: nanoseconds since the origin's start, stamped under the commit lock
	Size    int     `json:"size"`             // of the body, bytes
	Body    *string `json:"body,omitempty"`   // the body, if it is text of at most 256 bytes
	SHA256  string  `json:"sha256,omitempty"` // of any other body, in hexadecimal
	Deleted bool    `json:"deleted,omitempty"`
}

// page is the first line of an answer that tells events.
type page struct {
	Origin  string `json:"origin"`  // which run of the origin this is: another one counts anew
	Missed  uint64 `json:"missed"`  // events between those that were asked for and these that aren't kept any more
	Next    uint64 `json:"next"`    // what to ask for next
	Through int64  `json:"through"` // every event up to this time was sent or missed
	Came    int64  `json:"came"`    // when the request came
	Now     int64  `json:"now"`     // when this was sent
}

// ring keeps the newest events of one kind.
type ring[E any] struct {
	most int
	now  func() int64

	mu   sync.Mutex
	kept []E           // event n is at (n-1) % most
	n    uint64        // how many there ever were
	news chan struct{} // closed by the next event; nil without a waiter
}

func newRing[E any](most int, now func() int64) *ring[E] { return &ring[E]{most: most, now: now} }

// add keeps an event that is made of its number, and of a time that is no earlier than those of the
// events before it.
func (r *ring[E]) add(with func(n uint64, now int64) E) E {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	e := with(r.n, r.now())
	if at := int((r.n - 1) % uint64(r.most)); at < len(r.kept) {
		r.kept[at] = e
	} else {
		r.kept = append(r.kept, e)
	}
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return e
}

// after gives up to most events after number since, and the header of the page. ok is false when
// there never were that many events. Where some are left over, through is the time of the last one
// given, as stamp has it.
func (r *ring[E]) after(since uint64, most int, stamp func(E) int64) (p page, events []E, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since > r.n {
		return page{Next: r.n}, nil, false
	}
	first := max(since, r.n-uint64(len(r.kept))) // before the first that is given
	last := min(r.n, first+uint64(most))
	for n := first; n < last; n++ {
		events = append(events, r.kept[n%uint64(r.most)])
	}
	p = page{Missed: first - since, Next: last, Through: r.now()}
	if last < r.n {
		p.Through = stamp(events[len(events)-1])
	}
	return p, events, true
}

// wait returns when number since is not the last event, or ctx ends.
func (r *ring[E]) wait(ctx context.Context, since uint64) {
	r.mu.Lock()
	if r.n != since {
		r.mu.Unlock()
		return
	}
	if r.news == nil {
		r.news = make(chan struct{})
	}
	news := r.news
	r.mu.Unlock()
	select {
	case <-news:
	case <-ctx.Done():
	}
}

// underWay counts the loads under way, by path.
type underWay struct {
	mu     sync.Mutex
	paths  map[string]int
	all    int
	widest int // of any path, ever
}

// arrive takes in a load, and gives its time and width. A check has none.
func (u *underWay) arrive(path string, check bool, now func() int64) (at int64, width int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all++
	if check {
		return now(), 0
	}
	u.paths[path]++
	width = u.paths[path]
	u.widest = max(u.widest, width)
	return now(), width
}

func (u *underWay) leave(path string, check bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all--
	if check {
		return
	}
	if u.paths[path]--; u.paths[path] == 0 {
		delete(u.paths, path)
	}
}

func (u *underWay) read() (all, widest int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all, u.widest
}
