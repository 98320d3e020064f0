package origin

import (
	"fmt"
	"strings"
	"time"
)

// Config describes an [Origin].
type Config struct {
	ServiceTime  time.Duration // mean time that a server takes for a request; 0: none
	Exponential  bool          // the times are exponentially distributed around their mean; otherwise they all are the mean
	Servers      int           // requests served at a time, at least 1
	Queue        int           // requests that may wait; more are shed. 0: all wait
	CacheControl string        // of every answer to a read, 503 excepted; "": none is sent
	Seed         uint64        // of the service times
	MaxObjects   int           // objects that there may be, absences included: their versions count on. At least 1
	MaxBytes     int64         // of all bodies and paths together, at least 1
	Keep         int           // loads, and commits, that are kept for those who follow. At least 1
}

// Check says what is wrong with the configuration.
func (c Config) Check() error {
	switch {
	case c.ServiceTime < 0:
		return fmt.Errorf("a service time of %v: it can't be negative", c.ServiceTime)
	case c.Servers < 1:
		return fmt.Errorf("%d servers: an origin needs at least 1", c.Servers)
	case c.Queue < 0:
		return fmt.Errorf("a queue of %d: it can't be negative (0 lets all wait)", c.Queue)
	case c.MaxObjects < 1:
		return fmt.Errorf("at most %d objects: there must be room for at least 1", c.MaxObjects)
	case c.MaxBytes < 1:
		return fmt.Errorf("at most %d bytes: there must be room for at least 1", c.MaxBytes)
	case c.Keep < 1:
		return fmt.Errorf("%d events to keep: at least 1", c.Keep)
	case strings.IndexFunc(c.CacheControl, func(r rune) bool { return r < ' ' || r > '~' }) >= 0:
		return fmt.Errorf("a Cache-Control of %q: a header has printable ASCII only", c.CacheControl)
	}
	return nil
}
