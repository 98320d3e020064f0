package load

import (
	"strconv"

	"github.com/cachedrill/cachedrill/targets"
)

// keyspace holds the keys of a family, by popularity: rank 0 is asked for most.
//
// Rank r is spread over the dimensions like digits of a number, the tenant being the lowest: tenant
// r mod T, then locale, then currency, and what is left is the ID, from 1 on. Hence one ID exists
// under all tenants, locales and currencies, at neighbouring ranks: a cache that forgets a
// dimension in its keys mixes values up at once, and is seen to.
type keyspace struct {
	family                       string
	tenants, locales, currencies []string // never empty: a family without the dimension has [""]
	ids                          []string
	popularity                   *zipf
}

func newKeyspace(m Mix) *keyspace {
	dim := func(values []string) []string {
		if len(values) == 0 {
			return []string{""}
		}
		return append([]string(nil), values...)
	}
	k := &keyspace{
		family:  m.Family,
		tenants: dim(m.Tenants), locales: dim(m.Locales), currencies: dim(m.Currencies),
		popularity: newZipf(m.Keys, m.Zipf),
	}
	each := len(k.tenants) * len(k.locales) * len(k.currencies)
	k.ids = make([]string, (m.Keys+each-1)/each)
	for i := range k.ids {
		k.ids[i] = strconv.Itoa(i + 1)
	}
	return k
}

func (k *keyspace) len() int { return int(k.popularity.n) }

func (k *keyspace) key(rank int) targets.Key {
	digit := func(values []string) string {
		v := values[rank%len(values)]
		rank /= len(values)
		return v
	}
	key := targets.Key{Family: k.family}
	key.Tenant = digit(k.tenants)
	key.Locale = digit(k.locales)
	key.Currency = digit(k.currencies)
	key.ID = k.ids[rank]
	return key
}
