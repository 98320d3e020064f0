package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A segment is a sequence of records, little-endian:
//
//	offset  0  magic, 4 bytes
//	        4  CRC-32C of all that follows, 4 bytes
//	        8  length of the data, 4 bytes
//	       12  how many bytes of the segment were durable when this was written, 8 bytes
//	       20  data
//
// Appends go one after the other, and a crash may leave of what was never made durable a torn
// record, or a hole with intact records behind it. Those were not acknowledged. But when an intact
// record behind a hole says that the hole had been made durable, the medium has lost something. (Of
// the last record of a file nothing behind it can say so: its damage looks like a torn end.)
const (
	headBytes = 20
	mostData  = 64 << 20
)

var (
	magic      = []byte{0xC4, 'j', 'r', 1}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func encodeRecord(data []byte, durable int64) []byte {
	b := make([]byte, headBytes, headBytes+len(data))
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(data)))
	binary.LittleEndian.PutUint64(b[12:], uint64(durable))
	b = append(b, data...)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// decodeRecord reads the record at the beginning of b.
func decodeRecord(b []byte) (data []byte, durable int64, ok bool) {
	if len(b) < headBytes || !bytes.Equal(b[:len(magic)], magic) {
		return nil, 0, false
	}
	n := int64(binary.LittleEndian.Uint32(b[8:]))
	if n > mostData || headBytes+n > int64(len(b)) {
		return nil, 0, false
	}
	end := headBytes + n
	if crc32.Checksum(b[8:end], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, false
	}
	return b[headBytes:end:end], int64(binary.LittleEndian.Uint64(b[12:])), true
}

// readSegment gives the records of a file up to the first that can't be read.
func readSegment(number uint64, raw []byte) ([]Record, error) {
	var out []Record
	at := int64(0)
	for at < int64(len(raw)) {
		data, _, ok := decodeRecord(raw[at:])
		if !ok {
			return out, damage(raw, at)
		}
		out = append(out, Record{Position{number, at}, bytes.Clone(data)})
		at += headBytes + int64(len(data))
	}
	return out, nil
}

// damage looks behind a hole for a record that proves that the hole had been durable.
func damage(raw []byte, hole int64) error {
	for rest := hole + 1; ; rest++ {
		i := bytes.Index(raw[rest:], magic)
		if i < 0 {
			return nil
		}
		rest += int64(i)
		if _, durable, ok := decodeRecord(raw[rest:]); ok && durable > hole {
			return fmt.Errorf("%w: the record at byte %d, of %d that had been durable", ErrDamaged, hole, durable)
		}
	}
}

const segmentSuffix = ".journal"

func segmentName(n uint64) string { return fmt.Sprintf("%016x", n) + segmentSuffix }

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}
