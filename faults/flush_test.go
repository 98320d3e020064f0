package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
)

func TestFlush(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		fill(t, n.Client(), "product:", 1500, time.Minute)
		sham, err := Sham(Flush{Region: "eu"}).Inject(within(t), site(n))
		require.NoError(t, err)
		shamEvidence, err := sham.Heal(within(t))
		require.NoError(t, err)
		require.Equal(t, "sham of keys.flush{region: eu}: 1,500 keys found in redis@eu and not touched", shamEvidence)
		require.Equal(t, 1500, count(t, n.Client(), "*"))

		in, err := Flush{Region: "eu"}.Inject(within(t), site(n))
		require.NoError(t, err)
		require.Zero(t, in.Hold)
		require.Regexp(t, `^1,500 keys in redis@eu before, 0 of them right after at \d+\.\d\ds$`, in.Evidence)
		require.Zero(t, count(t, n.Client(), "*"))
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Equal(t, in.Evidence, evidence)

		in, err = Flush{Region: "eu"}.Inject(within(t), site(n))
		require.NoError(t, err)
		require.Empty(t, in.Evidence, "there was nothing to flush")
	})
}

// With a prefix nothing outside is touched, whatever characters it has.
func TestKeyFaultsStayBelowThePrefix(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		s := site(n)
		s.KeyPrefix = "drill*[a]:"
		s.Pattern = func(family string) string { return rediskeys.Escape(s.KeyPrefix) + family + ":*" }
		others := []string{"drill", "drill*a:", "drillx[a]:", "drill-a:product:", "Drill*[a]:"}
		mine := func() int { return count(t, n.Client(), rediskeys.Escape(s.KeyPrefix)+"*") }
		for _, k := range others {
			fill(t, n.Client(), k, 10, 0)
		}
		fill(t, n.Client(), s.KeyPrefix+"product:", 20, time.Minute)
		fill(t, n.Client(), s.KeyPrefix+"price:", 30, time.Minute)
		require.Equal(t, 50, mine())

		for _, f := range []Expire{{Family: "product"}, {Pattern: rediskeys.Escape(s.KeyPrefix) + "pri*"}} {
			in, err := f.Inject(within(t), s)
			require.NoError(t, err)
			_, err = in.Heal(within(t))
			require.NoError(t, err)
		}
		require.Zero(t, mine())
		fill(t, n.Client(), s.KeyPrefix, 40, time.Minute)
		in, err := Expire{}.Inject(within(t), s)
		require.NoError(t, err)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Contains(t, evidence, "40 of 40 keys gone from eu")

		fill(t, n.Client(), s.KeyPrefix, 2500, time.Minute)
		in, err = Flush{Region: "eu"}.Inject(within(t), s)
		require.NoError(t, err)
		require.Regexp(t, `^2,500 keys below "drill\*\[a\]:" in redis@eu before, 0 of them right after`, in.Evidence)
		require.Zero(t, mine())
		require.Equal(t, 10*len(others), count(t, n.Client(), "*"), "what is not ours is still there")

		for _, pattern := range []string{"*", "drill*", "drill*[a]:*", ""} {
			s := s
			s.Pattern = func(string) string { return pattern }
			_, err := Expire{Family: "product"}.Inject(within(t), s)
			require.Error(t, err, pattern)
		}
		_, err = Expire{Pattern: s.KeyPrefix + "*"}.Inject(within(t), s)
		require.EqualError(t, err, `keys.expire{pattern: drill*[a]:*, share: 100%}: the pattern "drill*[a]:*" does not begin with this target's key prefix "drill*[a]:"`)
	})
}
