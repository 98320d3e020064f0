package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/internal/secret"
)

// screen shows a drill's progress: three lines that are redrawn on a terminal; elsewhere a line at
// each change of phase and every few seconds. It is a subscriber of the drill's events.
type screen struct {
	w        io.Writer
	quiet    bool
	terminal bool
	title    string
	lines    int // drawn now
	note     string

	phase  drill.PhaseBegan
	window drill.Window
	logged bool      // a line about the phase was written
	wrote  time.Time // when the last line was
}

// Between two lines of progress in a log.
const logEvery = 5 * time.Second

func newScreen(w io.Writer, quiet bool, title string) *screen {
	return &screen{w: w, quiet: quiet, terminal: isTerminal(w), title: title}
}

// show takes in one event.
func (s *screen) show(e drill.Event) {
	if s.quiet {
		return
	}
	switch e := e.(type) {
	case drill.PhaseBegan:
		s.phase, s.logged = e, false
	case drill.Window:
		s.window = e
		s.draw()
	default:
		s.announce(e)
	}
}

// announce shows what happened to a fault, and a halt.
func (s *screen) announce(e drill.Event) {
	text, stays := describe(e)
	text = secret.Redact(text)
	if text == "" {
		return
	}
	s.note = text
	switch {
	case !s.terminal:
		s.say(text)
	case stays: // must not be lost with the next redraw
		s.clear()
		s.say(text)
	}
}

// describe puts an event into one line; stays says that it is about something that went wrong.
func describe(e drill.Event) (text string, stays bool) {
	switch e := e.(type) {
	case drill.FaultInjected:
		return e.Fault + ": injected", false
	case drill.FaultProven:
		return e.Fault + ": " + e.Evidence, false
	case drill.FaultHealed:
		return e.Fault + ": healed", false
	case drill.FaultFailed:
		return e.Fault + ": " + e.Problem, true
	case drill.Halted:
		return "halted: " + e.Why, true
	}
	return "", false
}

// draw shows the last window: on a terminal always, in a log at the beginning of a phase and now
// and then.
func (s *screen) draw() {
	line := fmt.Sprintf("%s   %s   %s", s.title, s.progress(), rate(s.window.Total.Rate))
	if s.terminal {
		s.clear()
		width := s.width()
		for _, l := range []string{line, "  " + figures(s.window), "  " + s.note} {
			fmt.Fprintln(s.w, cut(l, width))
		}
		s.lines = 3
		return
	}
	if !s.logged || time.Since(s.wrote) >= logEvery {
		fmt.Fprintf(s.w, "%s   %s\n", line, figures(s.window))
		s.logged, s.wrote = true, time.Now()
	}
}

// progress is how far the phase has come.
func (s *screen) progress() string {
	name, at := strings.ToUpper(s.phase.Phase.String()), max(0, s.window.At-s.phase.At)
	if s.phase.Length == 0 {
		return fmt.Sprintf("%s %.1fs", name, at.Seconds())
	}
	return fmt.Sprintf("%s %.1f/%.1fs", name, min(at, s.phase.Length).Seconds(), s.phase.Length.Seconds())
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

func rate(perSecond float64) string { return fmt.Sprintf("%.0f/s", perSecond) }

func figures(w drill.Window) string {
	return fmt.Sprintf("p99 %s   errors %.1f%%   source %.0f/s   violations %d",
		w.Total.P99.Round(100*time.Microsecond), w.Total.Errors*100, w.Total.SourceQPS, w.Violations)
}

// colours says whether to write in colour: on a terminal, unless NO_COLOR is set (no-color.org).
func colours(w any) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
