package targets

import (
	"fmt"
	"strings"
)

// RedisName names a Redis of a target: "eu" for the region's own, "eu/critical" for a pool in it.
func RedisName(region, pool string) string {
	if pool == "" {
		return region
	}
	return region + "/" + pool
}

// RelayEdge names the edge over which the relay of one region hears of the commits of another.
func RelayEdge(from, to string) string { return "relay@" + from + " -> relay@" + to }

// RedisIdentity tells one incarnation of a Redis server from another.
type RedisIdentity struct {
	Backend string // where the server comes from: "process", "embedded" or "url"
	Version string // product and version, e.g. "redis 7.0.15"; empty when unknown
	RunID   string // differs between incarnations
	PID     int    // 0: the server has no process of its own
	Keys    int64  // in database 0
}

// String gives the identity in full, e.g. "redis 7.0.15 pid 1234 run_id 3f2a9c01b7de, 0 keys".
func (id RedisIdentity) String() string {
	keys := "keys"
	if id.Keys == 1 {
		keys = "key"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s, %d %s", id.Version, id.Incarnation(), id.Keys, keys))
}

// Incarnation gives what evidence shows, e.g. "pid 1234 run_id 3f2a9c01b7de".
func (id RedisIdentity) Incarnation() string {
	run := fmt.Sprintf("run_id %.12s", id.RunID)
	if id.PID == 0 {
		return run
	}
	return fmt.Sprintf("pid %d %s", id.PID, run)
}

// Same reports whether both are one incarnation.
func (id RedisIdentity) Same(o RedisIdentity) bool { return id.RunID == o.RunID && id.PID == o.PID }
