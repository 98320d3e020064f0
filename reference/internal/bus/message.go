// Package bus is a region's invalidation bus: the messages by which workers hear, through Redis, of
// superseded versions and of purges, and by which they notice that they missed some.
package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Channel is the Redis channel of a region's workers. Its messages are numbered within epochs: both
// are kept in Redis, and a Redis that forgot them begins a new epoch.
const (
	Channel   = "cache:superseded"
	EpochKey  = "cache:epoch"
	NumberKey = "cache:number"
)

// Kept is for how long a quiet bus remembers its epoch.
const Kept = 30 * 24 * time.Hour

// The kinds of messages.
const (
	Event = "e" // "e epoch number family version[@commit] key": a version was superseded; commit is the source's clock then
	Beat  = "b" // "b epoch number identity": the number of the last message, from the Redis of that identity
	Purge = "p" // "p epoch number selection": copies must go, though nothing supersedes them
)

// Message is one message of the bus.
type Message struct {
	Kind     string
	Epoch    string
	Number   uint64
	Identity string // of a beat: of the Redis that the number comes from
	Purge    string // of a purge: the selection
	Family   string // of an event
	Version  uint64 // of an event: everything older is superseded
	At       int64  // of an event: the source's clock at the commit, nanoseconds; 0: unknown
	Key      string // of an event
}

// EventBody is the part of an event after its number.
func EventBody(family string, version uint64, at int64, key string) string {
	return fmt.Sprintf("%s %d@%d %s", family, version, at, key)
}

// Parse reads a message; ok is false for one that this cache does not understand.
func Parse(s string) (m Message, ok bool) {
	parts := strings.SplitN(s, " ", 6)
	if len(parts) < 4 {
		return m, false
	}
	m.Kind, m.Epoch = parts[0], parts[1]
	var err error
	if m.Number, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return m, false
	}
	switch {
	case m.Kind == Beat:
		m.Identity = parts[3]
		return m, true
	case m.Kind == Purge:
		m.Purge = parts[3]
		return m, true
	case m.Kind == Event && len(parts) == 6:
		m.Family, m.Key = parts[3], parts[5]
		version, at, timed := strings.Cut(parts[4], "@")
		m.Version, err = strconv.ParseUint(version, 10, 64)
		if err == nil && timed {
			m.At, err = strconv.ParseInt(at, 10, 64)
		}
		return m, err == nil
	}
	return m, false
}

// Cursor is how far a worker has followed the bus. Messages come one after the other. The zero
// Cursor has heard nothing.
type Cursor struct {
	Epoch    string
	Number   uint64
	Identity string
}

// Missed takes in a message, and says whether some may have been lost before it: after the loss of
// a connection, of Redis's memory, or of Redis itself.
func (c *Cursor) Missed(m Message) bool {
	expected := c.Number
	if m.Kind != Beat {
		expected++
	}
	lost := m.Epoch != c.Epoch || m.Number != expected
	if m.Kind == Beat {
		lost = lost || m.Identity != c.Identity
		c.Identity = m.Identity
	}
	c.Epoch, c.Number = m.Epoch, m.Number
	return lost
}
