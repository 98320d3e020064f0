package load

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/targets"
)

// The first operations of a seed are a promise to everybody who repeats a run: changing them needs
// a reason, and a line in the change log.
func TestGoldenOperations(t *testing.T) {
	g := generator(t, shop(42, "run"))
	var b strings.Builder
	var d digest
	for n := range uint64(12) {
		r := g.Request(n)
		d.add(hashRequest(&r))
		fmt.Fprintf(&b, "%d %v %v session %d in %s, token %q\n", r.Seq, r.Kind, r.Key, r.Session, r.Region, r.Token)
	}
	fmt.Fprintln(&b, d)
	require.Equal(t, golden, b.String())
}

const golden = `0 write price:1 (tenant t1, currency EUR) session 5 in eu, token "run.0.59c85066.c6c23344"
1 read product:6 (tenant t2, locale de) session 4 in us, token ""
2 read product:21 (tenant t3, locale de) session 2 in us, token ""
3 read price:6 (tenant t3, currency USD) session 3 in eu, token ""
4 read product:1 (tenant t2, locale de) session 8 in us, token ""
5 read product:1 (tenant t1, locale de) session 9 in eu, token ""
6 read product:1 (tenant t2, locale en) session 9 in eu, token ""
7 read price:5 (tenant t2, currency EUR) session 6 in us, token ""
8 read product:1 (tenant t1, locale de) session 5 in eu, token ""
9 read product:1 (tenant t2, locale de) session 3 in eu, token ""
10 read product:1 (tenant t1, locale de) session 7 in eu, token ""
11 write price:1 (tenant t3, currency USD) session 7 in eu, token "run.11.20fc29e1.ca669ab5"
87459081167ec17178f6f5fb814af262
`

func TestSameSeedSameOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a, err := NewGenerator(shop(seed, "one"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := NewGenerator(shop(seed, "two"))
		c, _ := NewGenerator(shop(seed+1, "one"))
		var da, db, dc digest
		ns := rapid.SliceOfNDistinct(rapid.Uint64(), 20, 50, rapid.ID).Draw(t, "numbers")
		for i := range ns {
			ra, rb, rc := a.Request(ns[i]), b.Request(ns[len(ns)-1-i]), c.Request(ns[i])
			da.add(hashRequest(&ra))
			db.add(hashRequest(&rb)) // in reverse order
			dc.add(hashRequest(&rc))
			again := b.Request(ns[i])
			if token, ok := targets.ParseToken(ra.Token); ra.Kind == targets.Write && (!ok || token.Run != "one" || token.Seq != ns[i] || !token.For(ra.Key)) {
				t.Fatalf("operation %d writes token %q", ns[i], ra.Token)
			}
			ra.Token, again.Token = "", ""
			if ra != again {
				t.Fatalf("operation %d is %+v in one run and %+v in another", ns[i], ra, again)
			}
		}
		if da != db {
			t.Fatalf("digest %v, in reverse order %v", da, db)
		}
		if da == dc {
			t.Fatalf("seeds %d and %d have the same digest", seed, seed+1)
		}
	})
}

func TestConcurrentRequestsNeedNoLock(t *testing.T) {
	g := generator(t, shop(1, "run"))
	digests := make([]digest, 4)
	var wg sync.WaitGroup
	for i := range digests {
		wg.Go(func() {
			for n := range uint64(5000) {
				r := g.Request((n + uint64(i)*1250) % 5000)
				digests[i].add(hashRequest(&r))
			}
		})
	}
	wg.Wait()
	for _, d := range digests {
		require.Equal(t, digests[0], d)
	}
}

