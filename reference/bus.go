package reference

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// busChannel is the Redis channel on which a region's workers hear of superseded versions. Its messages are numbered in
// epochs: both are kept in Redis, and a Redis that forgot them begins a new epoch.
const (
	busChannel = "cache:superseded"
	busEpoch   = "cache:epoch"
	busNumber  = "cache:number"
)

// busKept is for how long a quiet bus remembers its epoch.
const busKept = 30 * 24 * time.Hour

// The kinds of messages.
const (
	busEvent = "e" // "e epoch number family version[@commit] key": a version was superseded, which was committed when the source's clock showed that
	busBeat  = "b" // "b epoch number identity": nothing was published since that number, says the Redis of that identity
	busPurge = "p" // "p epoch number selection": copies must go, though nothing supersedes them
)

var (
	// supersedeScript makes what is older than a version unusable, and tells the workers, in one step: the message's
	// number can't be taken by another, and a worker that heard it finds Redis changed.
	// KEYS: entry, lease, epoch, number. ARGV: floor's header, or "" to delete whatever is there; its ttl in ms; channel,
	// or "" to tell nobody; the message after its number; an epoch in case there is none; how long that is kept, in ms.
	supersedeScript = store.NewScript(`
if ARGV[1] == '' then redis.call('DEL', KEYS[1])
else
  local head = redis.call('GETRANGE', KEYS[1], 0, 18)
  if not (#head == 19 and string.sub(head, 1, 2) == 'c2' and string.sub(head, 4, 19) >= string.sub(ARGV[1], 4, 19)) then
    redis.call('DEL', KEYS[2])
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  end
end
if ARGV[3] ~= '' then
  local epoch = redis.call('GET', KEYS[3])
  if not epoch then epoch = ARGV[5]; redis.call('DEL', KEYS[4]) end
  local number = (tonumber(redis.call('GET', KEYS[4])) or 0) + 1
  redis.call('SET', KEYS[3], epoch, 'PX', ARGV[6])
  redis.call('SET', KEYS[4], string.format('%d', number), 'PX', ARGV[6])
  redis.call('PUBLISH', ARGV[3], 'e ' .. epoch .. ' ' .. string.format('%d', number) .. ' ' .. ARGV[4])
end
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
		if args[0] == "" {
			tx.Delete(keys[0])
		} else if have, ok := tx.Get(keys[0]); !ok || !ours(have, headT0) || have[headVersion:headT0] < args[0][headVersion:headT0] {
			tx.Delete(keys[1])
			tx.Set(keys[0], args[0], milliseconds(args[1]))
		}
		if args[2] == "" {
			return done
		}
		epoch, number := busPosition(tx, keys[2], keys[3], args[4])
		tx.Set(keys[2], epoch, milliseconds(args[5]))
		tx.Set(keys[3], strconv.FormatUint(number+1, 10), milliseconds(args[5]))
		tx.Publish(args[2], fmt.Sprintf("%s %s %d %s", busEvent, epoch, number+1, args[3]))
		return done
	})

	// beatScript tells the workers the number of the last message.
	// KEYS: epoch, number. ARGV: channel; an epoch in case there is none; how long that is kept, in ms; identity.
	beatScript = store.NewScript(`
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[2]; redis.call('DEL', KEYS[2]); redis.call('SET', KEYS[1], epoch, 'PX', ARGV[3]) end
redis.call('PUBLISH', ARGV[1], 'b ' .. epoch .. ' ' .. (redis.call('GET', KEYS[2]) or '0') .. ' ' .. ARGV[4])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
		epoch, number := busPosition(tx, keys[0], keys[1], args[1])
		if _, ok := tx.Get(keys[0]); !ok {
			tx.Set(keys[0], epoch, milliseconds(args[2]))
		}
		tx.Publish(args[0], fmt.Sprintf("%s %s %d %s", busBeat, epoch, number, args[3]))
		return done
	})
)

