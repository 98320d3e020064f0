package reference

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

// The scripts compare the version digits of the header as text, so no precision is lost in Lua's
// numbers. Their rule is [policy.Policy.Supersedes].
var (
	// storeScript puts an entry where nothing newer is, and only while the lease is still the
	// caller's: an invalidation deletes the lease, and so voids fills that began before it.
	// KEYS: entry, lease. ARGV: header and value, ttl in ms, lease token ("" = unconditional).
	storeScript = store.NewScript(`
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
				return refused
			}
			tx.Delete(keys[1])
		}
		if have, ok := tx.Get(keys[0]); ok && ours(have, headFresh) {
			older := have[headVersion:headT0] > args[0][headVersion:headT0]
			same := have[headVersion:headT0] == args[0][headVersion:headT0]
			if older || same && have[2] != kindFloor && have[headT0:headFresh] > args[0][headT0:headFresh] {
				return refused
			}
		}
		tx.Set(keys[0], args[0], milliseconds(args[1]))
		return done
	})

	// leaseScript answers with the entry when there is a copy by now, else with the right to load it. Who has seen a copy that
	// is to be replaced gives its header: when another is there by now, somebody has replaced it already.
	// KEYS: entry, lease. ARGV: token, lease ttl in ms, the header seen, "renew" (whatever is there) or "" (nothing seen).
	// Returns {'V', entry}, {'L'} or {'W'}.
	leaseScript = store.NewScript(`
local have = redis.call('GET', KEYS[1])
if have and #have > 0 and ARGV[3] ~= 'renew' and string.sub(have, 3, 3) ~= 'F' and string.sub(have, 1, 99) ~= ARGV[3] then return {'V', have} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'L'} end
return {'W'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && have != "" && args[2] != anyCopy && (len(have) < 3 || have[2] != kindFloor) &&
			have[:min(len(have), headCoding)] != args[2] {
			return []string{"V", have}
		}
		if _, taken := tx.Get(keys[1]); taken {
			return []string{"W"}
		}
		tx.Set(keys[1], args[0], milliseconds(args[1]))
		return []string{"L"}
	})

	// releaseScript gives a lease back that was not used, if it is still the caller's.
	releaseScript = store.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) return {'1'} end
return {'0'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && have == args[0] {
			tx.Delete(keys[0])
			return done
		}
		return refused
	})
)

// anyCopy asks for the right to replace whatever is there.
const anyCopy = "renew"

// replacing says to the lease script which copy is to be replaced: the one found, or none.
func replacing(e entry, found bool) string {
	switch {
	case !found || e.meta.Kind == policy.Floor:
		return ""
	case e.meta.Kind == policy.Nothing: // not one of ours
		return anyCopy
	}
	return string(encode(policy.Policy{}, entry{meta: e.meta})[:headCoding])
}

// What the scripts answer of a change.
var (
	done    = []string{"1"}
	refused = []string{"0"}
)

// ours says whether a stored string has the first n bytes of an entry of this cache.
func ours(raw string, n int) bool { return len(raw) >= n && raw[:len(headFormat)] == headFormat }

// milliseconds reads a script's argument, which this package wrote.
func milliseconds(arg string) time.Duration {
	n, _ := strconv.ParseInt(arg, 10, 64)
	return time.Duration(n) * time.Millisecond
}

// millis writes a duration as a script's argument.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// l2 is the shared cache of a region.
type l2 struct {
	shared store.Store
	policy policy.Policy
}

// invalidate makes everything older than version unusable in the region's Redis, and voids the lease of a fill under way.
// Where something as new is, the lease was granted after that came (what came then voided or used up the one before), and
// so was its load begun: to void it because an event comes twice would double the load for nothing.
func (s l2) invalidate(ctx context.Context, k string, f policy.Family, version uint64, now int64) error {
	_, err := s.shared.Run(ctx, supersedeScript, []string{k, leaseKey(k), busEpoch, busNumber}, floor(s.policy, f, version, now),
		millis(s.policy.Keep(f)), "", "", "", "")
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
	raw, ok, err := s.shared.Get(ctx, k)
	if err != nil {
		return entry{}, false, fmt.Errorf("reading %s from redis: %w", k, err)
	}
	if !ok {
		return entry{}, false, nil
	}
	e, err = decode(raw)
	if err != nil {
		return entry{}, true, nil // somebody else's or damaged: there, but can't be served, so that it is renewed
	}
	return e, true, nil
}

// lease asks for the right to load k. It answers with a token, or an entry that is there by now, or
// neither: somebody else is loading. replace is the copy that it is asked for in spite of; see [replacing]. With an error
// the token may have been granted all the same, and must be released.
func (s l2) lease(ctx context.Context, k string, ttl time.Duration, replace string) (token string, e entry, err error) {
	token = newToken()
	res, err := s.shared.Run(ctx, leaseScript, []string{k, leaseKey(k)}, token, millis(ttl), replace)
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
		if e, err := decode([]byte(res[1])); err == nil {
			return "", e, nil
		}
	}
	return "", entry{}, nil
}

func (s l2) release(ctx context.Context, k, token string) error {
	_, err := s.shared.Run(ctx, releaseScript, []string{leaseKey(k)}, token)
	return err
}

// offer is what became of an entry that was offered to Redis.
type offer uint8

const (
	unsettled offer = iota // nobody knows, or it was not offered; the lease, if there is one, is to be given back
	stored
	overtaken // something newer is there, or the lease has ended: what was read may be superseded
)

// store puts an entry for the rest of its life, at source time now.
func (s l2) store(ctx context.Context, k string, e entry, now int64, token string) (offer, error) {
	ttl := time.Duration(e.meta.DropAt - now).Truncate(time.Millisecond)
	if ttl <= 0 {
		return unsettled, nil
	}
	if !s.policy.Controls.Has(policy.VersionedStore) {
		if err := s.shared.Set(ctx, k, encode(s.policy, e), ttl); err != nil {
			return unsettled, fmt.Errorf("storing %s in redis: %w", k, err)
		}
		return unsettled, nil // its lease has not ended with it
	}
	out, err := s.shared.Run(ctx, storeScript, []string{k, leaseKey(k)}, string(encode(s.policy, e)), millis(ttl), token)
	if err != nil {
		return unsettled, fmt.Errorf("storing %s in redis: %w", k, err)
	}
	if slices.Equal(out, refused) {
		return overtaken, nil
	}
	return stored, nil
}
