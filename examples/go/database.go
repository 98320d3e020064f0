package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// product is a row. Its versions are numbered by the database, from 1 on.
type product struct {
	Title   string
	Version uint64
}

// errBusy says that the database was not asked: too many wait for it already.
var errBusy = errors.New("the database is busy")

// database stands where yours does: it takes its time (takes for a read with its joins, a tenth of
// that for a write, give or take a half), and it takes only so many at once.
type database struct {
	takes   time.Duration
	room    chan struct{}
	queries atomic.Int64

	mu   sync.Mutex
	rows map[string]product
}

func newDatabase(takes time.Duration, atOnce int) *database {
	return &database{takes: takes, room: make(chan struct{}, atOnce), rows: map[string]product{}}
}

const patience = 500 * time.Millisecond

// query does something under the lock, and then takes its time: an answer is what was true when it
// was made.
func (d *database) query(ctx context.Context, takes time.Duration, do func() product) (product, error) {
	select {
	case d.room <- struct{}{}:
	case <-time.After(patience):
		return product{}, errBusy
	case <-ctx.Done():
		return product{}, errBusy
	}
	defer func() { <-d.room }()
	d.queries.Add(1)
	d.mu.Lock()
	p := do()
	d.mu.Unlock()
	time.Sleep(takes/2 + rand.N(takes))
	return p, nil
}

func (d *database) read(ctx context.Context, key string) (product, error) {
	return d.query(ctx, d.takes, func() product { return d.rows[key] })
}

func (d *database) write(ctx context.Context, key, title string) (product, error) {
	return d.query(ctx, d.takes/10, func() product {
		p := product{title, d.rows[key].Version + 1}
		d.rows[key] = p
		return p
	})
}