func busPosition(tx *store.Tx, epochKey, numberKey, fresh string) (epoch string, number uint64) {
	epoch, ok := tx.Get(epochKey)
	if !ok {
		tx.Delete(numberKey)
		return fresh, 0
	}
	text, _ := tx.Get(numberKey)
	number, _ = strconv.ParseUint(text, 10, 64) // only the scripts write it
	return epoch, number
}

// busMessage is one message of the bus.
type busMessage struct {
	kind     string
	epoch    string
	number   uint64
	identity string // of a beat
	purge    string // of a purge: the selection
	family   string // of an event
	version  uint64
	at       int64 // likewise: the source's clock at the commit; 0: not told
	key      string
}

func parseBusMessage(s string) (m busMessage, ok bool) {
	parts := strings.SplitN(s, " ", 6)
	if len(parts) < 4 {
		return m, false
	}
	m.kind, m.epoch = parts[0], parts[1]
	var err error
	if m.number, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return m, false
	}
	switch {
	case m.kind == busBeat:
		m.identity = parts[3]
		return m, true
	case m.kind == busPurge:
		m.purge = parts[3]
		return m, true
	case m.kind == busEvent && len(parts) == 6:
		m.family, m.key = parts[3], parts[5]
		version, at, told := strings.Cut(parts[4], "@")
		m.version, err = strconv.ParseUint(version, 10, 64)
		if err == nil && told {
			m.at, err = strconv.ParseInt(at, 10, 64)
		}
		return m, err == nil
	}
	return m, false
}

// busEar is what a worker has heard so far. Messages come one after the other.
type busEar struct {
	epoch    string
	number   uint64
	identity string
}

// missed takes in a message, and says whether some may have been lost before it: after the loss of a connection, of Redis's
// memory, or of Redis itself.
func (e *busEar) missed(m busMessage) bool {
	expected := e.number
	if m.kind != busBeat {
		expected++
	}
	lost := m.epoch != e.epoch || m.number != expected
	if m.kind == busBeat {
		lost = lost || m.identity != e.identity
		e.identity = m.identity
	}
	e.epoch, e.number = m.epoch, m.number
	return lost
}

// listenAgain is the time between two attempts to begin listening.
const listenAgain = 50 * time.Millisecond

// listen drops the worker's copies as the bus tells of newer versions. Messages are lost while the
// connection is: then the copies that the worker has are in doubt. A Redis that is away at first is listened to when it
// comes.
func (c *Cache) listen(ctx context.Context) {
	sub, err := c.cfg.Shared.Subscribe(ctx, busChannel)
	c.running.Go(func() {
		for err != nil {
			if sleep(c.life, listenAgain) != nil {
				return
			}
			sub, err = c.cfg.Shared.Subscribe(c.life, busChannel)
		}
		defer sub.Close()
		var ear busEar
		for {
			select {
			case s, ok := <-sub.Messages():
				if !ok {
					return
				}
				c.heard(&ear, s)
			case <-c.life.Done():
				return
			}
		}
	})
}

func (c *Cache) heard(ear *busEar, message string) {
	m, ok := parseBusMessage(message)
	if !ok {
		return
	}
	first := ear.epoch == ""
	if ear.missed(m) {
		if !first {
			c.watch.Gap()
		}
		if c.policy.Controls.Has(policy.GapDetection) {
			c.l1.doubt()
		}
	}
	if m.kind == busPurge {
		c.purge(m.purge)
	}
	if m.kind != busEvent {
		return
	}
	f, known := c.families[m.family]
	if !known {
		return
	}
	c.drop(m.key, f.Family, m.version)
	c.sawInvalidation(f.Schema.Family, m.at)
	if c.cfg.OnInvalidated != nil && c.policy.Controls.Has(policy.L1) {
		c.cfg.OnInvalidated(Invalidated{m.key, m.version})
	}
}

// Invalidator carries commits into a region's caches: Redis first, then the workers' memory, so that
// no worker refills its memory from a copy that Redis is about to drop.
type Invalidator struct {
	policy   policy.Policy
	families map[string]Family
	stores   map[string]store.Store // by pool
}

