package reference

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// A log is read from its beginning, and holds names from before a family varied by something more,
// or less. An error would have its relay try for ever, and deliver nothing that comes after.
func TestNamesOfOtherSchemasDontHoldUpARelay(t *testing.T) {
	server := miniredis.RunT(t)
	client := NewClient(server.Addr(), policy.Recommended())
	defer client.Close()
	varied := product
	varied.Schema = key.Schema{Family: "product", Version: 2, Vary: []key.Dimension{key.Tenant}}
	into := NewInvalidator(policy.Recommended(), []Family{varied}, store.NewRedis(client))
	for _, n := range []key.Name{
		{Family: "product", ID: "17"},
		{Family: "product", ID: "17", Tenant: "acme", Locale: "en"},
		{Family: "no more", ID: "17"},
	} {
		require.NoError(t, into.Apply(t.Context(), n, 1, 0), n)
		require.Empty(t, server.Keys(), n)
	}
	require.NoError(t, into.Apply(t.Context(), key.Name{Family: "product", ID: "17", Tenant: "acme"}, 1, 0))
	require.Contains(t, server.Keys(), "tenant:acme:product:17:v2")
	server.Close()
	require.Error(t, into.Apply(t.Context(), key.Name{Family: "product", ID: "17", Tenant: "acme"}, 1, 0), "it must be announced again")
}
