package http

import (
	"context"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/url"
	"time"

	"github.com/cachedrill/cachedrill/internal/patience"
	"github.com/cachedrill/cachedrill/targets"
)

// Service is a client of a running service under drill: a [targets.Target] and [targets.Instanced].
// It never retries, follows no redirect, and asks for no compression. It is wide because it keeps
// what it saw of the service beside how to ask it.
type Service struct {
	spec      *Spec
	run       string
	headers   nethttp.Header
	client    *nethttp.Transport
	regions   map[string][]*url.URL
	instances map[string]*url.URL
	names     []string // of the instances
	bypass    bool     // every family that is written can be read past the caches

	families map[string]*Family // those that the suite names, by name
	common   *Family            // nil when it names any
	tokens   map[*Family]*targets.Tokens
	env      map[string]string // the variables that requests take from the environment

	doubted  doubts
	garbled  garbled
	short    shortage
	denied   denials
	pace     patience.Pace // of the preparations
	undone   garbled       // answers to changes that mean, by what they hold, no success
	habits   habits
	assigned names  // that the service gave to keys
	pending  doubts // keys whose first value was accepted, and not seen yet
}

// doubtfulValue stands for the value of a key that can't be judged.
const doubtfulValue = "(doubtful)"

const (
	idleConns = 512 // to an instance, kept open
	idleFor   = 90 * time.Second
)

// New makes a client of the service. run is what the tokens of this drill begin with. Headers take
// variables from the environment; one that is not set is an error.
func New(spec *Spec, run string) (*Service, error) {
	s := &Service{spec: spec, run: run, headers: nethttp.Header{"User-Agent": {"cachedrill"}},
		regions: map[string][]*url.URL{}, instances: map[string]*url.URL{}}
	s.pace.Most = spec.Patience
	for _, h := range spec.Headers {
		v, err := expand(h.Value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Name, err)
		}
		s.headers.Set(h.Name, v)
	}
	var err error
	if s.client, err = newTransport(spec); err != nil {
		return nil, err
	}
	for _, r := range spec.Regions {
		for i, base := range r.URLs {
			u, err := url.Parse(base)
			if err != nil {
				return nil, fmt.Errorf("instance %s: %w", base, err)
			}
			name := fmt.Sprintf("%s/%d", r.Name, i+1)
			s.regions[r.Name] = append(s.regions[r.Name], u)
			s.instances[name] = u
			s.names = append(s.names, name)
		}
	}
	s.families = map[string]*Family{}
	for i := range spec.Families {
		s.families[spec.Families[i].Name] = &spec.Families[i]
	}
	if len(spec.Families) == 0 {
		s.common = &spec.Common
	}
	if err := s.prepareFamilies(); err != nil {
		return nil, err
	}
	if s.bypass = spec.PastCaches(); s.bypass {
		s.names = append(s.names, targets.SourceInstance)
	}
	return s, nil
}

// Close lets go of the connections.
func (s *Service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Instances implements [targets.Instanced].
func (s *Service) Instances() []string { return s.names }

// Garbled counts answers with a good status that could not be decoded, and gives the first error.
func (s *Service) Garbled() (n int64, first string) {
	if f := s.garbled.first.Load(); f != nil {
		first = *f
	}
	return s.garbled.n.Load(), first
}

// Paced says in words how often the preparations were asked to wait; "" when they were not.
func (s *Service) Paced() string { return s.pace.Note("writing and reading the first values") }

// Short says what this program ran out of while it asked; "" when of nothing.
func (s *Service) Short() string { return s.short.words() }

// Denied says that the service began to refuse who asks; "" when it did not, or always did.
func (s *Service) Denied() string { return s.denied.words() }

// Undone counts answers to changes with a good status that did not mean success, and gives the
// first: such changes may have been made or not.
func (s *Service) Undone() (n int64, first string) {
	if f := s.undone.first.Load(); f != nil {
		first = *f
	}
	return s.undone.n.Load(), first
}

// Habits describes what of the service's answers was left out, and why.
func (s *Service) Habits() []string {
	s.habits.mu.Lock()
	defer s.habits.mu.Unlock()
	return append([]string(nil), s.habits.notes...)
}

// Doubted counts the keys that can't be judged, because the write of their first value ended
// unknown.
func (s *Service) Doubted() int { return s.doubted.len() }

// Do implements [targets.Target].
func (s *Service) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	f := s.family(r.Key.Family)
	if f == nil {
		return targets.Reply{}, fmt.Errorf("%w: the service has no family %q", targets.ErrNotApplied, r.Key.Family)
	}
	call, name, held := s.addressed(f, &r)
	if call == nil {
		return targets.Reply{}, fmt.Errorf("%w: the suite has no request to %s %s", targets.ErrNotApplied, r.Kind, r.Key.Family)
	}
	if r.Kind.Changes() {
		return s.change(ctx, call, f, &r, name, held)
	}
	reply, err := s.read(ctx, call, f, &r, name)
	if err == nil && (held.gone || held.reused) && another(reply.Token, r.Key) {
		reply, err = targets.Reply{}, &GarbledError{Why: "the service gives the ids of what was deleted to others"}
	}
	if held.turn > 1 {
		reply.Version = 0 // each thing that stood for the key counted its own
	}
	var g *GarbledError
	switch {
	case errors.As(err, &g):
		s.garbled.add(err.Error())
	case err == nil && !reply.Absent && s.doubted.len() > 0 && s.doubted.has(r.Key):
		reply.Token, reply.Version, reply.Owner = doubtfulValue, 0, targets.Key{}
	}
	if r.Instance == targets.SourceInstance {
		reply.Tier = targets.TierBypass
	}
	return reply, err
}

