package contract

import (
	"fmt"
	"slices"
	"time"
)

// Defect is something in a contract that must not stand: the file is well-formed, but a promise in
// it is broken, or past its day.
type Defect struct {
	Pos  Pos
	What string
	Fix  string
}

// String gives the defect without its file.
func (d Defect) String() string {
	return fmt.Sprintf("%d:%d: %s; %s", d.Pos.Line, d.Pos.Column, d.What, d.Fix)
}

// Check finds what must not stand on a day, in document order: exceptions that have expired,
// reviews that are overdue, namespaces with two classes or in two pools, critical families beside
// others, pools without a family, sensitive fields that are neither redacted nor under a ceiling,
// rollback toggles past their release, and decisions from the future.
func Check(c Contract, on Date) []Defect {
	var all []Defect
	found := func(at Pos, fix, what string, args ...any) {
		all = append(all, Defect{at, fmt.Sprintf(what, args...), fix})
	}
	for _, t := range c.TTLClasses {
		if t.Review.Before(on.Time) {
			found(t.Pos, "ask whether it is still right, and set the next date", "the review of TTL class %s was due on %s", t.Name, t.Review)
		}
	}
	first := map[string]Family{} // of a namespace
	for _, f := range c.Families {
		before, seen := first[f.Namespace]
		switch {
		case !seen:
			first[f.Namespace] = f
		case before.Class != f.Class:
			found(f.ClassPos, "give one of them a namespace of its own", "namespace %s has two classes: %s is %s, %s is %s",
				f.Namespace, before.Name, before.Class, f.Name, f.Class)
		case before.Pool != f.Pool:
			found(f.PoolPos, "put them into one, or give one of them a namespace of its own", "namespace %s is in two pools: %s is in %s, %s is in %s",
				f.Namespace, before.Name, before.Pool, f.Name, f.Pool)
		}
		for _, p := range f.Fields {
			c.exposed(f, p, found)
		}
	}
	c.crowded(found)
	for _, e := range c.Exceptions {
		if !on.Before(e.Expires.Time) {
			found(e.Pos, "put the control back, or agree on it anew", "the exception without %s expired on %s", e.Without, e.Expires)
		}
	}
	for _, t := range c.Toggles {
		if c.Release.Compare(t.Until) >= 0 {
			found(t.Pos, "remove the toggle, and what it turns back to", "rollback toggle %s was to be gone in release %s, and this is %s", t.Name, t.Until, c.Release)
		}
	}
	for _, d := range c.Decisions {
		if d.On.After(on.Time) {
			found(d.Pos, "date it when it was taken", "a decision of %s, which is not yet", d.On)
		}
	}
	slices.SortStableFunc(all, func(a, b Defect) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Column - b.Pos.Column
	})
	return all
}

// crowded finds critical families in the pool of others, whose fate they share, and pools that
// no family is in.
func (c Contract) crowded(found func(Pos, string, string, ...any)) {
	other := map[string]string{} // of a pool: a family that is not critical
	used := map[string]bool{}
	for _, f := range c.Families {
		used[f.Pool] = true
		if !f.Critical && other[f.Pool] == "" {
			other[f.Pool] = f.Name
		}
	}
	for _, f := range c.Families {
		if neighbour := other[f.Pool]; f.Critical && neighbour != "" {
			found(f.PoolPos, "give it a pool for critical families only", "family %s is critical and shares a Redis with %s, which is not: what happens to one happens to both",
				f.Name, neighbour)
		}
	}
	for _, l := range c.Pools {
		if !used[l.Name] {
			found(l.Pos, "put a family there, or remove it", "no family is in pool %s", l.Name)
		}
	}
}

// exposed says whether a sensitive field would be kept as it is for longer than was agreed. A
// strong family's values are kept too, as payload that every read confirms.
func (c Contract) exposed(f Family, p Field, found func(Pos, string, string, ...any)) {
	if !p.Sensitivity.Sensitive() || p.Redact != None {
		return
	}
	ceiling, ok := c.ceiling(p.Sensitivity)
	switch {
	case !ok:
		found(p.Pos, fmt.Sprintf("redact: drop, redact: mask, or a ceiling: ceilings: {%s: 1m}", p.Sensitivity),
			"field %s of %s is %s, and is neither redacted nor under a ceiling", p.Path, f.Name, p.Sensitivity)
	case f.TTL > ceiling:
		found(p.Pos, "redact it, or use a shorter TTL class", "field %s of %s is %s and would be kept for %v, above the ceiling of %v",
			p.Path, f.Name, p.Sensitivity, f.TTL, ceiling)
	}
}

func (c Contract) ceiling(s Sensitivity) (time.Duration, bool) {
	for _, l := range c.Ceilings {
		if l.For == s {
			return l.TTL, true
		}
	}
	return 0, false
}

// CheckChange finds what is wrong with how a contract came from an earlier one: that something else
// than the log of decisions was changed and the log has no new entry, and that entries were taken
// out of the log.
func CheckChange(before, after Contract) []Defect {
	var all []Defect
	kept := 0
	for _, d := range before.Decisions {
		if slices.ContainsFunc(after.Decisions, d.same) {
			kept++
			continue
		}
		all = append(all, Defect{Pos{1, 1}, fmt.Sprintf("the decision of %s, %q, is gone from the log", d.On, d.What), "the log only grows: put it back"})
	}
	if before.terms() != after.terms() && len(after.Decisions) <= kept {
		all = append(all, Defect{Pos{1, 1}, "the contract was changed, and no decision says why", "add one to decisions"})
	}
	return all
}

func (d Decision) same(other Decision) bool {
	d.Pos, other.Pos = Pos{}, Pos{}
	return d == other
}

// terms is all that a contract says except its log of decisions and the release that is being
// built, without positions.
func (c Contract) terms() string {
	c.Decisions, c.Release = nil, Release{}
	c.TTLClasses, c.Ceilings, c.Families = slices.Clone(c.TTLClasses), slices.Clone(c.Ceilings), slices.Clone(c.Families)
	c.Pools = slices.Clone(c.Pools)
	for i := range c.Pools {
		c.Pools[i].Pos = Pos{}
	}
	c.Jobs, c.Exceptions, c.Toggles = slices.Clone(c.Jobs), slices.Clone(c.Exceptions), slices.Clone(c.Toggles)
	for i := range c.TTLClasses {
		c.TTLClasses[i].Pos = Pos{}
	}
	for i := range c.Ceilings {
		c.Ceilings[i].Pos = Pos{}
	}
	for i := range c.Families {
		f := &c.Families[i]
		f.Pos, f.ClassPos, f.PoolPos, f.Fields = Pos{}, Pos{}, Pos{}, slices.Clone(f.Fields)
		for j := range f.Fields {
			f.Fields[j].Pos = Pos{}
		}
	}
	for i := range c.Jobs {
		c.Jobs[i].Pos = Pos{}
	}
	for i := range c.Exceptions {
		c.Exceptions[i].Pos = Pos{}
	}
	for i := range c.Toggles {
		c.Toggles[i].Pos = Pos{}
	}
	return fmt.Sprintf("%+v", c)
}
