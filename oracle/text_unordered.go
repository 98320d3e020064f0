package oracle

import (
	"fmt"

	"github.com/cachedrill/cachedrill/targets"
)

// name gives a write of a key without versions as evidence shows it.
func (m *mark) name() string {
	switch {
	case m.seq == targets.SeedSeq && m.deleted:
		return "the absence before the first write"
	case m.seq == targets.SeedSeq:
		return "the initial value"
	case m.deleted:
		return fmt.Sprintf("deletion %d", m.seq)
	}
	return fmt.Sprintf("the value of write %d", m.seq)
}

// story tells what is known of a write and of its last read.
func (m *mark) story() string {
	s := m.name()
	if m.sent != before {
		s += " (sent at " + clock(m.sent)
		if m.acked != never {
			s += ", acknowledged at " + clock(m.acked)
		}
		s += ")"
	}
	if m.by != never && m.by != m.acked {
		s += fmt.Sprintf(", %s at %s", m.byProof, clock(m.by))
	}
	if m.last.sent != before {
		s += fmt.Sprintf(", last read by read %d, sent at %s", m.last.seq, clock(m.last.sent))
	}
	return s
}

func textZones(key targets.Key, a, b *mark) string {
	return fmt.Sprintf("%s: no order of its writes explains all reads: %s; %s", key, a.story(), b.story())
}

func textAbsences(key targets.Key, all []interval) string {
	s := fmt.Sprintf("%s: no order of its writes explains the answers \"not found\"", key)
	for i, r := range all {
		sep := ","
		if i == 0 {
			sep = " of"
		}
		s += fmt.Sprintf("%s [%s, %s]", sep, clock(r.from), clock(r.end))
	}
	return s
}

func textRollbackLoose(key targets.Key, m *mark, op *targets.Operation) string {
	return fmt.Sprintf("%s of %s was %s at %s and is gone; %s", m.name(), key, m.byProof, clock(m.by), textAuditLoose(op))
}

func textAuditLoose(op *targets.Operation) string {
	if op.Reply.Absent {
		return textAudit(0, op)
	}
	return fmt.Sprintf("the source answered %s at %s", author(op.Reply.Token), clock(op.Sent))
}
