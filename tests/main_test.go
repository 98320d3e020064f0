// Package tests holds the long proofs: what only shows when everything works together, on real
// servers. Each drills a sample in make test, and over many seeds in make soak and make
// conformance.
package tests

import (
	"context"
	"maps"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/tests/program"
)

// The servers' guards and the proxies are this binary, executed again.
func TestMain(m *testing.M) {
	roles := map[string]reexec.Role{}
	maps.Copy(roles, redis.Roles)
	maps.Copy(roles, proxy.Roles)
	maps.Copy(roles, pgtest.Roles)
	reexec.Main(roles)
	goredis.SetLogger(silent{})
	os.Exit(program.Main(pgtest.Closing(m)))
}

// silent leaves out go-redis's log of every failed dial: failed dials are what drills are about.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
