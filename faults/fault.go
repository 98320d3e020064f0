// Package faults breaks the cache the way production does, proves that it broke, and puts it back.
//
// A [Fault] is injected into a [Site], which holds the handles that faults need and nothing else. Every
// fault is proven through another channel than its own word (a refused dial, another run_id, a probe
// that gets no answer): without such evidence nobody knows what a drill has shown. Every heal is verified
// by a probe. What can't be undone is declared in the [Catalogue].
//
// Every Inject and every Heal ends within a deadline of its own, whatever its context says; an Inject
// that fails half-way has undone what it did.
package faults

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/targets"
)

// Fault is one perturbation. Faults are values: one may be injected any number of times, one after the
// other.
type Fault interface {
	// String gives the fault as YAML shows it: redis.restart{region: eu, down: 500ms}.
	String() string
	// Inject starts the fault. With an error nothing is left injected.
	Inject(ctx context.Context, site Site) (Injected, error)
}

// Injected is a fault that has been started. Whoever holds it must call Heal, on every way out.
type Injected struct {
	// Evidence is what proves that the fault bit, as far as known at injection; "" = no proof yet.
	Evidence string
	// Began is the moment from which on the fault may have been felt: Inject itself takes time, to
	// stop a server or to wait for a probe that must not be answered. Earlier than the return of
	// Inject, except of a fault whose effect starts by the clock (keys.expire).
	Began time.Time
	// Hold is how long to keep the fault before Heal; 0 = instantaneous: there is nothing to undo,
	// and Heal is called after observing, for the final evidence.
	Hold time.Duration
	// Heal undoes the fault, verifies through a probe that it is gone, and returns the complete
	// evidence; "" = there is none, and what the drill showed is unknown. It is Heal that returns the
	// evidence because some faults can only be proven after something ran into them: a delay that no
	// event met did not happen. An error means that the fault may still be there: call it again.
	// Once it has succeeded, further calls (on a signal, and then on the way out) change nothing and
	// return the same. It may be called concurrently. Its context must be a live one: not that of a
	// drill that was cancelled.
	Heal func(ctx context.Context) (string, error)
}

// Site is where faults happen. Elements that no fault of a drill names may be missing.
type Site struct {
	Nodes   map[string]Node            // the Redises, by [targets.RedisName]
	Relays  map[string]Relay           // an invalidation relay per region
	Edges   map[string]Edge            // by name, e.g. "relay@eu -> relay@us"
	Pattern func(family string) string // the Redis glob that matches the family's entries
	Now     func() time.Duration       // the offset on the harness's clock, for evidence; may be nil

	SourceEdges []string // the names of the edges that lead to the source
	KeyPrefix   string   // when set, faults touch no key that does not begin with it
	Journal     *Journal // what to undo if this process ends before it has healed; may be nil
	Audit       *Audit   // who did what; may be nil
}

// Node is one Redis. What it can't do returns an error that wraps [errors.ErrUnsupported]. One that can do
// some things and not others is [Limited].
type Node interface {
	// Start brings a stopped Redis up, empty, on the address it had before.
	Start(ctx context.Context) error
	// Stop ends it in order: its address refuses connections afterwards, and its data is lost.
	Stop(ctx context.Context) error
	// Kill ends it as a crash does (SIGKILL), with what Stop says.
	Kill(ctx context.Context) error
	// Addr is where it listens, host:port, also while it is stopped.
	Addr() string
	// Client is connected directly, through no proxy, and is owned by the node.
	Client() *goredis.Client
	// Identity asks the server itself.
	Identity(ctx context.Context) (targets.RedisIdentity, error)
}

// Limited is a [Node] that says beforehand what it can't do, so that nothing is begun that it could not end.
// One that is neither Limited nor [Commanded] is taken to be a child of this process, and to end with it.
type Limited interface {
	// Can gives an error that wraps [errors.ErrUnsupported] when an action ("start", "stop" or "kill") can't
	// be done.
	Can(action string) error
}

// Commanded is a [Node] that a command starts, also when this process is gone.
type Commanded interface {
	// StartCommand gives a program and its arguments, which must return once the Redis is starting; none when
	// there is no such command.
	StartCommand() []string
}

// Relay carries invalidation events from the source to the caches of one region.
type Relay interface {
	// Delay holds each event for by, from now on; 0 = deliver at once, also what is held.
	Delay(by time.Duration)
	Delivered() Delivery
}

// Delivery counts what a [Relay] did since its start.
type Delivery struct {
	Events  int64         // delivered
	Held    int64         // waiting now
	Delayed int64         // delivered or waiting, and held by a Delay
	MaxLag  time.Duration // the largest from commit to delivery since the last call of Delay; what that call let go counts
}

// Edge is one directed network link, through its proxy.
type Edge struct {
	Name     string
	Proxy    *Proxy
	Upstream string // where the proxy leads: host:port
	// Probe makes one request over a new connection to addr that the far end must answer. It must
	// return when ctx ends.
	Probe func(ctx context.Context, addr string) error
}

// stamp is the time now on the harness's clock as evidence shows it: " at 19.40s"; "" without a clock.
func (s Site) stamp() string {
	if s.Now == nil {
		return ""
	}
	return fmt.Sprintf(" at %.2fs", s.Now().Seconds())
}

// pick gives the named elements of a site, or all of them when no name is given, in order of name.
func pick[T any](all map[string]T, what string, names []string) ([]string, error) {
	if len(names) == 0 {
		names = sortedKeys(all)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("this target offers no %s", what)
	}
	for _, n := range names {
		if _, ok := all[n]; !ok {
			return nil, fmt.Errorf("this target offers no %s in region %q", what, n)
		}
	}
	return names, nil
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// healOnce makes an undo that may be called again, also concurrently: calls take turns, and after the
// first success they only repeat its evidence. Each attempt ends after limit.
func healOnce(limit time.Duration, undo func(ctx context.Context) (string, error)) func(context.Context) (string, error) {
	turn := make(chan struct{}, 1)
	healed, evidence := false, ""
	return func(ctx context.Context) (string, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for a heal that is under way: %w", ctx.Err())
		}
		if healed {
			return evidence, nil
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		e, err := undo(ctx)
		if err != nil {
			return "", err
		}
		healed, evidence = true, e
		return e, nil
	}
}

// wait returns at the moment, or with the context's error when that ends first.
func wait(ctx context.Context, until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// render writes a fault as YAML shows it: name{key: value, ...}; parameters without a value are left out.
func render(sham bool, name string, params ...[2]string) string {
	var b strings.Builder
	b.WriteString(name + "{")
	sep := ""
	for _, p := range params {
		if p[1] != "" {
			b.WriteString(sep + p[0] + ": " + p[1])
			sep = ", "
		}
	}
	b.WriteByte('}')
	if sham {
		return "sham{of: " + b.String() + "}"
	}
	return b.String()
}

// oneOrList writes names as YAML shows them: eu, or [eu, us]; "" for none.
func oneOrList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// quotedList writes names as YAML shows them, quoted where they need it.
func quotedList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		if out[i] = n; !plain.MatchString(n) {
			out[i] = strconv.Quote(n)
		}
	}
	return oneOrList(out)
}

// plain is what YAML reads as the text that it is, wherever it stands.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9@_./>* -]*[A-Za-z0-9@_./>*-]$`)

// grouped writes 1962 as "1,962".
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
