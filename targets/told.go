package targets

import "time"

// Teller is a target whose caches tell what they did, as they counted it themselves.
type Teller interface {
	// Tell gives what was counted since the target started. It may be called at any time, and need not be quick.
	Tell() []Told
}

// Told is what the caches of a region counted so far: of one family, of one tenant, or with neither of what belongs to none.
type Told struct {
	Region, Family, Tenant string

	// Of a family or a tenant: reads that were answered, by tier.
	L1, L2, Source int64

	// Of a family.
	HitTook, MissTook time.Duration // of all reads answered by L1 and L2, and of all answered by the source
	Loads, Checks     int64         // questions that were put to the source: for a value, and for its version alone
	Stale             map[string]int64
	LeaseWaits        int64
	Refreshes         map[string]int64

	// Of neither.
	Flights  Histogram            // readers who shared one look past a worker's memory
	Lag      map[string]Histogram // seconds from a commit until older copies were dropped, by the way it was heard of
	Openings int64                // of circuit breakers before the shared tier
	Gaps     int64                // times that a worker may have missed messages
}

// Histogram is how often values up to which bound were seen.
type Histogram struct {
	Upper  []float64 // bounds of the buckets, rising; +Inf is the last
	Counts []int64   // of each bucket alone
	Sum    float64
}

// Border is a target of several regions that tells what crosses from one to another.
type Border interface {
	// Crossed gives the bytes so far, both ways, by the region that asked. why says why nothing is told; the map is nil then.
	Crossed() (bytes map[string]int64, why string)
}

// Memory is what a shared tier of a region said about its memory.
type Memory struct {
	Region  string
	At      time.Duration
	Used    int64  // bytes
	Peak    int64  // the most that it used since it started
	Down    bool   // nothing runs there, and so nothing is used
	Problem string // why it did not tell; empty when it did
}

// Crossing is what had crossed regions at some time, by the region that asked.
type Crossing struct {
	At    time.Duration
	Bytes map[string]int64
}
