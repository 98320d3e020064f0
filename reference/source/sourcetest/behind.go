package sourcetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/source"
)

// behind is the source as one that takes changes with versions, if it is one.
func behind(t *testing.T, s source.Source) source.Applier {
	t.Helper()
	b, ok := s.(source.Applier)
	if !ok {
		t.Skip("it takes no changes that have versions")
	}
	return b
}

func applies(t *testing.T, s source.Source) {
	b := behind(t, s)
	require.NoError(t, b.Own(t.Context(), "r", "me", false))
	change := func(version uint64, value string, deleted bool) source.Change {
		return source.Change{Name: n17, Version: version, Value: []byte(value), Token: fmt.Sprint("token of ", value), Deleted: deleted, Realm: "r", Owner: "me"}
	}
	for i, c := range []struct {
		version uint64
		value   string
		deleted bool
		needed  bool
	}{
		{2, "b", false, true}, {1, "a", false, false}, {2, "other", false, false}, {3, "", true, true}, {3, "", true, false},
		{7, "g", false, true}, {6, "f", false, false},
	} {
		needed, err := b.Apply(t.Context(), change(c.version, c.value, c.deleted), anonymous)
		require.NoError(t, err)
		require.Equal(t, c.needed, needed, "change %d", i)
	}
	r := load(t, s, n17)
	require.EqualValues(t, 7, r.Version)
	require.Equal(t, "g", string(r.Value))
	_, err := b.Apply(t.Context(), change(0, "x", false), anonymous)
	require.ErrorIs(t, err, source.ErrNotApplied)
	require.NoError(t, s.Fence(t.Context(), n17, "f", false, anonymous))
	needed, err := b.Apply(t.Context(), change(8, "x", false), anonymous)
	require.NoError(t, err)
	require.True(t, needed)
	require.True(t, load(t, s, n17).Fenced, "a fence is left alone")
	require.EqualValues(t, 9, store(t, s, n17, "y").Version)
}

func owns(t *testing.T, s source.Source) {
	b := behind(t, s)
	apply := func(realm, owner string, version uint64) error {
		_, err := b.Apply(t.Context(), source.Change{Name: n17, Version: version, Realm: realm, Owner: owner}, anonymous)
		return err
	}
	refused := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, source.ErrNotApplied)
		require.ErrorIs(t, err, source.ErrOwned)
	}
	refused(apply("r", "a", 1))
	require.NoError(t, b.Own(t.Context(), "r", "a", false))
	require.NoError(t, b.Own(t.Context(), "r", "a", false), "again")
	require.NoError(t, apply("r", "a", 1))
	refused(apply("other", "a", 2))
	refused(apply("r", "b", 2))
	require.ErrorIs(t, b.Own(t.Context(), "r", "b", false), source.ErrOwned)
	require.NoError(t, apply("r", "a", 2))
	require.NoError(t, b.Own(t.Context(), "r", "b", true), "taken")
	refused(apply("r", "a", 3))
	require.NoError(t, apply("r", "b", 3))
	require.NoError(t, b.Own(t.Context(), "r", "", false), "freed")
	refused(apply("r", "b", 4))
	require.NoError(t, b.Own(t.Context(), "r", "c", false))
	require.NoError(t, apply("r", "c", 4))
	require.EqualValues(t, 4, load(t, s, n17).Version)
}
