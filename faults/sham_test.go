package faults

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

func TestNothing(t *testing.T) {
	s, _ := twoRegions(t)
	eu, us := newMini(t), newMini(t)
	s.Servers = map[string]Server{"eu": eu, "us": us}
	in, err := Nothing{For: 3 * time.Second}.Inject(within(t), s)
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, in.Hold)
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Equal(t, "sham{for: 3s}: same run_id before and after of redis@eu, redis@us; 2 edges answered", evidence)

	in, err = Nothing{For: 3 * time.Second}.Inject(within(t), s)
	require.NoError(t, err)
	us.incarnation++
	_, err = in.Heal(within(t))
	require.ErrorContains(t, err, "redis@us was run_id embedded-1 and is run_id embedded-2")

	s.Edges[targets.RelayEdge("eu", "us")] = probing(s.Edges[targets.RelayEdge("eu", "us")], func(context.Context, string) error { return syscall.ECONNREFUSED })
	_, err = Nothing{For: time.Second}.Inject(within(t), s)
	require.ErrorContains(t, err, "relay@eu -> relay@us does not answer")
}

func TestNothingWithNothingToCheck(t *testing.T) {
	in, err := Nothing{For: time.Second}.Inject(within(t), Site{})
	require.NoError(t, err)
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Equal(t, "sham{for: 1s}: no Redis to check; no edges to check", evidence)
}
