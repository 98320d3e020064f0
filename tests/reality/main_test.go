// Package reality holds the proof that the reference cache keeps its promises on real servers while
// they and the network between them fail.
package reality

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
)

// The servers' guards and the proxies are this binary, executed again.
func TestMain(m *testing.M) {
	roles := map[string]reexec.Role{}
	maps.Copy(roles, redis.Roles)
	maps.Copy(roles, proxy.Roles)
	maps.Copy(roles, pgtest.Roles)
	reexec.Main(roles)
	goredis.SetLogger(silent{})
	os.Exit(m.Run())
}

// silent leaves out go-redis's log of every failed dial: failed dials are what drills are about.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
