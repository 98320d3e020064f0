package reference

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// Entries in Redis are one string: a header of fixed width that the scripts can compare as text, then
// the value. A hit is one GET. Numbers are 16 hexadecimal digits each, so that text order is their order.
//
//	offset  0  "c2": format
//	        2  kind: 'V' value, 'N' absence, 'F' floor (no copy; older versions are superseded)
//	        3  version
//	       19  T0
//	       35  FreshUntil
//	       51  Until
//	       67  DropAt
//	       83  Took, nanoseconds
//	       99  coding of the value: '-' as it is, 's' S2
//	      100  CRC-32C of everything else, 8 hexadecimal digits
//	      108  value
const (
	headFormat   = "c2"
	headKind     = 2
	headVersion  = 3
	headT0       = 19
	headFresh    = 35
	headCoding   = 99
	headSum      = 100
	headLength   = 108
	hexLength    = 16
	versionBytes = 8
)

// What stands for a kind.
const (
	kindValue   = 'V'
	kindAbsence = 'N'
	kindFloor   = 'F'
)

// How a value is coded. Every reader knows both, so that the control can be switched at any time.
const (
	codingPlain = '-'
	codingS2    = 's'
)

// entry is a copy, or the knowledge that there is none.
type entry struct {
	meta  policy.Meta
	value []byte
}

var errFormat = errors.New("not an entry of this cache")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes an entry, its value compressed if that is worth it.
func encode(p policy.Policy, e entry) []byte {
	value, coding := e.value, byte(codingPlain)
	if p.Compresses(len(value)) {
		if small := s2.Encode(nil, value); p.WorthIt(len(value), len(small)) {
			value, coding = small, codingS2
		}
	}
	b := make([]byte, headLength, headLength+len(value))
	copy(b, headFormat)
	b[headKind] = letter(e.meta.Kind)
	for i, n := range numbersOf(e.meta) {
		putHex(b[headVersion+i*hexLength:], n)
	}
	b[headCoding] = coding
	b = append(b, value...)
	hex.Encode(b[headSum:headLength], sum(b))
	return b
}

func letter(k policy.Kind) byte {
	switch k {
	case policy.Value:
		return kindValue
	case policy.Absence:
		return kindAbsence
	}
	return kindFloor
}

func numbersOf(m policy.Meta) [6]uint64 {
	return [6]uint64{m.Version, uint64(m.T0), uint64(m.FreshUntil), uint64(m.Until), uint64(m.DropAt), uint64(m.Took)}
}

// sum is the checksum of an encoded entry.
func sum(b []byte) []byte {
	n := crc32.Update(crc32.Checksum(b[:headSum], castagnoli), castagnoli, b[headLength:])
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func decode(b []byte) (entry, error) {
	if len(b) < headLength || string(b[:headKind]) != headFormat {
		return entry{}, errFormat
	}
	var want [8]byte
	hex.Encode(want[:], sum(b))
	if string(want[:]) != string(b[headSum:headLength]) {
		return entry{}, fmt.Errorf("%w: it is damaged", errFormat)
	}
	var e entry
	switch b[headKind] {
	case kindValue:
		e.meta.Kind = policy.Value
	case kindAbsence:
		e.meta.Kind = policy.Absence
	case kindFloor:
		e.meta.Kind = policy.Floor
	default:
		return entry{}, fmt.Errorf("%w: kind %q", errFormat, b[headKind])
	}
	var numbers [6]uint64
	for i := range numbers {
		var err error
		if numbers[i], err = getHex(b[headVersion+i*hexLength:][:hexLength]); err != nil {
			return entry{}, fmt.Errorf("%w: %w", errFormat, err)
		}
	}
	e.meta.Version, e.meta.T0 = numbers[0], int64(numbers[1])
	e.meta.FreshUntil, e.meta.Until, e.meta.DropAt = int64(numbers[2]), int64(numbers[3]), int64(numbers[4])
	e.meta.Took = time.Duration(numbers[5])
	e.value = b[headLength:]
	switch b[headCoding] {
	case codingPlain:
	case codingS2:
		var err error
		if e.value, err = s2.Decode(nil, e.value); err != nil {
			return entry{}, fmt.Errorf("%w: %w", errFormat, err)
		}
	default:
		return entry{}, fmt.Errorf("%w: coding %q", errFormat, b[headCoding])
	}
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
