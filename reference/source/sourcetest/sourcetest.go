// Package sourcetest holds every [source.Source] to the same rules. Its example is a source of
// one's own.
package sourcetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Run tests a source. open makes an empty one for a test, and has it closed when the test ends
// (with the test's Cleanup). It is called for each of the rules, which are subtests with names. One
// that is a [source.Applier] is tested as such, too; of another those are skipped.
func Run(t *testing.T, open func(t *testing.T) source.Source) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s source.Source)
	}{
		{"what never existed", neverExisted},
		{"versions are dense and outlive deletes", versions},
		{"a delete is a version where nothing is, too", deleteOfNothing},
		{"names that differ in one dimension", names},
		{"values", values},
		{"source time", sourceTime},
		{"a cancelled context", cancelled},
		{"concurrent writers", writers},
		{"readers beside a writer", readers},
		{"a fence shows, and its own change ends it", fenceEnds},
		{"another's fence stands, until it is taken over", fenceTaken},
		{"a fence of what never existed", fenceOfNothing},
		{"a change without a fence leaves one alone", fenceLeftAlone},
		{"concurrent takers of a fence", takers},
		{"changes that have versions", applies},
		{"a realm has one owner", owns},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func neverExisted(t *testing.T, s source.Source) {
	for _, by := range []source.Caller{{}, {Audit: true}, {Region: "eu", Attempt: 2}} {
		for what, read := range map[string]func(context.Context, key.Name, source.Caller) (source.Record, error){
			"load": s.Load, "version": s.Version,
		} {
			r, err := read(t.Context(), n17, by)
			require.NoError(t, err, what)
			assert.Positive(t, r.T0, what)
			r.T0 = 0
			assert.Equal(t, source.Record{}, r, what)
		}
	}
}

func versions(t *testing.T, s source.Source) {
	other := key.Name{Family: "product", ID: "18"}
	for i, c := range []struct {
		value   string
		deleted bool
	}{{"a", false}, {"b", false}, {"", true}, {"", true}, {"c", false}, {"c", false}, {"", true}, {"d", false}} {
		want := uint64(i + 1)
		var r source.Record
		if c.deleted {
			var err error
			r, err = s.Delete(t.Context(), n17, anonymous)
			require.NoError(t, err)
		} else {
			r = store(t, s, n17, c.value)
		}
		require.Equal(t, want, r.Version, "change %d: versions go up by one, and never start again", i)
		require.Equal(t, c.deleted, r.Deleted, "change %d", i)
		require.Equal(t, c.value, string(r.Value), "change %d tells what it wrote", i)
		for what, r := range map[string]source.Record{"load": load(t, s, n17), "audit": audit(t, s, n17)} {
			require.Equal(t, want, r.Version, what)
			require.Equal(t, c.deleted, r.Deleted, what)
			require.Equal(t, c.value, string(r.Value), what)
			require.False(t, r.Fenced, what)
		}
		v, err := s.Version(t.Context(), n17, anonymous)
		require.NoError(t, err)
		require.Equal(t, want, v.Version)
		require.Equal(t, c.deleted, v.Deleted)
		require.Nil(t, v.Value, "a version comes without its value")
	}
	require.Zero(t, load(t, s, other).Version, "each name counts for itself")
	require.EqualValues(t, 1, store(t, s, other, "x").Version)
}

func deleteOfNothing(t *testing.T, s source.Source) {
	r, err := s.Delete(t.Context(), n17, anonymous)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Version)
	r = load(t, s, n17)
	require.EqualValues(t, 1, r.Version)
	require.True(t, r.Deleted)
	require.Empty(t, r.Value)
	require.EqualValues(t, 2, store(t, s, n17, "a").Version)
}

// Odd texts, each a name of its own: letters that look alike, fold alike or normalise alike; what
// means something in keys, globs, SQL and formats; control characters and the ends of Unicode. Zero
// bytes and broken UTF-8 are no text.
var odd = []string{
	"", " ", "  ", "a", "A", "a ", " a", "ß", "ss", "ẞ", "é", "e\u0301", "İ", "i", "I", "ı", "Å", "Å", "日本", "🦆", "\U0010FFFF", "\uFFFD",
	"a:b", "a/b", `a\b`, `a\\b`, "a'b", `a"b`, "a''b", "a%b", "a_b", "*", "?", "[a]", "$1", "${a}", "\\x61", "NULL", "null", "\t", "\n", "\r\n", "\x01", "\x7f",
	"\u200b", "\u202e", "a,b", "(a)", "{a}", "--", ";drop", strings.Repeat("x", 300), strings.Repeat("x", 301), "0", "00", "1e1", "10",
}

