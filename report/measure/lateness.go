package measure

import (
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// On a machine that others share, processors are taken away for tenths of a second. The generator
// then sends late, and what runs beside it answers late. Where a noticeable share of a bucket's
// operations was sent late while nothing but the generator was waited for, its slowness proves
// nothing against the target.
const (
	lateEnough   = 10 * time.Millisecond
	lateTolerate = 0.0025 // share; a quiet machine stays well below
)

func sentLate(op *targets.Operation) bool { return op.Sent-op.Due > lateEnough }

// disturbed judges by how many of all operations were sent late.
func disturbed(late tally) bool { return float64(late.bad) > lateTolerate*float64(late.n) }
