package oracle

import (
	"fmt"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/oracle/internal/history"
	"github.com/cachedrill/cachedrill/targets"
)

// Text is the judgement in one line that a person understands, e.g. "price:9 (tenant t3, currency
// EUR) read v3 at 33.104s from l2 at eu-1; v4 was committed at 32.204s, 900ms before the read
// began".
func (d Judgement) Text() string {
	what := fmt.Sprintf("%s read v%d", d.Op.Key, d.Version)
	if d.Op.Reply.Absent {
		what = fmt.Sprintf("%s was answered as not found", d.Op.Key)
	}
	if d.Version == 0 && d.Answer != Unjudged && d.Op.Reply.Token != "" {
		what = fmt.Sprintf("%s read %s", d.Op.Key, author(d.Op.Reply.Token))
	}
	what += " at " + clock(d.Op.Sent) + from(&d.Op)
	switch d.Answer {
	case Stale:
		if d.Next == 0 {
			return fmt.Sprintf("%s; a later write was %s at %s, %s before the read began", what, d.NextHow, clock(d.NextAt), length(d.Low))
		}
		return fmt.Sprintf("%s; v%d was %s at %s, %s before the read began", what, d.Next, d.NextHow, clock(d.NextAt), length(d.Low))
	case Fresh:
		return what + ", which was current when the read began"
	case Indeterminate:
		return what + ", which may have been superseded before the read began"
	}
	if d.Why == "" {
		return what
	}
	return what + "; not judged: " + d.Why
}

func from(op *targets.Operation) string {
	s := ""
	switch {
	case op.Instance == targets.SourceInstance:
		s = " past the caches"
	case op.Reply.Tier != "":
		s = " from " + op.Reply.Tier
	}
	switch {
	case op.Reply.Worker != "":
		return s + " at " + op.Reply.Worker
	case op.Region != "":
		return s + " in " + op.Region
	}
	return s
}

// clock shows a time of the drill.
func clock(t time.Duration) string { return fmt.Sprintf("%.3fs", t.Seconds()) }

// length shows a length of time to at most three digits after the point.
func length(d time.Duration) string {
	for _, unit := range [...]time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 1000).String()
		}
	}
	return d.String()
}

func textLeak(op *targets.Operation, owner targets.Key) string {
	return fmt.Sprintf("%s answered with the value of %s at %s%s", op.Key, owner, clock(op.Sent), from(op))
}

func textValue(op *targets.Operation, what string) string {
	return fmt.Sprintf("%s: %s, answered at %s%s, %s", op.Key, value(op.Reply), clock(op.Sent), from(op), what)
}

func textDamaged(op *targets.Operation) string {
	return fmt.Sprintf("%s answered with a damaged value %q at %s%s", op.Key, clip(op.Reply.Token), clock(op.Sent), from(op))
}

func textConflict(op *targets.Operation, known history.Signature) string {
	return fmt.Sprintf("%s answered v%d with %s at %s%s, but v%d is %s", op.Key, op.Reply.Version, author(op.Reply.Token),
		clock(op.Sent), from(op), op.Reply.Version, authorOf(known))
}

func textMisread(key targets.Key, v *history.Version, op *targets.Operation) string {
	return fmt.Sprintf("v%d of %s had been answered with %s; %s was acknowledged as v%d at %s", v.N, key, authorOf(v.Token),
		author(op.Token), v.N, clock(op.Returned))
}

func textDisorder(key targets.Key, v *history.Version) string {
	return fmt.Sprintf("%s became v%d of %s; it was sent at %s, but v%d had been %s already at %s", authorOf(v.Token), v.N, key,
		clock(v.Sent), v.Via, v.HighProof, clock(v.High))
}

func textLost(key targets.Key, w *write, how string) string {
	as := ""
	if w.claimed != 0 {
		as = fmt.Sprintf(" as v%d", w.claimed)
	}
	return fmt.Sprintf("%s of %s was acknowledged%s at %s%s", w.name(), key, as, clock(w.returned), how)
}

func textRollback(key targets.Key, v *history.Version, how string) string {
	return fmt.Sprintf("v%d of %s was %s at %s and is gone; %s", v.N, key, v.OwnProof, clock(v.Own), how)
}

func textFalseRejection(key targets.Key, seq, version uint64, at time.Duration) string {
	as := ""
	if version != 0 {
		as = fmt.Sprintf(" as v%d", version)
	}
	return fmt.Sprintf("%s of %s was rejected as not applied, and was there%s at %s", writer(seq), key, as, clock(at))
}

