package key

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestGoldenKeys(t *testing.T) {
	product := Schema{Family: "product", Version: 3, Vary: []Dimension{Tenant, Locale}}
	price := Schema{Family: "price", Version: 1, Vary: []Dimension{Currency, Tenant}}
	plain := Schema{Family: "flag", Version: 1}
	for _, c := range []struct {
		schema Schema
		name   Name
		want   string
	}{
		{product, Name{Family: "product", ID: "17", Tenant: "t3", Locale: "de"}, "tenant:t3:product:17:v3:locale:de"},
		{price, Name{Family: "price", ID: "17", Tenant: "t3", Currency: "EUR"}, "tenant:t3:price:17:v1:currency:EUR"},
		{plain, Name{Family: "flag", ID: "dark mode"}, "flag:dark%20mode:v1"},
		{product, Name{Family: "product", ID: "a:v3", Tenant: "*", Locale: "%"}, "tenant:%2A:product:a%3Av3:v3:locale:%25"},
	} {
		got, err := c.schema.Build(c.name)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	require.Equal(t, "tenant:*:product:*", product.Pattern())
	require.Equal(t, "flag:*", plain.Pattern())
}

func TestRefusals(t *testing.T) {
	s := Schema{Family: "product", Version: 1, Vary: []Dimension{Tenant, Locale}}
	for _, c := range []struct {
		name Name
		says string
	}{
		{Name{Family: "product", ID: "1", Tenant: "t"}, "locale is missing"},
		{Name{Family: "product", ID: "1", Locale: "de"}, "tenant is missing"},
		{Name{Family: "product", Tenant: "t", Locale: "de"}, "id is missing"},
		{Name{Family: "product", ID: "1", Tenant: "t", Locale: "de", Currency: "EUR"}, "does not vary by currency"},
		{Name{Family: "price", ID: "1", Tenant: "t", Locale: "de"}, `family "price"`},
	} {
		_, err := s.Build(c.name)
		require.ErrorContains(t, err, c.says)
	}
}

// Different names never share a key, within a family and over families of different shapes.
func TestInjective(t *testing.T) {
	schemas := []Schema{
		{Family: "p", Version: 1, Vary: []Dimension{Tenant, Locale}},
		{Family: "q", Version: 1, Vary: []Dimension{Tenant, Currency, Variant}},
		{Family: "tenant", Version: 1},
	}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aptv1:%*é ")), 1, 4, -1)
	draw := func(t *rapid.T) (Name, string) {
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
		if err != nil {
			t.Fatal(err)
		}
		return n, k
	}
	rapid.Check(t, func(t *rapid.T) {
		n1, k1 := draw(t)
		n2, k2 := draw(t)
		if (n1 == n2) != (k1 == k2) {
			t.Fatalf("%+v -> %s, %+v -> %s", n1, k1, n2, k2)
		}
	})
}

// FuzzInjective looks for two different names that share a key, over shapes of families and all
// text there is.
func FuzzInjective(f *testing.F) {
	f.Add("p", "1", "a", "de", uint8(3), "p", "1", "a:p", "de", uint8(3))
	f.Add("tenant", "x", "", "", uint8(0), "t", "p:1:v1", "", "", uint8(0))
	f.Add("p", "1:v1:locale:de", "", "", uint8(0), "p", "1", "", "de", uint8(2))
	f.Fuzz(func(t *testing.T, fam1, id1, ten1, loc1 string, shape1 uint8, fam2, id2, ten2, loc2 string, shape2 uint8) {
		build := func(family, id, tenant, locale string, shape uint8) (Name, Schema, string, bool) {
			s := Schema{Family: family, Version: int(shape>>4) + 1}
			n := Name{Family: family, ID: id}
			if shape&1 != 0 {
				s.Vary, n.Tenant = append(s.Vary, Tenant), tenant
			}
			if shape&2 != 0 {
				s.Vary, n.Locale = append(s.Vary, Locale), locale
			}
			if shape&4 != 0 { // a value that another dimension may have, too
				s.Vary, n.Currency = append(s.Vary, Currency), locale
			}
			if shape&8 != 0 {
				s.Vary, n.Variant = append(s.Vary, Variant), tenant
			}
			k, err := s.Build(n)
			return n, s, k, err == nil && family != ""
		}
		n1, s1, k1, ok1 := build(fam1, id1, ten1, loc1, shape1)
		n2, s2, k2, ok2 := build(fam2, id2, ten2, loc2, shape2)
		if !ok1 || !ok2 {
			return
		}
		same := n1 == n2 && s1.Version == s2.Version
		if same != (k1 == k2) {
			t.Fatalf("%+v v%d -> %s, %+v v%d -> %s", n1, s1.Version, k1, n2, s2.Version, k2)
		}
	})
}
