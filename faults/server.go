package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/targets"
)

// Server is one Redis server.
type Server interface {
	ServerControl
	ServerProbe
	ServerFacts
}

// ServerControl ends a server and brings it back. What a server can't do returns an error that
// wraps [errors.ErrUnsupported], and is beforehand no part of its capabilities.
type ServerControl interface {
	// Start brings a stopped server up, empty, on the address it had before.
	Start(ctx context.Context) error
	// Stop ends it in order: its address refuses connections afterwards, and its data is lost.
	Stop(ctx context.Context) error
	// Kill ends it as a crash does (SIGKILL), with the effects of Stop.
	Kill(ctx context.Context) error
}

// ServerProbe asks a server past everything that faults touch.
type ServerProbe interface {
	// Ping asks over a new connection. The error of one that is down wraps [syscall.ECONNREFUSED].
	Ping(ctx context.Context) error
	// Identity asks the server itself which incarnation it is.
	Identity(ctx context.Context) (targets.RedisIdentity, error)
}

// ServerFacts are what a server declares of itself. None has a default: a kind of server that
// leaves one out does not compile, and one that leaves a value undeclared is refused before
// anything is perturbed.
type ServerFacts interface {
	// Location is where it listens, also while it is stopped.
	Location() undo.Server
	// Lifetime declares what ends the server.
	Lifetime() Lifetime
	// Capabilities declares what can be done to it.
	Capabilities() Capabilities
}

// Lifetime declares whether a server ends with this process, and, when it does not, how to start it
// again afterwards. The zero Lifetime declares nothing, and is refused.
type Lifetime struct {
	declared, ends bool
	start          []string
}

// EndsWithProcess is the lifetime of a server that ends with this process, however that ends.
func EndsWithProcess() Lifetime { return Lifetime{declared: true, ends: true} }

// OutlivesProcess is the lifetime of a server that runs on without this process. start is a program
// and its arguments that start the server, also when this process is gone, and return once it is
// starting; none when only its owner can.
func OutlivesProcess(start ...string) Lifetime {
	return Lifetime{declared: true, start: slices.Clone(start)}
}

// locate gives what the journal must hold of a server.
func locate(s Server, name string) (undo.Server, error) {
	life := s.Lifetime()
	if !life.declared {
		return undo.Server{}, fmt.Errorf("redis@%s does not declare its lifetime: what undoes a fault of it can't be noted", name)
	}
	at := s.Location()
	at.Own = life.ends
	return at, nil
}

// undoDowntime is what undoes the end of a server.
func undoDowntime(s Server, name string) (undo.Step, error) {
	at, err := locate(s, name)
	switch {
	case err != nil:
		return undo.Step{}, err
	case at.Own:
		return undo.Nothing("its Redis was the process's own, and ended with it"), nil
	}
	return undo.StartAgain(&at, s.Lifetime().start), nil
}

// Capability is something that must be possible at a target for a fault to be.
type Capability string

// What faults need. The first three are up to the server.
const (
	CanStop  Capability = "stop and start"
	CanKill  Capability = "kill and start"
	CanTouch Capability = "change keys"

	HasEdges       Capability = "proxied network links"
	HasSourceEdges Capability = "a proxied link to the source"
	HasRelays      Capability = "invalidation relays"
	HasRegionLinks Capability = "proxied links between regions"
)

// ServerCapabilities are those that every server declares, in the order of tables.
var ServerCapabilities = []Capability{CanStop, CanKill, CanTouch}

// Capabilities declare what is possible, and why the rest is not. What is not in it is undeclared,
// and refused.
type Capabilities map[Capability]Support

// Support is whether something is possible. Make it with [Yes] or [No].
type Support struct {
	yes bool
	why string
}

// Yes is the support of what is possible.
func Yes() Support { return Support{yes: true} }

// No is the support of what is not possible: the reason, and what would do instead.
func No(why string) Support { return Support{why: why} }

// Possible reports whether it is.
func (s Support) Possible() bool { return s.yes }

// String gives "yes", or the reason why not.
func (s Support) String() string {
	if s.yes {
		return "yes"
	}
	return s.why
}

// Check gives nil for what is possible, else an error that wraps [errors.ErrUnsupported].
func (c Capabilities) Check(needed Capability) error {
	switch s, declared := c[needed]; {
	case !declared:
		return fmt.Errorf("it does not declare whether it can %s: %w", needed, errors.ErrUnsupported)
	case !s.yes:
		return fmt.Errorf("%s: %w", s.why, errors.ErrUnsupported)
	}
	return nil
}
