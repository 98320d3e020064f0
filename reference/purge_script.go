package reference

import "github.com/cachedrill/cachedrill/reference/store"

// purgeScript takes values away and keeps what is known about versions: to delete an entry would also delete the knowledge
// that older versions are superseded, and an older fill under way would win. So a value becomes a floor of its own
// version, a floor stays, and what is no entry of ours goes. The lease of a fill under way is voided, so that what was
// read before the purge is not stored after it.
//
// KEYS: entry, lease, entry, lease... ARGV: length of a header, then for each entry the floor's ttl in ms. It answers for
// each entry what was there: 'V' value, 'F' floor, 'D' something else, 'N' nothing; and then 'L' when a lease was voided.
var purgeScript = store.NewScript(`
local length, out = tonumber(ARGV[1]), {}
for i = 1, #KEYS, 2 do
  local said, kind = 'N', redis.call('TYPE', KEYS[i])
  kind = kind.ok or kind
  if kind ~= 'none' then
    local head = kind == 'string' and redis.call('GETRANGE', KEYS[i], 0, length - 1) or ''
    if #head < length or string.sub(head, 1, 2) ~= 'c1' then
      redis.call('UNLINK', KEYS[i])
      said = 'D'
    elseif string.sub(head, 3, 3) == 'F' then
      said = 'F'
    else
      redis.call('UNLINK', KEYS[i])
      redis.call('SET', KEYS[i], 'c1F' .. string.sub(head, 4), 'PX', ARGV[(i + 3) / 2])
      said = 'V'
    end
  end
  if redis.call('DEL', KEYS[i + 1]) == 1 then said = said .. 'L' end
  out[#out + 1] = said
end
return out`, func(tx *store.Tx, keys, args []string) []string {
	var out []string
	for i := 0; i < len(keys); i += 2 {
		said := "N"
		if have, ok := tx.Get(keys[i]); ok {
			switch {
			case !ours(have, headLength):
				tx.Delete(keys[i])
				said = "D"
			case have[2] == kindFloor:
				said = "F"
			default:
				tx.Set(keys[i], headFormat+string(kindFloor)+have[headVersion:headLength], milliseconds(args[1+i/2]))
				said = "V"
			}
		}
		if tx.Delete(keys[i+1]) {
			said += "L"
		}
		out = append(out, said)
	}
	return out
})
