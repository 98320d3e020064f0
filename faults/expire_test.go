package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
)

func TestExpire(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "tenant:a:product:", 1500, time.Minute)
		fill(t, n.Client(), "tenant:b:product:", 500, 0)
		fill(t, n.Client(), "tenant:a:price:", 100, time.Minute)

		in, err := Expire{Family: "product"}.Inject(ctx, site(n))
		returned := time.Now()
		require.NoError(t, err)
		require.Zero(t, in.Hold, "there is nothing to hold")
		require.Empty(t, in.Evidence, "nothing has expired yet")
		require.Less(t, in.Began.Sub(returned).Abs(), 5*time.Second)

		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Regexp(t, `^2,000 of 2,000 product keys gone from eu at \d+\.\d\ds$`, evidence)
		require.Equal(t, 0, count(t, n.Client(), "*product:*"))
		require.Equal(t, 100, count(t, n.Client(), "*price:*"))
		again, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Equal(t, evidence, again)
	})
}

// onEachPipeline is a hook that gets the commands of each pipeline, and may answer in Redis's
// place.
type onEachPipeline func(cmds []goredis.Cmder, send func() error) error

func (h onEachPipeline) DialHook(next goredis.DialHook) goredis.DialHook          { return next }
func (h onEachPipeline) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }
func (h onEachPipeline) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		return h(cmds, func() error { return next(ctx, cmds) })
	}
}

func arms(cmds []goredis.Cmder) bool { return strings.EqualFold(cmds[0].Name(), "pexpireat") }

func TestExpireWithoutEvidence(t *testing.T) {
	t.Run("no key matches", func(t *testing.T) {
		n := newMini(t)
		fill(t, n.client, "price:", 10, 0)
		in, err := Expire{Family: "product"}.Inject(within(t), site(n))
		require.NoError(t, err)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Empty(t, evidence)
	})
	for _, ttl := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprintf("Redis claims to arm and does not, TTL %s", ttl), func(t *testing.T) {
			n := newMini(t)
			fill(t, n.client, "product:", 100, ttl)
			// These end by themselves around the moment, which proves nothing.
			fill(t, n.client, "product:ending:", 200, expireLead+100*time.Millisecond)
			n.client.AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
				if !arms(cmds) {
					return send()
				}
				for _, c := range cmds {
					c.(*goredis.Cmd).SetVal(int64(1))
				}
				for i := range 5 { // a few are deleted by the cache, which proves nothing either
					n.m.Del(fmt.Sprintf("product:%d", i))
				}
				return nil
			}))
			in, err := Expire{Family: "product"}.Inject(within(t), site(n))
			require.NoError(t, err)
			evidence, err := in.Heal(within(t))
			require.NoError(t, err)
			require.Empty(t, evidence)
			require.Equal(t, 95, count(t, n.client, "product:[0-9]*"))
		})
	}
}

func TestExpireTellsRewrittenKeys(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "product:", 100, 30*time.Second)
		writer := adminClient(t, n.Client().Options().Addr)
		armed := 0
		n.Client().AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
			if !arms(cmds) {
				return send()
			}
			err := send()
			armed++
			switch armed {
			case 1: // written before the second pass: that arms them again
				fill(t, writer, "product:", 10, time.Minute)
			case 2: // written after it
				fill(t, writer, "product:", 5, 2*time.Minute)
			}
			return err
		}))
		in, err := Expire{Pattern: "product:*"}.Inject(ctx, site(n))
		require.NoError(t, err)
		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Regexp(t, `^95 of 100 keys matching "product:\*" gone from eu at .* \(5 were rewritten meanwhile\)$`, evidence)
		require.Equal(t, 2, armed)
		require.Equal(t, 5, count(t, n.Client(), "product:*"))
	})
}

func TestExpireNeverLengthensALife(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "product:", 20, time.Minute)
		// Between looking at the TTLs and arming, a key gets an end before the moment.
		writer := adminClient(t, n.Client().Options().Addr)
		n.Client().AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
			if !arms(cmds) {
				return send()
			}
			if err := writer.Set(ctx, "product:3", "v", 60*time.Millisecond).Err(); err != nil {
				return err
			}
			err := send()
			for _, c := range cmds {
				if c.Args()[1] == "product:3" {
					n, _ := c.(*goredis.Cmd).Int()
					require.Zero(t, n, "armed, and so longer-lived")
				}
			}
			return err
		}))
		in, err := Expire{Family: "product"}.Inject(ctx, site(n))
		require.NoError(t, err)
		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Contains(t, evidence, "19 of 19 product keys gone")
	})
}

