package verdict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFaultsBesideAnAccusation(t *testing.T) {
	runs := []FaultRun{
		{Name: "a", Injected: 1 * time.Second, Healed: 2 * time.Second},
		{Name: "b", Injected: 3 * time.Second},
		{Name: "never"},
	}
	for at, want := range map[time.Duration][]string{
		500 * time.Millisecond:  {},
		time.Second:             {"a 1s..2s"},
		2 * time.Second:         {"a 1s..2s"},
		2500 * time.Millisecond: {"a 1s..2s (healed 500ms before)"},
		3 * time.Second:         {"a 1s..2s (healed 1s before)", "b 3s.. (never seen healed)"},
		9 * time.Second:         {"b 3s.. (never seen healed)"},
	} {
		require.Equal(t, want, beside(runs, at), "%v", at)
	}
}
