package l1

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// oneKey selects one key.
type oneKey string

func (k oneKey) Key() string           { return string(k) }
func (k oneKey) Selects(s string) bool { return s == string(k) }

func TestManyPurgesAreMergedAndForgotten(t *testing.T) {
	const hotKey = "product:17:v1"
	var p purges
	other := oneKey("product:18:v1")
	for i := range 1000 {
		p.remember(other, int64(i), 10_000)
		require.LessOrEqual(t, len(p.list), mostPurges)
	}
	require.True(t, p.bars("product:18:v1", 999))
	require.False(t, p.bars("product:18:v1", 1000), "read later")
	require.True(t, p.bars(hotKey, 100), "merged: bars more than it must")
	require.False(t, p.bars(hotKey, 999))
	p.remember(other, 20_000, 10_000)
	require.Len(t, p.list, 1, "what they barred is dead")
}
