package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisPatience is how long Redis may take: far less than a client's patience.
const redisPatience = 200 * time.Millisecond

// cache keeps products in Redis, each under one key: <version>|<title>.
//
// It is right because of one rule: what lies there is never replaced by what is older. A reader
// stores what it has loaded, and a writer what it has written, both only over a lower version; and
// the database numbers the versions. So a slow reader does no harm, and a writer needs no deletion,
// after which a slow reader could.
type cache struct {
	redis  *redis.Client
	db     *database
	ttl    time.Duration
	forget bool // store without a look at the version

	mu      sync.Mutex
	loads   map[string]*load
	owed    map[string]product // what was written, and Redis has not heard of
	paying  bool
	away    time.Time // Redis is not asked before
	failing int
}

// load is one question to the database, for all who want the answer.
type load struct {
	done chan struct{}
	p    product
	err  error
}

// store puts a version where no newer one is.
var store = redis.NewScript(`
local known = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)|') or '0')
if known > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. ARGV[2], 'PX', ARGV[3])
return 1`)

func (c *cache) get(ctx context.Context, key string) (product, string, error) {
	if c.usable(ctx) {
		text, err := c.redis.Get(ctx, "goshop:"+key).Result()
		c.heard(err)
		if p, ok := parse(text); err == nil && ok {
			return p, "HIT", nil
		}
	}
	p, err := c.load(ctx, key)
	return p, "MISS", err
}

func parse(text string) (product, bool) {
	version, title, ok := strings.Cut(text, "|")
	v, err := strconv.ParseUint(version, 10, 64)
	return product{title, v}, ok && err == nil
}

// load asks the database once for all who want the row now. Who joins may get what was true when
// the load began.
func (c *cache) load(ctx context.Context, key string) (product, error) {
	c.mu.Lock()
	l, joined := c.loads[key]
	if !joined {
		l = &load{done: make(chan struct{})}
		c.loads[key] = l
	}
	c.mu.Unlock()
	if joined {
		<-l.done
		return l.p, l.err
	}
	ctx = context.WithoutCancel(ctx) // others may have joined
	if l.p, l.err = c.db.read(ctx, key); l.err == nil && l.p.Version > 0 {
		if c.usable(ctx) {
			_ = c.keep(ctx, key, l.p) // the next reader loads again
		}
	}
	c.mu.Lock()
	delete(c.loads, key)
	c.mu.Unlock()
	close(l.done)
	return l.p, l.err
}

func (c *cache) put(ctx context.Context, key, title string) error {
	p, err := c.db.write(ctx, key, title)
	if err != nil {
		return err
	}
	if c.usable(ctx) && c.tell(ctx, key, p) == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed[key].Version < p.Version {
		c.owed[key] = p
	}
	return nil
}

// tell lets Redis know what was written.
func (c *cache) tell(ctx context.Context, key string, p product) error {
	if !c.forget {
		return c.keep(ctx, key, p)
	}
	// As most do: away with the copy. A load under way puts the old one back.
	err := c.redis.Del(ctx, "goshop:"+key).Err()
	c.heard(err)
	return err
}

// keep stores a copy. Lives are spread, or what was stored together expires together.
func (c *cache) keep(ctx context.Context, key string, p product) error {
	ttl := c.ttl + rand.N(c.ttl/4)
	var err error
	if c.forget {
		err = c.redis.Set(ctx, "goshop:"+key, fmt.Sprintf("%d|%s", p.Version, p.Title), ttl).Err()
	} else {
		err = store.Run(ctx, c.redis, []string{"goshop:" + key}, p.Version, p.Title, ttl.Milliseconds()).Err()
	}
	c.heard(err)
	return err
}

const (
	failures = 3
	pause    = 500 * time.Millisecond
)

// heard takes in how Redis answered: after some failures it is left alone for a while, and the
// database asked at once.
func (c *cache) heard(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || err == redis.Nil {
		c.failing = 0
		return
	}
	if c.failing++; c.failing >= failures {
		c.away = time.Now().Add(pause)
	}
}

// usable says whether Redis may be asked. Writes that it missed are applied first: until then its
// copies are old.
func (c *cache) usable(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paying || time.Now().Before(c.away) {
		return false
	}
	for len(c.owed) > 0 { // one pays, the others pass by
		owed := maps.Clone(c.owed)
		c.paying = true
		c.mu.Unlock()
		err := c.pay(ctx, owed)
		c.mu.Lock()
		c.paying = false
		if err != nil {
			c.away = time.Now().Add(pause)
			return false
		}
		maps.DeleteFunc(c.owed, func(k string, p product) bool { return owed[k] == p })
	}
	return true
}

// pay tells Redis of writes.
func (c *cache) pay(ctx context.Context, owed map[string]product) error {
	for k, p := range owed {
		if err := c.tell(ctx, k, p); err != nil {
			return err
		}
	}
	return nil
}
