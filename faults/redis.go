package faults

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// DefaultDown is how long redis.restart and redis.kill keep the Redis down.
const DefaultDown = 500 * time.Millisecond

const (
	downEvidence = "connections are refused while it is down; afterwards another run_id (and pid) answers, with fewer keys"
	downHeals    = "it is started again on the same address and must answer a ping"
	downDestroys = "what it held"
)

var (
	theRegion = Param{Name: "region", Type: "region", Doc: "whose Redis; may be left out where there is one only"}
	thePool   = Param{Name: "pool", Type: "pool", Doc: "that of this pool; the region's own when absent", Was: "place"}
	theDown   = Param{Name: "down", Type: "duration", Default: DefaultDown.String(), Doc: "how long it stays away"}
)

var restartDefinition = Definition{
	Name:     "redis.restart",
	Summary:  "Redis goes away and comes back empty",
	Params:   []Param{theRegion, thePool, theDown},
	Evidence: downEvidence,
	Heals:    downHeals,
	Destroys: downDestroys,
	Needs:    []Capability{CanStop},
	Example:  "- redis.restart: {region: eu, down: 500ms}",
	Decode: func(p *Params) Fault {
		return Restart{Region: p.TheRegion("region"), Pool: p.Pool(), Down: p.Positive("down", DefaultDown)}
	},
}

// Restart stops the Redis of a region, keeps it down, and starts it again, empty.
//
// Evidence: while it is down, a connection to its address is refused, at injection and again just
// before the heal; afterwards another incarnation answers, with less in it than before. A Redis
// under load is filled again at once, so its key count at the first probe need not be 0; it is in
// the evidence.
type Restart struct {
	Region string
	Pool   string        // "": the region's own Redis
	Down   time.Duration // above 0; how long it stays away
}

// String gives the fault as YAML shows it.
func (f Restart) String() string {
	return render("redis.restart", [2]string{"region", f.Region}, [2]string{"pool", f.Pool}, [2]string{"down", f.Down.String()})
}

// Lasts implements [Fault].
func (f Restart) Lasts() time.Duration { return f.Down }

// Inject stops the Redis; it returns within 10 s, and some seconds more when it must undo.
func (f Restart) Inject(ctx context.Context, site Site) (Injected, error) {
	d := &downtime{fault: f, site: site, needs: CanStop, doing: "stopping", end: Server.Stop}
	return d.inject(ctx, targets.RedisName(f.Region, f.Pool), f.Down)
}

var killDefinition = Definition{
	Name:     "redis.kill",
	Summary:  "Redis dies as in a crash (SIGKILL) and comes back empty",
	Params:   []Param{theRegion, thePool, theDown},
	Evidence: downEvidence,
	Heals:    downHeals,
	Destroys: downDestroys,
	Needs:    []Capability{CanKill},
	Example:  "- redis.kill: {region: eu, down: 500ms}",
	Decode: func(p *Params) Fault {
		return Kill{Region: p.TheRegion("region"), Pool: p.Pool(), Down: p.Positive("down", DefaultDown)}
	},
}

// Kill ends the Redis of a region as a crash does, keeps it down, and starts it again, empty.
//
// Evidence is that of [Restart].
type Kill struct {
	Region string
	Pool   string        // "": the region's own Redis
	Down   time.Duration // above 0; how long it stays away
}

// String gives the fault as YAML shows it.
func (f Kill) String() string {
	return render("redis.kill", [2]string{"region", f.Region}, [2]string{"pool", f.Pool}, [2]string{"down", f.Down.String()})
}

// Lasts implements [Fault].
func (f Kill) Lasts() time.Duration { return f.Down }

// Inject kills the Redis; it returns within 10 s, and some seconds more when it must undo.
func (f Kill) Inject(ctx context.Context, site Site) (Injected, error) {
	d := &downtime{fault: f, site: site, needs: CanKill, doing: "killing", end: Server.Kill}
	return d.inject(ctx, targets.RedisName(f.Region, f.Pool), f.Down)
}
