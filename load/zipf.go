package load

import (
	"math"
	"math/bits"
)

// zipf draws ranks 0..n-1, rank r with a probability proportional to (r+1)^-s, for any s >= 0. (The
// standard library's wants s > 1, but of 54 production cache clusters that Twitter published a
// quarter has less than 0.63.)
//
// It is Walker's alias method: each of n equal slots belongs to its own rank up to a threshold and
// to one other rank beyond it, so that a draw is one multiplication and one comparison. 12 bytes a
// rank; none when s is 0.
type zipf struct {
	n      uint64
	s      float64
	sum    float64 // of all weights
	keep   []uint64
	others []uint32
}

// maxRanks is what the alias table can name.
const maxRanks = math.MaxInt32

func newZipf(n int, s float64) *zipf {
	z := &zipf{n: uint64(n), s: s}
	if s == 0 {
		z.sum = float64(n)
		return z
	}
	// The smallest weights first: the sum loses the least.
	for r := n - 1; r >= 0; r-- {
		z.sum += z.weight(r)
	}
	z.keep, z.others = make([]uint64, n), make([]uint32, n)

	filled := make([]float64, n) // in slots
	small, large := make([]uint32, 0, n), make([]uint32, 0, n)
	for r := range filled {
		filled[r] = z.weight(r) / z.sum * float64(n)
		z.keep[r], z.others[r] = math.MaxUint64, uint32(r)
		if filled[r] < 1 {
			small = append(small, uint32(r))
		} else {
			large = append(large, uint32(r))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.keep[lo], z.others[lo] = uint64(filled[lo]*(1<<63))<<1, hi
		filled[hi] -= 1 - filled[lo]
		if filled[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	return z
}

func (z *zipf) weight(rank int) float64 { return math.Pow(float64(rank+1), -z.s) }

func (z *zipf) probability(rank int) float64 {
	if rank < 0 || uint64(rank) >= z.n {
		return 0
	}
	return z.weight(rank) / z.sum
}

// rank turns 64 uniform bits into a rank: the high word of the product picks the slot, the low word
// is where in the slot it fell.
func (z *zipf) rank(uniform uint64) int {
	slot, within := bits.Mul64(uniform, z.n)
	if z.keep == nil || within <= z.keep[slot] {
		return int(slot)
	}
	return int(z.others[slot])
}
