package service

import (
	"context"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/store"
)

// InProcess keeps the whole service within this process: workers are called instead of asked over
// HTTP, and every network link is a wire in memory. Drills in virtual time use it, and drills at
// rates that HTTP does not reach.
type InProcess struct {
	Store  func(edge string) store.Store // the shared tier of a region, as reached over an edge
	Wire   func(edge string) store.Wire  // the link between two relays
	L1Size int                           // copies kept in a worker's memory; 0: the cache's default
}

func (i *InProcess) l1Size() int {
	if i == nil {
		return 0
	}
	return i.L1Size
}

// inProcessPeer is the relay of another region, reached over a wire.
type inProcessPeer struct {
	relay *invalidation.Relay
	wire  store.Wire
}

func (p inProcessPeer) Close() {}

func (p inProcessPeer) Pull(ctx context.Context, after uint64) (next uint64, events []invalidation.Event, err error) {
	if err := p.wire.Carry(ctx); err != nil {
		return 0, nil, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	if next, events, err = p.relay.Pull(ctx, after); err != nil {
		return 0, nil, err
	}
	if err := p.wire.Carry(ctx); err != nil {
		return 0, nil, fmt.Errorf("reading a peer's commits: %w", err)
	}
	return next, events, nil
}