// addressed gives the request for an operation on a key, the name that the key has in it, and what
// is known of that name.
func (s *Service) addressed(f *Family, r *targets.Request) (call *Call, name string, h holding) {
	if f.Create == nil {
		return f.call(r), f.Key.name(r.Key.ID), holding{}
	}
	h = s.assigned.of(r.Key)
	if r.Kind == targets.Write && (f.Write == nil || h.id == "" || h.gone || h.open) {
		return f.Create.Call, f.Key.name(r.Key.ID), h
	}
	if h.id == "" || r.Kind == targets.Delete && h.gone {
		return f.call(r), s.assigned.none(&f.Key, r.Key), h
	}
	return f.call(r), h.id, h
}

// exchange makes a change. Without an error it was made, or was accepted, which promises nothing.
// The reply has the version that it made, 0 when the answer has none.
func (s *Service) exchange(ctx context.Context, call *Call, f *Family, r *targets.Request, name string) (reply targets.Reply, err error) {
	err = s.talk(ctx, call, f, r, name, func(req *nethttp.Request, a *received) error {
		if err := f.changed(r, req, a); err != nil {
			if errors.Is(err, errUndone) {
				s.undone.add(err.Error())
			}
			return err
		}
		if reply.Accepted = f.Accepted.has(a.status); !reply.Accepted && f.Answer.version.set() {
			reply.Version = s.habits.version(r.Key.Family, &f.Answer, a)
		}
		if f.Create != nil && call == f.Create.Call {
			id, err := f.Create.id.in(a)
			if err == nil {
				err = s.assigned.give(r.Key, id)
			}
			if err != nil {
				return fmt.Errorf("%s: created, but %w", named(req), err)
			}
		}
		return nil
	})
	return reply, err
}

// change makes a change, and notes what it does to the id of the key.
func (s *Service) change(ctx context.Context, call *Call, f *Family, r *targets.Request, name string, held holding) (targets.Reply, error) {
	reply, err := s.exchange(ctx, call, f, r, name)
	created := f.Create != nil && call == f.Create.Call
	if f.Create != nil && r.Kind == targets.Delete && !errors.Is(err, targets.ErrNotApplied) && !asksForPatience(err) {
		s.assigned.end(r.Key, held.id, err == nil && !reply.Accepted)
	}
	if created && held.turn > 0 || held.turn > 1 {
		reply.Version = 0
	}
	return reply, err
}

// at reports whether an instance is on a host, whatever its port.
func (s *Service) at(host string) bool {
	for _, u := range s.instances {
		if u.Hostname() == host {
			return true
		}
	}
	return false
}

// family finds the requests of a family; nil: the service has none of that name.
func (s *Service) family(name string) *Family {
	if f, ok := s.families[name]; ok {
		return f
	}
	return s.common
}

func (s *Service) read(ctx context.Context, call *Call, f *Family, r *targets.Request, name string) (reply targets.Reply, err error) {
	err = s.talk(ctx, call, f, r, name, func(req *nethttp.Request, a *received) error {
		reply, err = f.readFrom(r, req, a, s.tokens[f])
		if f.Answer.tier.set() {
			if words := f.Answer.spoken(a); words != "" {
				s.habits.layered(r.Key.Family, words)
			}
		}
		var mixed *ambiguousError
		switch {
		case errors.As(err, &mixed):
			s.habits.ambiguous(r.Key.Family)
		case err != nil || reply.Absent:
		case f.Answer.token.several() && another(reply.Token, r.Key) && s.habits.mixes(r.Key.Family):
			reply = targets.Reply{}
			return fmt.Errorf("%s: %w", named(req), &GarbledError{Why: "token: " + f.Answer.token.String() + " selects values of other keys"})
		case f.Answer.version.set():
			reply.Version = s.habits.version(r.Key.Family, &f.Answer, a)
		}
		return err
	})
	if reply.Owner.ID != r.Key.ID && reply.Owner.ID != "" && sameName(reply.Owner.ID, name) {
		reply.Owner.ID = r.Key.ID
	}
	return reply, err
}

// base picks the instance that a request goes to. The instances of a region take turns, in an order
// that depends on the operation's number alone.
func (s *Service) base(r *targets.Request) (*url.URL, error) {
	if r.Instance != "" && r.Instance != targets.SourceInstance {
		u, ok := s.instances[r.Instance]
		if !ok {
			return nil, fmt.Errorf("%w: the service has no instance %q", targets.ErrNotApplied, r.Instance)
		}
		return u, nil
	}
	all := s.regions[r.Region]
	if len(all) == 0 {
		all = s.regions[s.spec.Regions[0].Name]
	}
	return all[spread(r.Seq)%uint64(len(all))], nil
}

// spread mixes the bits of a number (the finalizer of SplitMix64, Steele et al. 2014).
func spread(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
