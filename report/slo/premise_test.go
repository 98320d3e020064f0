package slo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryMetricSaysWhatItPresumes(t *testing.T) {
	for _, m := range Metrics() {
		require.NotNil(t, m.Presumes, "%s: what presumes nothing says so", m.Name)
		require.False(t, m.Safety && len(m.Presumes) == 0, "%s: an accusation presumes something", m.Name)
		require.False(t, m.Safety && m.Accusations == nil, "%s: which accusations prove a miss?", m.Name)
	}
	require.Equal(t, Premises(), (&Metric{}).Presumed(), "a metric without a list presumes everything")
	for _, p := range Premises() {
		require.NotEmpty(t, p.Text())
		require.NotEmpty(t, p.Broken())
		require.NotEmpty(t, Metrics().NeededFor(p))
	}
}