func TestExpireInterruptedGivesKeysTheirExpiryBack(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		fill(t, n.Client(), "product:", 600, time.Minute)
		fill(t, n.Client(), "product:lasting:", 10, 0)
		writer := adminClient(t, n.Client().Options().Addr)
		drill, cancel := context.WithCancel(within(t))
		n.Client().AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
			err := send()
			if arms(cmds) && cmds[0].Args()[1] != "product:0" { // the second batch
				fill(t, writer, "product:", 1, time.Hour)
				cancel()
			}
			return err
		}))
		_, err := Expire{Family: "product"}.Inject(drill, site(n))
		require.ErrorIs(t, err, context.Canceled)
		for i := range 600 {
			ttl, err := writer.PTTL(within(t), fmt.Sprintf("product:%d", i)).Result()
			require.NoError(t, err)
			if i == 0 {
				require.Greater(t, ttl, 50*time.Minute, "written meanwhile: left alone")
				continue
			}
			require.InDelta(t, time.Minute, ttl, float64(20*time.Second), "product:%d", i)
		}
		for i := range 10 {
			ttl, err := writer.PTTL(within(t), fmt.Sprintf("product:lasting:%d", i)).Result()
			require.NoError(t, err)
			require.Equal(t, time.Duration(-1), ttl)
		}
	})
}

func TestExpireShare(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 1000, 0)
	f := Expire{Family: "product", Share: 0.25}
	in, err := f.Inject(within(t), site(n))
	require.NoError(t, err)
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	picked := 0
	for i := range 1000 {
		key := fmt.Sprintf("product:%d", i)
		if f.picks(key) {
			picked++
		}
		require.Equal(t, f.picks(key), !n.m.Exists(key), key)
	}
	require.InDelta(t, 250, picked, 60)
	require.Contains(t, evidence, fmt.Sprintf("%d of %d product keys gone", picked, picked))
}

func TestExpireShareGrowsByKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		a := rapid.Float64Range(0.001, 1).Draw(t, "a")
		b := rapid.Float64Range(a, 1).Draw(t, "b")
		if (Expire{Share: a}).picks(key) && !(Expire{Share: b}).picks(key) {
			t.Fatalf("%q is in %v and not in %v", key, a, b)
		}
		if !(Expire{Share: 1}).picks(key) || !(Expire{}).picks(key) {
			t.Fatalf("%q is not in all", key)
		}
	})
}

// Keys that are near their end expire with the others, and prove nothing.
func TestExpireTakesKeysNearTheirEndAlong(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		ctx, n := within(t), start(t)
		fill(t, n.Client(), "product:", 50, time.Minute)
		fill(t, n.Client(), "product:ending:", 20, 2*expireLead)
		armed := map[string]bool{}
		n.Client().AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
			if arms(cmds) {
				for _, c := range cmds {
					armed[c.Args()[1].(string)] = true
				}
			}
			return send()
		}))
		in, err := Expire{Family: "product"}.Inject(ctx, site(n))
		require.NoError(t, err)
		evidence, err := in.Heal(ctx)
		require.NoError(t, err)
		require.Contains(t, evidence, "50 of 50 product keys gone from eu at ")
		require.Contains(t, evidence, "(20 more were at their end anyway)")
		require.Len(t, armed, 70)
	})
}

func TestExpireInSomeRegions(t *testing.T) {
	eu, us, asia := newMini(t), newMini(t), newMini(t)
	s := site(eu)
	add(s, "us", us)
	add(s, "asia", asia)
	for _, n := range []*mini{eu, us, asia} {
		fill(t, n.client, "product:", 10, time.Minute)
	}
	in, err := Expire{Family: "product", Regions: []string{"eu", "us"}}.Inject(within(t), s)
	require.NoError(t, err)
	evidence, err := in.Heal(within(t))
	require.NoError(t, err)
	require.Contains(t, evidence, "20 of 20 product keys gone from eu, us at ")
	require.Equal(t, 10, count(t, asia.client, "*"))
}

// claims makes a Redis say that it armed keys, and arm none.
func claims(cmds []goredis.Cmder, send func() error) error {
	if !arms(cmds) {
		return send()
	}
	for _, c := range cmds {
		c.(*goredis.Cmd).SetVal(int64(1))
	}
	return nil
}

// refuses makes a Redis arm the first of every ten keys, and not find the others.
func refuses(cmds []goredis.Cmder, send func() error) error {
	err := send()
	if arms(cmds) {
		for i, c := range cmds {
			if i%10 > 0 {
				c.(*goredis.Cmd).SetVal(int64(0))
			}
		}
	}
	return err
}

