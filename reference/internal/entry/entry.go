// Package entry is the form of cached entries in Redis: a header of fixed width that scripts
// compare as text, then the value.
package entry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// An entry in Redis is one string, so that a hit is one GET. Numbers are 16 hexadecimal digits
// each, so that text order is their order. The offsets:
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
	HeadFormat   = "c2"
	HeadKind     = 2
	HeadVersion  = 3
	HeadT0       = 19
	HeadFresh    = 35
	HeadCoding   = 99
	HeadSum      = 100
	HeadLength   = 108
	HexLength    = 16
	versionBytes = 8
)

// What stands for a kind.
const (
	kindValue   = 'V'
	kindAbsence = 'N'
	KindFloor   = 'F'
)

// How a value is coded. Every reader knows both, so that the control can be switched at any time.
const (
	codingPlain = '-'
	codingS2    = 's'
)

// Entry is a copy, or the knowledge that there is none.
type Entry struct {
	Meta  policy.Meta
	Value []byte // nil unless the kind is a value; not to be changed
}

var errFormat = errors.New("not an entry of this cache")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes an entry, its value compressed if that is worth it.
func Encode(p policy.Policy, e Entry) []byte {
	value, coding := e.Value, byte(codingPlain)
	if p.Compresses(len(value)) {
		if small := s2.Encode(nil, value); p.WorthIt(len(value), len(small)) {
			value, coding = small, codingS2
		}
	}
	b := make([]byte, HeadLength, HeadLength+len(value))
	copy(b, HeadFormat)
	b[HeadKind] = letter(e.Meta.Kind)
	for i, n := range numbersOf(e.Meta) {
		putHex(b[HeadVersion+i*HexLength:], n)
	}
	b[HeadCoding] = coding
	b = append(b, value...)
	hex.Encode(b[HeadSum:HeadLength], Sum(b))
	return b
}

func letter(k policy.Kind) byte {
	switch k {
	case policy.Value:
		return kindValue
	case policy.Absence:
		return kindAbsence
	}
	return KindFloor
}

func numbersOf(m policy.Meta) [6]uint64 {
	return [6]uint64{m.Version, uint64(m.T0), uint64(m.FreshUntil), uint64(m.Until), uint64(m.DropAt), uint64(m.Took)}
}

// Sum is the checksum of an encoded entry.
func Sum(b []byte) []byte {
	n := crc32.Update(crc32.Checksum(b[:HeadSum], castagnoli), castagnoli, b[HeadLength:])
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// Decode reads what [Encode] wrote. It fails for everything else, and for an entry that was
// damaged.
func Decode(b []byte) (Entry, error) {
	if len(b) < HeadLength || string(b[:HeadKind]) != HeadFormat {
		return Entry{}, errFormat
	}
	var want [8]byte
	hex.Encode(want[:], Sum(b))
	if string(want[:]) != string(b[HeadSum:HeadLength]) {
		return Entry{}, fmt.Errorf("%w: it is damaged", errFormat)
	}
	var e Entry
	switch b[HeadKind] {
	case kindValue:
		e.Meta.Kind = policy.Value
	case kindAbsence:
		e.Meta.Kind = policy.Absence
	case KindFloor:
		e.Meta.Kind = policy.Floor
	default:
		return Entry{}, fmt.Errorf("%w: kind %q", errFormat, b[HeadKind])
	}
	var numbers [6]uint64
	for i := range numbers {
		var err error
		if numbers[i], err = ParseHex(b[HeadVersion+i*HexLength:][:HexLength]); err != nil {
			return Entry{}, fmt.Errorf("%w: %w", errFormat, err)
		}
	}
	e.Meta.Version, e.Meta.T0 = numbers[0], int64(numbers[1])
	e.Meta.FreshUntil, e.Meta.Until, e.Meta.DropAt = int64(numbers[2]), int64(numbers[3]), int64(numbers[4])
	e.Meta.Took = time.Duration(numbers[5])
	e.Value = b[HeadLength:]
	switch b[HeadCoding] {
	case codingPlain:
	case codingS2:
		var err error
		if e.Value, err = s2.Decode(nil, e.Value); err != nil {
			return Entry{}, fmt.Errorf("%w: %w", errFormat, err)
		}
	default:
		return Entry{}, fmt.Errorf("%w: coding %q", errFormat, b[HeadCoding])
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

// ParseHex reads the 16 hexadecimal digits of a number in a header.
func ParseHex(src []byte) (uint64, error) {
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

// Ours says whether a stored string has the first n bytes of an entry of this cache.
func Ours(raw string, n int) bool { return len(raw) >= n && raw[:len(HeadFormat)] == HeadFormat }

// Floor is the header by which the scripts make everything older than version unusable, from source
// time now on; "" for a policy that does not compare versions.
func Floor(p policy.Policy, f policy.Family, version uint64, now int64) string {
	if !p.Controls.Has(policy.VersionedStore) {
		return ""
	}
	return string(Encode(p, Entry{Meta: p.FloorFor(f, version, now)}))
}
