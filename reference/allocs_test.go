package reference

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestL1HitDoesNotAllocate(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(1000, hit(t, memoryOnly(t), TierL1)))
}
