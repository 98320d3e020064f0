package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/faults"
)

// BackendSpec is all that is known of one backend.
type BackendSpec struct {
	Name    Backend
	Summary string
	// Startable: a drill starts it. Else it runs already.
	Startable bool
	// Lifetime declares what ends its servers.
	Lifetime func(Config) faults.Lifetime
	// Capabilities declares of each of [faults.ServerCapabilities] whether it is possible, and if
	// not, why and what would do.
	Capabilities func(Config) faults.Capabilities
	// Full is a Config with which it can do all that it ever can, for the table.
	Full Config
	// Needs is what a suite must hold for a capability that is not there without.
	Needs map[faults.Capability]string
	// Open makes a server; name stands for it in errors.
	Open func(name string, c Config) (Node, error)
}

// Backends is the table of what there is and can be done. It is a value: append a [BackendSpec] for
// a backend of one's own.
type Backends []BackendSpec

// All is every backend of this package.
func All() Backends { return Backends{embeddedBackend, processBackend, urlBackend} }

// ownFacts are those of a server that the drill starts.
var ownFacts = facts{
	faults.EndsWithProcess(),
	faults.Capabilities{faults.CanStop: faults.Yes(), faults.CanKill: faults.Yes(), faults.CanTouch: faults.Yes()},
}

var embeddedBackend = BackendSpec{
	Name:         Embedded,
	Summary:      "miniredis within the drill's own process",
	Startable:    true,
	Lifetime:     func(Config) faults.Lifetime { return ownFacts.lifetime },
	Capabilities: func(Config) faults.Capabilities { return ownFacts.capabilities },
	Open: func(name string, _ Config) (Node, error) {
		return newNode(name, Embedded, ownFacts, launchEmbedded), nil
	},
}

var processBackend = BackendSpec{
	Name:         Process,
	Summary:      "redis-server or valkey-server of this machine, which the drill starts",
	Startable:    true,
	Lifetime:     func(Config) faults.Lifetime { return ownFacts.lifetime },
	Capabilities: func(Config) faults.Capabilities { return ownFacts.capabilities },
	Open: func(name string, _ Config) (Node, error) {
		found, err := findServer()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return newNode(name, Process, ownFacts, found.launch), nil
	},
}

const (
	stopNeeds   = "stop: [...], start: [...]"
	killNeeds   = "kill: [...], start: [...]"
	prefixNeeds = `key_prefix: "shop:drill:"`
	unmanaged   = "this Redis is its owner's, and the suite does not give the commands to %s it (environment: {redis: {%s}}); use network.refuse"
)

var urlBackend = BackendSpec{
	Name:         URL,
	Summary:      "a server that its owner runs",
	Lifetime:     ownedLifetime,
	Capabilities: ownedCapabilities,
	Full:         Config{Start: []string{"start"}, Stop: []string{"stop"}, Kill: []string{"kill"}, KeyPrefix: "shop:drill:"},
	Needs:        map[faults.Capability]string{faults.CanStop: stopNeeds, faults.CanKill: killNeeds, faults.CanTouch: prefixNeeds},
	Open: func(name string, c Config) (Node, error) {
		return openURL(name, c, facts{ownedLifetime(c), ownedCapabilities(c)})
	},
}

// ownedLifetime is that of a server that its owner runs.
func ownedLifetime(c Config) faults.Lifetime { return faults.OutlivesProcess(c.Start...) }

// ownedCapabilities are up to what the suite gives.
func ownedCapabilities(c Config) faults.Capabilities {
	all := faults.Capabilities{
		faults.CanStop: faults.Yes(), faults.CanKill: faults.Yes(), faults.CanTouch: faults.Yes(),
	}
	if len(c.Stop) == 0 || len(c.Start) == 0 {
		all[faults.CanStop] = faults.No(fmt.Sprintf(unmanaged, "restart", stopNeeds))
	}
	if len(c.Kill) == 0 || len(c.Start) == 0 {
		all[faults.CanKill] = faults.No(fmt.Sprintf(unmanaged, "kill", killNeeds))
	}
	if c.KeyPrefix == "" {
		all[faults.CanTouch] = faults.No("this Redis is its owner's, and keys are touched there only below a prefix: environment: {redis: {" + prefixNeeds + "}}")
	}
	return all
}

// Find gives a backend by its name.
func (b Backends) Find(name Backend) (BackendSpec, error) {
	i := slices.IndexFunc(b, func(s BackendSpec) bool { return s.Name == name })
	if i < 0 {
		return BackendSpec{}, fmt.Errorf("there is no Redis backend %q", name)
	}
	if err := b[i].check(); err != nil {
		return BackendSpec{}, err
	}
	return b[i], nil
}

// check refuses a row that leaves something undeclared.
func (s BackendSpec) check() error {
	switch {
	case s.Lifetime == nil:
		return fmt.Errorf("the Redis backend %q does not declare its lifetime", s.Name)
	case s.Capabilities == nil:
		return fmt.Errorf("the Redis backend %q does not declare its capabilities", s.Name)
	}
	return nil
}

// Open makes a server of a backend; name stands for it in errors. One that a drill starts is not
// started yet.
func (b Backends) Open(backend Backend, name string, c Config) (Node, error) {
	if backend == Auto {
		backend = settle()
	}
	spec, err := b.Find(backend)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return spec.Open(name, c)
}

// settle makes [Auto] one of the backends that it may become.
func settle() Backend {
	if _, err := findServer(); err != nil {
		return Embedded
	}
	return Process
}

// Startable lists the names of the backends that a drill can start, [Auto] first.
func (b Backends) Startable() []string {
	names := []string{string(Auto)}
	for _, s := range b {
		if s.Startable {
			names = append(names, string(s.Name))
		}
	}
	return names
}

// Lacks gives what faults can't do to a Redis of a backend, and why. [Auto] can do what every
// backend can that it may become.
func (b Backends) Lacks(name Backend, c Config) map[faults.Capability]string {
	lacks := map[faults.Capability]string{}
	for _, s := range b {
		if s.Name != name && (name != Auto || s.Name != Embedded && s.Name != Process) {
			continue
		}
		if err := s.check(); err != nil {
			for _, capability := range faults.ServerCapabilities {
				lacks[capability] = err.Error()
			}
			return lacks
		}
		can := s.Capabilities(c)
		for _, capability := range faults.ServerCapabilities {
			if err := can.Check(capability); err != nil {
				lacks[capability] = strings.TrimSuffix(err.Error(), ": "+errors.ErrUnsupported.Error())
			}
		}
	}
	return lacks
}

// Markdown is the table of backends and what can be done to their servers.
func (b Backends) Markdown() string {
	var out strings.Builder
	out.WriteString("| backend | what it is |")
	for _, c := range faults.ServerCapabilities {
		out.WriteString(" " + string(c) + " |")
	}
	out.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(faults.ServerCapabilities)) + "\n")
	for _, s := range b {
		fmt.Fprintf(&out, "| `%s` | %s |", s.Name, s.Summary)
		without, with := b.Lacks(s.Name, Config{}), b.Lacks(s.Name, s.Full)
		for _, c := range faults.ServerCapabilities {
			cell := "yes"
			switch {
			case with[c] != "":
				cell = "no: " + with[c]
			case without[c] != "":
				cell = "with `" + s.Needs[c] + "`"
			}
			out.WriteString(" " + cell + " |")
		}
		out.WriteString("\n")
	}
	return out.String()
}
