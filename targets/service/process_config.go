package service

import (
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/source"
)

// ProcessConfig describes a [Process].
type ProcessConfig struct {
	Name    string // of this process, as X-Worker gives it
	Spec    Spec   // its families; the source is the one below
	Region  string
	Policy  Policy
	Source  source.Source
	Feed    source.Feed                       // the source's commits; nil: another process of the region has the relay
	Redis   reference.ClientConfig            // the region's own
	Pools   map[string]reference.ClientConfig // those of [Spec.Pools]; two of them may be databases of one server
	L1Size  int                               // copies kept in memory; 0: the cache's default
	Tenants []string                          // counted by name in the metrics
	// Unobserved leaves the metrics of the cache out, and /metrics with them.
	Unobserved bool
	Metering   Metering
}

// probeTimeout bounds one question to the source or to a Redis about how it is.
const probeTimeout = time.Second
