package reference

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// The scripts compare the version digits of the header as text, so no precision is lost in Lua's
// numbers. Their rule is [policy.Policy.Supersedes].
var (
	// storeScript puts an entry where nothing newer is, and only while the lease is still the
	// caller's: an invalidation deletes the lease, and so voids fills that began before it.
	// KEYS: entry, lease. ARGV: header and value, ttl in ms, lease token ("" = unconditional).
	storeScript = redis.NewScript(`
if ARGV[3] ~= '' then
  if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
  redis.call('DEL', KEYS[2])
end
local head = redis.call('GETRANGE', KEYS[1], 0, 34)
if #head == 35 and string.sub(head, 1, 2) == 'c1' then
  local have, new = string.sub(head, 4, 19), string.sub(ARGV[1], 4, 19)
  if have > new then return 0 end
  if have == new and string.sub(head, 3, 3) ~= 'F' and string.sub(head, 20, 35) > string.sub(ARGV[1], 20, 35) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	// leaseScript answers with the entry when there is a value by now, else with the right to load it.
	// KEYS: entry, lease. ARGV: token, lease ttl in ms, "renew" or "". Returns {'V', entry}, {'L'} or {'W'}.
	leaseScript = redis.NewScript(`
local have = redis.call('GET', KEYS[1])
if have and #have > 0 and ARGV[3] == '' and string.sub(have, 3, 3) ~= 'F' then return {'V', have} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'L'} end
return {'W'}`)

	// invalidateScript leaves a floor where nothing as new is, and voids the lease of a fill under way.
	// KEYS: entry, lease. ARGV: floor's header, ttl in ms.
	invalidateScript = redis.NewScript(`
redis.call('DEL', KEYS[2])
local head = redis.call('GETRANGE', KEYS[1], 0, 18)
if #head == 19 and string.sub(head, 1, 2) == 'c1' and string.sub(head, 4, 19) >= string.sub(ARGV[1], 4, 19) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	// releaseScript gives a lease back that was not used, if it is still the caller's.
	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

// l2 is the shared cache of a region.
type l2 struct {
	client *redis.Client
	policy policy.Policy
}

// invalidate makes everything older than version unusable in the region's Redis.
func (s l2) invalidate(ctx context.Context, k string, f policy.Family, version uint64, now int64) error {
	var err error
	if s.policy.Controls.Has(policy.VersionedStore) {
		floor := encode(entry{meta: s.policy.FloorFor(f, version, now)})
		err = invalidateScript.Run(ctx, s.client, []string{k, leaseKey(k)}, floor, f.TTL.Milliseconds()).Err()
	} else {
		err = s.client.Del(ctx, k).Err()
	}
	if err != nil {
		return fmt.Errorf("invalidating %s in redis: %w", k, err)
	}
	return nil
}

func leaseKey(k string) string { return "lease:" + k }

func newToken() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// get reads an entry; ok is false when there is none. What is there and no entry of ours reads as an entry that
// is good for nothing.
func (s l2) get(ctx context.Context, k string) (e entry, ok bool, err error) {
	raw, err := s.client.Get(ctx, k).Bytes()
	if errors.Is(err, redis.Nil) {
		return entry{}, false, nil
	}
	if err != nil {
		return entry{}, false, fmt.Errorf("reading %s from redis: %w", k, err)
	}
	e, err = decode(raw)
	if err != nil {
		return entry{}, true, nil // somebody else's or damaged: there, but can't be served, so that it is renewed
	}
	return e, true, nil
}

// lease asks for the right to load k. It answers with a token, or an entry that is there by now, or
// neither: somebody else is loading. renew asks although an entry is there, to replace it. With an error
// the token may have been granted all the same, and must be released.
func (s l2) lease(ctx context.Context, k string, ttl time.Duration, renew bool) (token string, e entry, err error) {
	token = newToken()
	flag := ""
	if renew {
		flag = "renew"
	}
	res, err := leaseScript.Run(ctx, s.client, []string{k, leaseKey(k)}, token, ttl.Milliseconds(), flag).Slice()
	if err != nil {
		return token, entry{}, fmt.Errorf("leasing %s: %w", k, err)
	}
	if len(res) == 0 {
		return "", entry{}, fmt.Errorf("leasing %s: empty answer", k)
	}
	switch res[0] {
	case "L":
		return token, entry{}, nil
	case "V":
		if raw, ok := res[1].(string); ok {
			if e, err := decode([]byte(raw)); err == nil {
				return "", e, nil
			}
		}
	}
	return "", entry{}, nil
}

func (s l2) release(ctx context.Context, k, token string) error {
	return releaseScript.Run(ctx, s.client, []string{leaseKey(k)}, token).Err()
}

// store puts an entry for the rest of its life, at source time now. settled says that the lease has ended with it.
func (s l2) store(ctx context.Context, k string, e entry, now int64, token string) (settled bool, err error) {
	ttl := time.Duration(e.meta.DropAt - now).Milliseconds()
	if ttl <= 0 {
		return false, nil
	}
	if s.policy.Controls.Has(policy.VersionedStore) {
		err = storeScript.Run(ctx, s.client, []string{k, leaseKey(k)}, encode(e), ttl, token).Err()
		settled = err == nil
	} else {
		err = s.client.Set(ctx, k, encode(e), time.Duration(ttl)*time.Millisecond).Err()
	}
	if err != nil {
		return false, fmt.Errorf("storing %s in redis: %w", k, err)
	}
	return settled, nil
}
