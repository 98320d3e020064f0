package oracle

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// maxSights is how many (key, session) pairs a shard remembers: half a million in all, 25 MB.
// Beyond it those that changed longest ago are forgotten, which can miss a violation but never
// makes one up.
const maxSights = 8192

// sightSet is how many places a pair may be at.
const sightSet = 4

// sessions remembers what each session saw of each key of a shard, to check monotonic reads and
// read-your-writes. It is a set-associative table: a map would take three times the memory, and
// could not forget the oldest.
type sessions struct {
	sights []sight // sets of sightSet; a power of two
}

// sight is the two latest versions that a session saw of a key and when the earliest operation that
// saw each returned. older is the earlier and smaller one: it serves reads that began before the
// latest was seen.
type sight struct {
	key               *keyState // nil: no sight
	session           uint64
	latest, older     uint64
	latestAt, olderAt time.Duration
}

// set gives the places of a pair.
func (s *sessions) set(k *keyState, session uint64) []sight {
	at := (k.hash ^ session*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9 >> 32 // spread over the low bits too
	i := int(at) & (len(s.sights) - 1) &^ (sightSet - 1)
	return s.sights[i : i+sightSet]
}

func (s *sessions) find(k *keyState, session uint64) *sight {
	if len(s.sights) == 0 {
		return nil
	}
	set := s.set(k, session)
	for i := range set {
		if set[i].session == session && set[i].key == k {
			return &set[i]
		}
	}
	return nil
}

// add makes room for a pair that is not there.
func (s *sessions) add(n sight) {
	for {
		if len(s.sights) > 0 {
			set := s.set(n.key, n.session)
			oldest := &set[0]
			for i := range set {
				if set[i].key == nil {
					set[i] = n
					return
				}
				if set[i].latestAt < oldest.latestAt {
					oldest = &set[i]
				}
			}
			if len(s.sights) == maxSights {
				*oldest = n
				return
			}
		}
		s.grow()
	}
}

func (s *sessions) grow() {
	old := s.sights
	s.sights = make([]sight, max(sightSet, 2*len(old)))
	for _, o := range old {
		if o.key == nil {
			continue
		}
		set := s.set(o.key, o.session) // the places of two sets at most one of which is the old one: there is room
		for i := range set {
			if set[i].key == nil {
				set[i] = o
				break
			}
		}
	}
}

// saw notes that an operation of a session returned version v. 0, or no session, notes nothing.
func (s *sessions) saw(k *keyState, op *targets.Operation, v uint64) {
	if op.Session == 0 || v == 0 || op.Instance == targets.SourceInstance {
		return
	}
	at := op.Returned
	was := s.find(k, op.Session)
	switch {
	case was == nil:
		s.add(sight{key: k, session: op.Session, latest: v, latestAt: at, olderAt: never})
	case v > was.latest && at <= was.latestAt:
		was.latest, was.latestAt = v, at
	case v > was.latest:
		was.older, was.olderAt = was.latest, was.latestAt
		was.latest, was.latestAt = v, at
	case v == was.latest && at < was.latestAt:
		was.latestAt = at
	case v < was.latest && at < was.latestAt && (v > was.older || v == was.older && at < was.olderAt):
		was.older, was.olderAt = v, at
	}
}

// note gives the latest version that a read's session is known to have seen before, and notes the
// one that the read answered.
func (s *sessions) note(k *keyState, op *targets.Operation, m match) (base uint64) {
	base = s.before(k, op)
	switch {
	case op.Reply.Absent, op.Session == 0:
	case op.Reply.Version == 0 && m.version != 0: // the value may be stored twice: the session saw the first at least
		s.saw(k, op, k.history.FirstLike(m.version))
	default:
		s.saw(k, op, m.version)
	}
	return base
}

// before gives the latest version that the operation's session is known to have seen in operations
// that returned before this one was sent; 0 when there is none.
func (s *sessions) before(k *keyState, op *targets.Operation) uint64 {
	if op.Session == 0 || op.Instance == targets.SourceInstance {
		return 0
	}
	was := s.find(k, op.Session)
	switch {
	case was == nil:
	case was.latestAt < op.Sent:
		return was.latest
	case was.olderAt < op.Sent:
		return was.older
	}
	return 0
}
