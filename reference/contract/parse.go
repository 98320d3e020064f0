package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Error lists everything that is wrong with the form of a file, each with its position.
type Error = strictyaml.Error

// Parse reads a contract. file is for messages. The error is an [*Error]: the file can't be
// understood. What is understood and must not stand is for [Check].
func Parse(file string, src []byte) (Contract, error) {
	doc, problems := strictyaml.Parse(src)
	c := decode(doc)
	if len(problems.List) > 0 {
		return Contract{}, &Error{File: file, Problems: problems.Sorted()}
	}
	return c, nil
}

func decode(doc strictyaml.Node) Contract {
	f := doc.FieldsRenamed("the contract", map[string]string{"places": "pools"}, "version", "service", "release", "owner", "incidents", "ttl_classes", "ceilings", "pools", "families",
		"jobs", "exceptions", "toggles", "decisions")
	if f["version"].Int("version", 1, 1) != 1 {
		f["version"].Fail("", "unknown version of the format", "version: 1")
	}
	c := Contract{Service: need(f, "service", "service: shop"), Incidents: need(f, "incidents", "incidents: docs/runbooks/cache.md")}
	if f["release"].Present() {
		c.Release = release(f["release"])
	}
	c.Owner = owner(f["owner"])
	if c.Owner.Team == "" {
		f["owner"].Fail("", "the contract needs an owner", `owner: {team: catalogue, contact: "#catalogue-oncall"}`)
	}
	for _, e := range f["ttl_classes"].Entries("ttl_classes") {
		g := e.Value.Fields("TTL class "+e.Name, "ttl", "review", "why")
		c.TTLClasses = append(c.TTLClasses, TTLClass{
			Pos: at(e.Key), Name: e.Name, TTL: g["ttl"].Duration("ttl", 0), Review: date(g, "review"), Why: need(g, "why", "why: ...")})
		if g["ttl"].Duration("ttl", 0) < time.Millisecond {
			e.Key.Fail(e.Name, "the class needs a ttl of at least 1ms", "ttl: 10s")
		}
	}
	for _, e := range f["ceilings"].Entries("ceilings") {
		s := Sensitivity(e.Name)
		if !s.Sensitive() {
			e.Key.Fail(e.Name, "only personal and secret fields have a ceiling", "")
		}
		c.Ceilings = append(c.Ceilings, Ceiling{Pos: at(e.Key), For: s, TTL: e.Value.Duration("ceiling", 0)})
	}
	c.Pools = pools(f["pools"])
	for _, e := range f["families"].Entries("families") {
		c.Families = append(c.Families, family(e, c))
	}
	if len(c.Families) == 0 {
		f["families"].Fail("", "the contract needs families", "families: {product: {class: bounded, within: 10s, ttl: listing, schema: 1}}")
	}
	for _, e := range f["jobs"].Entries("jobs") {
		c.Jobs = append(c.Jobs, job(e, c))
	}
	for _, n := range f["exceptions"].List("exceptions") {
		g := n.Fields("an exception", "without", "why", "approved", "expires")
		c.Exceptions = append(c.Exceptions, Exception{Pos: at(n), Without: g["without"].OneOfRenamed("control", policy.RenamedControls, policy.Names()...),
			Why: need(g, "why", "why: ..."), Approved: need(g, "approved", "approved: who agreed"), Expires: date(g, "expires")})
		if !g["without"].Present() {
			n.Fail("", "the exception does not say which control is left out", "without: jitter")
		}
	}
	for _, e := range f["toggles"].Entries("toggles") {
		g := e.Value.Fields("toggle "+e.Name, "what", "how", "until")
		c.Toggles = append(c.Toggles, Toggle{Pos: at(e.Key), Name: e.Name, What: need(g, "what", "what: ..."), How: need(g, "how", "how: ..."),
			Until: release(g["until"])})
		if !c.Release.Known() {
			e.Key.Fail(e.Name, "it is unknown whether the toggle is past its release: the contract has none", "release: 4.2")
		}
	}
	for _, n := range f["decisions"].List("decisions") {
		g := n.Fields("a decision", "on", "what", "why", "by")
		c.Decisions = append(c.Decisions, Decision{Pos: at(n), On: date(g, "on"), What: need(g, "what", "what: ..."),
			Why: need(g, "why", "why: ..."), By: need(g, "by", "by: who decided")})
	}
	return c
}

