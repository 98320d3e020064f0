package l2

import (
	"github.com/cachedrill/cachedrill/reference/internal/bus"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/store"
)

// The scripts compare the version digits of the header as text, so no precision is lost in Lua's
// numbers. Their rule is [policy.Policy.Supersedes].
var (
	// StoreScript puts an entry where nothing newer is, and only while the lease is still the
	// caller's: an invalidation deletes the lease, and so voids fills that began before it.
	// KEYS: entry, lease. ARGV: header and value, ttl in ms, lease token ("" = unconditional).
	StoreScript = store.NewScript(`
if ARGV[3] ~= '' then
  if redis.call('GET', KEYS[2]) ~= ARGV[3] then return {'0'} end
  redis.call('DEL', KEYS[2])
end
local head = redis.call('GETRANGE', KEYS[1], 0, 34)
if #head == 35 and string.sub(head, 1, 2) == 'c2' then
  local have, new = string.sub(head, 4, 19), string.sub(ARGV[1], 4, 19)
  if have > new then return {'0'} end
  if have == new and string.sub(head, 3, 3) ~= 'F' and string.sub(head, 20, 35) > string.sub(ARGV[1], 20, 35) then return {'0'} end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
		if args[2] != "" {
			if have, ok := tx.Get(keys[1]); !ok || have != args[2] {
				return script.Refused
			}
			tx.Delete(keys[1])
		}
		if have, ok := tx.Get(keys[0]); ok && entry.Ours(have, entry.HeadFresh) {
			older := have[entry.HeadVersion:entry.HeadT0] > args[0][entry.HeadVersion:entry.HeadT0]
			same := have[entry.HeadVersion:entry.HeadT0] == args[0][entry.HeadVersion:entry.HeadT0]
			if older || same && have[2] != entry.KindFloor && have[entry.HeadT0:entry.HeadFresh] > args[0][entry.HeadT0:entry.HeadFresh] {
				return script.Refused
			}
		}
		tx.Set(keys[0], args[0], script.ParseMillis(args[1]))
		return script.Done
	})

	// LeaseScript answers with the entry when there is a copy by now, else with the right to load
	// it. A caller that has seen a copy which is to be replaced gives its header: when another is
	// there by now, it has been replaced already.
	// KEYS: entry, lease. ARGV: token, lease ttl in ms, the header seen, "renew" (whatever is
	// there) or "" (nothing seen).
	// Returns {'V', entry}, {'L'} or {'W'}.
	LeaseScript = store.NewScript(`
local have = redis.call('GET', KEYS[1])
if have and #have > 0 and ARGV[3] ~= 'renew' and string.sub(have, 3, 3) ~= 'F' and string.sub(have, 1, 99) ~= ARGV[3] then return {'V', have} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'L'} end
return {'W'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && have != "" && args[2] != AnyCopy && (len(have) < 3 || have[2] != entry.KindFloor) &&
			have[:min(len(have), entry.HeadCoding)] != args[2] {
			return []string{"V", have}
		}
		if _, taken := tx.Get(keys[1]); taken {
			return []string{"W"}
		}
		tx.Set(keys[1], args[0], script.ParseMillis(args[1]))
		return []string{"L"}
	})

	// ReleaseScript gives a lease back that was not used, if it is still the caller's.
	ReleaseScript = store.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) return {'1'} end
return {'0'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && have == args[0] {
			tx.Delete(keys[0])
			return script.Done
		}
		return script.Refused
	})

	// SupersedeScript makes what is older than a version unusable, and publishes that, in one step:
	// the message's number can't be taken by another, and a worker that heard it finds Redis
	// changed.
	// KEYS: entry, lease, epoch, number. ARGV: floor's header, or "" to delete whatever is there;
	// its ttl in ms; channel, or "" to publish nothing; the message after its number; an epoch in
	// case there is none; how long that is kept, in ms.
	SupersedeScript = store.NewScript(`
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
		} else if have, ok := tx.Get(keys[0]); !ok || !entry.Ours(have, entry.HeadT0) || have[entry.HeadVersion:entry.HeadT0] < args[0][entry.HeadVersion:entry.HeadT0] {
			tx.Delete(keys[1])
			tx.Set(keys[0], args[0], script.ParseMillis(args[1]))
		}
		if args[2] == "" {
			return script.Done
		}
		bus.Publish(tx, bus.Event, bus.Publication{EpochKey: keys[2], NumberKey: keys[3], Channel: args[2], Body: args[3], Fresh: args[4],
			Kept: script.ParseMillis(args[5])})
		return script.Done
	})
)

// AnyCopy asks the lease script for the right to replace whatever is there.
const AnyCopy = "renew"
