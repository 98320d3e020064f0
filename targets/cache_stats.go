package targets

import "time"

// CacheStatsReporter is a target whose caches report their own counters.
type CacheStatsReporter interface {
	// CacheStats gives the counters since the target started. It may be called at any time,
	// concurrently with operations, and need not be quick.
	CacheStats() []CacheStats
}

// CacheStats are cumulative counters of the caches of one region since start. With Family: those of
// one family. With Tenant: those of one tenant. With neither: region-wide ones (flights, lag,
// breaker, gaps). It is wide because each field is one counter that stands by itself.
type CacheStats struct {
	Region, Family, Tenant string

	// Per family or tenant: reads answered, by tier.
	L1, L2, Source int64

	// Per family.
	HitTook, MissTook time.Duration    // total time of reads answered by L1 or L2, and of reads answered by the source
	Loads, Checks     int64            // questions put to the source: for a value, and for its version alone
	Stale             map[string]int64 // stale answers served on purpose, by reason
	LeaseWaits        int64            // reads that waited for another process's load
	Refreshes         map[string]int64 // loads ahead of expiry, by reason

	// Region-wide.
	Flights  Histogram            // readers that shared one look past a worker's memory
	Lag      map[string]Histogram // seconds from a commit until older copies were dropped, by the channel that brought the news
	Openings int64                // times that a circuit breaker before the shared tier opened
	Gaps     int64                // times that a worker may have missed messages
}

// Histogram counts values by bucket.
type Histogram struct {
	Upper  []float64 // inclusive upper bounds of the buckets, ascending; the last is +Inf
	Counts []int64   // values in each bucket alone
	Sum    float64   // of all values
}

// Memory is one sample of the memory that a region's shared tier reports.
type Memory struct {
	Region  string
	At      time.Duration
	Used    int64  // bytes
	Peak    int64  // bytes: the most it used since it started
	Down    bool   // nothing runs there, so nothing is used
	Problem string // why there is no report; empty when there is one
}
