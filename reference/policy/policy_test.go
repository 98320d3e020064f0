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
	m := Meta{Kind: Value, Version: 3, T0: 100 * s, FreshUntil: 106 * s, Until: 110 * s, DropAt: 110 * s}
	long := Meta{Kind: Value, Version: 3, T0: 100 * s, FreshUntil: 130 * s, Until: 130 * s, DropAt: 130 * s}
	spare := Meta{Kind: Value, Version: 3, T0: 100 * s, FreshUntil: 103 * s, Until: 105 * s, DropAt: 110 * s}
	absence := Meta{Kind: Absence, T0: 100 * s, FreshUntil: 103 * s, Until: 105 * s, DropAt: 110 * s}
	slow := Meta{Kind: Value, Version: 3, T0: 100 * s, Took: time.Second, FreshUntil: 106 * s, Until: 110 * s, DropAt: 110 * s}
	floor := Meta{Kind: Floor, Version: 4, T0: 100 * s, FreshUntil: 130 * s, Until: 130 * s, DropAt: 130 * s}
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
		{"past its fresh life, without revalidation", no("stale-while-revalidate"), m, 106 * s, IfError},
		{"past its life", all, m, 110 * s, Miss},
		{"a floor is no copy", all, floor, 101 * s, Miss},
		{"past its life, and within the bound", all, spare, 109 * s, IfError},
		{"past its life and the bound", all, spare, 110 * s, Miss},
		{"an absence is a copy, of whatever version", all, absence, 102 * s, Serve},
		{"an absence grows stale too", all, absence, 104 * s, Refresh},
		{"a slow load is begun early, by chance", all, slow, 105*s + s/2, Refresh},
		{"a slow load is begun early, by chance, and this is too early", all, slow, 105 * s, Serve},
		{"without early refresh", no("early-refresh"), slow, 105*s + s/2, Serve},
		{"at the end of a life that is shorter than the bound", all, Meta{Kind: Value, Version: 3, T0: 100 * s, FreshUntil: 103 * s, Until: 103 * s, DropAt: 103 * s}, 103 * s, Miss},
		{"alive but older than the bound", all, long, 110 * s, Miss},
		{"alive, older than the bound, without the clamp", no("age-clamp"), long, 110 * s, Serve},
	} {
		require.Equal(t, c.want, c.policy.Lookup(f, c.meta, c.now, 0.5), c.what)
	}
}

func TestStrongIsConfirmed(t *testing.T) {
	f := Family{Class: Strong, TTL: 10 * time.Second}
	m := Recommended().Admit(f, Meta{Kind: Value, Version: 1, T0: 0}, 0.5)
	require.Equal(t, Confirm, Recommended().Lookup(f, m, 1, 0.5))
	require.Equal(t, Miss, Recommended().Lookup(f, m, m.DropAt, 0.5))
	require.Equal(t, Serve, Naive().Lookup(f, m, 1, 0.5))
}

// Whatever the worker's and the writer's clocks do within the assumed error of their rates, no
// worker serves an old value after the writer's wait.
func TestNoHoldOutlivesTheWritersWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.Float64Range(0, 0.01).Draw(t, "rate error")
		f := Family{Class: Strong, TTL: time.Hour, ReadLease: time.Duration(rapid.Int64Range(1, 100*s).Draw(t, "lease"))}
		rate := func(who string) float64 { return 1 + rapid.Float64Range(-r, r).Draw(t, who) }
		writer, worker := rate("writer"), rate("worker")
		waited := float64(f.ReadLeaseWait(r)) / writer // true time
		since := time.Duration(waited * worker)        // what the worker's clock makes of it, counted down to whole nanoseconds
		if p := Recommended(); p.Holds(f, since+1, r) {
			t.Fatalf("held for %v of %v", since, f.ReadLease)
		}
	})
}

func TestCircuit(t *testing.T) {
	var c Circuit
	var ok bool
	for i := range int64(opensAfter) {
		c, ok = c.Enter(i)
		require.True(t, ok, "closed until it has failed often enough")
		c = c.Left(i, false)
	}
	_, ok = c.Enter(opensFor)
	require.False(t, ok)
	c, ok = c.Enter(opensFor + 10)
	require.True(t, ok, "one tries again")
	_, ok = c.Enter(opensFor + 11)
	require.False(t, ok, "and the rest waits for what it finds")
	again := c.Left(opensFor+20, false)
	_, ok = again.Enter(opensFor + 30)
	require.False(t, ok)
	c = c.Left(opensFor+20, true)
	require.Equal(t, Circuit{}, c)
	for range 3 * opensAfter {
		c = c.Left(0, false).Left(0, true)
	}
	_, ok = c.Enter(0)
	require.True(t, ok, "failures that successes come between don't open it")
}

