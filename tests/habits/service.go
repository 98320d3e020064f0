package habits

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Class is what a service promises of its reads.
type Class string

// The classes.
const (
	Strong   Class = "strong"   // what was acknowledged is read
	Bounded  Class = "bounded"  // no read is older than [Within]
	Eventual Class = "eventual" // reads are not older than [Within] in the end
)

// Within is the bound of services that promise one.
const Within = time.Second

const (
	shortLived = 500 * time.Millisecond // of copies, where the bound is kept by it
	longLived  = time.Hour
	later      = 300 * time.Millisecond // until a change is made that was acknowledged before
	behind     = time.Second            // of the replica
	spared     = 40                     // changes until the first is refused, lost or fails
)

// Service is a service with habits, around a cache that may have a defect.
type Service struct {
	habits Habits
	class  Class
	defect string
	source *source
	caches []*cache // by worker; correct ones share one

	changes atomic.Int64 // that were asked for
	bucket  bucket
	queue   queue
}

// New makes a service. The seed decides what happens by chance.
func New(h Habits, class Class, defect string, seed uint64) *Service {
	if !slices.Contains(Defects, defect) {
		panic("there is no defect " + defect)
	}
	s := &Service{habits: h, class: class, defect: defect, source: newSource(rand.New(rand.NewPCG(seed, 1)))}
	ttl, guarded := longLived, true
	switch {
	case defect == "slow-fill":
		guarded = false
	case defect == "" && class != Strong:
		ttl, guarded = shortLived, false // nothing else is needed then
	}
	shared := newCache(ttl, guarded)
	for range s.Workers() {
		if defect == "deaf" {
			shared = newCache(ttl, guarded)
		}
		s.caches = append(s.caches, shared)
	}
	return s
}

// Workers is how many processes the service stands for.
func (s *Service) Workers() int {
	return map[string]int{"two": 2, "balanced": 3}[s.habits["workers"]] + map[string]int{"": 1}[s.habits["workers"]]
}

// Close drops what is not made yet.
func (s *Service) Close() { s.queue.close() }

// copyOf is the name of a key's copy.
func (s *Service) copyOf(tenant, id string) string {
	if s.defect == "tenants" {
		return id
	}
	return tenant + "/" + id
}

// read answers a read by a worker; tier is where the answer comes from.
func (s *Service) read(worker int, tenant, id string) (r row, tier string) {
	c, name := s.caches[worker], s.copyOf(tenant, id)
	if r, ok := c.find(name); ok {
		time.Sleep(s.source.draw(time.Millisecond/10, time.Millisecond))
		return s.crossed(r), "HIT"
	}
	mark, began := c.mark(name), time.Now()
	r = s.source.read(tenant + "/" + id)
	c.keep(name, r, mark, began)
	return r, "MISS"
}

// crossed gives another key's row now and then, where that is the defect.
func (s *Service) crossed(r row) row {
	if s.defect != "crossed" || !s.source.chance(0.03) {
		return r
	}
	s.source.mu.Lock()
	defer s.source.mu.Unlock()
	for _, other := range s.source.rows {
		if other.exists && other.value != r.value {
			return other
		}
	}
	return r
}

// change makes a change by a worker, and drops copies of what it supersedes.
func (s *Service) change(worker int, tenant, id, value string, exists bool) row {
	k, name, c := tenant+"/"+id, s.copyOf(tenant, id), s.caches[worker]
	switch s.defect {
	case "loses":
		if exists && s.late() && s.source.chance(0.25) {
			c.begin(name)
			c.end(name)
			return s.source.now(k)
		}
	case "race":
		r := s.source.write(k, value, exists)
		time.Sleep(s.source.draw(0, 20*time.Millisecond))
		c.put(name, r)
		return r
	case "negative":
		if old, ok := c.find(name); ok && !old.exists {
			return s.source.write(k, value, exists)
		}
	case "forgets":
		if s.source.chance(0.5) {
			return s.source.write(k, value, exists)
		}
	case "":
		if s.class != Strong {
			return s.source.write(k, value, exists) // copies do not live for long
		}
	}
	c.begin(name)
	defer c.end(name)
	return s.source.write(k, value, exists)
}

// changeLater makes a change after it was acknowledged. Changes are made in the order in which they
// came.
func (s *Service) changeLater(worker int, tenant, id, value string, exists bool) {
	k, name, c := tenant+"/"+id, s.copyOf(tenant, id), s.caches[worker]
	s.queue.add(func() {
		drops := s.class == Strong || s.defect != ""
		if old, ok := c.find(name); ok && (s.defect == "negative" && !old.exists || s.defect == "forgets" && s.source.chance(0.5)) {
			drops = false
		}
		if drops {
			c.begin(name)
			defer c.end(name)
		}
		s.source.commit(k, value, exists)
	})
}

// late reports whether the service is past its first changes, in which nothing goes wrong.
func (s *Service) late() bool { return s.changes.Load() > spared }

// queue makes changes a fixed time after they were added, in order.
type queue struct {
	mu     sync.Mutex
	due    []func()
	closed bool
}

func (q *queue) add(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = append(q.due, do)
	time.AfterFunc(later, q.next)
}

func (q *queue) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && len(q.due) > 0 {
		q.due[0]()
		q.due = q.due[1:]
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// bucket lets so many requests a second through.
type bucket struct {
	mu   sync.Mutex
	left float64
	at   time.Time
}

const (
	perSecond = 150
	atOnce    = 50
)

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.left = atOnce
	} else {
		b.left = min(atOnce, b.left+time.Since(b.at).Seconds()*perSecond)
	}
	b.at = time.Now()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
