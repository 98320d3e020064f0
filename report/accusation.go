package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Accusation is one proven fault with its evidence. Offsets are exact to the nanosecond.
type Accusation struct {
	N       int     `json:"n"`               // number of the accusation, 1 and up over the whole report, an identifier
	Kind    string  `json:"kind"`            // kind of accusation, see [oracle.Kinds]
	Key     string  `json:"key"`             // key that it is about
	Class   string  `json:"class,omitempty"` // consistency class of the key's family
	AtS     float64 `json:"at_s"`            // offset of what it is about, in s
	Text    string  `json:"text"`            // the accusation in one line
	Proof   string  `json:"proof"`           // the arithmetic in one line
	History []Event `json:"history"`         // the observations that prove it
	// Reads that answered what a stale read answered, and were under way while it was replaced: one
	// of them may have stored it. It is left out where there are none.
	Beside []Event  `json:"beside,omitempty"`
	Faults []string `json:"faults"` // faults that were active at at_s, or healed not long before
}

// Event is one observation of an accusation's history.
type Event struct {
	What string  `json:"what"`          // what was observed, see [oracle.What]
	Key  string  `json:"key,omitempty"` // key of the event, when it is not the accusation's
	Seq  *uint64 `json:"seq,omitempty"` // sequence number of the operation, an identifier
	// Version of the value, an identifier. It is left out when it is not known, and for the absence
	// before the first version.
	Version   uint64   `json:"version,omitempty"`
	Writer    string   `json:"writer,omitempty"`     // write that stored the value: "write 17" or "the initial value"
	Absent    bool     `json:"absent,omitempty"`     // whether the key had no value
	Accused   bool     `json:"accused,omitempty"`    // whether the accusation is about this event
	SentS     *float64 `json:"sent_s,omitempty"`     // offset at which the operation was sent, in s
	ReturnedS *float64 `json:"returned_s,omitempty"` // offset at which it was answered, in s
	AtS       *float64 `json:"at_s,omitempty"`       // offset of a commit, and of the log's end, in s
	Tier      string   `json:"tier,omitempty"`       // tier that answered
	Worker    string   `json:"worker,omitempty"`     // worker that answered
	Region    string   `json:"region,omitempty"`     // region of the client
	Instance  string   `json:"door,omitempty"`       // instance that was asked by itself
	Token     string   `json:"token,omitempty"`      // value of an accused read, as it was answered
}

// Accusations puts the oracle's accusations into the report's form: the gravest kind first, then by
// time. A stale read that broke its class is there once, as the violation.
func Accusations(all []oracle.Accusation) []Accusation {
	kinds := oracle.Kinds()
	broke := map[uint64]bool{}
	for _, a := range all {
		if a.Kind == "violation" {
			broke[a.Op.Seq] = true
		}
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b oracle.Accusation) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.At, b.At))
	})
	out := make([]Accusation, 0, len(all))
	for _, a := range all {
		if a.Kind == "stale" && broke[a.Op.Seq] {
			continue
		}
		x := Accusation{Kind: a.Kind, Key: a.Key.String(), Class: a.Class, AtS: nanos(a.At), Text: a.Text, Proof: a.Proof,
			History: make([]Event, 0, len(a.History)), Faults: []string{}}
		for _, e := range a.History {
			x.History = append(x.History, eventOf(a.Key, e))
		}
		for _, e := range a.Beside {
			x.Beside = append(x.Beside, eventOf(a.Key, e))
		}
		out = append(out, x)
	}
	return out
}

func eventOf(key targets.Key, e oracle.Event) Event {
	out := Event{What: e.What.String(), Version: e.Version, Absent: e.Absent, Accused: e.Accused,
		Tier: e.Tier, Worker: e.Worker, Region: e.Region, Instance: e.Instance, Token: e.Token}
	if e.Key != key {
		out.Key = e.Key.String()
	}
	switch {
	case e.What == oracle.Sealed, e.Absent, e.Writer == oracle.NoWriter:
	case e.Writer == targets.SeedSeq:
		out.Writer = "the initial value"
	default:
		out.Writer = fmt.Sprintf("write %d", e.Writer)
	}
	at := func(t time.Duration) *float64 { s := nanos(t); return &s }
	switch e.What {
	case oracle.Committed, oracle.Sealed:
		out.AtS = at(e.At)
		return out
	case oracle.WriteSent:
	default:
		out.ReturnedS = at(e.Returned)
	}
	out.Seq, out.SentS = &e.Seq, at(e.Sent)
	return out
}

// nanos is an offset in seconds that [Accusation.At] makes the same offset of.
func nanos(t time.Duration) float64 { return t.Seconds() }

// At is when the accusation is about: AtS as a duration.
func (a *Accusation) At() time.Duration { return offsetOf(&a.AtS) }

func offsetOf(s *float64) time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(math.Round(*s * 1e9))
}

// numbered numbers the accusations over all drills.
func numbered(drills []Drill) []Drill {
	drills, n := slices.Clone(drills), 0
	for i := range drills {
		own := make([]Accusation, 0, len(drills[i].Accusations))
		for _, a := range drills[i].Accusations {
			n++
			a.N = n
			own = append(own, a)
		}
		drills[i].Accusations = own
		drills[i].SLOs = supported(drills[i])
	}
	return drills
}

// supported names, for each missed objective, the accusation that supports it.
func supported(d Drill) []SLO {
	rows := slices.Clone(d.SLOs)
	for i := range rows {
		rows[i].Accusation = d.supporting(&rows[i])
	}
	return rows
}

// supporting is the number of the accusation that the evidence of a missed objective quotes; 0: it
// quotes none.
func (d Drill) supporting(o *SLO) int {
	for _, a := range d.Accusations {
		if o.Outcome == slo.Fail && a.Text == o.Evidence {
			return a.N
		}
	}
	return 0
}

// Decided is the number of the accusation that decided the drill: the one that supports a proven
// safety violation, or else another missed objective. ok is false when none does.
func (d Drill) Decided() (n int, ok bool) {
	if d.Outcome != slo.Fail || len(d.Accusations) == 0 {
		return 0, false
	}
	for _, safety := range []bool{true, false} {
		violated := false
		for i := range d.SLOs {
			o := &d.SLOs[i]
			if n := d.supporting(o); n > 0 && o.Safety == safety {
				return n, true
			}
			violated = violated || o.Safety && o.Outcome == slo.Fail
		}
		if violated || len(d.SLOs) == 0 {
			return d.Accusations[0].N, true // the gravest
		}
	}
	return 0, false
}

// Decided is the number of the accusation that decided the run: that of the first drill that failed
// by one.
func (r Report) Decided() (n int, ok bool) {
	for _, d := range r.Scenarios {
		if n, ok = d.Decided(); ok {
			return n, true
		}
	}
	return 0, false
}

// Accusation gives accusation n and the drill that it is about.
func (r Report) Accusation(n int) (Accusation, Drill, bool) {
	for _, s := range r.Scenarios {
		for _, a := range s.Accusations {
			if a.N == n {
				return a, s, true
			}
		}
	}
	return Accusation{}, Drill{}, false
}
