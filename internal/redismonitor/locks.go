package redismonitor

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Theft is a lock that was deleted by somebody whose own had run out, while another held it.
type Theft struct {
	Key     string
	Late    Command       // took the lock first
	Lost    time.Duration // when it lost that, on the clock of the Redis
	How     string        // how: "ran out", or "was deleted by another"
	Holder  Command       // took it after that
	Unsure  bool          // or another did, that asked at the same moment; not the late one
	Stored  *Command      // what the late one did to another key last; nil: nothing that was seen
	Deleted Command       // by the late one: the holder's lock is gone
	Next    *Command      // took the lock while the holder still had a right to it; nil: none
}

// Locks follows the locks that clients take with SET NX and give back with DEL. MONITOR tells no
// answers: who got a lock follows from what was asked before, for only one can have it until it is
// deleted or runs out.
//
// A key that anybody reads is no lock; what a script does to one is taken to be right. Who holds a
// lock is known by its connection, so where clients share connections there are no accusations: see
// [Locks.Shared].
type Locks struct {
	locks  map[string]*lock
	read   map[string]bool
	last   map[string]Command // by client: the last change of a key that is no lock
	thefts []*Theft

	own    int // locks that were given back by the connection that took them
	others int // by one that never had them
}

type lock struct {
	holder *hold
	late   []hold // ran out, and not given back since
	theft  *Theft // of the lock that holder would have, until its right to it ends
	right  time.Duration
}

type hold struct {
	by   Command
	ends time.Duration // 0: never
	lost string        // how, of one that is late: then it was at ends
	// Candidates that asked when the one before ran out: which was first is uncertain. One that
	// asks again did not get it.
	also []hold
	open time.Duration // one who asks at this time or later is the last of them; 0: there are no more
}

// slack is by how much the moment at which a lock runs out may be beside what MONITOR's stamps say:
// a Redis looks at its clock before it takes up a command, in milliseconds, and MONITOR does
// afterwards.
const slack = 50 * time.Millisecond

const (
	ranOut  = "ran out"
	deleted = "was deleted by another"
)

// Bounds of what is remembered: beyond them everything begins anew.
const (
	mostKeys   = 200_000
	mostThefts = 10_000
)

// NewLocks begins with no lock held.
func NewLocks() *Locks {
	l := &Locks{}
	l.Forget()
	return l
}

// Forget lets go of every lock: after a gap the holders are unknown.
func (l *Locks) Forget() {
	l.locks, l.read, l.last = map[string]*lock{}, map[string]bool{}, map[string]Command{}
}

// chance is in how many of the releases one may look like another's by a lateness of stamps that
// slack does not cover.
const chance = 50

// Shared says whether locks were given back over connections that never took them: then a
// connection is not an owner, and it is unknown whose lock a deletion was of.
func (l *Locks) Shared() bool { return l.others > l.own/chance }

// Thefts gives what was found, none where connections are shared.
func (l *Locks) Thefts() []Theft {
	if l.Shared() {
		return nil
	}
	var out []Theft
	for _, t := range l.thefts {
		if !l.read[t.Deleted.DB+" "+t.Key] {
			out = append(out, *t)
		}
	}
	return out
}

// See takes in a command. They come in the order in which the Redis took them up.
func (l *Locks) See(c Command) {
	if len(c.Words) < 2 {
		if n := c.name(); n == "FLUSHDB" || n == "FLUSHALL" {
			l.Forget()
		}
		return
	}
	if len(l.locks)+len(l.read)+len(l.last) > mostKeys {
		l.Forget()
	}
	key := c.DB + " " + c.word(1)
	known := l.locks[key]
	switch name := c.name(); name {
	case "SET", "SETNX":
		ends, exclusive := taking(c)
		switch {
		case exclusive && c.Client != script:
			if known == nil {
				known = &lock{}
				l.locks[key] = known
			}
			known.take(c, ends)
		case known != nil: // a client that sets a lock without asking knows more than we do
			delete(l.locks, key)
		default:
			l.last[c.Client] = c
		}
	case "DEL", "UNLINK":
		for _, k := range c.Words[1:] {
			if known := l.locks[c.DB+" "+k]; known != nil {
				l.giveBack(known, k, c)
			} else {
				l.last[c.Client] = c
			}
		}
	case "EXPIRE", "PEXPIRE":
		if known != nil && known.holder != nil {
			known.holder.ends = c.At + amount(c.word(2), name == "PEXPIRE")
		}
	case "FLUSHDB", "FLUSHALL":
		l.Forget()
	case "GET", "MGET", "GETEX", "STRLEN", "GETRANGE":
		for _, k := range c.Words[1:] {
			if l.locks[c.DB+" "+k] != nil {
				l.read[c.DB+" "+k] = true
			}
		}
	case "SETEX", "PSETEX", "HSET", "HMSET", "MSET", "GETSET", "INCR", "INCRBY", "APPEND":
		if known != nil {
			delete(l.locks, key)
		} else {
			l.last[c.Client] = c
		}
	}
}

