package targets

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdentityAsEvidence(t *testing.T) {
	for want, id := range map[[2]string]RedisIdentity{
		{"redis 7.0.15 pid 1234 run_id 0123456789ab, 0 keys", "pid 1234 run_id 0123456789ab"}: {Version: "redis 7.0.15", PID: 1234, RunID: "0123456789abcdef0123456789abcdef01234567"},
		{"miniredis 2.40.0 run_id embedded-2, 1 key", "run_id embedded-2"}:                    {Version: "miniredis 2.40.0", RunID: "embedded-2", Keys: 1},
		{"run_id abc, 2 keys", "run_id abc"}:                                                  {RunID: "abc", Keys: 2},
	} {
		require.Equal(t, want, [2]string{id.String(), id.Incarnation()})
	}
}

func TestNamesOfRedisesAndRelays(t *testing.T) {
	require.Equal(t, "eu", RedisName("eu", ""))
	require.Equal(t, "eu/critical", RedisName("eu", "critical"))
	require.Equal(t, "relay@eu -> relay@us", RelayEdge("eu", "us"))
}
