package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/load"
)

func TestWorkloadOfDeletesAndBursts(t *testing.T) {
	s, err := Parse("x", []byte(`
version: 1
target: {reference: {regions: {eu: 1}, families: {p: {class: bounded, within: 1s}, q: {class: strong, ttl: 1s}}}}
workload:
  rate: 10/s
  mix: {p: {share: 80%, keys: 20, zipf: 1.2, writes: 1%, deletes: 0.2%, absent: 5%}, q: {share: 20%}}
  bursts: {every: 2s, size: 3, quiet: 500ms}
scenarios:
  suite's: {faults: [{sham: {for: 1s}}]}
  own: {workload: {bursts: {every: 1s}}, faults: [{sham: {for: 1s}}]}
`))
	require.NoError(t, err)
	w := s.Scenarios[0].Workload
	require.Equal(t, []load.Mix{
		{Family: "p", Share: 0.8, Keys: 20, Zipf: 1.2, Writes: 0.01, Deletes: 0.002, Absent: 0.05},
		{Family: "q", Share: 0.2, Keys: 1000, Zipf: 1, Writes: 0.01},
	}, w.Mixes)
	require.Equal(t, load.Bursts{Every: 2 * time.Second, Size: 3, Quiet: 500 * time.Millisecond}, w.Bursts)
	require.Equal(t, load.Bursts{Every: time.Second, Size: 2, Quiet: 500 * time.Millisecond}, s.Scenarios[1].Workload.Bursts)
}
