package faults

import "time"

// Lasting is a fault of another package that says for how long it stays injected.
type Lasting interface{ Lasts() time.Duration }

// Lasts is how long the fault phase must go on after the fault was asked for, by the fault's own
// parameters. Of a fault that stays injected that is what [Injected.Hold] will be. An instantaneous one
// must be seen for at least a second, after the quarter of a second that preparing it takes at least.
func Lasts(f Fault) time.Duration {
	switch f := f.(type) {
	case Restart:
		return f.Down
	case Expire:
		return expireLead + expireSeen
	case Delay:
		return f.For
	case Split:
		return f.For
	case Kill:
		return f.Down
	case Flush:
		return expireSeen
	case Network:
		return f.For
	case SlowSource:
		return f.For
	case Quiet:
		return f.For
	case Lasting:
		return f.Lasts()
	}
	return 0
}
