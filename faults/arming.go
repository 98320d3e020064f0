package faults

import (
	"context"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// arming is the keys of one Redis that are to expire at one moment.
type arming struct {
	region string
	rdb    *goredis.Client
	at     *redisAt
	glob   string
	picks  func(key string) bool
	sham   bool   // find and look, and arm nothing
	entry  *entry // of the undo journal

	found []string      // by the last scan
	ahead time.Duration // of the server's clock against ours

	// own holds when a key would have expired by itself, on our clock; the zero time: never. It is
	// written before the key is touched, to undo from.
	own map[string]time.Time
	// armed are the keys that were armed and would have outlived the moment by so much that their end
	// proves something; ending are the others.
	armed, ending map[string]bool
	// late are keys that a pass found and had no time left to look at.
	late map[string]bool

	gone, rewritten, survived int64
}

const (
	scanCount = 1000 // keys a SCAN looks at before it answers: about 0.1 ms of the server's time
	batch     = 500  // keys in a pipeline
	// ttlSlack is how exactly a TTL tells a moment: a Redis may age TTLs in steps, and on a busy machine
	// those come late.
	ttlSlack = 250 * time.Millisecond
)

// scan finds the keys.
func (a *arming) scan(ctx context.Context) error {
	a.found = a.found[:0]
	if err := scanKeys(ctx, a.rdb, a.glob, func(keys []string) error {
		for _, k := range keys {
			if a.picks(k) {
				a.found = append(a.found, k)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	slices.Sort(a.found) // a SCAN may give a key more than once
	a.found = slices.Compact(a.found)
	return nil
}

func (a *arming) readClock(ctx context.Context) error {
	sent := time.Now()
	server, err := a.rdb.Time(ctx).Result()
	if err != nil {
		return err
	}
	a.ahead = server.Sub(sent.Add(time.Since(sent) / 2))
	return nil
}

// arm lets the found keys expire at the moment, except those that expire before it anyway.
func (a *arming) arm(ctx context.Context, moment time.Time) error {
	at := moment.Add(a.ahead).UnixMilli()
	for first := 0; first < len(a.found); first += batch {
		keys := a.found[first:min(first+batch, len(a.found))]
		ttls, err := a.ttls(ctx, keys)
		if err != nil {
			return err
		}
		now := time.Now()
		if moment.Sub(now) < expireLast {
			a.tooLate(a.found[first:])
			return nil
		}
		var lasting, ending []string
		for i, k := range keys {
			end, there := expiry(ttls[i].Val(), now)
			_, before := a.own[k]
			switch {
			case !there, !end.IsZero() && end.Before(moment):
				continue // gone before anyway
			case end.IsZero() || end.After(moment.Add(expireSettle+ttlSlack)):
				lasting = append(lasting, k)
			case before:
				continue // armed already
			default:
				ending = append(ending, k)
			}
			a.own[k] = end
		}
		if err := a.journal(at, lasting, ending); err != nil {
			return err
		}
		if time.Until(moment) < expireLast { // a disk may take its time
			a.tooLate(a.found[first:])
			return nil
		}
		if err := a.set(ctx, lasting, at, a.armed); err != nil {
			return err
		}
		if err := a.set(ctx, ending, at, a.ending); err != nil {
			return err
		}
		for _, k := range lasting { // written again since it was ending
			delete(a.ending, k)
		}
	}
	return nil
}

func (a *arming) tooLate(keys []string) {
	for _, k := range keys {
		a.late[k] = true
	}
}

// journal notes, before they are touched, what to undo of keys that are about to be armed.
func (a *arming) journal(at int64, some ...[]string) error {
	u := undo{Kind: undoArmed, Redis: a.at, Armed: at}
	for _, keys := range some {
		for _, k := range keys {
			u.Keys, u.Own = append(u.Keys, []byte(k)), append(u.Own, a.ownMillis(k))
		}
	}
	if len(u.Keys) == 0 {
		return nil
	}
	return a.entry.note(u)
}

// ownMillis is when a key would have expired by itself, in Unix ms on the server's clock; 0 = never.
func (a *arming) ownMillis(key string) int64 {
	if end := a.own[key]; !end.IsZero() {
		return end.Add(a.ahead).UnixMilli()
	}
	return 0
}

// set arms keys, unless one has got an earlier end meanwhile, and notes which. A sham only notes them.
func (a *arming) set(ctx context.Context, keys []string, at int64, note map[string]bool) error {
	if a.sham {
		for _, k := range keys {
			note[k] = true
		}
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	sets := make([]*goredis.Cmd, len(keys))
	if _, err := a.rdb.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, k := range keys {
			sets[i] = p.Do(ctx, "PEXPIREAT", k, at, "LT")
		}
		return nil
	}); err != nil {
		return err
	}
	for i, k := range keys {
		if n, err := sets[i].Int(); err == nil && n == 1 {
			note[k] = true
		}
	}
	return nil
}

// live is how many keys were found that, as far as a pass could tell, would have lived until the moment.
func (a *arming) live() int {
	n := len(a.own)
	for k := range a.late {
		if _, looked := a.own[k]; !looked {
			n++
		}
	}
	return n
}

// bit says whether the fault is proven here: most of the armed keys that could prove something are
// gone, and at least half of the live keys expired with the others, rather than a few that were reached.
func (a *arming) bit() bool {
	return a.gone > 0 && a.gone > a.survived && 2*(len(a.armed)+len(a.ending)) >= a.live()
}

func (a *arming) ttls(ctx context.Context, keys []string) ([]*goredis.DurationCmd, error) {
	out := make([]*goredis.DurationCmd, len(keys))
	_, err := a.rdb.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, k := range keys {
			out[i] = p.PTTL(ctx, k)
		}
		return nil
	})
	return out, err
}

// expiry reads a PTTL that came in at now: when the key expires (the zero time: never), and whether there
// is a key at all.
func expiry(ttl time.Duration, now time.Time) (at time.Time, there bool) {
	switch ttl {
	case -2:
		return time.Time{}, false
	case -1:
		return time.Time{}, true
	}
	return now.Add(ttl), true
}

// verify counts what became of the armed keys. It looks again at those that are about to expire, until
// the Redis has had time enough.
func (a *arming) verify(ctx context.Context, moment time.Time) error {
	left := sortedKeys(a.armed)
	for {
		patient := time.Now().Before(moment.Add(expireSettle))
		var again []string
		for keys := range slices.Chunk(left, batch) {
			pending, err := a.look(ctx, keys, moment, patient)
			if err != nil {
				return err
			}
			again = append(again, pending...)
		}
		if len(again) == 0 {
			return nil
		}
		left = again
		if err := wait(ctx, time.Now().Add(5*time.Millisecond)); err != nil {
			return err
		}
	}
}

// look counts keys as gone, rewritten or survived; with patience, those that may still expire are not
// counted but returned.
func (a *arming) look(ctx context.Context, keys []string, moment time.Time, patient bool) (pending []string, err error) {
	ttls, err := a.ttls(ctx, keys)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for i, k := range keys {
		end, there := expiry(ttls[i].Val(), now)
		natural := a.own[k]
		switch {
		case !there:
			a.gone++
		case !end.IsZero() && end.Before(moment.Add(ttlSlack)):
			// Armed, and not expired yet.
			if patient {
				pending = append(pending, k)
			} else {
				a.survived++
			}
		case end.IsZero() == natural.IsZero() && end.Sub(natural).Abs() < ttlSlack:
			a.survived++ // as if it had never been armed
		default:
			a.rewritten++
		}
	}
	return pending, nil
}

// disarmScript gives keys their own expiry back, where they still have the one that they were armed with.
// KEYS; ARGV[1] is the armed moment, ARGV[2] how exact that is, then for each key its own expiry (0 = none),
// in Unix ms on the server's clock.
// A key that was written again has another expiry, and is left alone.
var disarmScript = goredis.NewScript(`
local n = 0
for i, k in ipairs(KEYS) do
  local at = redis.call('PEXPIRETIME', k)
  if at > 0 and math.abs(at - tonumber(ARGV[1])) <= tonumber(ARGV[2]) then
    if ARGV[i+2] == '0' then redis.call('PERSIST', k) else redis.call('PEXPIREAT', k, ARGV[i+2]) end
    n = n + 1
  end
end
return n`)

// disarm undoes arm. Not after the moment: what is gone then stays gone.
func (a *arming) disarm(ctx context.Context, moment time.Time) error {
	if a.sham {
		return nil
	}
	for part := range slices.Chunk(sortedKeys(a.own), batch) {
		own := make([]int64, len(part))
		for i, k := range part {
			own[i] = a.ownMillis(k)
		}
		if _, err := disarm(ctx, a.rdb, moment.Add(a.ahead).UnixMilli(), part, own); err != nil {
			return fmt.Errorf("giving the keys their own expiry back: %w", err)
		}
	}
	return nil
}

// disarm gives keys that were armed with a moment, and still are, their own expiry back, and says how many
// those were. All is in Unix ms on the server's clock; an expiry of 0 is none.
func disarm(ctx context.Context, rdb *goredis.Client, armed int64, keys []string, own []int64) (int64, error) {
	argv := []any{armed, ttlSlack.Milliseconds()}
	for _, o := range own {
		argv = append(argv, o)
	}
	return disarmScript.Run(ctx, rdb, keys, argv...).Int64()
}
