package faults

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
)

// Site is where faults happen: small handles on what they perturb and on what proves it. Elements
// that no fault of a drill names may be missing. Other things that faults may perturb (a server's
// configuration, a clock, a worker) become further maps of handles, which [Sham] wraps too.
type Site struct {
	Servers map[string]Server // the Redis servers, by [targets.RedisName]
	Keys    map[string]Keys   // their keys, by the same names
	Relays  map[string]Relay  // an invalidation relay per region
	Edges   map[string]Edge   // network links by name, e.g. "relay@eu -> relay@us"

	Pattern func(family string) string // the Redis glob that matches the family's entries
	Now     func() time.Duration       // the offset on the harness's clock, for evidence; may be nil

	SourceEdges []string      // the names of the edges that lead to the source
	KeyPrefix   string        // when set, faults touch no key that does not begin with it
	Journal     *undo.Journal // what to undo if this process ends before it has healed; may be nil
	Audit       *undo.Audit   // who did what; may be nil

	calm *calm    // nil: it is not known what passes in steady state
	sham *shamRun // the sham that is injected; nil: a fault is
}

// Inert reports that the handles perturb nothing, because a sham is injected: evidence can't come,
// and need not be waited for. A fault that perturbs anything past the handles must not do so then.
func (s Site) Inert() bool { return s.sham != nil }

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

// Keys are the keys of one Redis. [rediskeys.Keys] are those of a real one, and the reference for
// what each method does.
type Keys interface {
	KeyReader
	KeyWriter
}

// KeyReader looks at keys.
type KeyReader interface {
	// Scan gives the keys that match a Redis glob, some at a time, some more than once.
	Scan(ctx context.Context, glob string, each func(keys []string) error) error
	// TTLs gives how long each key has left; [rediskeys.NoExpiry] or [rediskeys.NoKey].
	TTLs(ctx context.Context, keys []string) ([]time.Duration, error)
	// Count counts the keys that begin with a prefix; "" = all.
	Count(ctx context.Context, prefix string) (int64, error)
	// Clock reads the server's clock, on which keys expire.
	Clock(ctx context.Context) (time.Time, error)
}

// KeyWriter changes keys.
type KeyWriter interface {
	// ExpireAt lets keys expire at a moment of the server's clock, in Unix ms, unless they expire
	// earlier anyway, and reports which of them will.
	ExpireAt(ctx context.Context, keys []string, at int64) ([]bool, error)
	// RestoreExpiry gives keys that still have the expiry set, within slack, their own one back,
	// and counts them. Moments are as in ExpireAt; an own expiry of 0 is none.
	RestoreExpiry(ctx context.Context, set int64, slack time.Duration, keys []string, own []int64) (int64, error)
	// Flush deletes the keys that begin with a prefix, "" = all, and counts them in the same step.
	Flush(ctx context.Context, prefix string) (rediskeys.Flushed, error)
}

// Edge is one directed network link.
type Edge struct {
	Link   Link   // nil: nothing can be done to it
	Prober Prober // nil: it can't be probed

	Listen, Upstream string // host:port of its proxy, and of what that leads to; "" without a network

	Meter Meter // nil: that the target uses the link is known by construction
	// Around says how what uses the link gets to the far end past it, and what to do about that;
	// "": it does not, as far as is known.
	Around string
}

// Meter tells what passes a network link.
type Meter interface {
	Passed(ctx context.Context) (link.Traffic, error)
}

// Link changes what passes a network link. Several owners, any comparable values, may want
// something of it at the same time: see [link.Requests].
type Link interface {
	// Apply has the link do something, instead of what the same owner wanted before. It returns
	// when the link does it.
	Apply(ctx context.Context, owner any, modes ...link.Mode) error
	// Clear takes back what an owner wanted, if anything.
	Clear(ctx context.Context, owner any) error
	// HeldByOthers reports whether another owner wants something.
	HeldByOthers(ctx context.Context, owner any) (bool, error)
	// Revived gives what carries the link's traffic, one value for all links that it carries, and
	// how often it had to be started anew, which cut every connection.
	Revived() (carrier any, times int)
}

// Prober sees what passes a network link. Its methods return when ctx ends. Their errors wrap
// [syscall.ECONNREFUSED] and [syscall.ECONNRESET] where that is what happened.
type Prober interface {
	// Through makes one request over a new connection through the link, which the far end must
	// answer.
	Through(ctx context.Context) error
	// Past makes the same request past the link.
	Past(ctx context.Context) error
	// Dial opens a connection through the link.
	Dial(ctx context.Context) (net.Conn, error)
	// Ask makes the same request over a connection of Dial, which may be made again and again.
	Ask(ctx context.Context, conn net.Conn) error
}

// calm is what the edges of a site carried in steady state.
type calm struct {
	began, ended map[string]link.Traffic // by edge
}

const meterLimit = time.Second // of reading all meters once

// SteadyBegan notes what has passed the edges when the steady state begins, so that faults can say
// which of them the target uses. Site that it gives is the one to inject faults into.
func (s Site) SteadyBegan(ctx context.Context) Site {
	s.calm = &calm{began: s.metered(ctx)}
	return s
}

// SteadyEnded notes the same when the steady state ends, before the first fault.
func (s Site) SteadyEnded(ctx context.Context) {
	if s.calm != nil {
		s.calm.ended = s.metered(ctx)
	}
}

// metered reads all meters; those that can't be read are left out.
func (s Site) metered(ctx context.Context) map[string]link.Traffic {
	ctx, cancel := context.WithTimeout(ctx, meterLimit)
	defer cancel()
	out := map[string]link.Traffic{}
	for name, e := range s.Edges {
		if e.Meter == nil {
			continue
		}
		if t, err := e.Meter.Passed(ctx); err == nil {
			out[name] = t
		}
	}
	return out
}

// unused says that nothing of the target passed an edge in steady state, nor has since; "" when
// something did, or it is not known. cut is whether connections that were open, and over which
// nothing passed, felt the fault nevertheless.
func (s Site) unused(ctx context.Context, name string, cut bool) string {
	e := s.Edges[name]
	if e.Meter == nil || s.calm == nil {
		return ""
	}
	began, ok := s.calm.began[name]
	ended, ok2 := s.calm.ended[name]
	if !ok || !ok2 || ended.Up > began.Up || ended.Down > began.Down || cut && ended.Open > 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, meterLimit)
	defer cancel()
	if now, err := e.Meter.Passed(ctx); err != nil || now.Up-now.Own > ended.Up-ended.Own {
		return ""
	}
	return fmt.Sprintf("nothing of the service passed edge %s (%s): point it there", name, e.Listen)
}

// stamp is the time now on the harness's clock as evidence shows it: " at 19.40s"; "" without a
// clock.
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
