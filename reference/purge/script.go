package purge

import (
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/store"
)

// purgeScript takes copies away and keeps what is known about versions: to delete an entry would
// also delete the knowledge that older versions are superseded, and an older fill under way would
// win. So a copy gives way to a floor of its own version, a floor stays, and what is no entry of
// ours goes. The caller makes the floors, so they must be for the versions that are there: of a
// copy that has another one the script answers what that is, and leaves it for the next attempt.
// The lease of a fill under way is voided, so that what was read before the purge is not stored
// after it.
//
// KEYS: entry, lease, entry, lease... ARGV: length of a header, then for each entry the floor's ttl
// in ms and the floor, or "" to ask for the version. It answers for each entry two strings: what
// was there, 'V' a copy, 'F' a floor, 'D' something else, 'N' nothing, 'R' and the digits of
// version and T0 a copy that is there still; and how many leases were voided.
var purgeScript = store.NewScript(`
local length, out = tonumber(ARGV[1]), {}
for i = 1, #KEYS, 2 do
  local was, kind, floor = 'N', redis.call('TYPE', KEYS[i]), ARGV[i + 2]
  kind = kind.ok or kind
  if kind ~= 'none' then
    local head = kind == 'string' and redis.call('GETRANGE', KEYS[i], 0, length - 1) or ''
    if #head < length or string.sub(head, 1, 2) ~= 'c2' or string.find(string.sub(head, 4, 35), '[^0-9a-f]') then
      redis.call('UNLINK', KEYS[i])
      was = 'D'
    elseif string.sub(head, 3, 3) == 'F' then
      was = 'F'
    elseif string.sub(head, 4, 19) == string.sub(floor, 4, 19) then
      redis.call('UNLINK', KEYS[i])
      redis.call('SET', KEYS[i], floor, 'PX', ARGV[i + 1])
      was = 'V'
    else
      was = 'R' .. string.sub(head, 4, 35)
    end
  end
  out[#out + 1] = was
  out[#out + 1] = tostring(redis.call('DEL', KEYS[i + 1]))
end
return out`, func(tx *store.Tx, keys, args []string) []string {
	length, _ := strconv.Atoi(args[0])
	var out []string
	for i := 0; i < len(keys); i += 2 {
		was, floor := "N", args[i+2]
		if have, ok := tx.Get(keys[i]); ok {
			switch {
			case !entry.Ours(have, length) || strings.Trim(have[entry.HeadVersion:entry.HeadFresh], "0123456789abcdef") != "":
				tx.Delete(keys[i])
				was = "D"
			case have[entry.HeadKind] == entry.KindFloor:
				was = "F"
			case floor != "" && have[entry.HeadVersion:entry.HeadT0] == floor[entry.HeadVersion:entry.HeadT0]:
				tx.Set(keys[i], floor, script.ParseMillis(args[i+1]))
				was = "V"
			default:
				was = "R" + have[entry.HeadVersion:entry.HeadFresh]
			}
		}
		voided := "0"
		if tx.Delete(keys[i+1]) {
			voided = "1"
		}
		out = append(out, was, voided)
	}
	return out
})
