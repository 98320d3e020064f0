package reference

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// Entries in Redis are one string: a header of fixed width that the scripts can compare as text, then
// the value. A hit is one GET.
//
//	offset  0  "c1": format
//	        2  kind: 'V' value, 'F' floor (no value; older versions are superseded)
//	        3  version, 16 hexadecimal digits, so that text order is version order
//	       19  T0, 16 hexadecimal digits
//	       35  FreshUntil, likewise
//	       51  DropAt, likewise
//	       67  value
const (
	headFormat   = "c1"
	headVersion  = 3
	headT0       = 19
	headFresh    = 35
	headDrop     = 51
	headLength   = 67
	kindValue    = 'V'
	kindFloor    = 'F'
	hexLength    = 16
	versionBytes = 8
)

// entry is a copy, or the knowledge that there is none.
type entry struct {
	meta  policy.Meta
	value []byte
}

var errFormat = errors.New("not an entry of this cache")

func encode(e entry) []byte {
	b := make([]byte, headLength, headLength+len(e.value))
	copy(b, headFormat)
	b[2] = kindValue
	if e.meta.Floor {
		b[2] = kindFloor
	}
	putHex(b[headVersion:], e.meta.Version)
	putHex(b[headT0:], uint64(e.meta.T0))
	putHex(b[headFresh:], uint64(e.meta.FreshUntil))
	putHex(b[headDrop:], uint64(e.meta.DropAt))
	return append(b, e.value...)
}

func decode(b []byte) (entry, error) {
	if len(b) < headLength || string(b[:2]) != headFormat {
		return entry{}, errFormat
	}
	var e entry
	switch b[2] {
	case kindValue:
	case kindFloor:
		e.meta.Floor = true
	default:
		return entry{}, fmt.Errorf("%w: kind %q", errFormat, b[2])
	}
	var numbers [4]uint64
	for i, at := range [...]int{headVersion, headT0, headFresh, headDrop} {
		n, err := getHex(b[at : at+hexLength])
		if err != nil {
			return entry{}, fmt.Errorf("%w: %w", errFormat, err)
		}
		numbers[i] = n
	}
	e.meta.Version, e.meta.T0 = numbers[0], int64(numbers[1])
	e.meta.FreshUntil, e.meta.DropAt = int64(numbers[2]), int64(numbers[3])
	e.value = b[headLength:]
	return e, nil
}

func putHex(dst []byte, v uint64) {
	var raw [versionBytes]byte
	for i := range raw {
		raw[i] = byte(v >> (56 - 8*i))
	}
	hex.Encode(dst, raw[:])
}

func getHex(src []byte) (uint64, error) {
	var raw [versionBytes]byte
	if _, err := hex.Decode(raw[:], src); err != nil {
		return 0, err
	}
	var v uint64
	for _, b := range raw {
		v = v<<8 | uint64(b)
	}
	return v, nil
}
