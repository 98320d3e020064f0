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