// NewInvalidator makes the invalidator of the region that the store belongs to, where no family has another pool. The policy and
// the families are those of its workers.
func NewInvalidator(p policy.Policy, families []Family, shared store.Store) *Invalidator {
	v := &Invalidator{policy: p, families: map[string]Family{}, stores: map[string]store.Store{}}
	if shared != nil {
		v.stores[""] = shared
	}
	for _, f := range families {
		v.families[f.Schema.Family] = f
	}
	return v
}

// NewPoolsInvalidator makes the invalidator of a region whose families have the given pools. It fails with [ErrPool] where a
// family's is not among them.
func NewPoolsInvalidator(p policy.Policy, families []Family, shared store.Store, at map[string]Pool) (*Invalidator, error) {
	v := NewInvalidator(p, families, shared)
	for _, f := range families {
		s, err := Config{Shared: shared, Pools: at}.store(f)
		if err != nil {
			return nil, err
		}
		v.stores[f.Pool] = s
	}
	return v, nil
}

// Pool is the pool of a family. What goes to one pool must not wait for what goes to another, which may be away.
func (v *Invalidator) Pool(family string) string { return v.families[family].Pool }

// Apply tells the region that version of n was committed, when the source's clock showed at: what a relay delivers
// (invalidation.Config.Deliver). It may be called again for the same version, and in any order. An error means that Redis may not have
// heard of it, and that it should be called again. Of names that the families make no key of, nothing can be cached, and nothing is told.
func (v *Invalidator) Apply(ctx context.Context, n key.Name, version uint64, at int64) error {
	f, ok := v.families[n.Family]
	if !ok || !v.policy.Controls.Has(policy.Bus) {
		return nil
	}
	k, err := f.Schema.Build(n)
	if err != nil {
		return nil // the log outlives schemas: what has no key by this one was never cached under it
	}
	shared, ok := v.stores[f.Pool]
	if !ok {
		return fmt.Errorf("invalidating %s: %w: %q", k, ErrPool, f.Pool)
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	channel := ""
	if v.policy.Controls.Has(policy.L1) {
		channel = shared.Channel(busChannel)
	}
	_, err = shared.Run(ctx, supersedeScript, []string{k, leaseKey(k), busEpoch, busNumber}, floor(v.policy, f.Contract, version, at),
		millis(v.policy.Keep(f.Contract)), channel, fmt.Sprintf("%s %d@%d %s", f.Schema.Family, version, at, k), newToken(), millis(busKept))
	if err != nil {
		return fmt.Errorf("telling that %s was superseded: %w", k, err)
	}
	return nil
}

// floor is the header by which the scripts make everything older unusable; "" where versions are not looked at.
func floor(p policy.Policy, f policy.Family, version uint64, now int64) string {
	if !p.Controls.Has(policy.VersionedStore) {
		return ""
	}
	return string(encode(p, entry{meta: p.FloorFor(f, version, now)}))
}

// HeartbeatInterval is the time between two beats of the bus: about as long as a lost message goes unnoticed.
const HeartbeatInterval = 100 * time.Millisecond

// Heartbeat keeps telling the workers how many messages there were, until ctx ends, so that they notice when they missed the
// last one. One process of a region is enough; more do no harm. Without any, a lost message is noticed at the next one. Each pool
// has a beat of its own.
func (v *Invalidator) Heartbeat(ctx context.Context) {
	if !v.policy.Controls.Has(policy.GapDetection | policy.Bus | policy.L1) {
		return
	}
	var all sync.WaitGroup
	for _, s := range v.stores {
		all.Go(func() { keepBeating(ctx, s) })
	}
	all.Wait()
}

func keepBeating(ctx context.Context, s store.Store) {
	tick := time.NewTicker(HeartbeatInterval)
	defer tick.Stop()
	for {
		beat(ctx, s)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat tells once. What fails is told at the next beat.
func beat(ctx context.Context, s store.Store) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	id, err := s.Identity(ctx)
	if err != nil {
		return
	}
	_, _ = s.Run(ctx, beatScript, []string{busEpoch, busNumber}, s.Channel(busChannel), newToken(), millis(busKept), id)
}
