package entry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
)

func TestEntryRoundTrip(t *testing.T) {
	e := Entry{Meta: policy.Meta{Kind: policy.Value, Version: 1 << 60, T0: -5, FreshUntil: 7, Until: 8, DropAt: 1 << 62, Took: 9}, Value: []byte("\x00v")}
	got, err := Decode(Encode(policy.Policy{}, e))
	require.NoError(t, err)
	require.Equal(t, e, got)
	floor := Entry{Meta: policy.Meta{Kind: policy.Floor, Version: 3}, Value: []byte{}}
	got, err = Decode(Encode(policy.Policy{}, floor))
	require.NoError(t, err)
	require.Equal(t, floor, got)
	for _, bad := range []string{"", "c2V", "plain value that somebody else put here, long enough to be one of ours, is it", "c2X" + string(Encode(policy.Policy{}, e))[3:]} {
		_, err := Decode([]byte(bad))
		require.ErrorIs(t, err, errFormat)
	}
}
