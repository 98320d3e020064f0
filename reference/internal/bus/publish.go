package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/script"
	"github.com/cachedrill/cachedrill/reference/internal/token"
	"github.com/cachedrill/cachedrill/reference/store"
)

// HeartbeatScript publishes the number of the last message.
// KEYS: epoch, number. ARGV: channel; an epoch in case there is none; how long that is kept, in ms;
// identity.
var HeartbeatScript = store.NewScript(`
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[2]; redis.call('DEL', KEYS[2]); redis.call('SET', KEYS[1], epoch, 'PX', ARGV[3]) end
redis.call('PUBLISH', ARGV[1], 'b ' .. epoch .. ' ' .. (redis.call('GET', KEYS[2]) or '0') .. ' ' .. ARGV[4])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
	epoch, number := position(tx, keys[0], keys[1], args[1])
	if _, ok := tx.Get(keys[0]); !ok {
		tx.Set(keys[0], epoch, script.ParseMillis(args[2]))
	}
	tx.Publish(args[0], fmt.Sprintf("%s %s %d %s", Beat, epoch, number, args[3]))
	return script.Done
})

// PurgeScript publishes a purge, in a message that has a number as events have: a worker that
// misses it notices.
// KEYS: epoch, number. ARGV: channel; selection; an epoch in case there is none; how long that is
// kept, in ms.
var PurgeScript = store.NewScript(`
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[3]; redis.call('DEL', KEYS[2]) end
local number = (tonumber(redis.call('GET', KEYS[2])) or 0) + 1
redis.call('SET', KEYS[1], epoch, 'PX', ARGV[4])
redis.call('SET', KEYS[2], string.format('%d', number), 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], 'p ' .. epoch .. ' ' .. string.format('%d', number) .. ' ' .. ARGV[2])
return {'1'}`, func(tx *store.Tx, keys, args []string) []string {
	Publish(tx, Purge, Publication{EpochKey: keys[0], NumberKey: keys[1], Channel: args[0], Body: args[1], Fresh: args[2],
		Kept: script.ParseMillis(args[3])})
	return script.Done
})

// Publication is a numbered message to be published inside a script.
type Publication struct {
	EpochKey, NumberKey string
	Channel             string
	Body                string        // the message after its number
	Fresh               string        // the epoch to begin where there is none
	Kept                time.Duration // of epoch and number
}

// Publish takes the next number and publishes a message of a kind under it.
func Publish(tx *store.Tx, kind string, p Publication) {
	epoch, number := position(tx, p.EpochKey, p.NumberKey, p.Fresh)
	tx.Set(p.EpochKey, epoch, p.Kept)
	tx.Set(p.NumberKey, strconv.FormatUint(number+1, 10), p.Kept)
	tx.Publish(p.Channel, fmt.Sprintf("%s %s %d %s", kind, epoch, number+1, p.Body))
}

// position is the epoch and the number of the last message; fresh is the epoch where there is none.
func position(tx *store.Tx, epochKey, numberKey, fresh string) (epoch string, number uint64) {
	epoch, ok := tx.Get(epochKey)
	if !ok {
		tx.Delete(numberKey)
		return fresh, 0
	}
	text, _ := tx.Get(numberKey)
	number, _ = strconv.ParseUint(text, 10, 64) // only the scripts write it
	return epoch, number
}

// Heartbeat publishes the number of the last message once, within timeout. What fails is left to
// the next heartbeat.
func Heartbeat(ctx context.Context, s store.Store, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, err := s.Identity(ctx)
	if err != nil {
		return
	}
	_, _ = s.Run(ctx, HeartbeatScript, []string{EpochKey, NumberKey}, s.Channel(Channel), token.New(), script.Millis(Kept), id)
}

// AnnouncePurge publishes a selection that was purged from Redis.
func AnnouncePurge(ctx context.Context, s store.Store, selection string) error {
	_, err := s.Run(ctx, PurgeScript, []string{EpochKey, NumberKey}, s.Channel(Channel), selection, token.New(), script.Millis(Kept))
	return err
}
