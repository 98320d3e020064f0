package oracle

import (
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Text is the judgement in one line that a person understands, e.g. "price:9 (tenant t3, currency EUR) read v3 at 33.104s
// from l2 at eu-1; v4 was committed at 32.204s, 900ms before the read began".
func (d Judgement) Text() string {
	what := fmt.Sprintf("%s read v%d", d.Op.Key, d.Version)
	if d.Op.Reply.Absent {
		what = fmt.Sprintf("%s was answered as not found", d.Op.Key)
	}
	if d.Version == 0 && d.Answer != Unjudged && d.Op.Reply.Token != "" {
		what = fmt.Sprintf("%s read %s", d.Op.Key, author(d.Op.Reply.Token))
	}
	what += " at " + clock(d.Op.Sent) + whence(&d.Op)
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

func whence(op *targets.Operation) string {
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
	return fmt.Sprintf("%s answered with the value of %s at %s%s", op.Key, owner, clock(op.Sent), whence(op))
}

func textValue(op *targets.Operation, what string) string {
	return fmt.Sprintf("%s: %s, answered at %s%s, %s", op.Key, value(op.Reply), clock(op.Sent), whence(op), what)
}

func textDamaged(op *targets.Operation) string {
	return fmt.Sprintf("%s answered with a damaged value %q at %s%s", op.Key, clip(op.Reply.Token), clock(op.Sent), whence(op))
}

func textConflict(op *targets.Operation, known signature) string {
	return fmt.Sprintf("%s answered v%d with %s at %s%s, but v%d is %s", op.Key, op.Reply.Version, author(op.Reply.Token),
		clock(op.Sent), whence(op), op.Reply.Version, known.author())
}

func textMisread(key targets.Key, v *version, op *targets.Operation) string {
	return fmt.Sprintf("v%d of %s had been answered with %s; %s was acknowledged as v%d at %s", v.n, key, v.token.author(),
		author(op.Token), v.n, clock(op.Returned))
}

func textDisorder(key targets.Key, v *version) string {
	return fmt.Sprintf("%s became v%d of %s; it was sent at %s, but v%d had been %s already at %s", v.token.author(), v.n, key,
		clock(v.sent), v.via, v.highProof, clock(v.high))
}

func textLost(key targets.Key, w *write, how string) string {
	as := ""
	if w.claimed != 0 {
		as = fmt.Sprintf(" as v%d", w.claimed)
	}
	return fmt.Sprintf("%s of %s was acknowledged%s at %s%s", w.name(), key, as, clock(w.returned), how)
}

func textRollback(key targets.Key, v *version, how string) string {
	return fmt.Sprintf("v%d of %s was %s at %s and is gone; %s", v.n, key, v.ownProof, clock(v.own), how)
}

func textFalseRejection(key targets.Key, seq, version uint64, at time.Duration) string {
	as := ""
	if version != 0 {
		as = fmt.Sprintf(" as v%d", version)
	}
	return fmt.Sprintf("%s of %s was rejected as not applied, and was there%s at %s", writer(seq), key, as, clock(at))
}

// textAudit says what an answer from past the caches was.
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
	return signature{1, t.Seq}.author()
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
