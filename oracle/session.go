package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// maxSessions is how many sessions are remembered per key. Beyond it all are forgotten, which can miss
// a violation but never makes one up.
const maxSessions = 1024

// sessions remembers what each session saw of one key, to check monotonic reads and read-your-writes.
type sessions struct {
	of map[uint64]sight
}

// sight is the two latest versions that a session saw and when the earliest operation that saw each returned.
// older is the earlier and smaller one: it serves reads that began before the latest was seen.
type sight struct {
	latest, older     uint64
	latestAt, olderAt time.Duration
}

// saw notes that an operation of a session returned version v. 0, or no session, notes nothing.
func (s *sessions) saw(op *targets.Operation, v uint64) {
	if op.Session == 0 || v == 0 || op.Door == targets.SourceDoor {
		return
	}
	if s.of == nil || len(s.of) >= maxSessions {
		s.of = map[uint64]sight{}
	}
	at := op.Returned
	was, ok := s.of[op.Session]
	switch {
	case !ok:
		s.of[op.Session] = sight{latest: v, latestAt: at, olderAt: never}
	case v > was.latest && at <= was.latestAt:
		was.latest, was.latestAt = v, at
		s.of[op.Session] = was
	case v > was.latest:
		s.of[op.Session] = sight{latest: v, latestAt: at, older: was.latest, olderAt: was.latestAt}
	case v == was.latest && at < was.latestAt:
		was.latestAt = at
		s.of[op.Session] = was
	case v < was.latest && at < was.latestAt && (v > was.older || v == was.older && at < was.olderAt):
		was.older, was.olderAt = v, at
		s.of[op.Session] = was
	}
}

// before gives the latest version that the operation's session is known to have seen in operations that
// returned before this one was sent; 0 when there is none.
func (s *sessions) before(op *targets.Operation) uint64 {
	if op.Session == 0 || s.of == nil || op.Door == targets.SourceDoor {
		return 0
	}
	was, ok := s.of[op.Session]
	switch {
	case ok && was.latestAt < op.Sent:
		return was.latest
	case ok && was.olderAt < op.Sent:
		return was.older
	}
	return 0
}