func TestSupersedes(t *testing.T) {
	p := Recommended()
	v := func(version uint64, t0 int64) Meta { return Meta{Kind: Value, Version: version, T0: t0} }
	floor := func(version uint64) Meta { return Meta{Kind: Floor, Version: version} }
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
		m := p.Admit(f, Meta{Kind: Value, Version: 1, T0: t0, Took: time.Duration(rapid.Int64Range(0, 2*s).Draw(t, "took"))}, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		if m.FreshUntil > m.Until || m.Until > m.DropAt || m.Until > t0+int64(f.TTL) || m.DropAt > t0+int64(f.Within) {
			t.Fatalf("life beyond the TTL: %+v", m)
		}
		age := rapid.Int64Range(int64(f.Within), 40*s).Draw(t, "age")
		if got := p.Lookup(f, m, t0+age, rapid.Float64Range(0, 0.999).Draw(t, "chance")); got != Miss {
			t.Fatalf("served at age %v: %v", time.Duration(age), got)
		}
	})
}

// The short way to a decision never serves what the long one would not, whatever the copy, the
// family and the controls are.
func TestPlainIsServe(t *testing.T) {
	plain := 0
	rapid.Check(t, func(t *rapid.T) {
		in := func(what string, least, most int64) int64 { return rapid.Int64Range(least, most).Draw(t, what) }
		f := Family{Class: rapid.SampledFrom([]Class{Bounded, Bounded, Strong, Eventual}).Draw(t, "class"), Within: time.Duration(in("within", 1, 200))}
		m := Meta{Kind: rapid.SampledFrom([]Kind{Value, Value, Value, Absence, Floor, Nothing}).Draw(t, "kind"), Version: 1, T0: in("t0", 0, 100),
			FreshUntil: in("fresh", 50, 300), Until: in("until", 50, 300), DropAt: in("drop", 50, 300), Took: time.Duration(in("took", 0, 3))}
		p := Policy{Controls: rapid.SampledFrom([]Controls{All(), All() &^ EarlyRefresh, All() &^ AgeClamp, All() &^ ClassRouting, 0}).Draw(t, "controls")}
		now := in("now", 0, 250)
		if !p.ServesAnyway(&f, &m, now) {
			return
		}
		plain++
		if got := p.Lookup(f, m, now, rapid.SampledFrom([]float64{0, 0.5, 1 - 1e-15}).Draw(t, "random")); got != Serve {
			t.Fatalf("plain, and Lookup says %v", got)
		}
	})
	require.Positive(t, plain)
	p, f := Recommended(), Family{Within: 10}
	m := Meta{Kind: Value, Version: 1, FreshUntil: 100, Until: 100, DropAt: 100}
	require.True(t, p.ServesAnyway(&f, &m, 9), "a fresh copy is plain")
	require.False(t, p.ServesAnyway(&f, &m, 10), "as old as the bound")
}

func TestValidate(t *testing.T) {
	require.ErrorIs(t, Family{Within: time.Second, TTL: 2 * time.Second}.Validate(), ErrTTL)
	require.Error(t, Family{Within: time.Second}.Validate())
	require.Error(t, Family{TTL: time.Second}.Validate())
	require.NoError(t, Family{Class: Strong, TTL: 2 * time.Second}.Validate())
	_, err := Recommended().Without("jiter")
	require.ErrorContains(t, err, "known: age-clamp")
	for old, now := range RenamedControls {
		_, err = Recommended().Without(old)
		require.ErrorContains(t, err, old+" is now "+now)
		_, err = Recommended().Without(now)
		require.NoError(t, err)
	}
}

func TestWritePaths(t *testing.T) {
	for i, name := range WritePaths() {
		require.Equal(t, WritePath(i), ParseWritePath(name))
		require.Equal(t, name, WritePath(i).String())
	}
	require.Equal(t, Aside, ParseWritePath(""))
	all := Recommended()
	few, err := all.Without("negative-caching")
	require.NoError(t, err)
	through := Family{Class: Bounded, Within: time.Second, TTL: time.Second, Writes: Through}
	require.True(t, all.Leaves(through, Value))
	require.True(t, all.Leaves(through, Absence))
	require.True(t, few.Leaves(through, Value))
	require.False(t, few.Leaves(through, Absence), "what no load may keep, no writer may leave")
	require.False(t, all.Leaves(Family{}, Value))
	require.False(t, all.Leaves(Family{Writes: WriteBehind}, Value))

	require.True(t, all.Claims(through))
	require.False(t, all.Claims(Family{Class: Strong}), "what is left is confirmed anyway")
	unrouted, err := all.Without("class-routing")
	require.NoError(t, err)
	require.True(t, unrouted.Claims(Family{Class: Strong}))

	for _, class := range []Class{Bounded, Strong, Eventual} {
		f := Family{Class: class, TTL: time.Second}
		if class == Bounded {
			f.Within = time.Second
		}
		for _, f.Writes = range []WritePath{Aside, Through} {
			require.NoError(t, f.Validate())
		}
		f.Writes = WriteBehind
		require.Equal(t, class == Eventual, f.Validate() == nil, class.String())
		f.Writes = WriteBehind + 1
		require.ErrorContains(t, f.Validate(), "no write path 3")
	}
}
