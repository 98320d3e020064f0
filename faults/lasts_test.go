package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
)

func TestLasts(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		want  time.Duration
	}{
		{Restart{Region: "eu", Down: 3 * time.Second}, 3 * time.Second},
		{Expire{Family: "product"}, 1250 * time.Millisecond},
		{Delay{By: time.Second, For: 4 * time.Second}, 4 * time.Second},
		{Split{Between: [2]string{"eu", "us"}, For: 5 * time.Second}, 5 * time.Second},
		{Kill{Region: "eu", Down: 2 * time.Second}, 2 * time.Second},
		{Flush{Region: "eu"}, time.Second},
		{Network{Mode: link.Mode{Kind: link.Refuse}, Edges: []string{"e"}, For: 7 * time.Second}, 7 * time.Second},
		{SlowSource{By: time.Second, For: 8 * time.Second}, 8 * time.Second},
		{Nothing{For: 6 * time.Second}, 6 * time.Second},
	} {
		require.Equal(t, c.want, c.fault.Lasts(), c.fault.String())
		require.Equal(t, c.want, Sham(c.fault).Lasts(), "a sham takes as long: %s", c.fault)
	}
}

// Expire can't be done before the time that its Lasts allows for preparing it.
func TestExpireTakesTheLeadThatLastsAllowsFor(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 1, 0)
	asked := time.Now()
	in, err := Expire{Family: "product"}.Inject(within(t), site(n))
	require.NoError(t, err)
	require.GreaterOrEqual(t, in.Began.Sub(asked), expireLead-expireNotice)
	_, err = in.Heal(within(t))
	require.NoError(t, err)
}
