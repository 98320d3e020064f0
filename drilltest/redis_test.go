package drilltest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drilltest"
	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// aside is a shop with its cache in a Redis. Its database is the shop's, whose own cache it does
// not use.
type aside struct {
	target
	redis *goredis.Client
}

const asidePrefix = "drill:"

func (a *aside) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	name := asidePrefix + "product:" + r.Key.ID
	if r.Kind == targets.Write || r.Instance == targets.SourceInstance {
		reply, err := a.target.Do(ctx, r)
		if err == nil && r.Kind == targets.Write {
			err = a.redis.Del(ctx, name).Err()
		}
		return reply, err
	}
	switch v, err := a.redis.Get(ctx, name).Result(); {
	case err == nil:
		return targets.Reply{Token: v, Tier: targets.TierL2}, nil
	case !errors.Is(err, goredis.Nil):
		return targets.Reply{}, err
	}
	v, ok := a.shop.Stored(r.Key.ID)
	if !ok {
		return targets.Reply{Absent: true}, nil
	}
	return targets.Reply{Token: v, Tier: targets.TierSource}, a.redis.Set(ctx, name, v, 200*time.Millisecond).Err()
}

// The faults of package faults touch the Redis of the target, below its prefix, and prove it.
func TestFlushOfTheTargetsRedis(t *testing.T) {
	server := redistest.Start(t, goredis.Options{})
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.NoError(t, client.Set(t.Context(), "somebody:else", "x", 0).Err())

	s := newShop(time.Second)
	sc := promises(s)
	sc.Name, sc.Faults, sc.Objectives = "flush", nil, drilltest.Objectives{Always: []string{"lost_writes == 0"}}
	sc.Families[0].Class, sc.Families[0].Within = "", 0 // a late fill may bring a value back, and this one does not claim otherwise
	sc.Phases.Fault = 2 * time.Second
	sc.Redis = &drilltest.Redis{URL: "redis://" + server.Addr + "/0", KeyPrefix: asidePrefix, Keys: map[string]string{"product": asidePrefix + "product:*"}}
	sc.YAML = "faults: [{keys.flush: {region: main}}]"
	rep, err := drilltest.Measure(t.Context(), &aside{target{s}, client}, sc)
	require.NoError(t, err)
	got := rep.Scenarios[0]
	require.NotEqual(t, slo.Fail, got.Outcome, got.Why)
	require.Empty(t, got.Faults[0].Problem)
	require.NotEmpty(t, got.Faults[0].Evidence)
	require.NotNil(t, got.Phases[1].HitRatio.L2)
	require.Equal(t, "x", client.Get(t.Context(), "somebody:else").Val(), "keys of others are not touched")
}
