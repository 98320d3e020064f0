package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Explain writes an accusation as a timeline, with its proof, the faults beside it, and what
// usually causes such a thing. drill names the scenario.
func Explain(w io.Writer, a Accusation, drill string) error {
	var b strings.Builder
	class := ""
	if a.Class != "" {
		class = ", class " + a.Class
	}
	fmt.Fprintf(&b, "accusation %d: %s%s, in %s\n%s\n\n", a.N, oneLine(a.Kind), oneLine(class), oneLine(drill), oneLine(a.Text))
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  time\twho\twhat\tversion\tnote")
	for _, l := range a.timeline() {
		fmt.Fprintf(t, "  %.6fs\t%s\t%s\t%s\t%s\n", l.at.Seconds(), oneLine(l.who), oneLine(l.what), l.version, oneLine(l.note))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the timeline: %w", err)
	}
	fmt.Fprintf(&b, "\nproof: %s\n", oneLine(a.Proof))
	for i, f := range a.Faults {
		fmt.Fprintf(&b, "%-6s %s\n", map[bool]string{true: "fault:"}[i == 0], oneLine(f))
	}
	if len(a.Faults) == 0 {
		b.WriteString("fault: none at that time\n")
	}
	if c := a.Cause(); c.Text != "" {
		fmt.Fprintf(&b, "usual cause: %s\n  %s\n", oneLine(c.Text), c.Link)
	}
	// tabwriter pads the last column's absence with blanks.
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	if _, err := io.WriteString(w, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}

// line is one row of a timeline.
type line struct {
	at                       time.Duration
	who, what, version, note string
}

// timeline is an accusation's events by time; an operation has a line for each of its ends.
func (a Accusation) timeline() []line {
	var out []line
	for _, e := range a.History {
		out = append(out, e.lines()...)
	}
	for _, e := range a.Beside {
		lines := e.lines()
		last := &lines[len(lines)-1]
		last.note = strings.TrimPrefix(last.note+", may have stored it", ", ")
		out = append(out, lines...)
	}
	slices.SortStableFunc(out, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	return out
}

func (e Event) lines() []line {
	version := ""
	switch {
	case e.Version != 0:
		version = fmt.Sprintf("v%d", e.Version)
	case e.Absent:
		version = "none"
	}
	var notes []string
	note := func(ok bool, s string) {
		if ok {
			notes = append(notes, s)
		}
	}
	note(e.Key != "", "of "+e.Key)
	joined := func() string { return strings.Join(notes, ", ") }
	seq := uint64(0)
	if e.Seq != nil {
		seq = *e.Seq
	}
	switch e.What {
	case "committed":
		note(e.Writer != "", "value: "+e.Writer)
		note(e.Absent, "a deletion")
		note(e.Accused, "ACCUSED")
		return []line{{offsetOf(e.AtS), "source", e.What, version, joined()}}
	case "log complete":
		return []line{{offsetOf(e.AtS), "source", e.What, "", "every commit before this is known"}}
	case "read":
		who := fmt.Sprintf("read %d", seq)
		began := line{offsetOf(e.SentS), who, "began", "", clientNote(e)}
		note(e.Absent, "not found")
		note(e.Tier != "" && e.Instance != targets.SourceInstance, "from "+e.Tier)
		note(e.Instance == targets.SourceInstance, "past the caches")
		note(e.Worker != "", "at "+e.Worker)
		note(e.Writer != "", "value: "+e.Writer)
		note(e.Accused, "ACCUSED")
		return []line{began, {offsetOf(e.ReturnedS), who, "answered", version, joined()}}
	}
	who := fmt.Sprintf("write %d", seq)
	sent := line{offsetOf(e.SentS), who, "sent", "", joined()}
	if e.ReturnedS == nil {
		sent.version = version
		return []line{sent}
	}
	note(e.Accused, "ACCUSED")
	return []line{sent, {offsetOf(e.ReturnedS), who, e.What, version, joined()}}
}

func clientNote(e Event) string {
	if e.Region == "" {
		return ""
	}
	return "by a client in " + e.Region
}
