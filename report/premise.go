package report

import (
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/report/slo"
)

// Premise is something that the verdict presumes of the target, and what was seen of it.
type Premise struct {
	Name      slo.Premise `json:"name"`              // name of the premise: ack, bypass, tokens, ...
	Family    string      `json:"family,omitempty"`  // family that it was looked at with
	Held      bool        `json:"held"`              // whether it was seen to hold, and not seen broken later
	Seen      string      `json:"seen"`              // what was seen of it
	NeededFor []string    `json:"needed_for"`        // metrics that rest on it
	Fix       string      `json:"fix,omitempty"`     // what would make it hold, as a line of a suite where there is one
	Instead   string      `json:"instead,omitempty"` // what is done where it does not hold; left out when the metrics are unknown then
	// Offset at which it was seen broken during the drill, in s. It is left out when that was not
	// seen.
	BrokenS *float64 `json:"broken_s,omitempty"`
}

// Reason says why what needs the premise is not judged.
func (p Premise) Reason() string {
	why := p.Name.Broken()
	if p.Family != "" {
		why = p.Family + ": " + why
	}
	if p.BrokenS != nil {
		why += fmt.Sprintf(", seen at %ss", slo.FormatDecimal(*p.BrokenS, 3))
	}
	if p.Seen != "" {
		why += " (" + p.Seen + ")"
	}
	if p.Fix != "" {
		why += "; " + p.Fix
	}
	return why
}

// premiseLines puts the premises of a drill into at most two lines: which held, and which did not.
func premiseLines(all []Premise) []string {
	var held, not []string
	for _, p := range all {
		if !p.Held {
			text := p.Reason()
			if p.Instead != "" {
				text += ": " + p.Instead
			}
			not = append(not, text)
			continue
		}
		if name := string(p.Name); len(held) == 0 || held[len(held)-1] != name {
			held = append(held, name)
		}
	}
	var lines []string
	if len(held) > 0 {
		lines = append(lines, "premises that held: "+strings.Join(unique(held), ", "))
	}
	if len(not) > 0 {
		lines = append(lines, "premises that did not: "+strings.Join(not, "; "))
	}
	return lines
}

func unique(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}
