package oracle

import (
	"fmt"

	"github.com/cachedrill/cachedrill/targets"
)

// events are what is known of a write without a version: that it was sent, and the earliest proof of it.
func (m *mark) events(key targets.Key) []Event {
	switch {
	case m.byProof == acknowledged && m.by != never:
		e := acked(key, m.seq, 0, m.sent, m.by)
		e.Absent = m.deleted
		return []Event{e}
	case m.seq == targets.SeedSeq:
		return nil
	}
	events := []Event{{What: WriteSent, Key: key, Seq: m.seq, Writer: m.seq, Absent: m.deleted, Sent: m.sent}}
	if m.by != never {
		events = append(events, Event{What: Answered, Key: key, Writer: m.seq, Sent: m.since, Returned: m.by})
	}
	return events
}

// staleLoose proves a stale read of what m stored (nil: of an absence), which the write of the given evidence
// certainly followed.
func (k *keyState) staleLoose(m *mark, next evidence, op *targets.Operation) []Event {
	var events []Event
	if m != nil && m.sent != before {
		events = m.events(k.key)
	}
	if x, ok := k.register.find(next.via); ok {
		events = append(events, x.events(k.key)...)
	}
	return append(events, accused(op, 0))
}

// goneLooseHistory proves that the source no longer has what m stored.
func (k *keyState) goneLooseHistory(m *mark, op *targets.Operation) []Event {
	return append(m.events(k.key), accused(op, 0))
}

// orderHistory is the writes that no order explains.
func (k *keyState) orderHistory(zones ...zone) (events []Event) {
	for _, z := range zones {
		events = append(events, z.m.events(k.key)...)
		if z.m.last.sent != before {
			events = append(events, Event{What: Answered, Key: k.key, Seq: z.m.last.seq, Writer: z.m.seq, Sent: z.m.last.sent, Accused: true})
		}
	}
	return events
}

func proofOrder(zones ...zone) string {
	if len(zones) != 2 {
		return "no order of the absences and the writes explains every answer"
	}
	a, b := zones[0], zones[1]
	return fmt.Sprintf("the value of write %d was current from %s to %s, that of write %d from %s to %s: neither can come first",
		a.m.seq, exactly(a.finish), exactly(a.start), b.m.seq, exactly(b.finish), exactly(b.start))
}

// seenLoose is the earliest read that answered what a write stored.
func (k *keyState) seenLoose(seq uint64) Event {
	e := Event{What: Answered, Key: k.key, Writer: seq}
	if m, ok := k.register.find(seq); ok {
		e.Sent, e.Returned = m.since, m.by
	}
	return e
}
