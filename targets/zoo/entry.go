package zoo

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// entry is a copy of a value or of an absence, or a floor: the knowledge that older versions are
// superseded.
type entry struct {
	version uint64
	t0      int64 // the source's clock inside the read that made it
	dropAt  int64 // in memory: never served from then on
	absent  bool
	floor   bool
	value   []byte
}

func entryOf(r source.Record) entry {
	return entry{version: r.Version, t0: r.T0, absent: r.Version == 0 || r.Deleted, value: r.Value}
}

func (e entry) answer(t reference.Tier) reference.Answer {
	return reference.Answer{Value: e.value, Version: e.version, Tier: t, Absent: e.absent}
}

// replaces says whether e may take the place of old: a newer version, or a younger copy of the same
// one. An absence that was never written is version 0, and so is an empty place.
func (e entry) replaces(old entry) bool {
	if e.version != old.version {
		return e.version > old.version
	}
	return old.floor || !e.floor && e.t0 >= old.t0
}

// Entries are text: the version in 16 hexadecimal digits, so that text order is version order; V, N
// or F for a value, an absence or a floor; t0 like the version; the value.
const headLength = 33

func (e entry) encode() string {
	kind := byte('V')
	switch {
	case e.floor:
		kind = 'F'
	case e.absent:
		kind = 'N'
	}
	return fmt.Sprintf("%016x%c%016x%s", e.version, kind, uint64(e.t0), e.value)
}

func decode(s string) (entry, bool) {
	if len(s) < headLength {
		return entry{}, false
	}
	return entry{
		version: fromHex(s[:16]), floor: s[16] == 'F', absent: s[16] == 'N', t0: int64(fromHex(s[17:33])), value: []byte(s[headLength:]),
	}, true
}

func fromHex(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64)
	return n
}

var (
	// newerScript stores an entry unless something newer is there. KEYS: entry. ARGV: entry, ttl in
	// ms.
	newerScript = store.NewScript(`
local have = redis.call('GETRANGE', KEYS[1], 0, 32)
if #have == 33 then
  local old, new = string.sub(have, 1, 16), string.sub(ARGV[1], 1, 16)
  if old > new then return {'0'} end
  if old == new and string.sub(have, 17, 17) ~= 'F' and (string.sub(ARGV[1], 17, 17) == 'F' or string.sub(have, 18, 33) > string.sub(ARGV[1], 18, 33)) then return {'0'} end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && len(have) >= headLength {
			old, _ := decode(have)
			if e, _ := decode(args[0]); !e.replaces(old) {
				return []string{"0"}
			}
		}
		ms, _ := strconv.ParseInt(args[1], 10, 64)
		tx.Set(keys[0], args[0], time.Duration(ms)*time.Millisecond)
		return []string{"1"}
	})

	// unlockScript deletes a lock that is still the caller's. KEYS: lock. ARGV: what the caller put
	// there.
	unlockScript = store.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) return {'1'} end
return {'0'}`, func(tx *store.Tx, keys, args []string) []string {
		if have, ok := tx.Get(keys[0]); ok && have == args[0] {
			tx.Delete(keys[0])
			return []string{"1"}
		}
		return []string{"0"}
	})
)

// emptyText says whether a value of the service is one without text.
func emptyText(value []byte) bool {
	var v struct {
		Text string `json:"text"`
	}
	return json.Unmarshal(value, &v) == nil && v.Text == ""
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
