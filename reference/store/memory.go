package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"
)

// Memory is a [Store] within the process, and the server of the clients that [Memory.Client] makes.
// It can be stopped, which forgets everything, and started again, as a Redis without persistence.
// Make it with [NewMemory].
type Memory struct {
	mu          sync.Mutex
	items       map[string]held
	listeners   map[*listener]bool
	down        bool
	incarnation int
	shift       time.Duration // of its wall clock; see Step
	expired     int64
}

type held struct {
	value []byte
	until time.Time
}

// NewMemory makes an empty store that is up.
func NewMemory() *Memory {
	return &Memory{items: map[string]held{}, listeners: map[*listener]bool{}, incarnation: 1}
}

// Tx is a script's view of the store: nothing comes between its calls.
type Tx struct {
	m   *Memory
	now time.Time
}

// Get reads a key; ok is false when there is none.
func (t *Tx) Get(key string) (value string, ok bool) {
	h, ok := t.m.items[key]
	if ok && !t.now.Before(h.until) {
		delete(t.m.items, key)
		t.m.expired++
		return "", false
	}
	return string(h.value), ok
}

// Set stores a value for ttl.
func (t *Tx) Set(key, value string, ttl time.Duration) {
	t.m.items[key] = held{[]byte(value), t.now.Add(ttl)}
}

// Delete forgets a key and says whether it was there.
func (t *Tx) Delete(key string) bool {
	_, ok := t.Get(key)
	delete(t.m.items, key)
	return ok
}

// Publish sends a message to those who listen to a channel.
func (t *Tx) Publish(channel, message string) {
	for l := range t.m.listeners {
		if l.channel == channel {
			l.hear(message)
		}
	}
}

// Until gives when a key expires, on the store's clock; ok is false when there is none.
func (t *Tx) Until(key string) (at time.Time, ok bool) {
	if _, ok := t.Get(key); !ok {
		return time.Time{}, false
	}
	return t.m.items[key].until, true
}

// ExpireAt lets a key that is there expire at a moment of the store's clock.
func (t *Tx) ExpireAt(key string, at time.Time) {
	if h, ok := t.m.items[key]; ok {
		t.m.items[key] = held{h.value, at}
	}
}

// Now is the store's clock.
func (t *Tx) Now() time.Time { return t.now }

func (m *Memory) tx() *Tx { return &Tx{m, time.Now().Add(m.shift)} }

// Stop makes it refuse every command. What it held is gone, and so are its listeners' connections.
func (m *Memory) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	clear(m.items)
}

// Start makes it answer again, as another incarnation.
func (m *Memory) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		m.down = false
		m.incarnation++
	}
}

// Step moves its wall clock, as an administrator or a time service does: keys that live until a
// moment expire early, or late.
func (m *Memory) Step(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shift += by
}

// Incarnation counts its starts; a store that answers under another number has forgotten
// everything.
func (m *Memory) Incarnation() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.incarnation
}

// Keys gives every key that has not expired.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := m.tx()
	var keys []string
	for k := range maps.Clone(m.items) {
		if _, ok := tx.Get(k); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// Expire lets the given keys expire now and counts those that were there.
func (m *Memory) Expire(keys ...string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx, n := m.tx(), 0
	for _, k := range keys {
		if tx.Delete(k) {
			n++
		}
	}
	m.expired += int64(n)
	return n
}

// Do runs one step past all wires: nothing comes between its calls. It returns [ErrRefused] when
// the store is down.
func (m *Memory) Do(step func(*Tx)) error { return m.do(step) }

// do runs one step, unless the store is down.
func (m *Memory) do(step func(*Tx)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return ErrRefused
	}
	step(m.tx())
	return nil
}

// Wire is the way to a store and back. Carry is called before a command reaches the store and
// before its answer reaches the client: it takes as long as the way does, and fails where nothing
// comes through. It must return when ctx ends.
type Wire interface {
	Carry(ctx context.Context) error
	// Hears says whether a message to a listener, any comparable value, comes through at this
	// moment. It is asked once for each message.
	Hears(listener any) bool
}

// Patience is how long a client waits.
type Patience struct {
	Command time.Duration // for an answer; 0: for as long as its context lets it
	Dial    time.Duration // before it gives up on a store that refuses connections
}

// Client gives the store as somebody sees it over a wire.
func (m *Memory) Client(w Wire, p Patience) Store { return &client{m, w, p} }

type client struct {
	m        *Memory
	wire     Wire
	patience Patience
}

func (c *client) do(ctx context.Context, what string, step func(*Tx)) error {
	if c.patience.Command > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience.Command)
		defer cancel()
	}
	err := c.wire.Carry(ctx)
	if err == nil {
		err = c.m.do(step)
	}
	if errors.Is(err, ErrRefused) {
		err = errors.Join(err, pause(ctx, c.patience.Dial))
	}
	if err == nil {
		err = c.wire.Carry(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (c *client) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = c.do(ctx, "reading", func(t *Tx) {
		var s string
		if s, ok = t.Get(key); ok {
			value = []byte(s)
		}
	})
	return value, ok && err == nil, err
}

func (c *client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.do(ctx, "storing", func(t *Tx) { t.Set(key, string(value), ttl) })
}

func (c *client) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	err = c.do(ctx, "adding", func(t *Tx) {
		if _, there := t.Get(key); !there {
			t.Set(key, string(value), ttl)
			added = true
		}
	})
	return added, err
}

func (c *client) Delete(ctx context.Context, keys ...string) error {
	return c.do(ctx, "deleting", func(t *Tx) {
		for _, k := range keys {
			t.Delete(k)
		}
	})
}

func (c *client) SetAll(ctx context.Context, items []Item) error {
	return c.do(ctx, "storing", func(t *Tx) {
		for _, i := range items {
			t.Set(i.Key, string(i.Value), i.TTL)
		}
	})
}

func (c *client) Run(ctx context.Context, s *Script, keys []string, args ...string) (out []string, err error) {
	err = c.do(ctx, "running a script", func(t *Tx) { out = s.run(t, keys, args) })
	return out, err
}

func (c *client) Identity(ctx context.Context) (id string, err error) {
	err = c.do(ctx, "asking who it is", func(t *Tx) { id = strconv.Itoa(t.m.incarnation) })
	return id, err
}

func (c *client) Channel(name string) string { return name } // it has one database

func (c *client) Publish(ctx context.Context, channel, message string) error {
	return c.do(ctx, "publishing", func(t *Tx) { t.Publish(channel, message) })
}

func (c *client) Subscribe(ctx context.Context, channel string) (Subscription, error) {
	l := &listener{m: c.m, wire: c.wire, channel: channel, out: make(chan string, waitingMessages)}
	if err := c.do(ctx, "subscribing", func(t *Tx) { t.m.listeners[l] = true }); err != nil {
		return nil, err
	}
	return l, nil
}

// listener is a subscription that comes back by itself after the store was away, as clients do.
type listener struct {
	m       *Memory
	wire    Wire
	channel string
	out     chan string
}

// hear is called with the store locked. A message that finds no room, or no way, is lost.
func (l *listener) hear(message string) {
	if !l.wire.Hears(l) {
		return
	}
	select {
	case l.out <- message:
	default:
	}
}

func (l *listener) Messages() <-chan string { return l.out }

func (l *listener) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.listeners[l] {
		delete(l.m.listeners, l)
		close(l.out)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
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
