package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/report"
)

// screen shows a drill's progress: three lines that are redrawn on a terminal; elsewhere a line at
// each change of phase and every few seconds.
type screen struct {
	w        io.Writer
	quiet    bool
	terminal bool
	title    string
	lines    int // drawn now
	note     string

	phase report.Phase
	said  time.Time
}

// Between two lines of progress in a log.
const logEvery = 5 * time.Second

func newScreen(w io.Writer, quiet bool, title string) *screen {
	return &screen{w: w, quiet: quiet, terminal: isTerminal(w), title: title, phase: report.Audit}
}

// show is called with each [drill.Progress], one at a time.
func (s *screen) show(p drill.Progress) {
	if s.quiet {
		return
	}
	if n := len(p.Notes); n > 0 {
		s.note = p.Notes[n-1]
	}
	if s.terminal {
		s.clear()
		for _, n := range p.Notes {
			if strings.Contains(n, "not healed") || strings.Contains(n, "not injected") {
				s.say(n) // must not be lost with the next redraw
			}
		}
		width := s.width()
		for _, line := range []string{
			fmt.Sprintf("%s   %s   %s", s.title, phaseOf(p), rate(p.Rate)), "  " + figures(p), "  " + s.note,
		} {
			fmt.Fprintln(s.w, cut(line, width))
		}
		s.lines = 3
		return
	}
	for _, n := range p.Notes {
		fmt.Fprintf(s.w, "%s   %s\n", s.title, n)
	}
	if p.Phase != s.phase || time.Since(s.said) >= logEvery {
		fmt.Fprintf(s.w, "%s   %s   %s   %s\n", s.title, phaseOf(p), rate(p.Rate), figures(p))
		s.phase, s.said = p.Phase, time.Now()
	}
}

// width is that of the terminal: a line that wraps would not be cleared.
func (s *screen) width() int {
	if f, ok := s.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 10 {
			return w - 1
		}
	}
	return 79
}

func cut(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}

// say writes a line that stays.
func (s *screen) say(line string) {
	if !s.quiet {
		fmt.Fprintf(s.w, "%s   %s\n", s.title, line)
	}
}

// clear takes the lines off a terminal.
func (s *screen) clear() {
	if s.lines > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.lines)
		s.lines = 0
	}
}

func phaseOf(p drill.Progress) string {
	name := strings.ToUpper(p.Phase.String())
	if p.Length == 0 {
		return fmt.Sprintf("%s %.1fs", name, p.At.Seconds())
	}
	return fmt.Sprintf("%s %.1f/%.1fs", name, min(p.At, p.Length).Seconds(), p.Length.Seconds())
}

func rate(perSecond float64) string { return fmt.Sprintf("%.0f/s", perSecond) }

func figures(p drill.Progress) string {
	return fmt.Sprintf("p99 %s   errors %.1f%%   source %.0f/s   violations %d",
		p.P99.Round(100*time.Microsecond), p.Errors*100, p.Source, p.Broken)
}
