package targets

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// NewToken makes the value that write seq of a run stores under key. It certifies itself: from the
// token alone [ParseToken] tells which run and operation wrote it, for which key, and whether it
// arrived whole. run must be non-empty and free of dots. Seq 0..2^64-1; initial values that a run
// seeds are written with seq [SeedSeq].
//
// The form is run.seq.keyhash.crc, the last two in hexadecimal.
func NewToken(run string, seq uint64, key Key) string {
	return newToken(run, seq, hashKey(key))
}

func newToken(run string, seq uint64, keyHash uint32) string {
	body := fmt.Sprintf("%s.%d.%08x", run, seq, keyHash)
	return fmt.Sprintf("%s.%08x", body, crc32.Checksum([]byte(body), castagnoli))
}

// SeedSeq is the operation number in the tokens of values that were there before the first
// operation.
const SeedSeq = ^uint64(0)

// Token is the content of a write's self-certifying value.
type Token struct {
	Run     string
	Seq     uint64
	keyHash uint32
}

// ParseToken reads a token that [NewToken] made. ok is false when it is malformed or its checksum
// fails.
func ParseToken(s string) (t Token, ok bool) {
	cut := strings.LastIndexByte(s, '.')
	if cut < 0 {
		return t, false
	}
	if s[cut+1:] != fmt.Sprintf("%08x", crc32.Checksum([]byte(s[:cut]), castagnoli)) {
		return t, false
	}
	parts := strings.Split(s[:cut], ".")
	if len(parts) != 3 || parts[0] == "" {
		return t, false
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return t, false
	}
	kh, err := strconv.ParseUint(parts[2], 16, 32)
	if err != nil {
		return t, false
	}
	return Token{Run: parts[0], Seq: seq, keyHash: uint32(kh)}, true
}

// For says whether the token was written for key (up to a 32-bit hash of it).
func (t Token) For(key Key) bool { return t.keyHash == hashKey(key) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func hashKey(k Key) uint32 {
	h := crc32.New(castagnoli)
	for _, s := range [...]string{k.Family, k.ID, k.Tenant, k.Locale, k.Currency, k.Variant} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return h.Sum32()
}
