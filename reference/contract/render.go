package contract

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// Render writes the contract as the Markdown page that an on-call engineer reads: what to do first,
// then what there is, then what is only so for a while. Defects of the day stand at the top.
func Render(w io.Writer, c Contract, on Date) error {
	p := &page{}
	title := "# Cache contract of " + c.Service
	if c.Release.Known() {
		title += ", release " + c.Release.String()
	}
	p.line(title, "")
	p.line(fmt.Sprintf("As of %s. Owner: %s, %s. When something is wrong: %s.", on, c.Owner.Team, c.Owner.Contact, c.Incidents), "")
	if defects := Check(c, on); len(defects) > 0 {
		p.line("## Defects", "")
		for _, d := range defects {
			p.line(fmt.Sprintf("- line %d: %s: %s.", d.Pos.Line, cell(d.What), cell(d.Fix)))
		}
		p.line("")
	}
	p.table("Families", "What is cached, and what its readers are promised.",
		row{"family", "namespace", "class", "writes", "kept for", "keys", "owner"}, len(c.Families), func(i int) row {
			f := c.Families[i]
			return row{code(f.Name), code(f.Namespace), f.promise(), f.Writes.String(), fmt.Sprintf("%s (%s)", duration(f.TTL), f.TTLClass), code(f.keys()), f.Owner.Team + ", " + f.Owner.Contact}
		})
	p.table("Pools", "Each is a Redis of its own in every region. What happens to one is nothing to the families of another.",
		row{"pool", "families", "why"}, len(c.Pools), func(i int) row {
			l := c.Pools[i]
			name := code(l.Name)
			if l.Default {
				name += " (the default)"
			}
			return row{name, c.residents(l.Name), l.Why}
		})
	var fields []row
	for _, f := range c.Families {
		for _, d := range f.Fields {
			fields = append(fields, row{code(f.Name + "." + d.Path), string(d.Sensitivity), c.protection(d)})
		}
	}
	p.table("Fields", "", row{"field", "class", "protection"}, len(fields), func(i int) row { return fields[i] })
	p.table("TTL classes", "", row{"class", "TTL", "why", "review by"}, len(c.TTLClasses), func(i int) row {
		t := c.TTLClasses[i]
		return row{code(t.Name), duration(t.TTL), t.Why, t.Review.String()}
	})
	p.table("Jobs", "They load the source without a reader waiting, and stop at their budget.",
		row{"job", "what", "budget", "owner", "alert"}, len(c.Jobs), func(i int) row {
			j := c.Jobs[i]
			what := string(j.Kind) + " of " + code(j.Family)
			if j.Every > 0 {
				what += " every " + duration(j.Every)
			}
			return row{code(j.Name), what, fmt.Sprintf("%g loads/s for %s", j.Rate, duration(j.For)), j.Owner.Team + ", " + j.Owner.Contact, j.Alert}
		})
	p.table("Exceptions", "Controls that are left out, and until when. Afterwards they are back by themselves.",
		row{"without", "why", "approved by", "expires"}, len(c.Exceptions), func(i int) row {
			e := c.Exceptions[i]
			return row{code(e.Without), e.Why, e.Approved, e.Expires.String()}
		})
	p.table("Rollback toggles", "", row{"toggle", "what it brings back", "how", "until release"}, len(c.Toggles), func(i int) row {
		t := c.Toggles[i]
		return row{code(t.Name), t.What, t.How, t.Until.String()}
	})
	p.table("Decisions", "", row{"on", "what", "why", "by"}, len(c.Decisions), func(i int) row {
		d := c.Decisions[len(c.Decisions)-1-i] // the newest first
		return row{d.On.String(), d.What, d.Why, d.By}
	})
	_, err := io.WriteString(w, strings.TrimRight(p.b.String(), "\n")+"\n")
	return err
}

// residents lists the families of a pool, and why they may need one of their own.
func (c Contract) residents(pool string) string {
	var all []string
	for _, f := range c.Families {
		if f.Pool != pool {
			continue
		}
		var kinds []string
		if f.Critical {
			kinds = append(kinds, "critical")
		}
		for _, s := range []Sensitivity{Personal, Secret} {
			if slices.ContainsFunc(f.Fields, func(d Field) bool { return d.Sensitivity == s && d.Redact == None }) {
				kinds = append(kinds, "holds "+string(s)+" fields")
			}
		}
		name := code(f.Name)
		if len(kinds) > 0 {
			name += " (" + strings.Join(kinds, ", ") + ")"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// promise says in words what readers may count on.
func (f Family) promise() string {
	switch {
	case f.Class == policy.Bounded:
		return fmt.Sprintf("%s: at most %s old", f.Class, duration(f.Within))
	case f.Class == policy.Eventual:
		return fmt.Sprintf("%s: right %s after the last write, once everything is reachable", f.Class, duration(f.TTL))
	case f.ReadLease > 0:
		return fmt.Sprintf("%s: never stale; held without asking for %s, and writes take that long", f.Class, duration(f.ReadLease))
	}
	return f.Class.String() + ": never stale"
}

// keys is the shape of the family's keys.
func (f Family) keys() string {
	var b strings.Builder
	rest := ""
	for _, d := range f.Schema.Vary {
		if d == "tenant" {
			b.WriteString("tenant:{tenant}:")
			continue
		}
		rest += fmt.Sprintf(":%s:{%s}", d, d)
	}
	fmt.Fprintf(&b, "%s:{id}:v%d%s", f.Name, f.Schema.Version, rest)
	return b.String()
}

func (c Contract) protection(d Field) string {
	switch {
	case d.Redact == Drop:
		return "left out before it is cached"
	case d.Redact == Mask:
		return "masked before it is cached"
	case !d.Sensitivity.Sensitive():
		return "none needed"
	}
	if ceiling, ok := c.ceiling(d.Sensitivity); ok {
		return "kept for " + duration(ceiling) + " at most"
	}
	return "none"
}

type row []string

// page puts Markdown together.
type page struct{ b strings.Builder }

func (p *page) line(lines ...string) {
	for _, l := range lines {
		p.b.WriteString(l + "\n")
	}
}

// table writes a section, unless it has no rows.
func (p *page) table(title, about string, head row, rows int, at func(int) row) {
	if rows == 0 {
		return
	}
	p.line("## "+title, "")
	if about != "" {
		p.line(about, "")
	}
	p.line("| " + strings.Join(head, " | ") + " |")
	p.line("|" + strings.Repeat(" --- |", len(head)))
	for i := range rows {
		cells := at(i)
		for j := range cells {
			cells[j] = cell(cells[j])
		}
		p.line("| " + strings.Join(cells, " | ") + " |")
	}
	p.line("")
}

// cell keeps a text within its cell, and from being read as HTML.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

func code(s string) string { return "`" + s + "`" }

// duration is as short as it can be written: 10m, not 10m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