func TestExpireMustBiteInEveryRegion(t *testing.T) {
	tests := map[string]struct {
		eu, us         int // product keys
		usTTL          time.Duration
		inEU, inUS     onEachPipeline
		evidencePrefix string
	}{
		"both":                          {eu: 10, us: 5, evidencePrefix: "15 of 15 product keys gone from eu, us at "},
		"one has no such key":           {eu: 10, evidencePrefix: "10 of 10 product keys gone from eu at "},
		"one arms nothing":              {eu: 100, us: 5, inUS: claims},
		"one has keys near their end":   {eu: 100, us: 5, usTTL: 2 * expireLead},
		"one arms a tenth of its keys":  {eu: 100, us: 50, inUS: refuses},
		"both arm a tenth of their own": {eu: 50, us: 50, inEU: refuses, inUS: refuses},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eu, us := newMini(t), newMini(t)
			s := site(eu)
			add(s, "us", us)
			fill(t, eu.client, "product:", c.eu, time.Minute)
			fill(t, us.client, "product:", c.us, c.usTTL)
			fill(t, us.client, "price:", 3, 0)
			for n, hook := range map[*mini]onEachPipeline{eu: c.inEU, us: c.inUS} {
				if hook != nil {
					n.client.AddHook(hook)
				}
			}
			in, err := Expire{Family: "product"}.Inject(within(t), s)
			require.NoError(t, err)
			evidence, err := in.Heal(within(t))
			require.NoError(t, err)
			if c.evidencePrefix == "" {
				require.Empty(t, evidence)
				return
			}
			require.Contains(t, evidence, c.evidencePrefix)
		})
	}
}

// A pass that runs out of time says so: what it left counts as alive and not reached.
func TestExpireCountsKeysThatItHadNoTimeFor(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 10, time.Minute)
	a := newExpiryBatch("eu", rediskeys.Of(n.client), "product:*", func(string) bool { return true })
	require.NoError(t, a.scan(within(t)))
	require.NoError(t, a.arm(within(t), time.Now()))
	require.Equal(t, 10, a.live())
	require.Empty(t, a.armed)
	require.NoError(t, a.arm(within(t), time.Now().Add(10*time.Second)), "another pass reaches them")
	require.Len(t, a.keyEnds, 10)
	require.Equal(t, 10, a.live(), "each is counted once")
}

func TestExpireShamTouchesNothing(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		fill(t, n.Client(), "product:", 100, time.Minute)
		n.Client().AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
			if arms(cmds) {
				t.Error("a sham armed keys")
			}
			return send()
		}))
		in, err := Sham(Expire{Family: "product"}).Inject(within(t), site(n))
		require.NoError(t, err)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.Regexp(t, `^sham of keys.expire\{family: product, share: 100%\}: 100 keys found in redis@eu and not touched, 100 of them still there$`, evidence)
		require.Equal(t, 100, count(t, n.Client(), "*"))
	})
}

func TestExpireHealReportsARedisThatWentAway(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 10, time.Minute)
	gone := errors.New("gone")
	n.client.AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
		if err := send(); err != nil || !arms(cmds) {
			return err
		}
		n.client.AddHook(onEachPipeline(func([]goredis.Cmder, func() error) error { return gone }))
		return nil
	}))
	in, err := Expire{Family: "product"}.Inject(within(t), site(n))
	if err == nil { // went away only for the look afterwards
		_, err = in.Heal(within(t))
	}
	require.ErrorIs(t, err, gone)
}

func TestExpireRefusesWhatItCantDo(t *testing.T) {
	n := newMini(t)
	for _, f := range []Expire{
		{}, {Family: "product", Pattern: "*"}, {Family: "product", Share: 1.5},
		{Family: "product", Regions: []string{"mars"}},
	} {
		_, err := f.Inject(within(t), site(n))
		require.Error(t, err, f.String())
	}
}

func TestExpirePicksPools(t *testing.T) {
	nodes := map[string]Server{"eu": nil, "eu/critical": nil, "us": nil, "us/critical": nil, "mars": nil}
	for _, c := range []struct {
		fault Expire
		want  []string
	}{
		{Expire{}, []string{"eu", "eu/critical", "mars", "us", "us/critical"}},
		{Expire{Regions: []string{"eu"}}, []string{"eu", "eu/critical"}},
		{Expire{Pool: "critical"}, []string{"eu/critical", "us/critical"}},
		{Expire{Pool: "critical", Regions: []string{"us"}}, []string{"us/critical"}},
	} {
		got, err := c.fault.redises(nodes)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.fault.String())
	}
	for _, f := range []Expire{{Pool: "nowhere"}, {Pool: "critical", Regions: []string{"us", "mars"}}, {Regions: []string{"venus"}}} {
		_, err := f.redises(nodes)
		require.ErrorContains(t, err, "offers no Redis", f.String())
	}
}

// A pool's Redis is restarted, and the region's own is the one that it was.
func TestRestartOfAPool(t *testing.T) {
	own, pool := newMini(t), newMini(t)
	site := Site{Servers: map[string]Server{"eu": own, "eu/critical": pool}}
	injected, err := Restart{Region: "eu", Pool: "critical", Down: time.Millisecond}.Inject(within(t), site)
	require.NoError(t, err)
	require.Contains(t, injected.Evidence, "redis@eu/critical refused connections")
	_, err = injected.Heal(within(t))
	require.NoError(t, err)
	require.Equal(t, 1, own.incarnation)
	require.Equal(t, 2, pool.incarnation)
}

// add adds a Redis to a site.
func add(s Site, name string, n redisNode) {
	s.Servers[name], s.Keys[name] = n, rediskeys.Of(n.Client())
}
