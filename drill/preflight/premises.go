package preflight

import (
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// evidence is what was seen of acknowledgements and of the read past the caches. It is wide because
// every premise rests on figures of its own.
type evidence struct {
	promised          bool // an answer to a write promised that it was made
	unseen            int  // writes that no read ever showed
	late              time.Duration
	lateText          string        // what was seen in place of the write
	colds, coldOnce   int           // writes of cold keys, and those that showed at once
	past, pastOnce    int           // looks past the caches, and those that showed the change at once
	pastLag           time.Duration // at most
	pastNever         bool
	pastBehind        bool   // a look past the caches did not show what a read had shown before
	torn              string // what came of a token
	tornFrom          string
	odd               string // an answer that can't be read
	reads             int
	workers           map[string]bool
	readVersionsAgree bool
}

// qualify has the conversation with one family.
func (a *asked) qualify() {
	if !a.writes {
		return // what nothing writes accuses nothing
	}
	e := evidence{workers: map[string]bool{}, readVersionsAgree: true}
	for i := range coldKeys {
		k := a.key(i)
		token, reply, err := a.write(k)
		if err != nil { // once more: one answer may be an accident
			if token, reply, err = a.write(k); err != nil {
				if i == 0 && a.ctx.Err() == nil {
					a.notes = append(a.notes, fmt.Sprintf("%s: its premises could not be asked after before the load: %v", a.family, err))
					return
				}
				break
			}
		}
		a.cold(&e, k, token, reply)
		if i == 0 {
			a.addVersion(reply)
			a.again(&e, k)
		}
		if e.unseen > 0 || !e.promised && i == 0 {
			break
		}
	}
	a.conclude(&e)
	a.absence()
}

// cold looks at a write of a key that no cache has, and that was sent a moment ago.
func (a *asked) cold(e *evidence, k targets.Key, token string, acked targets.Reply) {
	e.promised = e.promised || !acked.Accepted
	s := a.watch(k, "", token, a.settle)
	e.reads++
	if s.as.Worker != "" {
		e.workers[s.as.Worker] = true
	}
	switch {
	case !s.shown:
		e.unseen++
		e.odd = s.shownInstead()
		return
	case s.as.Token != token:
		e.torn, e.tornFrom = s.as.Token, token
	}
	if acked.Version != 0 && s.as.Version != 0 && acked.Version != s.as.Version {
		e.readVersionsAgree = false
	}
	e.colds++
	if s.atOnce {
		e.coldOnce++
	} else if e.late = max(e.late, s.lag); e.lateText == "" {
		e.lateText = fmt.Sprintf("%s was acknowledged, and shown %v later", k, s.lag.Round(time.Millisecond))
	}
	atOnce := e.pastOnce
	if a.past(e, k, token); e.pastOnce == atOnce && a.bypass {
		e.pastBehind = true
	}
}

// past looks past the caches for a change that was just acknowledged.
func (a *asked) past(e *evidence, k targets.Key, token string) {
	if !a.bypass || e.pastNever {
		return
	}
	s := a.watch(k, targets.SourceInstance, token, a.settle)
	e.past++
	switch {
	case s.atOnce:
		e.pastOnce++
	case s.shown:
		e.pastLag = max(e.pastLag, s.lag)
	default:
		e.pastNever = true
	}
}

// again changes a key that the caches may have by now: only looks past them prove anything.
func (a *asked) again(e *evidence, k targets.Key) {
	step := func(kind targets.Kind) bool {
		if kind == targets.Delete {
			reply, err := a.do(targets.Request{Kind: targets.Delete, Key: k})
			if err == nil {
				a.addVersion(reply)
				a.past(e, k, "")
			}
			return err == nil
		}
		token, reply, err := a.write(k)
		if err == nil {
			a.addVersion(reply)
			a.past(e, k, token)
		}
		return err == nil
	}
	if step(targets.Write) && a.deletes && step(targets.Delete) {
		step(targets.Write)
	}
}

func (a *asked) add(p slo.Premise, held bool, seen string) *report.Premise {
	a.premises = append(a.premises, report.Premise{Name: p, Family: a.family, Held: held, Seen: seen, NeededFor: slo.Metrics().NeededFor(p)})
	return &a.premises[len(a.premises)-1]
}

// conclude says which premises follow from what was seen.
func (a *asked) conclude(e *evidence) {
	if e.unseen > 0 && e.colds == 0 {
		a.add(slo.PremiseShown, false, fmt.Sprintf("a write was answered as made, and %v later a read answers: %s", a.settle, e.odd)).Fix =
			"is the value where the suite says (answer: {token: ...}), and do reads and writes reach the same service?"
		return
	}
	a.add(slo.PremiseShown, true, fmt.Sprintf("%d of %d writes were read", e.colds, e.colds+e.unseen))
	if e.unseen > 0 {
		a.lateAck = true
		a.add(slo.PremiseMade, false, fmt.Sprintf("%d of %d writes were answered as made, and never read", e.unseen, e.colds+e.unseen)).Fix =
			`done: {json: $.errors, is: absent}, or whatever shows in an answer that a change was made`
	}
	if e.promised {
		a.acknowledgements(e)
	}
	a.bypassed(e)
	if e.torn == "" {
		a.add(slo.PremiseTokens, true, "they did, at the greatest length")
	} else {
		a.torn = true
		p := a.add(slo.PremiseTokens, false, fmt.Sprintf("%q came back as %q", e.tornFrom, e.torn))
		if len(e.torn) < len(e.tornFrom) {
			p.Fix = fmt.Sprintf("token: {form: text, length: %d}", len(e.torn))
		} else if rest, ok := strings.CutPrefix(e.torn, e.tornFrom); ok {
			p.Fix = fmt.Sprintf("an expression for answer: token: that leaves out %q, such as {regexp: '\"title\": *\"(.*)%s'}", rest, strings.ReplaceAll(rest, ".", `\.`))
		}
	}
	if len(a.versions) > 0 && (!grow(a.versions) || !e.readVersionsAgree) {
		a.looseVersions = true
		p := a.add(slo.PremiseVersions, false, fmt.Sprintf("changes of one key had the versions %v", a.versions))
		if grow(a.versions) {
			p.Seen = "reads tell other versions than the acknowledgements of what they show"
		}
		p.Instead, p.Fix = "values alone are judged", "leave version out of answer"
	} else if slicesAny(a.versions) {
		a.add(slo.PremiseVersions, true, fmt.Sprintf("changes of one key had the versions %v", a.versions))
	}
	seen := "answers name no worker: it is unknown how many there are behind an address"
	if n := len(e.workers); n > 0 {
		seen = fmt.Sprintf("%d workers were named in %d answers", n, e.reads)
	}
	a.add(slo.PremiseWorkers, true, seen)
}

func slicesAny(versions []uint64) bool {
	for _, v := range versions {
		if v != 0 {
			return true
		}
	}
	return false
}

// acknowledgements concludes whether they follow the commit: a cold key, or a look past the caches,
// shows what was acknowledged at once, every time.
func (a *asked) acknowledgements(e *evidence) {
	switch {
	case e.coldOnce == e.colds:
		a.add(slo.PremiseAck, true, fmt.Sprintf("%d writes of cold keys showed at once", e.colds))
	case e.past > 0 && e.pastOnce == e.past: // what is late is what answers, and not the commit
		a.add(slo.PremiseAck, true, fmt.Sprintf("%d changes showed past the caches at once", e.past))
	default:
		a.lateAck = true
		a.add(slo.PremiseAck, false, e.lateText).Fix =
			"accepted: [202], with the status of answers that promise nothing yet, and bypass, to see when a change is made"
	}
}

func (a *asked) bypassed(e *evidence) {
	switch {
	case e.past == 0:
	case e.pastNever:
		a.blindBypass = true
		a.add(slo.PremiseBypass, false, fmt.Sprintf("a change did not show past the caches within %v", a.settle)).Fix =
			"bypass: a request that reads the source itself; or settle, with how long it may take"
	case e.pastOnce == e.past:
		a.add(slo.PremiseBypass, true, fmt.Sprintf("%d changes showed at once", e.past))
	case (a.lateAck || !e.promised) && !e.pastBehind: // the changes themselves were late
		a.add(slo.PremiseBypass, true, fmt.Sprintf("changes showed at most %v late, as in other reads", e.pastLag.Round(time.Millisecond)))
	default:
		a.lag = e.pastLag
		p := a.add(slo.PremiseBypass, false, fmt.Sprintf("it shows changes up to %v late: it reads a copy behind the source", e.pastLag.Round(time.Millisecond)))
		p.Instead, p.Fix = "the audit asks again until it is steady", "bypass: a request that reads the primary"
	}
}

// absence reads a key that was never written.
func (a *asked) absence() {
	r, err := a.read(a.key(coldKeys), "")
	if err == nil && r.Absent {
		a.add(slo.PremiseAbsence, true, "a key that was never written is not found")
		return
	}
	seen := fmt.Sprintf("a key that was never written answers %q", r.Token)
	if err != nil {
		seen = "a key that was never written: " + err.Error()
	}
	p := a.add(slo.PremiseAbsence, false, seen)
	p.Fix = "absent: [404], with the status that means it, or absent: {json: $.item, is: null}"
	if a.oddAbsence = a.everAbsent; !a.everAbsent {
		p.Instead = "no key of this drill is ever absent"
	}
}
