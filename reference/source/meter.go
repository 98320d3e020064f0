package source

import (
	"sync"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Meter counts the loads of one source: each when it ends for its caller, with how many of the same
// name and region were under way when it arrived. Its Now and OnLoad are set before its first use.
type Meter struct {
	Now    func() int64 // the clock of [Load.Arrived] and [Load.Done], nanoseconds
	OnLoad func(Load)   // called concurrently; may be nil

	mu     sync.Mutex
	widths map[nameInRegion]int
}

type nameInRegion struct {
	name   key.Name
	region string
}

// Arrive takes in a load, and sets its time and width. Version checks have no width.
func (m *Meter) Arrive(l *Load) {
	l.Arrived = m.Now()
	if l.Check {
		return
	}
	at := nameInRegion{l.Name, l.Caller.Region}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.widths == nil {
		m.widths = map[nameInRegion]int{}
	}
	m.widths[at]++
	l.Width = m.widths[at]
}

// Leave notes that a load that arrived is no longer under way at the source.
func (m *Meter) Leave(l Load) {
	if l.Check {
		return
	}
	at := nameInRegion{l.Name, l.Caller.Region}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.widths[at]--; m.widths[at] == 0 {
		delete(m.widths, at)
	}
}

// Tell counts a load that ended for its caller.
func (m *Meter) Tell(l Load, rec Record, err error) {
	l.Done, l.Version, l.Failed = m.Now(), rec.Version, err != nil
	if m.OnLoad != nil {
		m.OnLoad(l)
	}
}