func pools(n strictyaml.Node) (all []Pool) {
	defaults := 0
	for _, e := range n.Entries("pools") {
		g := e.Value.Fields("pool "+e.Name, "default", "why")
		l := Pool{Pos: at(e.Key), Name: e.Name, Default: yes(g["default"], "default"), Why: need(g, "why", "why: ...")}
		if l.Default {
			defaults++
		}
		all = append(all, l)
	}
	if len(all) > 0 && defaults != 1 {
		n.Fail("", fmt.Sprintf("%d pools are the default, where one must be: that of families which name none", defaults), "shared: {default: true, why: ...}")
	}
	return all
}

// pool reads the pool of a family, or gives the default.
func pool(n strictyaml.Node, c Contract) string {
	var names []string
	def := ""
	for _, l := range c.Pools {
		names = append(names, l.Name)
		if l.Default {
			def = l.Name
		}
	}
	switch {
	case !n.Present():
		return def
	case len(names) == 0:
		n.Fail("", "the contract has no pools", "pools: {shared: {default: true, why: ...}, "+n.String("pool")+": {why: ...}}")
		return ""
	}
	return n.OneOf("pool", names...)
}

// yes reads true or false; what is absent is false.
func yes(n strictyaml.Node, what string) bool { return n.OneOf(what, "true", "false") == "true" }

func family(e strictyaml.Entry, c Contract) Family {
	g := e.Value.FieldsRenamed("family "+e.Name, map[string]string{"place": "pool", "lease": "read_lease"}, "namespace", "pool", "critical", "class", "within", "ttl", "read_lease", "writes", "schema", "vary", "owner", "fields")
	fam := Family{Pos: at(e.Key), Name: e.Name, Namespace: e.Name, ClassPos: at(g["class"]), Owner: c.Owner,
		Within: g["within"].Duration("within", 0), ReadLease: g["read_lease"].Duration("read_lease", 0),
		Schema: key.Schema{Family: e.Name, Version: g["schema"].Int("schema", 1, 1)}}
	fam.Pool, fam.PoolPos, fam.Critical = pool(g["pool"], c), at(g["pool"]), yes(g["critical"], "critical")
	if !g["pool"].Present() {
		fam.PoolPos = fam.Pos
	}
	if g["namespace"].Present() {
		fam.Namespace = g["namespace"].String("namespace")
	}
	if !g["class"].Present() {
		e.Key.Fail(e.Name, "the family needs a class",
			"class: bounded (no read older than within), strong (linearizable) or eventual (converges after its ttl)")
	}
	fam.Class = policy.ParseClass(g["class"].OneOf("class", policy.Classes()...))
	fam.Writes = policy.ParseWritePath(g["writes"].OneOf("write path", policy.WritePaths()...))
	if g["owner"].Present() {
		fam.Owner = owner(g["owner"])
	}
	var classes []string
	for _, t := range c.TTLClasses {
		classes = append(classes, t.Name)
	}
	fam.TTLClass = g["ttl"].OneOf("TTL class", classes...)
	if !g["ttl"].Present() {
		e.Key.Fail(e.Name, "the family needs the name of a TTL class", "ttl: listing")
	}
	for _, t := range c.TTLClasses {
		if t.Name == fam.TTLClass {
			fam.TTL = t.TTL
		}
	}
	switch bounded := fam.Class == policy.Bounded; {
	case !bounded && g["within"].Present():
		g["within"].Fail("", "only a bounded family has a bound", "remove within, or make the class bounded")
	case fam.Class != policy.Strong && g["read_lease"].Present():
		g["read_lease"].Fail("", "only a strong family has a read lease", "remove read_lease, or make the class strong")
	case fam.Writes == policy.WriteBehind && fam.Class != policy.Eventual:
		g["writes"].Fail("", "only an eventual family can be written behind: its readers see a write after it was acknowledged", "writes: aside or through, or class: eventual")
	case fam.ReadLease > fam.TTL:
		g["read_lease"].Fail("", fmt.Sprintf("the read lease is longer than the TTL of this class (%v)", fam.TTL), "a shorter read_lease, or another TTL class")
	case bounded && g["class"].Present() && fam.Within <= 0:
		e.Key.Fail(e.Name, "a bounded family needs within, above 0", "within: 10s")
	case bounded && fam.TTL > fam.Within:
		g["ttl"].Fail("", fmt.Sprintf("the TTL of this class (%v) is above the family's bound (%v)", fam.TTL, fam.Within),
			"a copy must not outlive the staleness it may have")
	}
	var dimensions []string
	for _, d := range key.Dimensions {
		dimensions = append(dimensions, string(d))
	}
	for _, n := range g["vary"].List("dimensions") {
		d := key.Dimension(n.OneOf("dimension", dimensions...))
		if slices.Contains(fam.Schema.Vary, d) {
			n.Fail("", "appears twice", "")
		}
		fam.Schema.Vary = append(fam.Schema.Vary, d)
	}
	for _, p := range g["fields"].Entries("fields") {
		fam.Fields = append(fam.Fields, field(p))
	}
	if fam.Writes == policy.WriteBehind && slices.ContainsFunc(fam.Fields, func(d Field) bool { return d.Redact != None }) {
		g["writes"].Fail("", "a family with redacted fields can't be written behind: the journal would hold them", "writes: aside or through")
	}
	return fam
}

