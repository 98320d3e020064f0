package origin

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// errShed says that the queue was full.
var errShed = errors.New("the queue is full")

// queue is a number of servers that each take a service time a request, and a first-come queue
// before them.
type queue struct {
	servers     chan struct{}
	waiting     atomic.Int64
	bound       int64 // 0: none
	mean        time.Duration
	exponential bool
	seed        uint64
	drawn       atomic.Uint64
}

func newQueue(cfg Config) *queue {
	return &queue{servers: make(chan struct{}, cfg.Servers), bound: int64(cfg.Queue), mean: cfg.ServiceTime,
		exponential: cfg.Exponential, seed: cfg.Seed}
}

// serve waits for a server, calls taken, and lets the service time pass. Its error is [errShed], or
// ctx's.
func (q *queue) serve(ctx context.Context, taken func()) error {
	if err := q.enter(ctx); err != nil {
		return err
	}
	defer func() { <-q.servers }()
	taken()
	d := q.draw()
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *queue) enter(ctx context.Context) error {
	select {
	case q.servers <- struct{}{}: // never before those who wait: a server that is freed is theirs at once
		return nil
	default:
	}
	defer q.waiting.Add(-1)
	if n := q.waiting.Add(1); q.bound > 0 && n > q.bound {
		return errShed
	}
	select {
	case q.servers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is in how many seconds those who wait now will have been served, about. At least 1.
func (q *queue) patience() int64 {
	turns := float64(q.waiting.Load())/float64(cap(q.servers)) + 1
	return max(1, int64(math.Ceil(turns*q.mean.Seconds())))
}

// draw gives the next service time. The times are those of the seed, in the order in which servers
// take requests up.
func (q *queue) draw() time.Duration {
	if !q.exponential {
		return q.mean
	}
	x := q.seed + q.drawn.Add(1)*0x9E3779B97F4A7C15 // SplitMix64 (Steele, Lea, Flood 2014)
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	x ^= x >> 31
	u := (float64(x>>11) + 0.5) / (1 << 53) // never 0
	return time.Duration(-math.Log(u) * float64(q.mean))
}