// Every field that the digest promises to cover changes it; those that differ between runs don't.
func TestDigestCovers(t *testing.T) {
	base := targets.Request{Seq: 1, Key: targets.Key{Family: "f", ID: "1", Tenant: "t"}, Session: 2, Region: "eu"}
	for name, change := range map[string]func(*targets.Request){
		"seq":     func(r *targets.Request) { r.Seq++ },
		"kind":    func(r *targets.Request) { r.Kind = targets.Write },
		"id":      func(r *targets.Request) { r.Key.ID = "2" },
		"tenant":  func(r *targets.Request) { r.Key.Tenant = "u" },
		"moved":   func(r *targets.Request) { r.Key.Tenant, r.Key.Locale = "", "t" },
		"session": func(r *targets.Request) { r.Session++ },
		"region":  func(r *targets.Request) { r.Region = "us" },
	} {
		other := base
		change(&other)
		require.NotEqual(t, hashRequest(&base), hashRequest(&other), name)
	}
	other := base
	other.Token, other.Instance = "token", targets.SourceInstance
	require.Equal(t, hashRequest(&base), hashRequest(&other))
	long := base
	long.Key.ID = strings.Repeat("x", 500)
	require.NotEqual(t, hashRequest(&base), hashRequest(&long))

	var once, twice digest
	once.add(hashRequest(&base))
	twice.add(hashRequest(&base))
	twice.add(hashRequest(&base))
	require.NotEqual(t, once, twice, "an operation sent twice shows")
}

func TestZipfFrequencies(t *testing.T) {
	const draws = 400_000
	for _, s := range []float64{0, 0.3, 0.63, 1, 1.2, 1.51, 3, 50} {
		for _, keys := range []int{1, 2, 7, 1000} {
			t.Run(fmt.Sprintf("s=%v keys=%d", s, keys), func(t *testing.T) {
				z := newZipf(keys, s)
				seen := make([]int, keys)
				for n := range uint64(draws) {
					d := newDraws(7, n)
					seen[z.rank(d.next())]++
				}
				sum := 0.0
				for r := range keys {
					sum += math.Pow(float64(r+1), -s)
				}
				for r, got := range seen {
					p := math.Pow(float64(r+1), -s) / sum
					require.InDelta(t, p, z.probability(r), 1e-12)
					// 6 standard deviations, and one draw for the rarest ranks
					require.InDelta(t, p*draws, float64(got), 6*math.Sqrt(p*(1-p)*draws)+1, "rank %d", r)
				}
			})
		}
	}
}

func TestMixFrequencies(t *testing.T) {
	const draws = 50_000
	w := shop(3, "run")
	g := generator(t, w)
	count := map[string]float64{}
	for n := range uint64(draws) {
		r := g.Request(n)
		count[r.Key.Family]++
		count[r.Key.Family+" "+r.Kind.String()]++
		count[r.Region]++
		count[fmt.Sprint("session ", r.Session)]++
		count[r.Key.String()]++
		require.Equal(t, w.Regions[(r.Session-1)%2], r.Region, "a session stays in its region")
		require.Equal(t, r.Kind == targets.Write, r.Token != "")
	}
	for what, p := range map[string]float64{
		"product": 0.8, "price": 0.2, "product write": 0.08, "price write": 0.1, "eu": 0.5, "us": 0.5,
		"session 1": 0.1, "session 10": 0.1, "session 0": 0, "session 11": 0,
		g.Keys("product")[0].String(): g.Probability("product", 0),
		g.Keys("product")[9].String(): g.Probability("product", 9),
		g.Keys("price")[49].String():  0.2 / 50,
	} {
		require.InDelta(t, p*draws, count[what], 6*math.Sqrt(p*(1-p)*draws), what)
	}
}

func TestSessionsAndRegions(t *testing.T) {
	for _, c := range []struct {
		regions  []string
		sessions int
		want     string // all combinations that occur
	}{
		{nil, 0, "0"},
		{nil, 3, "1 2 3"},
		{[]string{"eu", "us"}, 0, "0eu 0us"},
		{[]string{"eu", "us"}, 1, "1eu 1us"}, // fewer clients than regions: they travel
		{[]string{"eu", "us"}, 2, "1eu 2us"},
		{[]string{"eu", "us"}, 5, "1eu 2us 3eu 4us 5eu"},
		{[]string{"ap", "eu", "us"}, 4, "1ap 2eu 3us 4ap"},
	} {
		t.Run(fmt.Sprintf("%v %d", c.regions, c.sessions), func(t *testing.T) {
			g := generator(t, Workload{Regions: c.regions, Sessions: c.sessions, Mixes: []Mix{{Family: "f", Share: 1, Keys: 1}}})
			seen := map[string]bool{}
			for n := range uint64(500) {
				r := g.Request(n)
				seen[fmt.Sprint(r.Session, r.Region)] = true
			}
			want := map[string]bool{}
			for _, s := range strings.Fields(c.want) {
				want[s] = true
			}
			require.Equal(t, want, seen)
		})
	}
}

