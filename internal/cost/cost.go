// Package cost says what the use of things costs, and when more is used than was agreed to.
package cost

import (
	"fmt"
	"strconv"
	"strings"
)

// Prices says what is paid for. What has a price of 0 costs nothing.
type Prices struct {
	Currency              string // free text
	PerMillionRequests    float64
	PerMillionSourceLoads float64
	PerGBHourRedisMemory  float64
	PerGBCrossRegion      float64
}

// GB is the unit that prices are for: 10^9 bytes.
const GB = 1e9

// Usage is what was used.
type Usage struct {
	Requests         float64 // reads and changes that ended
	SourceLoads      float64 // questions to the source, checks of versions among them
	RedisByteSeconds float64 // memory times time
	CrossRegionBytes float64
}

// Reason says what is paid for.
type Reason string

// The reasons.
const (
	Requests    Reason = "requests"
	SourceLoads Reason = "source_loads"
	RedisMemory Reason = "redis_memory"
	CrossRegion Reason = "cross_region"
)

// Reasons lists them.
var Reasons = []Reason{Requests, SourceLoads, RedisMemory, CrossRegion}

// Price is that of one unit of what [Usage] counts.
func (p Prices) Price(r Reason) float64 {
	switch r {
	case Requests:
		return p.PerMillionRequests / 1e6
	case SourceLoads:
		return p.PerMillionSourceLoads / 1e6
	case RedisMemory:
		return p.PerGBHourRedisMemory / GB / 3600
	case CrossRegion:
		return p.PerGBCrossRegion / GB
	}
	return 0
}

// Of is how much was used.
func (u Usage) Of(r Reason) float64 {
	switch r {
	case Requests:
		return u.Requests
	case SourceLoads:
		return u.SourceLoads
	case RedisMemory:
		return u.RedisByteSeconds
	case CrossRegion:
		return u.CrossRegionBytes
	}
	return 0
}

// Cost is what the use costs, in the currency of the prices.
func (p Prices) Cost(u Usage) float64 {
	sum := 0.0
	for _, r := range Reasons {
		sum += p.Price(r) * u.Of(r)
	}
	return sum
}

var units = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// BytesForm says how [Bytes] are written.
const BytesForm = "write a number with its unit: 500MB, 2GB (units: B; kB, MB, GB, TB by thousands; KiB, MiB, GiB, TiB by 1024)"

// Bytes reads an amount such as "2GB".
func Bytes(text string) (float64, error) {
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || !(v >= 0 && v*u.bytes <= 1e18) {
				break
			}
			return v * u.bytes, nil
		}
	}
	return 0, fmt.Errorf("%q is no amount of bytes", text)
}

// InBytes shows an amount to three digits: 900B, 1.25MB.
func InBytes(v float64) string {
	unit, by := "B", 1.0
	for _, u := range units[4:8] {
		if v >= u.bytes*0.9995 {
			unit, by = u.name, u.bytes
		}
	}
	v /= by
	decimals := 2
	switch {
	case by == 1 || v >= 99.95:
		decimals = 0
	case v >= 9.995:
		decimals = 1
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + unit
}
