package faults

import "time"

// Lasts is how long a fault will stay injected, by its own parameters: what [Injected.Hold] will be. 0
// of an instantaneous one.
func Lasts(f Fault) time.Duration {
	switch f := f.(type) {
	case Restart:
		return f.Down
	case Delay:
		return f.For
	case Split:
		return f.For
	case Quiet:
		return f.For
	}
	return 0
}
