package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
)

// Event is one thing that happened in a drill: [PhaseBegan], [FaultInjected], [FaultProven],
// [FaultHealed], [FaultFailed], [Window], [Accused], [Halted] or [Ended]. Its time is an offset
// from the drill's start, of which the first operation is due at 0.
type Event interface {
	// Time is when it happened.
	Time() time.Duration
	// kind names the event in JSON.
	kind() string
}

// PhaseBegan is the beginning of a phase.
type PhaseBegan struct {
	At     time.Duration
	Phase  measure.Phase
	Length time.Duration // as planned; 0 when the phase ends by itself
}

// FaultInjected is a fault that began. At is when it may first have been felt.
type FaultInjected struct {
	At    time.Duration
	Fault string // as YAML shows it
}

// FaultProven is the evidence that a fault bit, as soon as there is some: at its injection, or only
// at its heal.
type FaultProven struct {
	At       time.Duration
	Fault    string
	Evidence string
}

// FaultHealed is a fault that was undone, and that a probe saw gone.
type FaultHealed struct {
	At    time.Duration
	Fault string
}

// FaultFailed is a fault that could not be injected or could not be healed.
type FaultFailed struct {
	At      time.Duration
	Fault   string
	Problem string // "not injected: ..." or "not healed: ..."
}

// Window is what was measured since the window before: half a second of a drill.
type Window struct {
	At       time.Duration // its end
	Length   time.Duration
	Phase    measure.Phase // at its end
	Total    Figures
	Families map[string]Figures // those with an operation or a load in the window
	Regions  map[string]Figures // likewise; operations of targets without regions are not here
	// Violations counts reads proven older than their class allows, since the start of the drill.
	Violations int
	// Missed counts windows that this subscriber was too slow to take before this one.
	Missed int
}

// Figures are the metrics of some operations during one window.
type Figures struct {
	Rate          float64       // operations that ended, per second
	Errors        float64       // the share of them that failed or stayed unknown, 0..1
	P50, P95, P99 time.Duration // latency from the due time; 0 when nothing ended
	SourceQPS     float64       // loads that reached the source, per second
	Stale         float64       // the share of judged reads that were proven stale, 0..1
}

// Accused is one accusation, as soon as it is known: violations during the load, the rest at the
// end.
type Accused struct {
	At   time.Duration // of what is accused; earlier than the event itself
	Kind string        // as in report.json: "violation", "lost write", ...
	Text string        // one line: which key, when, where
}

// Halted is a drill that a condition of the suite ended before its time.
type Halted struct {
	At  time.Duration
	Why string
}

// Ended is the last event of a drill that came to a verdict.
type Ended struct {
	At      time.Duration
	Outcome slo.Outcome
	Why     string // the outcome in one line; empty when it is pass
}

// Time implements [Event].
func (e PhaseBegan) Time() time.Duration { return e.At }

// Time implements [Event].
func (e FaultInjected) Time() time.Duration { return e.At }

// Time implements [Event].
func (e FaultProven) Time() time.Duration { return e.At }

// Time implements [Event].
func (e FaultHealed) Time() time.Duration { return e.At }

// Time implements [Event].
func (e FaultFailed) Time() time.Duration { return e.At }

// Time implements [Event].
func (e Window) Time() time.Duration { return e.At }

// Time implements [Event].
func (e Accused) Time() time.Duration { return e.At }

// Time implements [Event].
func (e Halted) Time() time.Duration { return e.At }

// Time implements [Event].
func (e Ended) Time() time.Duration { return e.At }

func (PhaseBegan) kind() string    { return "phase_began" }
func (FaultInjected) kind() string { return "fault_injected" }
func (FaultProven) kind() string   { return "fault_proven" }
func (FaultHealed) kind() string   { return "fault_healed" }
func (FaultFailed) kind() string   { return "fault_failed" }
func (Window) kind() string        { return "window" }
func (Accused) kind() string       { return "accused" }
func (Halted) kind() string        { return "halted" }
func (Ended) kind() string         { return "ended" }

// eventLine is the JSON form of an event. Times are in seconds, latencies in milliseconds, shares
// are 0..1. A field that an event does not have is left out.
type eventLine struct {
	Event    string  `json:"event"`
	Scenario string  `json:"scenario"`
	AtS      float64 `json:"at_s"`

	Phase    string  `json:"phase,omitempty"`
	LengthS  float64 `json:"length_s,omitempty"`
	Fault    string  `json:"fault,omitempty"`
	Evidence string  `json:"evidence,omitempty"`
	Problem  string  `json:"problem,omitempty"`
	Kind     string  `json:"kind,omitempty"`
	Text     string  `json:"text,omitempty"`
	Outcome  string  `json:"outcome,omitempty"`
	Why      string  `json:"why,omitempty"`

	*windowLine
}

type windowLine struct {
	figuresLine
	Families   map[string]figuresLine `json:"families,omitempty"`
	Regions    map[string]figuresLine `json:"regions,omitempty"`
	Violations int                    `json:"violations"`
	Missed     int                    `json:"missed_windows,omitempty"`
}

type figuresLine struct {
	Rate      float64 `json:"rate"`
	Errors    float64 `json:"errors"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
	SourceQPS float64 `json:"source_qps"`
	Stale     float64 `json:"stale"`
}

// MarshalEvent gives the event of a scenario's drill as one line of JSON, without the newline.
// Fields are added to it and never renamed; docs/events.md lists them.
func MarshalEvent(scenario string, e Event) ([]byte, error) {
	line := eventLine{Event: e.kind(), Scenario: scenario, AtS: seconds(e.Time())}
	switch e := e.(type) {
	case PhaseBegan:
		line.Phase, line.LengthS = e.Phase.String(), seconds(e.Length)
	case FaultInjected:
		line.Fault = e.Fault
	case FaultProven:
		line.Fault, line.Evidence = e.Fault, e.Evidence
	case FaultHealed:
		line.Fault = e.Fault
	case FaultFailed:
		line.Fault, line.Problem = e.Fault, e.Problem
	case Window:
		line.Phase, line.LengthS = e.Phase.String(), seconds(e.Length)
		line.windowLine = &windowLine{
			figuresLine: e.Total.line(), Families: lines(e.Families), Regions: lines(e.Regions),
			Violations: e.Violations, Missed: e.Missed,
		}
	case Accused:
		line.Kind, line.Text = e.Kind, e.Text
	case Halted:
		line.Why = e.Why
	case Ended:
		line.Outcome, line.Why = e.Outcome.String(), e.Why
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false) // objectives hold < and >, and people read the lines
	if err := out.Encode(line); err != nil {
		return nil, fmt.Errorf("writing an event as JSON: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

func (f Figures) line() figuresLine {
	return figuresLine{
		Rate: rounded(f.Rate), Errors: rounded(f.Errors), P50MS: millis(f.P50), P95MS: millis(f.P95),
		P99MS: millis(f.P99), SourceQPS: rounded(f.SourceQPS), Stale: rounded(f.Stale),
	}
}

func lines(all map[string]Figures) map[string]figuresLine {
	out := map[string]figuresLine{}
	for name, f := range all {
		out[name] = f.line()
	}
	return out
}

func seconds(t time.Duration) float64 { return float64(t.Microseconds()) / 1e6 }

func rounded(v float64) float64 { return float64(int64(v*1e4+0.5)) / 1e4 }
