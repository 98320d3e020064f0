package load

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/cachedrill/cachedrill/targets"
)

// digest is a hash of a set of requests that does not depend on their order: two sums, modulo 2^64,
// of hashes of each. It takes in what was asked (number, kind, key, session, region), and not what
// differs between runs of one seed (run, token) or targets (instance).
type digest struct{ a, b uint64 }

func (d *digest) add(h uint64) {
	d.a += h
	d.b += mix64(h ^ gamma)
}

func (d digest) String() string { return fmt.Sprintf("%016x%016x", d.a, d.b) }

// hashRequest writes every field with its length ahead, so that no two requests have the same
// bytes.
func hashRequest(r *targets.Request) uint64 {
	var room [192]byte
	b := binary.LittleEndian.AppendUint64(room[:0], r.Seq)
	b = append(b, byte(r.Kind))
	b = binary.LittleEndian.AppendUint64(b, r.Session)
	k := &r.Key
	for _, s := range [...]string{k.Family, k.ID, k.Tenant, k.Locale, k.Currency, k.Variant, r.Region} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return xxhash.Sum64(b)
}
