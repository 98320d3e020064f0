package purge

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/l2"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// shapes are families of which one's names look like another's.
var shapes = func() map[string]Family {
	all := map[string]Family{}
	for _, s := range []key.Schema{
		{Family: "p", Version: 1, Vary: []key.Dimension{key.Tenant, key.Locale}},
		{Family: "pp", Version: 2, Vary: []key.Dimension{key.Tenant}},
		{Family: "p:a", Version: 1, Vary: []key.Dimension{key.Tenant, key.Currency, key.Variant}},
		{Family: "a", Version: 1, Vary: []key.Dimension{key.Variant}},
		{Family: "tenant", Version: 1, Vary: []key.Dimension{key.Variant}},
		{Family: "lease", Version: 1},
	} {
		all[s.Family] = Family{Schema: s, Contract: policy.Family{Within: time.Hour, TTL: time.Hour}}
	}
	return all
}()

var text = rapid.StringOfN(rapid.RuneFrom([]rune("aptv1:%*?[]é& =")), 1, 3, -1)

func drawName(t *rapid.T) (key.Name, string) {
	family := rapid.SampledFrom([]string{"p", "pp", "p:a", "a", "tenant", "lease"}).Draw(t, "family")
	s := shapes[family].Schema
	n := key.Name{Family: family, ID: text.Draw(t, "id")}
	for d, v := range map[key.Dimension]*string{key.Tenant: &n.Tenant, key.Locale: &n.Locale, key.Currency: &n.Currency, key.Variant: &n.Variant} {
		if s.Varies(d) {
			*v = text.Draw(t, string(d))
		}
	}
	k, err := s.Build(n)
	require.NoError(t, err)
	return n, k
}

// drawSelector aims at one of the names, or nearly.
func drawSelector(t *rapid.T, n key.Name, k string) Selector {
	tenant := rapid.SampledFrom([]string{n.Tenant, n.Tenant + ":a", "a", "a:p", "*"}).Draw(t, "which tenant")
	switch rapid.IntRange(0, 5).Draw(t, "way") {
	case 0:
		return Selector{Name: n}
	case 1:
		return Selector{Family: n.Family}
	case 2:
		if shapes[n.Family].Schema.Varies(key.Tenant) && tenant != "" {
			return Selector{Family: n.Family, Tenant: tenant}
		}
		return Selector{Family: n.Family}
	case 3:
		return Selector{Prefix: k[:rapid.IntRange(1, len(k)).Draw(t, "length")]}
	case 4:
		return Selector{All: true}
	}
	if tenant == "" {
		tenant = "a"
	}
	return Selector{Tenant: tenant}
}

// wanted is what a selector means, in terms of names, not of keys.
func wanted(s Selector, n key.Name, k string) bool {
	switch {
	case s.Name != (key.Name{}):
		return n == s.Name
	case s.Family != "" || s.Tenant != "":
		return (s.Family == "" || n.Family == s.Family) && (s.Tenant == "" || n.Tenant == s.Tenant)
	case s.Prefix != "":
		return strings.HasPrefix(k, s.Prefix)
	}
	return s.All
}

// The matcher picks exactly the names that are meant, also after it has gone over the bus, and as
// the family's.
func TestMatcherPicksExactlyTheNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		aim, aimed := drawName(t)
		s := drawSelector(t, aim, aimed)
		here, err := s.compile(shapes)
		require.NoError(t, err)
		there, err := ParseSelection(here.message(), shapes)
		require.NoError(t, err)
		for range 10 {
			n, k := drawName(t)
			for _, m := range []Selection{here, there} {
				f, selected := m.owner(k)
				require.Equal(t, wanted(s, n, k), selected, "%s selects %s", m, k)
				if selected && m.key == "" {
					require.Equal(t, n.Family, f.Schema.Family)
				}
			}
			_, lease := here.owner(l2.LeaseKey(k))
			require.False(t, lease, "%s selects the lease of %s", here, k)
		}
	})
}

