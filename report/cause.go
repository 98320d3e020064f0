package report

import (
	"fmt"
	"strings"
)

// causesPage explains the usual causes of accusations, each under a heading of its own.
const causesPage = "https://github.com/cachedrill/cachedrill/blob/main/docs/causes.md"

// Cause is what usually leads to something like an accusation. It is a hint of where to look, and
// proves nothing.
type Cause struct {
	Text string // one line
	Link string // to the page that explains it
}

// Cause gives the usual cause of what the accusation is about.
func (a Accusation) Cause() Cause {
	cause := func(heading, text string) Cause { return Cause{Text: text, Link: causesPage + "#" + heading} }
	switch a.Kind {
	case "lost write", "rollback":
		return cause("writes-that-are-gone", "an acknowledgement that comes before the commit is durable: a write-behind without a journal, a failover that loses the last writes")
	case "leak":
		return cause("mixed-up-keys", "a cache key that leaves out what alters the value: tenant, locale, currency")
	case "corruption", "dirty read":
		return cause("values-that-were-never-written", "a part of a value that was stored as the whole, two versions under one number, or a write that is cached before it is committed")
	case "false rejection":
		return cause("rejections-that-took-effect", "a status that promises no effect for a write that was made: a timeout behind the service that is answered as a refusal")
	case "violation", "stale":
		return a.staleCause(cause)
	}
	return Cause{}
}

func (a Accusation) staleCause(cause func(heading, text string) Cause) Cause {
	read := false
	for _, e := range a.History {
		read = read || e.What == "read" && e.Accused && e.SentS != nil && e.ReturnedS != nil && *e.ReturnedS > 0
	}
	switch {
	case a.Kind == "violation" && !read:
		return cause("two-writers", "two writers at once, of which the cache keeps the loser")
	case len(a.Beside) > 0:
		b := a.Beside[len(a.Beside)-1]
		name := "a read"
		if b.Seq != nil {
			name = fmt.Sprintf("read %d", *b.Seq)
		}
		return cause("slow-fills", "a slow fill: "+name+" was under way while the value was replaced, and what it had loaded was stored after that")
	}
	for _, f := range a.Faults {
		for _, lost := range []string{"invalidation.", "region.split", "network.", "redis."} {
			if strings.HasPrefix(f, lost) {
				return cause("lost-invalidations", "an invalidation that was lost or late during "+f)
			}
		}
	}
	return cause("copies-that-no-write-drops", "a copy that the write did not drop: in another worker's memory, in another region, or anywhere until its TTL")
}
