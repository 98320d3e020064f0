package contract

import (
	"fmt"
	"slices"
	"time"
)

// Defect is something in a contract that must not stand: the file is well-formed, but a promise in it is broken, or
// past its day.
type Defect struct {
	At   Place
	What string
	Fix  string
}

// String gives the defect without its file.
func (d Defect) String() string {
	return fmt.Sprintf("%d:%d: %s; %s", d.At.Line, d.At.Column, d.What, d.Fix)
}

// Check finds what must not stand on a day, in document order: exceptions that have expired, reviews that are overdue,
// namespaces with two classes or in two places, critical families beside others, places without a family, sensitive fields that are neither redacted nor under a ceiling, rollback toggles past
// their release, and decisions from the future.
func Check(c Contract, on Date) []Defect {
	var all []Defect
	found := func(at Place, fix, what string, args ...any) {
		all = append(all, Defect{at, fmt.Sprintf(what, args...), fix})
	}
	for _, t := range c.TTLClasses {
		if t.Review.Before(on.Time) {
			found(t.At, "ask whether it is still right, and set the next date", "the review of TTL class %s was due on %s", t.Name, t.Review)
		}
	}
	first := map[string]Family{} // of a namespace
	for _, f := range c.Families {
		before, seen := first[f.Namespace]
		switch {
		case !seen:
			first[f.Namespace] = f
		case before.Class != f.Class:
			found(f.ClassAt, "give one of them a namespace of its own", "namespace %s has two classes: %s is %s, %s is %s",
				f.Namespace, before.Name, before.Class, f.Name, f.Class)
		case before.Place != f.Place:
			found(f.PlaceAt, "put them into one, or give one of them a namespace of its own", "namespace %s is in two places: %s is in %s, %s is in %s",
				f.Namespace, before.Name, before.Place, f.Name, f.Place)
		}
		for _, p := range f.Fields {
			c.exposed(f, p, found)
		}
	}
	c.crowded(found)
	for _, e := range c.Exceptions {
		if !on.Before(e.Expires.Time) {
			found(e.At, "put the control back, or agree on it anew", "the exception without %s expired on %s", e.Without, e.Expires)
		}
	}
	for _, t := range c.Toggles {
		if c.Release.Compare(t.Until) >= 0 {
			found(t.At, "remove the toggle, and what it turns back to", "rollback toggle %s was to be gone in release %s, and this is %s", t.Name, t.Until, c.Release)
		}
	}
	for _, d := range c.Decisions {
		if d.On.After(on.Time) {
			found(d.At, "date it when it was taken", "a decision of %s, which is not yet", d.On)
		}
	}
	slices.SortStableFunc(all, func(a, b Defect) int {
		if a.At.Line != b.At.Line {
			return a.At.Line - b.At.Line
		}
		return a.At.Column - b.At.Column
	})
	return all
}

// crowded finds critical families in the place of others, whose fate they share, and places that nobody is in.
func (c Contract) crowded(found func(Place, string, string, ...any)) {
	other := map[string]string{} // of a place: a family that is not critical
	used := map[string]bool{}
	for _, f := range c.Families {
		used[f.Place] = true
		if !f.Critical && other[f.Place] == "" {
			other[f.Place] = f.Name
		}
	}
	for _, f := range c.Families {
		if neighbour := other[f.Place]; f.Critical && neighbour != "" {
			found(f.PlaceAt, "give it a place for critical families only", "family %s is critical and shares a Redis with %s, which is not: what happens to one happens to both",
				f.Name, neighbour)
		}
	}
	for _, l := range c.Places {
		if !used[l.Name] {
			found(l.At, "put a family there, or remove it", "no family is in place %s", l.Name)
		}
	}
}

// exposed says whether a sensitive field would be kept as it is for longer than was agreed. A strong family's values
// are kept too, as payload that every read confirms.
func (c Contract) exposed(f Family, p Field, found func(Place, string, string, ...any)) {
	if !p.Sensitivity.Sensitive() || p.Redact != None {
		return
	}
	ceiling, ok := c.ceiling(p.Sensitivity)
	switch {
	case !ok:
		found(p.At, fmt.Sprintf("redact: drop, redact: mask, or a ceiling: ceilings: {%s: 1m}", p.Sensitivity),
			"field %s of %s is %s, and is neither redacted nor under a ceiling", p.Path, f.Name, p.Sensitivity)
	case f.TTL > ceiling:
		found(p.At, "redact it, or use a shorter TTL class", "field %s of %s is %s and would be kept for %v, above the ceiling of %v",
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

// CheckChange finds what is wrong with how a contract came from an earlier one: that something else than the log of
// decisions was changed and the log has no new entry, and that entries were taken out of the log.
func CheckChange(before, after Contract) []Defect {
	var all []Defect
	kept := 0
	for _, d := range before.Decisions {
		if slices.ContainsFunc(after.Decisions, d.same) {
			kept++
			continue
		}
		all = append(all, Defect{Place{1, 1}, fmt.Sprintf("the decision of %s, %q, is gone from the log", d.On, d.What), "the log only grows: put it back"})
	}
	if before.terms() != after.terms() && len(after.Decisions) <= kept {
		all = append(all, Defect{Place{1, 1}, "the contract was changed, and no decision says why", "add one to decisions"})
	}
	return all
}

func (d Decision) same(other Decision) bool {
	d.At, other.At = Place{}, Place{}
	return d == other
}

// terms is all that a contract says except its log of decisions and the release that is being built, without places.
func (c Contract) terms() string {
	c.Decisions, c.Release = nil, Release{}
	c.TTLClasses, c.Ceilings, c.Families = slices.Clone(c.TTLClasses), slices.Clone(c.Ceilings), slices.Clone(c.Families)
	c.Places = slices.Clone(c.Places)
	for i := range c.Places {
		c.Places[i].At = Place{}
	}
	c.Jobs, c.Exceptions, c.Toggles = slices.Clone(c.Jobs), slices.Clone(c.Exceptions), slices.Clone(c.Toggles)
	for i := range c.TTLClasses {
		c.TTLClasses[i].At = Place{}
	}
	for i := range c.Ceilings {
		c.Ceilings[i].At = Place{}
	}
	for i := range c.Families {
		f := &c.Families[i]
		f.At, f.ClassAt, f.PlaceAt, f.Fields = Place{}, Place{}, Place{}, slices.Clone(f.Fields)
		for j := range f.Fields {
			f.Fields[j].At = Place{}
		}
	}
	for i := range c.Jobs {
		c.Jobs[i].At = Place{}
	}
	for i := range c.Exceptions {
		c.Exceptions[i].At = Place{}
	}
	for i := range c.Toggles {
		c.Toggles[i].At = Place{}
	}
	return fmt.Sprintf("%+v", c)
}
