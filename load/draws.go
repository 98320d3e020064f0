package load

import "math/bits"

// draws are the random numbers of one operation: a SplitMix64 stream (Steele, Lea, Flood 2014)
// whose start is a hash of seed and operation. There is no state between operations, so they can be
// made in any order and by anybody.
type draws struct{ state uint64 }

const gamma = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, odd

func newDraws(seed, n uint64) draws {
	return draws{state: mix64(mix64(seed+gamma) ^ mix64(n*gamma+1))}
}

// next is 64 uniform bits.
func (d *draws) next() uint64 {
	d.state += gamma
	return mix64(d.state)
}

// unit is uniform in [0, 1).
func (d *draws) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// below maps 64 uniform bits to 0..n-1; the bias is at most n / 2^64.
func below(uniform, n uint64) uint64 {
	hi, _ := bits.Mul64(uniform, n)
	return hi
}

// mix64 is SplitMix64's finaliser: a bijection that spreads each input bit over all output bits.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
