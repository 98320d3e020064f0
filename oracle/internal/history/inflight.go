package history

import (
	"sort"
	"time"
)

// Inflight is the operations in flight on one key, by Sent. They begin in about the order of Sent
// and end in any: an ended one stays in place, marked, until it is the oldest or until most are.
type Inflight struct {
	ops  []Op
	head int // ops before it have ended
	dead int // ended ops at or after head
}

type Op struct {
	Sent  time.Duration
	Seq   uint64
	Ended bool
}

// Add notes that an operation began.
func (f *Inflight) Add(sent time.Duration, seq uint64) {
	f.ops = append(f.ops, Op{Sent: sent, Seq: seq})
	for i := len(f.ops) - 1; i > f.head && f.ops[i-1].Sent > sent; i-- {
		f.ops[i-1], f.ops[i] = f.ops[i], f.ops[i-1]
	}
}

// Remove notes that an operation ended, and says whether the oldest in flight is now another one.
func (f *Inflight) Remove(sent time.Duration, seq uint64) bool {
	live := f.ops[f.head:]
	i := sort.Search(len(live), func(i int) bool { return live[i].Sent >= sent })
	for ; i < len(live) && live[i].Sent == sent; i++ {
		if live[i].Seq == seq && !live[i].Ended {
			live[i].Ended = true
			f.dead++
			return f.settle()
		}
	}
	return false
}

func (f *Inflight) settle() (moved bool) {
	for f.head < len(f.ops) && f.ops[f.head].Ended {
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
			if !o.Ended {
				kept = append(kept, o)
			}
		}
		f.ops, f.head, f.dead = kept, 0, 0
	}
	return moved
}

// Oldest is the Sent of the oldest operation in flight; [Never] when there is none.
func (f *Inflight) Oldest() time.Duration {
	if f.head == len(f.ops) {
		return Never
	}
	return f.ops[f.head].Sent
}
