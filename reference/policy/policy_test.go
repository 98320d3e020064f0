package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const s = int64(time.Second)

func TestLookup(t *testing.T) {
	all := Recommended()
	no := func(names ...string) Policy {
		p := all
		for _, n := range names {
			var err error
			p, err = p.Without(n)
			require.NoError(t, err)
		}
		return p
	}
	f := Family{Class: Bounded, Within: 10 * time.Second, TTL: 10 * time.Second}
	m := Meta{Version: 3, T0: 100 * s, FreshUntil: 106 * s, DropAt: 110 * s}
	long := Meta{Version: 3, T0: 100 * s, FreshUntil: 130 * s, DropAt: 130 * s}
	floor := Meta{Version: 4, T0: 100 * s, FreshUntil: 130 * s, DropAt: 130 * s, Floor: true}
	for _, c := range []struct {
		what   string
		policy Policy
		meta   Meta
		now    int64
		want   Action
	}{
		{"nothing there", all, Meta{}, 0, Miss},
		{"fresh", all, m, 101 * s, Serve},
		{"past its fresh life", all, m, 106 * s, Refresh},
		{"past its fresh life, nobody revalidates", no("stale-while-revalidate"), m, 106 * s, Miss},
		{"past its life", all, m, 110 * s, Miss},
		{"a floor is no copy", all, floor, 101 * s, Miss},
		{"at the end of a life that is shorter than the bound", all, Meta{Version: 3, T0: 100 * s, FreshUntil: 103 * s, DropAt: 103 * s}, 103 * s, Miss},
		{"alive but older than the bound", all, long, 110 * s, Miss},
		{"alive, older than the bound, nobody clamps", no("age-clamp"), long, 110 * s, Serve},
	} {
		require.Equal(t, c.want, c.policy.Lookup(f, c.meta, c.now), c.what)
	}
}

func TestStrongIsNeverCached(t *testing.T) {
	f := Family{Class: Strong, TTL: time.Second}
	require.False(t, Recommended().Cached(f))
	require.True(t, Naive().Cached(f))
	require.True(t, Recommended().Cached(Family{Class: Bounded, TTL: time.Second, Within: time.Second}))
}

func TestSupersedes(t *testing.T) {
	p := Recommended()
	v := func(version uint64, t0 int64) Meta { return Meta{Version: version, T0: t0} }
	floor := func(version uint64) Meta { return Meta{Version: version, Floor: true} }
	for _, c := range []struct {
		what           string
		candidate, cur Meta
		want           bool
	}{
		{"into nothing", v(1, 0), Meta{}, true},
		{"newer version", v(2, 0), v(1, 9), true},
		{"older version", v(1, 9), v(2, 0), false},
		{"older than the floor", v(1, 9), floor(2), false},
		{"the floor's own version", v(2, 9), floor(2), true},
		{"same version read at the same time", v(2, 8), v(2, 8), true},
		{"same version read later", v(2, 9), v(2, 8), true},
		{"same version read earlier", v(2, 7), v(2, 8), false},
		{"floor of a version that is there", floor(2), v(2, 8), false},
		{"floor of a newer version", floor(3), v(2, 8), true},
	} {
		require.Equal(t, c.want, p.Supersedes(c.candidate, c.cur), c.what)
	}
	require.True(t, Naive().Supersedes(v(1, 0), v(2, 0)), "a plain SET knows no versions")
}

// Whatever the random numbers, no copy of a bounded family is served at an age of Within or more.
func TestNoCopyOutlivesTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Family{Class: Bounded, Within: time.Duration(rapid.Int64Range(1, 20*s).Draw(t, "within"))}
		f.TTL = time.Duration(rapid.Int64Range(1, int64(f.Within)).Draw(t, "ttl"))
		p := Recommended()
		t0 := rapid.Int64Range(0, 100*s).Draw(t, "t0")
		m := p.Admit(f, 1, t0, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		if m.FreshUntil > m.DropAt || m.DropAt > t0+int64(f.TTL) {
			t.Fatalf("life beyond the TTL: %+v", m)
		}
		age := rapid.Int64Range(int64(f.Within), 40*s).Draw(t, "age")
		if got := p.Lookup(f, m, t0+age); got != Miss {
			t.Fatalf("served at age %v: %v", time.Duration(age), got)
		}
	})
}

func TestValidate(t *testing.T) {
	require.ErrorIs(t, Family{Within: time.Second, TTL: 2 * time.Second}.Validate(), ErrTTL)
	require.Error(t, Family{Within: time.Second}.Validate())
	require.Error(t, Family{TTL: time.Second}.Validate())
	require.NoError(t, Family{Class: Strong, TTL: 2 * time.Second}.Validate())
	_, err := Recommended().Without("jiter")
	require.ErrorContains(t, err, "known: age-clamp")
}
