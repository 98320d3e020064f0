package key

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOwnsGolden(t *testing.T) {
	product := Schema{Family: "product", Version: 3, Vary: []Dimension{Tenant, Locale}}
	flag := Schema{Family: "flag", Version: 1}
	for _, c := range []struct {
		schema Schema
		key    string
		owns   bool
	}{
		{product, "tenant:t3:product:17:v3:locale:de", true},
		{product, "tenant:t3:product:17:v12", true}, // an earlier schema
		{product, "tenant:t3:product:17:v3:locale:de:currency:EUR", true},
		{product, "tenant:t3:product:17:v3:currency:EUR:locale:de", false}, // not in order
		{product, "tenant:t3:product:17:v3:locale:", false},
		{product, "tenant:t3:product:17:v3:tenant:x", false},
		{product, "tenant:t3:product:17:vx", false},
		{product, "tenant:t3:product:17:v03", false},
		{product, "tenant:t3:product:17", false},
		{product, "tenant:t3:products:17:v3", false},
		{product, "tenant::product:17:v3", false},
		{product, "product:17:v3", false}, // of a family without tenants
		{product, "tenant:t%33:product:17:v3", false},
		{product, "tenant:t*:product:17:v3", false},
		{product, "lease:tenant:t3:product:17:v3", false},
		{flag, "flag:dark%20mode:v1", true},
		{flag, "flag:dark%2:v1", false},
		{flag, "flag:dark%2g:v1", false},
		{flag, "flag", false},
		{flag, "tenant:t3:flag:17:v1", false},
	} {
		require.Equal(t, c.owns, c.schema.Owns(c.key), c.key)
	}
	require.True(t, product.OwnsFor("t3", "tenant:t3:product:17:v3"))
	require.False(t, product.OwnsFor("t", "tenant:t3:product:17:v3"))
	require.False(t, flag.OwnsFor("flag", "flag:17:v1"))
	require.False(t, flag.OwnsFor("", "flag:17:v1"))
}

// Of any key exactly its own family says that it owns it, and exactly its own tenant; and the
// pieces of both are in it.
func TestOwnsExactlyItsOwn(t *testing.T) {
	schemas := []Schema{
		{Family: "p", Version: 1, Vary: []Dimension{Tenant, Locale}},
		{Family: "pp", Version: 2, Vary: []Dimension{Tenant}},
		{Family: "p:a", Version: 1, Vary: []Dimension{Tenant, Currency, Variant}},
		{Family: "a", Version: 1, Vary: []Dimension{Variant}},
		{Family: "tenant", Version: 1, Vary: []Dimension{Variant}},
		{Family: "*", Version: 1},
	}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aptv1:%*é ")), 1, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(schemas).Draw(t, "schema")
		n := Name{Family: s.Family, ID: text.Draw(t, "id")}
		if s.Varies(Tenant) {
			n.Tenant = text.Draw(t, "tenant")
		}
		if s.Varies(Locale) {
			n.Locale = text.Draw(t, "locale")
		}
		if s.Varies(Currency) {
			n.Currency = text.Draw(t, "currency")
		}
		if s.Varies(Variant) {
			n.Variant = text.Draw(t, "variant")
		}
		k, err := s.Build(n)
		require.NoError(t, err)
		tenant := text.Draw(t, "another tenant")
		if rapid.Bool().Draw(t, "the same tenant") && n.Tenant != "" {
			tenant = n.Tenant
		}
		for _, other := range schemas {
			require.Equal(t, other.Family == s.Family, other.Owns(k), "%s and %s", k, other.Family)
			require.Equal(t, other.Family == s.Family && n.Tenant == tenant, other.OwnsFor(tenant, k), "%s and %s of %q", k, other.Family, tenant)
			if other.OwnsFor(tenant, k) {
				holds(t, k, other.Pieces(tenant))
			}
		}
		holds(t, k, s.Pieces(""))
	})
}

func holds(t *rapid.T, k string, pieces []string) {
	require.True(t, strings.HasPrefix(k, pieces[0]), "%s and %q", k, pieces)
	for _, p := range pieces {
		_, rest, found := strings.Cut(k, p)
		require.True(t, found, "%s and %q", k, pieces)
		k = rest
	}
}
