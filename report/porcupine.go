package report

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/anishathalye/porcupine"
)

// ErrNoVisualization is the error of [Visualize] for accusations that are not about the order of a
// register's values.
var ErrNoVisualization = errors.New("only stale reads of strong families can be shown as a history that is not linearizable")

// Linearizable asks porcupine, which knows nothing of this project's rules, whether the history of
// a stale read has an order that a register with growing versions could show. Of a proven one it
// has not.
func (a Accusation) Linearizable() bool {
	return porcupine.CheckOperations(register, a.operations())
}

// Visualize writes porcupine's page about the history of a stale read of a strong family: one HTML
// file that loads nothing.
func Visualize(w io.Writer, a Accusation) error {
	if a.Class != "strong" || a.Kind != "stale" && a.Kind != "violation" {
		return fmt.Errorf("accusation %d is a %s of class %q: %w", a.N, a.Kind, a.Class, ErrNoVisualization)
	}
	_, info := porcupine.CheckOperationsVerbose(register, a.operations(), 0)
	if err := porcupine.Visualize(register, info, w); err != nil {
		return fmt.Errorf("writing the visualization: %w", err)
	}
	return nil
}

// state of the register: its version, and how many writes of unknown version came after it.
type state struct{ version, beyond uint64 }

// register is a register whose versions only grow. A plain register would allow two writes to be
// seen in the order opposite to their versions.
var register = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(now, input, _ any) (bool, any) {
		s, e := now.(state), input.(Event)
		switch {
		case e.What == "read":
			return s == state{version: e.Version}, s
		case e.Version == 0:
			return true, state{s.version, s.beyond + 1}
		}
		return e.Version > s.version, state{version: e.Version}
	},
	DescribeOperation: func(input, _ any) string {
		e := input.(Event)
		switch {
		case e.What == "read" && e.Absent:
			return "read: not found"
		case e.What == "read":
			return fmt.Sprintf("read: v%d", e.Version)
		case e.Version == 0:
			return "write, version unknown"
		}
		return fmt.Sprintf("write v%d", e.Version)
	},
	DescribeState: func(now any) string {
		s := now.(state)
		if s.beyond > 0 {
			return fmt.Sprintf("later than v%d", s.version)
		}
		return fmt.Sprintf("v%d", s.version)
	},
}

// operations are the history in porcupine's form. A value from before the history is written at any
// time; so is that of a write without an acknowledgement.
func (a Accusation) operations() []porcupine.Operation {
	always, forever := int64(math.MinInt64/2), int64(math.MaxInt64)
	var ops []porcupine.Operation
	add := func(e Event, from, to int64) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: e, Call: from, Return: to})
	}
	written, absent := map[uint64]bool{0: true}, uint64(0)
	for _, e := range a.History {
		if e.What != "read" {
			written[e.Version] = true
		}
		if e.Absent {
			absent = max(absent, e.Version)
		}
	}
	for _, e := range a.History {
		sent, returned := int64(offsetOf(e.SentS)), int64(offsetOf(e.ReturnedS))
		switch e.What {
		case "committed":
			add(e, int64(offsetOf(e.AtS)), int64(offsetOf(e.AtS)))
		case "write sent":
			add(e, sent, forever)
		case "acknowledged":
			add(e, sent, returned)
		case "read":
			if e.Absent && e.Version == 0 {
				e.Version = absent
			}
			if !written[e.Version] {
				written[e.Version] = true
				add(Event{What: "write sent", Version: e.Version}, always, forever)
			}
			add(e, sent, returned)
		}
	}
	return ops
}
