package oracle

import (
	"hash/maphash"

	"github.com/cachedrill/cachedrill/targets"
)

// signature is a token as far as it is kept: a million strings would be most of a judge's memory. Two tokens with one
// 64-bit hash would be taken for one.
type signature struct {
	hash uint64 // 0: no token
	seq  uint64 // of the write that made it; [oddSeq] when the token is not of the usual form
}

// oddSeq is in the place of a token's number when it has none.
const oddSeq = targets.SeedSeq - 1

// digest is the hash of a token in its [signature]; 0 for none.
func (j *Judge) digest(token string) uint64 {
	if token == "" {
		return 0
	}
	return maphash.String(j.seed, token) | 1
}

func (j *Judge) signature(token string) signature {
	m := signature{hash: j.digest(token)}
	if m.hash == 0 {
		return m
	}
	m.seq = oddSeq
	if t, ok := targets.ParseToken(token); ok {
		m.seq = t.Seq
	}
	return m
}

// author names a known value by the write that stored it.
func (m signature) author() string {
	switch {
	case m.hash == 0:
		return "an absence"
	case m.seq == oddSeq:
		return "a value of another form"
	case m.seq == targets.SeedSeq:
		return writer(m.seq)
	}
	return "the value of " + writer(m.seq)
}
