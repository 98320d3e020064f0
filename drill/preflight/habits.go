package preflight

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/targets"
)

// Habits are what a target was seen to do before the load, and the premises that follow. The zero
// value is a target that was not asked.
type Habits struct {
	Premises []report.Premise
	Notes    []string      // for the reader of the report
	Took     time.Duration // of asking
	Settle   time.Duration // the most time that the target may need to show what was written

	run      string
	families map[string]*habit
}

// habit is what was seen of a family.
type habit struct {
	lateAck, torn, looseVersions, oddAbsence bool

	blindBypass bool          // it never showed what was written
	lag         time.Duration // of the bypass behind acknowledgements
}

// Lag is how far the read past the caches was seen behind acknowledgements: the most of any family.
func (h Habits) Lag() (most time.Duration) {
	for _, f := range h.families {
		most = max(most, f.lag)
	}
	return most
}

// Blind says whether the read past the caches of a family proves nothing.
func (h Habits) Blind(family string) bool {
	f := h.families[family]
	return f != nil && f.blindBypass
}

// tornValue stands for a value of which the service keeps a part, or to which it adds something: it
// says nothing about what wrote it.
const tornValue = "(torn)"

var errOddAbsence = errors.New("not found, though what was never written did not look like that: it proves nothing")

// Careful gives the target with answers that claim no more than its habits allow.
func (h Habits) Careful(target environment.Target) environment.Target {
	for _, f := range h.families {
		if f.lateAck || f.torn || f.looseVersions || f.oddAbsence {
			return careful{target, h}
		}
	}
	return target
}

// careful makes the answers of a target claim less.
type careful struct {
	environment.Target
	habits Habits
}

// Do implements [targets.Target].
func (c careful) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := c.Target.Do(ctx, r)
	f := c.habits.families[r.Key.Family]
	if f == nil || err != nil {
		return reply, err
	}
	if f.looseVersions {
		reply.Version = 0
	}
	switch {
	case r.Kind.Changes():
		reply.Accepted = reply.Accepted || f.lateAck
	case f.oddAbsence && reply.Absent:
		return targets.Reply{Tier: reply.Tier, Worker: reply.Worker}, errOddAbsence
	case f.torn && isTorn(reply.Token, c.habits.run):
		reply.Token, reply.Version, reply.Owner = tornValue, 0, targets.Key{}
	}
	return reply, nil
}

// isTorn reports whether a value has a part of a token of the run, and not a whole one.
func isTorn(value, run string) bool {
	if !strings.HasPrefix(value, run+".") {
		return false
	}
	_, whole := targets.ParseToken(value)
	return !whole
}