// field reads `name: public`, or `name: {class: personal, redact: mask}`.
func field(e strictyaml.Entry) Field {
	sensitivity, redact := e.Value, strictyaml.Node{}
	if e.Value.IsMap() {
		g := e.Value.Fields("field "+e.Name, "class", "redact")
		sensitivity, redact = g["class"], g["redact"]
		if !sensitivity.Present() {
			e.Key.Fail(e.Name, "the field needs a class", "class: public, internal, personal or secret")
		}
	}
	if slices.Contains(strings.Split(e.Name, "."), "") {
		e.Key.Fail(e.Name, "not the path of a field", "names with dots between: contact.email")
	}
	return Field{Pos: at(e.Key), Path: e.Name,
		Sensitivity: Sensitivity(sensitivity.OneOf("class", string(Public), string(Internal), string(Personal), string(Secret))),
		Redact:      Redaction(redact.OneOf("redaction", string(Drop), string(Mask)))}
}

func job(e strictyaml.Entry, c Contract) Job {
	g := e.Value.Fields("job "+e.Name, "kind", "family", "every", "budget", "owner", "alert")
	b := g["budget"].Fields("the budget of job "+e.Name, "rate", "for")
	j := Job{Pos: at(e.Key), Name: e.Name, Kind: Kind(g["kind"].OneOf("kind", string(WarmUp), string(Refresh))),
		Rate: b["rate"].Rate("rate", 0), For: b["for"].Duration("for", 0), Owner: c.Owner,
		Every: g["every"].Duration("every", 0), Alert: need(g, "alert", `alert: "#catalogue-oncall"`)}
	var families []string
	for _, f := range c.Families {
		families = append(families, f.Name)
	}
	j.Family = g["family"].OneOf("family", families...)
	if g["owner"].Present() {
		j.Owner = owner(g["owner"])
	}
	switch {
	case !g["kind"].Present():
		e.Key.Fail(e.Name, "the job needs a kind", "kind: warm-up (once, when a cache starts empty) or kind: refresh (again and again)")
	case !g["family"].Present():
		e.Key.Fail(e.Name, "the job needs a family", "")
	case j.Rate == 0 || j.For == 0:
		e.Key.Fail(e.Name, "the job needs a budget: source loads a second, and how long one run may take", "budget: {rate: 50/s, for: 30s}")
	case j.Kind == Refresh && j.Every == 0:
		e.Key.Fail(e.Name, "a refresh needs its period", "every: 10m")
	case j.Kind == Refresh && j.For > j.Every:
		b["for"].Fail("", "a run may take longer than its period", "every is "+duration(j.Every))
	case j.Kind == WarmUp && j.Every != 0:
		g["every"].Fail("", "a warm-up runs once, when a cache starts empty", "remove every, or make it a refresh")
	}
	return j
}

func owner(n strictyaml.Node) Owner {
	g := n.Fields("the owner", "team", "contact")
	o := Owner{Team: g["team"].String("team"), Contact: g["contact"].String("contact")}
	if n.Present() && (o.Team == "" || o.Contact == "") {
		n.Fail("", "an owner has a team and a contact", `owner: {team: catalogue, contact: "#catalogue-oncall"}`)
	}
	return o
}

func need(f map[string]strictyaml.Node, name, hint string) string {
	s := f[name].String(name)
	if s == "" {
		f[name].Fail("", name+" is missing", hint)
	}
	return s
}

func date(f map[string]strictyaml.Node, name string) Date {
	s := need(f, name, name+": 2027-03-01")
	if s == "" {
		return Date{}
	}
	t, err := time.Parse(dateForm, s)
	if err != nil {
		f[name].Fail("", "not a date", "year-month-day, as in 2027-03-01")
	}
	return Date{t}
}

func release(n strictyaml.Node) Release {
	s := n.String("release")
	r, err := ParseRelease(s)
	if err != nil {
		n.Fail("", "not a release", "numbers with dots between, as in 4.2")
	}
	return r
}

func at(n strictyaml.Node) Pos {
	line, column := n.Pos()
	return Pos{line, column}
}
