// Package redismonitor listens to what a Redis is asked (MONITOR), and looks for locks that their
// owners lost: a lock that ran out while its owner worked, was taken by somebody else, and was
// deleted by the first owner all the same.
package redismonitor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Command is a command that a Redis got, as MONITOR shows it; without its answer.
type Command struct {
	At     time.Duration // since 1970, on the clock of the Redis
	DB     string
	Client string // an address; "lua" for what a script does
	Words  []string
}

const script = "lua"

var errNoCommand = errors.New("no command")

// Parse reads a line of MONITOR's: 1700000000.123456 [0 127.0.0.1:5000] "SET" "k" "v".
func Parse(line string) (Command, error) {
	stamp, rest, ok := strings.Cut(line, " [")
	seconds, fraction, dot := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	us, err2 := strconv.ParseInt(fraction, 10, 64)
	if !ok || !dot || err != nil || err2 != nil || len(fraction) != 6 {
		return Command{}, fmt.Errorf("%w: %.60q", errNoCommand, line)
	}
	c := Command{At: time.Duration(s)*time.Second + time.Duration(us)*time.Microsecond}
	// A path of a socket may hold brackets: what ends the origin is the one before the first word.
	origin, rest, ok := strings.Cut(rest, `] "`)
	if !ok {
		return Command{}, fmt.Errorf("%w: %.60q", errNoCommand, line)
	}
	if c.DB, c.Client, ok = strings.Cut(origin, " "); !ok {
		return Command{}, fmt.Errorf("%w: %.60q", errNoCommand, line)
	}
	for rest = `"` + rest; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		// What Redis escapes, and how, is what Go does: \" \\ \n \r \t \a \b \xHH.
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil || quoted[0] != '"' {
			return Command{}, fmt.Errorf("%w: %.60q", errNoCommand, line)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return Command{}, fmt.Errorf("%w: %.60q", errNoCommand, line)
		}
		c.Words = append(c.Words, word)
		rest = rest[len(quoted):]
	}
	return c, nil
}

// name is the command's, in upper case.
func (c *Command) name() string { return strings.ToUpper(c.Words[0]) }

// word gives a word, or nothing where there are fewer.
func (c *Command) word(n int) string {
	if n < len(c.Words) {
		return c.Words[n]
	}
	return ""
}

const (
	mostShown = 40 // bytes of a word
	mostWords = 8
)

// String gives the command as a person would type it; long words, which are values, are cut.
func (c *Command) String() string {
	var out []string
	for i, w := range c.Words {
		if i == mostWords {
			out = append(out, "...")
			break
		}
		long := len(w) > mostShown
		if long && i != 1 { // a key is what the reader looks for
			w = w[:mostShown/2]
		}
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			w = strconv.Quote(w)
		}
		if long && i != 1 {
			w += "..."
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}