// One ID exists under several tenants and locales, or leaks between them could never be seen.
func TestKeysSpreadOverDimensions(t *testing.T) {
	g := generator(t, Workload{Mixes: []Mix{
		{Family: "product", Share: 1, Keys: 9, Tenants: []string{"t1", "t2"}, Locales: []string{"de", "en"}},
	}})
	var got []string
	for _, k := range g.Keys("product") {
		got = append(got, strings.Join([]string{k.ID, k.Tenant, k.Locale, k.Currency}, "/"))
	}
	require.Equal(t, []string{
		"1/t1/de/", "1/t2/de/", "1/t1/en/", "1/t2/en/",
		"2/t1/de/", "2/t2/de/", "2/t1/en/", "2/t2/en/",
		"3/t1/de/",
	}, got)
	require.Nil(t, g.Keys("price"))
	require.Zero(t, g.Probability("price", 0))
	require.Zero(t, g.Probability("product", 9))
}

func TestKeysAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := func(name string) []string {
			var vs []string
			for i := range rapid.IntRange(0, 4).Draw(t, name) {
				vs = append(vs, fmt.Sprint(name, i))
			}
			return vs
		}
		keys := rapid.IntRange(1, 500).Draw(t, "keys")
		g, err := NewGenerator(Workload{Mixes: []Mix{{
			Family: "f", Share: 1, Keys: keys, Tenants: values("tenant"), Locales: values("locale"), Currencies: values("currency"),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[targets.Key]bool{}
		for _, k := range g.Keys("f") {
			seen[k] = true
		}
		if len(seen) != keys {
			t.Fatalf("%d distinct keys of %d", len(seen), keys)
		}
	})
}

func TestGeneratorRefuses(t *testing.T) {
	ok := Mix{Family: "f", Share: 1, Keys: 1}
	with := func(change func(*Mix)) Workload {
		m := ok
		change(&m)
		return Workload{Run: "run", Mixes: []Mix{m}}
	}
	for _, c := range []struct {
		says string
		w    Workload
	}{
		{"no families", Workload{}},
		{"no name", with(func(m *Mix) { m.Family = "" })},
		{"sum to 0.5", with(func(m *Mix) { m.Share = 0.5 })},
		{"share NaN", with(func(m *Mix) { m.Share = math.NaN() })},
		{"share 1.1", with(func(m *Mix) { m.Share = 1.1 })},
		{"writes -0.1", with(func(m *Mix) { m.Writes = -0.1 })},
		{"deletes NaN", with(func(m *Mix) { m.Deletes = math.NaN() })},
		{"writes 0.6 and deletes 0.5 make more than 1", with(func(m *Mix) { m.Writes, m.Deletes = 0.6, 0.5 })},
		{"absent 1.5", with(func(m *Mix) { m.Absent = 1.5 })},
		{"0 keys", with(func(m *Mix) { m.Keys = 0 })},
		{"exponent -1", with(func(m *Mix) { m.Zipf = -1 })},
		{"exponent NaN", with(func(m *Mix) { m.Zipf = math.NaN() })},
		{"exponent +Inf", with(func(m *Mix) { m.Zipf = math.Inf(1) })},
		{`tenants: "a" is there twice`, with(func(m *Mix) { m.Tenants = []string{"a", "b", "a"} })},
		{"one of the locales has no name", with(func(m *Mix) { m.Locales = []string{""} })},
		{`families: "f" is there twice`, Workload{Mixes: []Mix{ok, ok}}},
		{`regions: "eu" is there twice`, Workload{Regions: []string{"eu", "eu"}, Mixes: []Mix{ok}}},
		{"-1 sessions", Workload{Sessions: -1, Mixes: []Mix{ok}}},
		{"writes need a run", Workload{Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Writes: 1}}}},
		{"writes need a run", Workload{Run: "a.b", Mixes: []Mix{{Family: "f", Share: 1, Keys: 1, Writes: 1}}}},
	} {
		t.Run(c.says, func(t *testing.T) {
			_, err := NewGenerator(c.w)
			require.ErrorContains(t, err, c.says)
		})
	}
}