// textAudit names what an answer from past the caches was.
func textAudit(v uint64, op *targets.Operation) string {
	if op.Reply.Absent {
		return "the source answered not found at " + clock(op.Sent)
	}
	return fmt.Sprintf("the source answered v%d at %s", v, clock(op.Sent))
}

// value names an answered value.
func value(r targets.Reply) string {
	switch {
	case r.Token == "" && r.Version == 0:
		return "an answer"
	case r.Token == "":
		return fmt.Sprintf("v%d", r.Version)
	case r.Version == 0:
		return author(r.Token)
	}
	return fmt.Sprintf("%s as v%d", author(r.Token), r.Version)
}

// author names a value by the write that stored it.
func author(token string) string {
	t, ok := targets.ParseToken(token)
	switch {
	case token == "":
		return "an absence"
	case !ok:
		return fmt.Sprintf("the value %q", clip(token))
	}
	return authorOf(history.Signature{Hash: 1, Seq: t.Seq})
}

func writer(seq uint64) string {
	if seq == targets.SeedSeq {
		return "the initial value"
	}
	return fmt.Sprintf("write %d", seq)
}

// name names a write that may be a deletion.
func (w *write) name() string {
	switch {
	case !w.deleted:
		return writer(w.seq)
	case w.seq == targets.SeedSeq:
		return "a deletion"
	}
	return fmt.Sprintf("deletion %d", w.seq)
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// authorOf names a known value by the write that stored it.
func authorOf(m history.Signature) string {
	switch {
	case m.Hash == 0:
		return "an absence"
	case m.Seq == oddSeq:
		return "a value of another form"
	case m.Seq == targets.SeedSeq:
		return writer(m.Seq)
	}
	return "the value of " + writer(m.Seq)
}

// recordName gives a write of a key without versions as evidence shows it.
func recordName(m *history.WriteRecord) string {
	switch {
	case m.Seq == targets.SeedSeq && m.Deleted:
		return "the absence before the first write"
	case m.Seq == targets.SeedSeq:
		return "the initial value"
	case m.Deleted:
		return fmt.Sprintf("deletion %d", m.Seq)
	}
	return fmt.Sprintf("the value of write %d", m.Seq)
}

// zoneStory gives what is known of a write and of its last read.
func zoneStory(z history.Zone) string {
	m := z.Record
	s := recordName(m)
	if m.Sent != before {
		s += " (sent at " + clock(m.Sent)
		if m.Acked != never {
			s += ", acknowledged at " + clock(m.Acked)
		}
		s += ")"
	}
	if m.By != never && m.By != m.Acked {
		s += fmt.Sprintf(", %s at %s", m.ByProof, clock(m.By))
	}
	if z.Last.Sent != before {
		s += fmt.Sprintf(", last read by read %d, sent at %s", z.Last.Seq, clock(z.Last.Sent))
		if z.Past {
			s += " past the caches"
		}
	}
	return s
}

func textZones(key targets.Key, a, b history.Zone) string {
	return fmt.Sprintf("%s: no order of its writes explains all reads: %s; %s", key, zoneStory(a), zoneStory(b))
}

func textReverted(key targets.Key, x *history.WriteRecord, pair [2]history.Zone) string {
	return fmt.Sprintf("%s of %s was there and is gone; no order of the writes explains what the source answered: %s; %s",
		recordName(x), key, zoneStory(pair[0]), zoneStory(pair[1]))
}

func textAbsences(key targets.Key, all []history.Interval) string {
	s := fmt.Sprintf("%s: no order of its writes explains the answers \"not found\"", key)
	for i, r := range all {
		sep := ","
		if i == 0 {
			sep = " of"
		}
		s += fmt.Sprintf("%s [%s, %s]", sep, clock(r.From), clock(r.End))
	}
	return s
}

func textRollbackValue(key targets.Key, m *history.WriteRecord, op *targets.Operation) string {
	return fmt.Sprintf("%s of %s was %s at %s and is gone; %s", recordName(m), key, m.ByProof, clock(m.By), textAuditValue(op))
}

func textAuditValue(op *targets.Operation) string {
	if op.Reply.Absent {
		return textAudit(0, op)
	}
	return fmt.Sprintf("the source answered %s at %s", author(op.Reply.Token), clock(op.Sent))
}

// exactly shows a time of the drill with every digit, for arithmetic.
func exactly(t time.Duration) string { return strconv.FormatFloat(t.Seconds(), 'f', -1, 64) + "s" }

// proofStale is a stale read's arithmetic.
func proofStale(d *Judgement, f *family) string {
	next := "a later write"
	if d.Next != 0 {
		next = fmt.Sprintf("v%d", d.Next)
	}
	s := fmt.Sprintf("read began %s > %s %s %s: stale by at least %s", exactly(d.Op.Sent), next, d.NextHow, exactly(d.NextAt), d.Low)
	if !f.classed {
		return s
	}
	return fmt.Sprintf("%s; class %s allows %s", s, f.class(), f.bound())
}

// proofGone says why a version is gone.
func proofGone(n uint64, seq uint64, events []Event) string {
	first, last := events[0], events[len(events)-1]
	what := fmt.Sprintf("v%d", n)
	if n == 0 {
		what = writer(seq)
	}
	at := ""
	for _, e := range events[:len(events)-1] {
		switch e.What {
		case WriteAcked:
			at = "acknowledged " + exactly(e.Returned)
		case Answered:
			at = "seen " + exactly(e.Returned)
		case Committed:
			at = "committed " + exactly(e.At)
		}
	}
	switch last.What {
	case Sealed:
		return fmt.Sprintf("%s %s < log complete up to %s, and it has no commit of %s", what, at, exactly(last.At), writer(seq))
	case Committed:
		return fmt.Sprintf("%s %s with %s, and again %s with %s", what, at, authorOf(history.Signature{Hash: 1, Seq: first.Writer}), exactly(last.At), authorOf(history.Signature{Hash: 1, Seq: last.Writer}))
	case WriteAcked:
		return fmt.Sprintf("a version has one value, and %s and %s were both acknowledged as v%d", writer(first.Seq), writer(last.Seq), n)
	}
	answer := fmt.Sprintf("v%d with %s", last.Version, authorOf(history.Signature{Hash: 1, Seq: last.Writer}))
	switch {
	case last.Absent:
		answer = "not found"
	case last.Writer == NoWriter:
		answer = fmt.Sprintf("v%d", last.Version)
	}
	return fmt.Sprintf("%s %s < the source was asked %s, and it answered %s", what, at, exactly(last.Sent), answer)
}

// proofValue says what is wrong with a read's value.
func proofValue(f finding, op *targets.Operation, events []Event) string {
	switch f {
	case owned:
		return fmt.Sprintf("asked for %s, answered with a value that says it is of %s", op.Key, op.Reply.Owner)
	case mixed:
		return fmt.Sprintf("the value's key hash is %s, that of %s is %s", keyHash(op.Reply.Token), op.Key,
			keyHash(targets.NewToken("x", 0, op.Key)))
	case malformed:
		return fmt.Sprintf("the value %q is not run.number.keyhash.checksum with the right checksum", clip(op.Reply.Token))
	case conflicting:
		first := events[0]
		return fmt.Sprintf("a version has one value: v%d is %s and was answered as %s", op.Reply.Version,
			authorOf(history.Signature{Hash: 1, Seq: first.Writer}), author(op.Reply.Token))
	case uncommitted:
		if events[0].What == Committed {
			return fmt.Sprintf("read returned %s < committed %s", exactly(op.Returned), exactly(events[0].At))
		}
		return fmt.Sprintf("read returned %s, log complete up to %s: it has no such commit by then", exactly(op.Returned),
			exactly(events[len(events)-1].At))
	case unwritten:
		return fmt.Sprintf("%s had not been sent when the read returned %s", author(op.Reply.Token), exactly(op.Returned))
	case blank:
		return "a value was answered, and it was empty; other values of this family carry a token"
	}
	return ""
}

func proofMisread(v *history.Version, op *targets.Operation) string {
	return fmt.Sprintf("a version has one value: v%d was answered as %s and acknowledged as %s", v.N, authorOf(v.Token), author(op.Token))
}

func proofDisorder(v *history.Version) string {
	return fmt.Sprintf("v%d was sent %s > v%d %s %s: version order is not commit order", v.N, exactly(v.Sent), v.Via, v.HighProof, exactly(v.High))
}

func proofFalseRejection(r *rejection, there *Event) string {
	how := "answered"
	at := there.Returned
	if there.What == Committed {
		how, at = "committed", there.At
	}
	return fmt.Sprintf("rejected %s with the promise of no effect, and its value was %s %s", exactly(r.returned), how, exactly(at))
}

func proofOrder(f *family, zones ...history.Zone) string {
	if len(zones) != 2 {
		return "no order of the absences and the writes explains every answer"
	}
	a, b := zones[0], zones[1]
	s := fmt.Sprintf("the value of write %d was current from %s to %s, that of write %d from %s to %s: neither can come first",
		a.Record.Seq, exactly(a.Finish), exactly(a.Start), b.Record.Seq, exactly(b.Finish), exactly(b.Start))
	if bound := f.bound(); bound > 0 {
		s += fmt.Sprintf("; class %s allows an answer of a cache to be old by %s", f.class(), bound)
	}
	return s
}