func names(t *testing.T, s source.Source) {
	fields := map[string]func(n *key.Name, v string){
		"family": func(n *key.Name, v string) { n.Family = v }, "id": func(n *key.Name, v string) { n.ID = v },
		"tenant": func(n *key.Name, v string) { n.Tenant = v }, "locale": func(n *key.Name, v string) { n.Locale = v },
		"currency": func(n *key.Name, v string) { n.Currency = v }, "variant": func(n *key.Name, v string) { n.Variant = v },
	}
	all := map[key.Name]bool{}
	for _, set := range fields {
		for _, v := range odd {
			n := key.Name{Family: "f", ID: "i", Tenant: "t", Locale: "l", Currency: "c", Variant: "v"}
			set(&n, v)
			all[n] = true
		}
	}
	// What runs together when the parts are joined without care.
	all[key.Name{Family: "f", ID: "ab", Tenant: "c"}] = true
	all[key.Name{Family: "f", ID: "a", Tenant: "bc"}] = true
	all[key.Name{Family: "f", Tenant: "abc"}] = true
	all[key.Name{}] = true
	for n := range all {
		require.EqualValues(t, 1, store(t, s, n, fmt.Sprintf("%q", n)).Version, "%q", n)
	}
	for n := range all {
		r := load(t, s, n)
		require.EqualValues(t, 1, r.Version, "%q", n)
		require.Equal(t, fmt.Sprintf("%q", n), string(r.Value))
	}
}

func values(t *testing.T, s source.Source) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for i, v := range [][]byte{nil, {}, {0}, []byte("text"), []byte(`\x00`), every, []byte(strings.Repeat(string(every), 1000))} {
		w, err := s.Store(t.Context(), n17, v, fmt.Sprint(i), anonymous)
		require.NoError(t, err)
		require.Equal(t, string(v), string(w.Value))
		require.False(t, w.Deleted, "an empty value is a value")
		r := load(t, s, n17)
		require.Equal(t, string(v), string(r.Value))
		require.False(t, r.Deleted)
		require.EqualValues(t, i+1, r.Version)
	}
}

func sourceTime(t *testing.T, s source.Source) {
	last := int64(0)
	clock := func() int64 {
		at, err := s.Clock(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, at, last, "source time goes back")
		last = at
		return at
	}
	for i := range 50 {
		before := clock()
		if i%2 == 1 {
			w := store(t, s, n17, "x")
			require.GreaterOrEqual(t, w.T0, last, "source time goes back")
			last = w.T0
			require.LessOrEqual(t, w.T0, clock(), "a store's time is not after its return")
			before = clock()
		}
		for _, read := range []func(context.Context, key.Name, source.Caller) (source.Record, error){s.Load, s.Version} {
			r, err := read(t.Context(), n17, anonymous)
			require.NoError(t, err)
			require.GreaterOrEqual(t, r.T0, before, "a read's time lies within it")
			require.GreaterOrEqual(t, r.T0, last, "source time goes back")
			last = r.T0
			require.LessOrEqual(t, r.T0, clock(), "a read's time lies within it")
		}
	}
}

func cancelled(t *testing.T, s source.Source) {
	store(t, s, n17, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Store(ctx, n17, []byte("b"), "b", anonymous)
	require.ErrorIs(t, err, source.ErrNotApplied)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Delete(ctx, n17, anonymous)
	require.ErrorIs(t, err, source.ErrNotApplied)
	require.ErrorIs(t, err, context.Canceled)
	err = s.Fence(ctx, n17, "fence", false, anonymous)
	require.ErrorIs(t, err, source.ErrNotApplied)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Load(ctx, n17, anonymous)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Version(ctx, n17, anonymous)
	require.ErrorIs(t, err, context.Canceled)
	r := load(t, s, n17)
	require.EqualValues(t, 1, r.Version)
	require.Equal(t, "a", string(r.Value))
	require.False(t, r.Fenced)
}
