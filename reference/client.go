package reference

import (
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// NewClient connects to a region's Redis as the policy wants it: with the redis-deadline control a
// Redis that does not answer is given up after milliseconds and not asked again; without it the
// client's own defaults hold, which wait for seconds and retry.
func NewClient(addr string, p policy.Policy) *redis.Client {
	o := &redis.Options{
		Addr:                     addr,
		PoolSize:                 64,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if p.Controls.Has(policy.RedisDeadline) {
		o.ContextTimeoutEnabled = true
		o.DialTimeout = redisTimeout
		o.ReadTimeout = redisTimeout
		o.WriteTimeout = redisTimeout
		o.PoolTimeout = redisTimeout
		o.MaxRetries = -1
		o.DialerRetries = 1
	}
	return redis.NewClient(o)
}
