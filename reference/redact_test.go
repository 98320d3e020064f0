package reference

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

var errCantRedact = errors.New("can't be redacted")

// What is redacted reaches no tier and no reader, whichever way it is read, and what can't be
// redacted is refused.
func TestRedactedValuesAreNowhere(t *testing.T) {
	const canary = "c4n4ry"
	secret := product
	secret.Redact = func(v []byte) ([]byte, error) {
		if bytes.HasPrefix(v, []byte("!")) {
			return nil, errCantRedact
		}
		return bytes.ReplaceAll(v, []byte(canary), []byte("***")), nil
	}
	r := newRegion(t, policy.Recommended(), 1)
	c := r.caches[0]
	everything := func() (all string) {
		for _, k := range r.redis.Keys() {
			v, err := r.redis.Get(k)
			require.NoError(t, err)
			all += k + " " + v + "\n"
		}
		return all
	}
	c.families["product"] = &family{secret, secret.Schema.Compile()}
	_, err := c.Put(t.Context(), hot, []byte("a "+canary), "token")
	require.NoError(t, err)

	past, err := c.GetBypass(t.Context(), hot, false)
	require.NoError(t, err)
	require.Equal(t, "a ***", string(past.Value))
	for _, tier := range []Tier{TierSource, TierL1} {
		a, err := c.Get(t.Context(), hot)
		require.NoError(t, err)
		require.Equal(t, tier, a.Tier)
		require.Equal(t, "a ***", string(a.Value))
	}
	require.Contains(t, everything(), "a ***")
	require.NotContains(t, everything(), canary)

	other := hot
	other.ID = "18"
	_, err = c.Put(t.Context(), other, []byte("b "+canary), "token2")
	require.NoError(t, err)
	require.NoError(t, c.Prewarm(t.Context(), []key.Name{other}, func(int) float64 { return 0 }))
	require.Contains(t, everything(), "b ***")
	require.NotContains(t, everything(), canary)

	_, err = c.Put(t.Context(), other, []byte("! "+canary), "token3")
	require.NoError(t, err)
	_, err = c.Get(t.Context(), other)
	require.ErrorIs(t, err, errCantRedact)
	require.NotContains(t, everything(), canary)
}

func TestFamiliesWhoseKeysCouldBeAnothers(t *testing.T) {
	f := product
	f.Schema.Family = "tenant"
	_, err := New(t.Context(), Config{Families: []Family{f}})
	require.ErrorContains(t, err, `can't be called "tenant"`)
}

func TestOneNamespaceOneClass(t *testing.T) {
	a, b := product, price
	a.Namespace, b.Namespace = "shop", "shop"
	_, err := New(t.Context(), Config{Families: []Family{a, b}})
	require.ErrorIs(t, err, ErrMixed)
	require.ErrorContains(t, err, "shop has bounded and strong")
}
