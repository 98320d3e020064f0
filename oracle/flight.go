package oracle

import (
	"sort"
	"time"
)

// flight is the operations in flight on one key, by Sent. They begin in about the order of Sent and end
// in any: an ended one stays in place, marked, until it is the oldest or until most are.
type flight struct {
	ops  []aloft
	head int // ops before it have ended
	dead int // ended ops at or after head
}

type aloft struct {
	sent  time.Duration
	seq   uint64
	ended bool
}

// add notes that an operation began.
func (f *flight) add(sent time.Duration, seq uint64) {
	f.ops = append(f.ops, aloft{sent: sent, seq: seq})
	for i := len(f.ops) - 1; i > f.head && f.ops[i-1].sent > sent; i-- {
		f.ops[i-1], f.ops[i] = f.ops[i], f.ops[i-1]
	}
}

// remove notes that an operation ended, and says whether the oldest in flight is now another one.
func (f *flight) remove(sent time.Duration, seq uint64) bool {
	live := f.ops[f.head:]
	i := sort.Search(len(live), func(i int) bool { return live[i].sent >= sent })
	for ; i < len(live) && live[i].sent == sent; i++ {
		if live[i].seq == seq && !live[i].ended {
			live[i].ended = true
			f.dead++
			return f.settle()
		}
	}
	return false
}

func (f *flight) settle() (moved bool) {
	for f.head < len(f.ops) && f.ops[f.head].ended {
		f.head++
		f.dead--
		moved = true
	}
	switch live := len(f.ops) - f.head; {
	case live == 0:
		f.ops, f.head = f.ops[:0], 0
		if cap(f.ops) > 1024 {
			f.ops = nil
		}
	case f.head > 32 && f.head > live, f.dead > 32 && f.dead > live/2:
		kept := f.ops[:0]
		for _, o := range f.ops[f.head:] {
			if !o.ended {
				kept = append(kept, o)
			}
		}
		f.ops, f.head, f.dead = kept, 0, 0
	}
	return moved
}

// oldest is the Sent of the oldest operation in flight; [never] when there is none.
func (f *flight) oldest() time.Duration {
	if f.head == len(f.ops) {
		return never
	}
	return f.ops[f.head].sent
}
