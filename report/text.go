package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/cachedrill/cachedrill/report/slo"
)

// TextOptions of [Text].
type TextOptions struct {
	Color  bool   // whether the terminal takes colours; NO_COLOR is the caller's to honour
	Repeat string // the command line that repeats the run; empty leaves the line out
	Dir    string // where report.json is, for the line that explains accusations; empty leaves it out
}

const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// Text writes the report for people: a line per drill, below it the objectives that it missed or
// could not judge, each with its evidence, and what the caches counted; what a million requests
// cost, where there are prices; and the sum at the end.
func Text(w io.Writer, r Report, o TextOptions) error {
	var b strings.Builder
	width := 0
	for _, s := range r.Scenarios {
		width = max(width, len(oneLine(s.Name)))
	}
	for _, s := range r.Scenarios {
		textScenario(&b, s, width, o)
	}
	if len(r.Scenarios) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s  %s   exit %d\n", badge(r.Outcome, o.Color), tallyLine(r.Scenarios), r.Outcome.ExitCode())
	if o.Repeat != "" {
		fmt.Fprintf(&b, "repeat: %s\n", o.Repeat)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

func textScenario(b *strings.Builder, s Drill, width int, o TextOptions) {
	line := fmt.Sprintf("%s  %-*s", badge(s.Outcome, o.Color), width, oneLine(s.Name))
	if s.RecoveryS != nil && s.Outcome == slo.Pass {
		line += fmt.Sprintf("   recovered %ss", slo.FormatDecimal(*s.RecoveryS, 1))
	}
	if s.Attempts > 1 {
		line += fmt.Sprintf("   attempt %d", s.Attempts)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	textRecovery(b, s.Recovery)
	shown := map[string]bool{}
	exprs, values := columns(s.SLOs)
	for _, r := range s.SLOs {
		switch {
		case r.Outcome == slo.Fail:
			textRow(b, r, exprs, values)
			textEvidence(b, r.Evidence)
		case r.Outcome == slo.Unknown && strings.HasSuffix(r.Why, NotJudged):
			// One reason took the outcome of many objectives: say it once.
			if !shown[r.Why] {
				fmt.Fprintf(b, "      %s\n", oneLine(r.Why))
			}
			shown[r.Why] = true
		case r.Outcome == slo.Unknown:
			textRow(b, r, exprs, values)
			textEvidence(b, r.Why)
		}
	}
	if line := consistencyLine(s); line != "" {
		fmt.Fprintf(b, "      %s\n", line)
	}
	if line := cacheLine(s.Cache); line != "" && s.Outcome != slo.Pass {
		fmt.Fprintf(b, "      %s\n", line)
	}
	if line := costLine(s); line != "" {
		fmt.Fprintf(b, "      %s\n", oneLine(line))
	}
	for _, line := range premiseLines(s.Premises) {
		fmt.Fprintf(b, "      %s\n", oneLine(line))
	}
	for _, n := range s.Notes {
		fmt.Fprintf(b, "      note: %s\n", oneLine(n))
	}
	if n, ok := s.Decided(); ok && o.Dir != "" {
		last := len(s.Accusations) - 1
		fmt.Fprintf(b, "      evidence: cachedrill report %s --explain %s\n", oneLine(o.Dir), span(n, s.Accusations[0].N, s.Accusations[last].N))
	}
	if s.Outcome != slo.Pass && len(shown) == 0 && s.Outcome != decidedBy(s.SLOs) && s.Why != "" {
		fmt.Fprintf(b, "      %s\n", oneLine(s.Why))
	}
}

// textRecovery tells of a service that did not come back by itself.
func textRecovery(b *strings.Builder, r *RecoverySummary) {
	if r == nil || r.State != Stuck && r.State != Recovering {
		return
	}
	fmt.Fprintf(b, "      %s after the fault: %s\n", r.State, oneLine(r.Evidence))
	for _, effect := range r.SustainedBy {
		fmt.Fprintf(b, "        %s\n", oneLine(effect))
	}
	if p := r.Dip; p != nil {
		fmt.Fprintf(b, "        after %ss of lower load: %s\n", slo.FormatDecimal(p.ForS, 1), p.State)
	}
}

// span names one of the numbers from first to last: "3", or "3 (all: 1 to 7)".
func span(one, first, last int) string {
	if first == last {
		return fmt.Sprint(one)
	}
	return fmt.Sprintf("%d (all: %d to %d)", one, first, last)
}

// decidedBy is what a drill's rows alone come to.
func decidedBy(rows []SLO) slo.Outcome {
	if len(rows) == 0 {
		return slo.Pass // so that the drill's own reason is shown
	}
	return slo.DrillOutcome(false, Verdicts(rows))
}

func textRow(b *strings.Builder, r SLO, exprs, values int) {
	fmt.Fprintf(b, "      %-*s   %-*s   %s\n", exprs, oneLine(r.Expr), values, textValue(r), place(r))
}

func textEvidence(b *strings.Builder, line string) {
	if line != "" {
		fmt.Fprintf(b, "        %s\n", oneLine(line))
	}
}

// columns gives the widths of the objectives that a drill shows, and of what was observed.
func columns(rows []SLO) (exprs, values int) {
	for _, r := range rows {
		if r.Outcome == slo.Fail || r.Outcome == slo.Unknown && !strings.HasSuffix(r.Why, NotJudged) {
			exprs, values = max(exprs, len(oneLine(r.Expr))), max(values, len(textValue(r)))
		}
	}
	return exprs, values
}

func textValue(r SLO) string {
	switch {
	case r.Outcome == slo.Fail:
		return "observed " + oneLine(r.Observed)
	case r.Observed != "":
		return "unknown " + oneLine(r.Observed)
	}
	return "unknown"
}

// place says when and where: "fault, eu".
func place(r SLO) string {
	if r.Where == "" {
		return string(r.Phase)
	}
	return string(r.Phase) + ", " + oneLine(r.Where)
}

func badge(o slo.Outcome, color bool) string {
	text, tint := "UNKN", yellow
	switch o {
	case slo.Pass:
		text, tint = "PASS", green
	case slo.Fail:
		text, tint = "FAIL", red
	}
	if color {
		return tint + text + reset
	}
	return text
}

func tallyLine(ss []Drill) string {
	var n [3]int
	for _, s := range ss {
		n[s.Outcome%3]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d unknown", n[slo.Pass], n[slo.Fail], n[slo.Unknown])
}

// oneLine makes text of a target or a key safe for a line on a terminal: control characters, which
// could move the cursor or change colours, show as "?".
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return '?'
		}
		return r
	}, s)
}
