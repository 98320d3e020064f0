package report

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
)

func decoded(t *testing.T, i interval) *hdrhistogram.Histogram {
	t.Helper()
	h, err := hdrhistogram.Decode(i.encoded)
	require.NoError(t, err)
	return h
}
