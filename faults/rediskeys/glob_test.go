package rediskeys

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		glob, prefix string
		want         bool
	}{
		{"*", "", true}, {"a*", "a", true}, {"a*", "ab", false}, {"ab", "a", true}, {"a?", "a", true}, {"a?b", "ab", false},
		{`a\*b*`, "a*b", true}, {`a[b]`, "ab", false}, {`a\`, `a\`, true}, {`\a`, "a", true}, {"b*", "a", false},
	} {
		require.Equal(t, c.want, Below(c.glob, c.prefix), "%q under %q", c.glob, c.prefix)
	}
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]^\-`)), 0, 5, -1).Draw(t, "prefix")
		require.True(t, Below(Escape(prefix)+"*", prefix))
		require.False(t, Below(Escape(prefix)+"*", prefix+"x"))
	})
}

// A glob matches in memory what it matches in a Redis.
func TestMatchIsThatOfSCAN(t *testing.T) {
	m := miniredis.RunT(t)
	c := goredis.NewClient(&goredis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.RuneFrom([]rune(`abc:*-`)), 1, 6, -1).Draw(t, "key")
		glob := rapid.StringMatching(`([abc:*?]|\\[*?]|\[\^?[a-c]{1,2}\]|\[a-c\]){1,6}`).Draw(t, "glob")
		m.FlushAll()
		require.NoError(t, m.Set(key, "v"))
		var found []string
		require.NoError(t, Of(c).Scan(t.Context(), glob, func(keys []string) error { found = append(found, keys...); return nil }))
		require.Equal(t, len(found) == 1, Match(glob, key), "%q and %q", glob, key)
	})
	for _, c := range []struct {
		glob, key string
		want      bool
	}{
		{"*", "", true}, {"", "", true}, {"?", "", false}, {"[a", "a", true}, {"[]", "a", false}, {`\`, `\`, true}, {"a*b*c", "aXbXbc", true},
	} {
		require.Equal(t, c.want, Match(c.glob, c.key), "%q and %q", c.glob, c.key)
	}
}
