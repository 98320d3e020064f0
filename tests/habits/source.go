package habits

import (
	"math/rand/v2"
	"sync"
	"time"
)

// row is a value as the source has it, or its absence.
type row struct {
	value   string
	exists  bool
	version int       // of the key, from 1 on
	since   int       // changes since it was created, from 1 on
	at      time.Time // when it was written
}

// source is the source of truth. A request to it takes its time.
type source struct {
	mu      sync.Mutex
	rng     *rand.Rand
	rows    map[string]row
	past    map[string][]row // every version, oldest first
	created int              // ids that were given out
}

func newSource(rng *rand.Rand) *source {
	return &source{rng: rng, rows: map[string]row{}, past: map[string][]row{}}
}

// draw gives a duration between the two.
func (s *source) draw(from, to time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}

// chance reports whether something happens that does with probability p.
func (s *source) chance(p float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.Float64() < p
}

// now gives a row at once.
func (s *source) now(k string) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[k]
}

// read loads a row: what it was a moment after the request, however long the answer takes.
func (s *source) read(k string) row {
	time.Sleep(s.draw(time.Millisecond, 3*time.Millisecond))
	r := s.now(k)
	slowest := 60 * time.Millisecond
	if s.chance(0.1) {
		slowest = 400 * time.Millisecond
	}
	time.Sleep(s.draw(time.Millisecond, slowest))
	return r
}

// behind gives the row as it was some time ago.
func (s *source) behind(k string, by time.Duration) row {
	time.Sleep(s.draw(time.Millisecond, 3*time.Millisecond))
	s.mu.Lock()
	defer s.mu.Unlock()
	var r row
	for _, old := range s.past[k] {
		if time.Since(old.at) >= by {
			r = old
		}
	}
	return r
}

// commit makes a change at once.
func (s *source) commit(k string, value string, exists bool) row {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.rows[k]
	r := row{value: value, exists: exists, version: old.version + 1, since: 1, at: time.Now()}
	if old.exists {
		r.since = old.since + 1
	}
	s.rows[k] = r
	s.past[k] = append(s.past[k], r)
	return r
}

// write makes a change in the time that it takes.
func (s *source) write(k string, value string, exists bool) row {
	time.Sleep(s.draw(time.Millisecond, 6*time.Millisecond))
	r := s.commit(k, value, exists)
	time.Sleep(s.draw(time.Millisecond, 6*time.Millisecond))
	return r
}

// create gives out an id.
func (s *source) create() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created++
	return 1000 + s.created
}
