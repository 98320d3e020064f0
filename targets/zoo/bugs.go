package zoo

// bugs are the mistakes that a textbook cache can be made with. Some only show when what would hide
// them is gone as well: see the fields that say "together with".
type bugs struct {
	lockThief       bool // the lock expires under a load, and is then deleted by a worker that does not own it
	lateVersion     bool // the version is asked for after the value was read
	earlyJoin       bool // a strong read joins a load that began before it
	noClamp         bool // a copy's age is not looked at, and its TTL begins anew in every tier
	negativeForever bool // "not found" is kept under a key of its own, which a create does not void
	tenantBlind     bool // the tenant is left out of the key
	unheard         bool // the writer's region has no outbox: the writer itself publishes there, once
	deleteFirst     bool // the copy is deleted before the write, and not after it; together with unheard
	slowFill        bool // a fill is stored whatever happened meanwhile; invalidation is a bare delete
	deaf            bool // memory is not subscribed to messages
	writeBehind     bool // writes are acknowledged once they are queued, in Redis
	falsy           bool // an empty value is taken for a miss
	longTTL         bool // copies live ten times as long as their family's TTL, since messages will end them
}
