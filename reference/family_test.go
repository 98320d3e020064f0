package reference

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

func TestOnlyEventualFamiliesAreWrittenBehind(t *testing.T) {
	f := product
	f.Contract.Writes = policy.WriteBehind
	_, err := New(t.Context(), Config{Families: []Family{f}, WriteBehind: &writebehind.Writer{}})
	require.ErrorIs(t, err, policy.ErrWriteBehind)
	f.Contract = policy.Family{Class: policy.Eventual, TTL: time.Second, Writes: policy.WriteBehind}
	_, err = New(t.Context(), Config{Families: []Family{f}})
	require.ErrorContains(t, err, "has no writer for that")
	f.Redact = func(v []byte) ([]byte, error) { return v, nil }
	_, err = New(t.Context(), Config{Families: []Family{f}, WriteBehind: &writebehind.Writer{}})
	require.ErrorContains(t, err, "journal would hold")
}
