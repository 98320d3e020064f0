package environment

import (
	"slices"

	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// Capabilities say what a target and its surroundings can do. What they lack can't be judged, or
// not be broken.
type Capabilities struct {
	History       bool // the source's commits are known: changes of one key may be concurrent
	Versions      bool // answers may tell versions
	Instances     int  // workers that can be asked by themselves; 0: none
	Bypass        bool // an instance reads past all caches
	Invalidations bool // what workers drop is reported
	CacheStats    bool // caches count hits and loads themselves

	Loads slo.LoadDetail

	// EgressUnavailable is why bytes between regions are not counted; "" when the target counts
	// them.
	EgressUnavailable string
	Memory            []string // the Redises whose used memory can be asked

	// VirtualTime says that time is that of a bubble of testing/synctest.
	VirtualTime bool
}

// everyLoad is the detail of a target that counts its loads one by one.
var everyLoad = slo.LoadDetail{Counted: true, PerKey: true, PerLabel: true, PerSecond: true, Width: true}

// ofBlackBox are the capabilities that are left when only answers count.
func (c Capabilities) ofBlackBox() Capabilities {
	return Capabilities{Instances: c.Instances, Bypass: c.Bypass, EgressUnavailable: noEgress}
}

// noEgress is why nothing is known of a target that does not count what crosses regions.
const noEgress = "the target does not tell what crosses regions"

func (c *Capabilities) addInstances(names []string) {
	c.Bypass = slices.Contains(names, targets.SourceInstance)
	for _, name := range names {
		if name != "" && name != targets.SourceInstance {
			c.Instances++
		}
	}
}