// taking says whether a command takes a lock, and until when.
func taking(c Command) (ends time.Duration, exclusive bool) {
	exclusive = c.name() == "SETNX"
	for i := 3; i < len(c.Words); i++ {
		switch strings.ToUpper(c.Words[i]) {
		case "NX":
			exclusive = true
		case "EX", "PX":
			ends = c.At + amount(c.word(i+1), strings.EqualFold(c.Words[i], "PX"))
			i++
		case "XX", "GET", "KEEPTTL", "EXAT", "PXAT":
			return 0, false
		}
	}
	return ends, exclusive
}

func amount(text string, millis bool) time.Duration {
	n, _ := strconv.ParseInt(text, 10, 64) // Redis refuses what is no number
	if millis {
		return time.Duration(n) * time.Millisecond
	}
	return time.Duration(n) * time.Second
}

// take is an attempt. It succeeds when the lock is free.
func (l *lock) take(c Command, ends time.Duration) {
	open := time.Duration(0)
	if h := l.holder; h != nil {
		if h.ends == 0 || c.At < h.ends-slack {
			h.rival(c, ends)
			return
		}
		if c.At < h.ends+slack {
			open = h.ends + slack
		}
		l.late = append(slices.DeleteFunc(l.late, func(o hold) bool { return o.by.Client == h.by.Client }), hold{by: h.by, ends: h.ends, lost: ranOut})
	}
	l.late = slices.DeleteFunc(l.late, func(o hold) bool { return o.by.Client == c.Client }) // it has begun something new
	if l.theft != nil {
		if c.At < l.right && c.Client != l.theft.Holder.Client {
			l.theft.Next = &c
		}
		l.theft = nil
	}
	l.holder = &hold{by: c, ends: ends, open: open}
}

// rival takes in an attempt while the lock is held.
func (h *hold) rival(c Command, ends time.Duration) {
	all := append([]hold{{by: h.by, ends: h.ends}}, h.also...)
	all = slices.DeleteFunc(all, func(o hold) bool { return o.by.Client == c.Client })
	if h.open != 0 {
		all = append(all, hold{by: c, ends: ends})
		if c.At >= h.open {
			h.open = 0
		}
	}
	if len(all) > 0 {
		h.by, h.ends, h.also = all[0].by, all[0].ends, all[1:]
	}
}

// mayBe says whether the lock may be the client's.
func (h *hold) mayBe(client string) bool {
	return h.by.Client == client || slices.ContainsFunc(h.also, func(o hold) bool { return o.by.Client == client })
}

func (l *Locks) giveBack(k *lock, key string, c Command) {
	h := k.holder
	held := h != nil && (h.ends == 0 || c.At < h.ends-slack)
	late := slices.IndexFunc(k.late, func(o hold) bool { return o.by.Client == c.Client })
	switch {
	case c.Client == script:
	case h != nil && h.mayBe(c.Client): // also when it ran out and has not been taken since
		l.own++
	case h != nil && !held && h.ends != 0 && c.At < h.ends+slack: // it may just have run out
	case held && late >= 0:
		t := &Theft{Key: key, Late: k.late[late].by, Lost: k.late[late].ends, How: k.late[late].lost, Holder: h.by, Unsure: len(h.also) > 0, Deleted: c}
		if s, ok := l.last[c.Client]; ok && s.At > t.Late.At {
			t.Stored = &s
		}
		if len(l.thefts) < mostThefts {
			l.thefts = append(l.thefts, t)
			k.theft, k.right = t, h.ends
		}
		k.late = append(k.late, hold{by: h.by, ends: c.At, lost: deleted}) // it will give back what it has no more
	case held:
		l.others++
	}
	k.late = slices.DeleteFunc(k.late, func(o hold) bool { return o.by.Client == c.Client })
	if held || h != nil && (h.mayBe(c.Client) || c.At < h.ends+slack) {
		k.holder = nil
	}
}

// Tell says what happened, in order. at gives a moment of the clock of the Redis as it is to be
// shown.
func (t *Theft) Tell(at func(time.Duration) string) string {
	line := func(c *Command) string { return at(c.At) + " " + c.Client + " " + c.String() }
	out := []string{
		line(&t.Late),
		at(t.Lost) + " that lock " + t.How,
		line(&t.Holder),
	}
	if t.Stored != nil && t.Stored.At < t.Deleted.At {
		after := line(t.Stored)
		if t.Stored.At < t.Holder.At {
			out = slices.Insert(out, 2, after)
		} else {
			out = append(out, after)
		}
	}
	whose := t.Holder.Client
	if t.Unsure {
		whose += ", or of one that asked at the same moment"
	}
	out = append(out, line(&t.Deleted)+" (the lock of "+whose+")")
	if t.Next != nil {
		out = append(out, line(t.Next)+" (while "+t.Holder.Client+" was at it)")
	}
	return strings.Join(out, "; ")
}