// And so does the purge, on a real Redis with all names beside each other: its scan leaves none
// out.
func TestPurgeTakesExactlyTheNames(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t, redis.Options{}).Addr})
	defer client.Close()
	shared := store.NewRedis(client)
	audit, err := OpenAudit(t.TempDir() + "/log")
	require.NoError(t, err)
	defer audit.Close()
	all := make([]Family, 0, len(shapes))
	for _, f := range shapes {
		all = append(all, f)
	}
	p, err := New(Config{Region: "eu", Families: all, Shared: shared, Audit: audit})
	require.NoError(t, err)
	value := entry.Encode(policy.Policy{}, entry.Entry{Meta: policy.Meta{Kind: policy.Value, Version: 1}, Value: []byte("v")})
	rapid.Check(t, func(rt *rapid.T) {
		require.NoError(rt, client.FlushAll(context.Background()).Err())
		names := map[string]key.Name{}
		for range 8 {
			n, k := drawName(rt)
			names[k] = n
		}
		keys := make([]string, 0, len(names))
		for k := range names {
			keys = append(keys, k)
			require.NoError(rt, shared.Set(context.Background(), k, value, time.Minute))
			require.NoError(rt, shared.Set(context.Background(), l2.LeaseKey(k), []byte("token"), time.Minute))
		}
		slices.Sort(keys)
		k := rapid.SampledFrom(keys).Draw(rt, "aimed at")
		s := drawSelector(rt, names[k], k)
		_, err := p.Purge(context.Background(), Order{Selector: s, Who: "x", Why: "y"})
		require.NoError(rt, err)
		for k, n := range names {
			raw, _, err := shared.Get(context.Background(), k)
			require.NoError(rt, err)
			e, err := entry.Decode(raw)
			require.NoError(rt, err)
			require.Equal(rt, wanted(s, n, k), e.Meta.Kind == policy.Floor, "%+v and %s", s, k)
			_, leased, err := shared.Get(context.Background(), l2.LeaseKey(k))
			require.NoError(rt, err)
			require.Equal(rt, !wanted(s, n, k), leased, "%+v and the lease of %s", s, k)
		}
	})
}

// A purge's message is read as what it is, whatever is selected; what can't be understood selects
// nothing.
func TestPurgeAmongTheMessagesOfTheBus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := drawName(t)
		s, err := drawSelector(t, n, k).compile(shapes)
		require.NoError(t, err)
		m, ok := bus.Parse("p epoch 7 " + s.message())
		require.True(t, ok)
		require.Equal(t, bus.Message{Kind: bus.Purge, Epoch: "epoch", Number: 7, Purge: s.message()}, m)
	})
	for _, message := range []string{"", "family=unknown", "x=y", "family=%zz", "tenant=a&all=yes", "tenant=a&key=x"} {
		_, err := ParseSelection(message, shapes)
		require.ErrorIs(t, err, ErrSelector, message)
	}
}

// Who misses a purge's message notices at the next beat, as with an event's, and not otherwise.
func TestAMissedPurgeIsNoticed(t *testing.T) {
	heard := func(messages ...string) (lost bool) {
		cursor := bus.Cursor{Epoch: "e", Number: 4, Identity: "i"}
		for _, s := range messages {
			m, ok := bus.Parse(s)
			require.True(t, ok)
			lost = cursor.Missed(m)
		}
		return lost
	}
	require.False(t, heard("p e 5 all=yes"))
	require.False(t, heard("p e 5 all=yes", "b e 5 i"))
	require.True(t, heard("b e 5 i"))
	require.False(t, heard("p e 5 all=yes", "e e 6 f 1 k"))
	require.True(t, heard("e e 6 f 1 k"))
}

func TestSelectionsSayWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		s    Selector
		says string
	}{
		{Selector{Name: key.Name{Family: "a", ID: "x y", Variant: "b"}}, "key a:x%20y:v1:variant:b"},
		{Selector{Family: "p"}, "family p"},
		{Selector{Tenant: "a:b"}, "tenant a%3Ab"},
		{Selector{Family: "p", Tenant: "a:b"}, "family p of tenant a%3Ab"},
		{Selector{Prefix: "tenant:a:p"}, "prefix tenant:a:p"},
		{Selector{All: true}, "everything"},
	} {
		got, err := c.s.compile(shapes)
		require.NoError(t, err)
		require.Equal(t, c.says, got.String())
	}
}
