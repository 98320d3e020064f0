// Package store is what the caches need of a shared second tier: a few commands of a Redis, and
// scripts that run in one step. [Redis] is one behind a client; [Memory] is one within the process,
// for tests in virtual time. Both keep the same rules, and one conformance test holds them to it.
package store

import (
	"context"
	"errors"
	"time"
)

// Store is a shared store of keys whose values expire. After an error it is unknown whether the
// command took effect, unless it is [ErrRefused].
type Store interface {
	// Get reads a key; ok is false when there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set stores a value for ttl, which counts in whole milliseconds, 1 or more.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Add is Set where there is no value yet, and says whether there was none.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
	// Delete forgets keys.
	Delete(ctx context.Context, keys ...string) error
	// SetAll stores many values in as few round trips as is sensible.
	SetAll(ctx context.Context, items []Item) error
	// Scan gives the keys that begin with the first piece and hold the others after it, in their
	// order, wherever those stand: a key that is there all the while comes at least once; one that
	// comes or goes meanwhile may. The keys come in batches of about [ScanBatch], and each must
	// have been dealt with before the store is asked for more. No pieces mean every key. It ends
	// early with the error of each, or when ctx ends.
	Scan(ctx context.Context, pieces []string, each func(keys []string) error) error
	// Run runs a script in one step and gives its answer.
	Run(ctx context.Context, s *Script, keys []string, args ...string) ([]string, error)
	// Identity names the process that answers and the data it has: another name means that it was
	// started anew, or that another server has taken its place, and that what was last written may
	// be gone.
	Identity(ctx context.Context) (string, error)
	// Channel is what a channel of this store is called on its server: a server's databases have
	// their keys apart, and its channels in common. A script that publishes must use it; Publish
	// and Subscribe do so themselves.
	Channel(name string) string
	// Publish sends a message to those who subscribe to a channel of this store now.
	Publish(ctx context.Context, channel, message string) error
	// Subscribe listens to a channel of this store from the moment it returns. Messages that come
	// while the connection is away are lost.
	Subscribe(ctx context.Context, channel string) (Subscription, error)
}

// ScanBatch is how many keys of a [Store.Scan] a store looks at in one step, so that no other
// client waits for long.
const ScanBatch = 500

// Item is a value to be stored.
type Item struct {
	Key   string
	Value []byte
	TTL   time.Duration
}

// Subscription is a listener. Its channel is closed after Close.
type Subscription interface {
	Messages() <-chan string
	Close() error
}

// ErrRefused marks a command that never reached the store.
var ErrRefused = errors.New("connection refused")
