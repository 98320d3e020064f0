// Package http drills any service that speaks HTTP, in any language: a suite describes in YAML how
// to read and write, and where in an answer the value is.
//
// Such a service is known by its answers alone. Every write stores a unique token that certifies
// itself, and every read must answer one; that is enough to prove staleness, lost writes and
// mix-ups without a look inside.
package http

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// Spec describes a service and how to talk to it.
type Spec struct {
	Regions  []Region
	Headers  []Header
	Timeout  time.Duration // a client's patience
	Settle   time.Duration // the most time that the service may need to show what was written before the drill
	Patience time.Duration // the most time that the service is waited for when it asks for it, outside of the load
	HTTP2    bool          // HTTP/2 from the first byte, also without TLS
	CA       string        // file of the authorities that may have signed the service's certificates; "": those of the system
	MostBody int64         // bytes of an answer that are read; a longer one is garbled

	// Dial makes connections to the service; nil: they go over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Families are those that the suite names. Common describes every family when it names none.
	Families []Family
	Common   Family
}

// DialContext makes a connection as all requests to the service do.
func (s *Spec) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, network, address)
	}
	return (&net.Dialer{Timeout: s.Timeout, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
}

// Region is a group of instances of the service, and the clients near to them.
type Region struct {
	Name string
	URLs []string // base URLs, one an instance
}

// Header is sent with every request. ${NAME} in its value stands for a variable of the environment.
type Header struct{ Name, Value string }

// Family is one kind of key of the service; wide because it names every request, and every meaning
// of an answer.
type Family struct {
	Name   string
	Class  string        // bounded, strong, eventual; "": the service promises nothing, and nothing is held against it
	Within time.Duration // the bound of a bounded family; of an eventual one, by when it has converged
	TTL    time.Duration // how long a cache may keep a copy; 0: unknown
	Vary   []string      // the dimensions in its requests: tenant, locale, currency, variant

	Read, Write, Delete, Purge, Bypass *Call // nil: the service does not offer it

	Create *creation // nil: a write makes what is not there

	Token targets.Form // what values its field takes
	Key   keyForm      // how the service names its keys

	Answer Answer

	Absent   absences    // how an answer looks that says that there is no such thing
	Shed     codes       // statuses that mean that the service turned the request away, and did nothing
	Rejected codes       // statuses that mean that it refused the request for what it was, and did nothing
	Accepted codes       // good statuses that promise nothing yet: the change may be made later, or never
	Done     []condition // what an answer with a good status must hold to mean that a change was made
}

// Call is a request, with placeholders.
type Call struct {
	Method  string
	Base    string   // scheme and host, when they are not an instance's: the way past the caches may listen elsewhere
	Target  template // path and query
	Body    template // nil: none
	Type    string   // of the body
	Headers []filled
}

// creation is a request by which the service makes a new thing, and names it itself.
type creation struct {
	*Call
	id idAt
}

// call is the request; nil: there is none.
func (c *creation) call() *Call {
	if c == nil {
		return nil
	}
	return c.Call
}

// call is the request for an operation on something that is there.
func (f *Family) call(r *targets.Request) *Call {
	switch {
	case r.Kind == targets.Write:
		return f.Write
	case r.Kind == targets.Delete:
		return f.Delete
	case r.Instance == targets.SourceInstance:
		return f.Bypass
	}
	return f.Read
}

// Written reports whether the suite says how values are written.
func (f *Family) Written() bool { return f.Write != nil || f.Create != nil }

// filled is a header of one call, with placeholders.
type filled struct {
	name  string
	value template
}

// uses reports whether the call has a placeholder of that name.
func (c *Call) uses(name string) bool {
	return c != nil && slices.ContainsFunc(c.templates(), func(t template) bool { return t.uses(name) })
}

// templates are all parts of the call that may hold placeholders.
func (c *Call) templates() []template {
	all := []template{c.Target, c.Body}
	for _, h := range c.Headers {
		all = append(all, h.value)
	}
	return all
}

// RegionNames lists the regions.
func (s *Spec) RegionNames() []string {
	var names []string
	for _, r := range s.Regions {
		names = append(names, r.Name)
	}
	return names
}

// FamilyNames lists the families that the suite names; none: any name will do.
func (s *Spec) FamilyNames() []string {
	var names []string
	for _, f := range s.Families {
		names = append(names, f.Name)
	}
	return names
}

// Family finds one by name. Where the suite names none, every family is the common one.
func (s *Spec) Family(name string) (Family, bool) {
	for _, f := range s.Families {
		if f.Name == name {
			return f, true
		}
	}
	if len(s.Families) > 0 {
		return Family{}, false
	}
	f := s.Common
	f.Name = name
	return f, true
}

// PastCaches reports whether the service can be asked past its caches about everything that can be
// changed, which is what the search for lost writes needs.
func (s *Spec) PastCaches() bool {
	families := s.Families
	if len(families) == 0 {
		families = []Family{s.Common}
	}
	return !slices.ContainsFunc(families, func(f Family) bool {
		return (f.Written() || f.Delete != nil) && f.Bypass == nil
	})
}

// TellsTier reports whether answers of a family name the tier that gave them.
func (s *Spec) TellsTier(family string) bool {
	f, _ := s.Family(family)
	return f.Answer.tier.set()
}

// Bases gives where requests go that do not go to an instance, by what makes them: the "bypass of
// family item", say.
func (s *Spec) Bases() map[string]string {
	out := map[string]string{}
	for _, f := range append(slices.Clone(s.Families), s.Common) {
		of := ""
		if f.Name != "" {
			of = " of family " + f.Name
		}
		for what, c := range map[string]*Call{"read": f.Read, "write": f.Write, "delete": f.Delete, "purge": f.Purge, "bypass": f.Bypass, "create": f.Create.call()} {
			if c != nil && c.Base != "" {
				out["the "+what+of] = c.Base
			}
		}
	}
	return out
}

// Same reports whether two families are the same things: their reads are the same request for every
// key.
func (s *Spec) Same(a, b string) bool {
	fa, oka := s.Family(a)
	fb, okb := s.Family(b)
	if !oka || !okb || fa.Read == nil || fb.Read == nil || fa.Create != nil && fb.Create != nil {
		return false
	}
	ask := func(f *Family) string {
		r := targets.Request{Key: targets.Key{Family: f.Name, ID: "1", Tenant: "t", Locale: "l", Currency: "c", Variant: "v"}}
		with := filling{r: &r, key: f.Key.name(r.Key.ID)}
		text := f.Read.Base + string(f.Read.Target.fill(nil, &with)) + "\n" + string(f.Read.Body.fill(nil, &with))
		for _, h := range f.Read.Headers {
			text += "\n" + h.name + ": " + string(h.value.fill(nil, &with))
		}
		return text
	}
	return ask(&fa) == ask(&fb)
}
