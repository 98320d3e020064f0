package reference

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/reference/store"
)

var (
	// purgeScript takes copies away and keeps what is known about versions: to delete an entry would also delete the
	// knowledge that older versions are superseded, and an older fill under way would win. So a copy gives way to a floor of
	// its own version, a floor stays, and what is no entry of ours goes. The caller makes the floors, so they must be for the
	// versions that are there: of a copy that has another one the script tells what that is, and leaves it for the next
	// attempt. The lease of a fill under way is voided, so that what was read before the purge is not stored after it.
	//
	// KEYS: entry, lease, entry, lease... ARGV: length of a header, then for each entry the floor's ttl in ms and the floor,
	// or "" to ask for the version. It answers for each entry two strings: what was there, 'V' a copy, 'F' a floor, 'D'
	// something else, 'N' nothing, 'R' and the digits of version and T0 a copy that is there still; and how many
	// leases were voided.
	purgeScript = store.NewScript(`
local length, out = tonumber(ARGV[1]), {}
for i = 1, #KEYS, 2 do
  local said, kind, floor = 'N', redis.call('TYPE', KEYS[i]), ARGV[i + 2]
  kind = kind.ok or kind
  if kind ~= 'none' then
    local head = kind == 'string' and redis.call('GETRANGE', KEYS[i], 0, length - 1) or ''
    if #head < length or string.sub(head, 1, 2) ~= 'c2' or string.find(string.sub(head, 4, 35), '[^0-9a-f]') then
      redis.call('UNLINK', KEYS[i])
      said = 'D'
    elseif string.sub(head, 3, 3) == 'F' then
      said = 'F'
    elseif string.sub(head, 4, 19) == string.sub(floor, 4, 19) then
      redis.call('UNLINK', KEYS[i])
      redis.call('SET', KEYS[i], floor, 'PX', ARGV[i + 1])
      said = 'V'
    else
      said = 'R' .. string.sub(head, 4, 35)
    end
  end
  out[#out + 1] = said
  out[#out + 1] = tostring(redis.call('DEL', KEYS[i + 1]))
end
return out`, func(tx *store.Tx, keys, args []string) []string {
		length, _ := strconv.Atoi(args[0])
		var out []string
		for i := 0; i < len(keys); i += 2 {
			said, floor := "N", args[i+2]
			if have, ok := tx.Get(keys[i]); ok {
				switch {
				case !ours(have, length) || strings.Trim(have[headVersion:headFresh], "0123456789abcdef") != "":
					tx.Delete(keys[i])
					said = "D"
				case have[headKind] == kindFloor:
					said = "F"
				case floor != "" && have[headVersion:headT0] == floor[headVersion:headT0]:
					tx.Set(keys[i], floor, milliseconds(args[i+1]))
					said = "V"
				default:
					said = "R" + have[headVersion:headFresh]
				}
			}
			voided := "0"
			if tx.Delete(keys[i+1]) {
				voided = "1"
			}
			out = append(out, said, voided)
		}
		return out
	})

	// tellPurgeScript tells the workers of a purge, in a message that has a number as events have: who misses it notices.
	// KEYS: epoch, number. ARGV: channel; selection; an epoch in case there is none; how long that is kept, in ms.
	tellPurgeScript = store.NewScript(`
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[3]; redis.call('DEL', KEYS[2]) end
local number = (tonumber(redis.call('GET', KEYS[2])) or 0) + 1
redis.call('SET', KEYS[1], epoch, 'PX', ARGV[4])
redis.call('SET', KEYS[2], string.format('%d', number), 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], 'p ' .. epoch .. ' ' .. string.format('%d', number) .. ' ' .. ARGV[2])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
		epoch, number := busPosition(tx, keys[0], keys[1], args[2])
		tx.Set(keys[0], epoch, milliseconds(args[3]))
		tx.Set(keys[1], strconv.FormatUint(number+1, 10), milliseconds(args[3]))
		tx.Publish(args[0], fmt.Sprintf("%s %s %d %s", busPurge, epoch, number+1, args[1]))
		return done
	})
)
