package reference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// BehindConfig describes a [Behind].
type BehindConfig struct {
	Realm  string        // what it owns at the source: its families belong to nobody else
	Files  journal.Files // of its journal: a folder of its own, which must outlive it
	Source source.Applier
	Region string
	Policy policy.Policy
	Most   int  // changes that may wait for the source; more are refused. 0: 10,000
	Take   bool // the realm although another journal owns it. What that one still holds will never be applied.
}

// Behind takes the writes of families that are written behind. It gives each change its version, makes it durable in its
// journal and acknowledges it; the source gets it afterwards, name by name in order, as often as it takes. Readers see it when
// the source has it: until then nothing of it is in any cache.
//
// A realm at the source belongs to one journal. Its owner is known by a name in the journal's folder, so that a process that
// comes back goes on with it, and nobody else can: two journals would give versions twice.
type Behind struct {
	cfg   BehindConfig
	owner string
	log   *journal.Journal
	names locks // one writer of a name at a time

	mu      sync.Mutex
	tails   map[key.Name]uint64 // the newest version given, of every name that was written since the start
	waiting map[key.Name][]waitingChange
	pending int
	news    chan struct{} // closed and replaced when pending falls, or when it ends
	failed  error         // it is no owner any more

	life    context.Context
	end     context.CancelFunc
	closing sync.RWMutex // held for reading while something joins running
	running sync.WaitGroup
	applies chan struct{} // a place each for what is under way at the source
}

type waitingChange struct {
	source.Change
	at journal.Position
}

// ErrBacklog marks a write that is refused since the source has not taken enough of those before it.
var ErrBacklog = errors.New("too many writes wait for the source")

const (
	mostWaiting  = 10_000
	appliers     = 16 // names whose changes are on their way to the source at a time
	applyTimeout = 2 * time.Second
	applyAgain   = 20 * time.Millisecond // doubled after each failure
	applyAtMost  = time.Second
	ownerFile    = "owner"
)

// OpenBehind takes over the realm and what the journal holds. ctx bounds the time that the source may take to answer.
func OpenBehind(ctx context.Context, cfg BehindConfig) (*Behind, error) {
	if cfg.Most == 0 {
		cfg.Most = mostWaiting
	}
	b := &Behind{cfg: cfg, tails: map[key.Name]uint64{}, waiting: map[key.Name][]waitingChange{},
		news: make(chan struct{}), applies: make(chan struct{}, appliers)}
	var err error
	if b.owner, err = ownerOf(cfg.Files); err != nil {
		return nil, fmt.Errorf("opening the journal of %s: %w", cfg.Realm, err)
	}
	if err := cfg.Source.Own(ctx, cfg.Realm, b.owner, cfg.Take); err != nil {
		return nil, fmt.Errorf("%w; drain its journal and free it, or take it and lose what that journal holds", err)
	}
	var kept []journal.Record
	if b.log, kept, err = journal.Open(journal.Config{Files: cfg.Files}); err != nil {
		return nil, fmt.Errorf("opening the journal of %s: %w", cfg.Realm, err)
	}
	b.life, b.end = context.WithCancel(context.Background())
	var changes []waitingChange
	for _, r := range kept {
		c := waitingChange{at: r.At}
		if err := json.Unmarshal(r.Data, &c.Change); err != nil {
			return nil, errors.Join(fmt.Errorf("a record of the journal of %s: %w", cfg.Realm, err), b.Close())
		}
		changes = append(changes, c)
	}
	slices.SortStableFunc(changes, func(x, y waitingChange) int { return int(int64(x.Version) - int64(y.Version)) })
	for _, c := range changes {
		b.tails[c.Name] = max(b.tails[c.Name], c.Version)
		b.enqueue(c)
	}
	return b, nil
}

// ownerOf reads the owner's name in a folder, or makes one. It is durable before it is used.
func ownerOf(files journal.Files) (string, error) {
	const length = 24
	names, err := files.List()
	if err != nil {
		return "", err
	}
	if slices.Contains(names, ownerFile) {
		raw, err := files.Read(ownerFile)
		if err != nil || len(raw) == length {
			return string(raw), err
		}
		if err := files.Remove(ownerFile); err != nil { // torn when it was made: nobody was promised anything
			return "", err
		}
	}
	f, err := files.Create(ownerFile)
	if err != nil {
		return "", err
	}
	owner := newToken()
	_, err = f.Write([]byte(owner))
	return owner, errors.Join(err, f.Sync(), f.Close())
}

// Put acknowledges a value. An error that is [source.ErrNotApplied] guarantees that the source will never have it.
func (b *Behind) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	return b.write(ctx, source.Change{Name: n, Value: value, Token: token})
}

// Delete acknowledges an absence, as Put does a value.
func (b *Behind) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return b.write(ctx, source.Change{Name: n, Deleted: true})
}

func (b *Behind) write(ctx context.Context, c source.Change) (source.Record, error) {
	refuse := func(err error) (source.Record, error) {
		return source.Record{}, fmt.Errorf("writing %s:%s behind: %w: %w", c.Name.Family, c.Name.ID, source.ErrNotApplied, err)
	}
	for _, d := range []string{c.Name.Family, c.Name.ID, c.Name.Tenant, c.Name.Locale, c.Name.Currency, c.Name.Variant, c.Token} {
		if !utf8.ValidString(d) {
			return refuse(fmt.Errorf("%q is no UTF-8", d))
		}
	}
	free, err := b.names.take(ctx, fmt.Sprintf("%q", c.Name))
	if err != nil {
		return refuse(err)
	}
	last, err := b.tail(ctx, c.Name)
	if err != nil {
		free()
		return refuse(err)
	}
	c.Version, c.Realm, c.Owner = last+1, b.cfg.Realm, b.owner
	if !b.begin() {
		free()
		return refuse(errClosed)
	}
	// From here on the change may last, so it is seen through whether or not the caller waits.
	done := make(chan error, 1)
	go func() {
		defer b.running.Done()
		defer free()
		done <- b.keep(c)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return source.Record{}, fmt.Errorf("writing %s:%s behind: %w", c.Name.Family, c.Name.ID, err)
	}
	return source.Record{Value: c.Value, Version: c.Version, Deleted: c.Deleted}, nil
}

// tail is the newest version of a name.
func (b *Behind) tail(ctx context.Context, n key.Name) (uint64, error) {
	b.mu.Lock()
	last, known := b.tails[n]
	failed, pending := b.failed, b.pending
	b.mu.Unlock()
	switch {
	case failed != nil:
		return 0, failed
	case pending >= b.cfg.Most:
		return 0, ErrBacklog
	case known:
		return last, nil
	}
	r, err := b.cfg.Source.Version(ctx, n, source.Caller{Region: b.cfg.Region})
	if err != nil {
		return 0, fmt.Errorf("which version it has: %w", err)
	}
	return r.Version, nil
}

// keep makes a change durable, and has it applied.
func (b *Behind) keep(c source.Change) error {
	w := waitingChange{Change: c}
	if b.cfg.Policy.Controls.Has(policy.Journal) {
		raw, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if w.at, err = b.log.Append(context.Background(), raw); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.tails[c.Name] = c.Version
	b.mu.Unlock()
	b.enqueue(w)
	return nil
}

// enqueue puts a change behind those of its name that wait.
func (b *Behind) enqueue(c waitingChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending++
	queue, busy := b.waiting[c.Name]
	b.waiting[c.Name] = append(queue, c)
	if !busy && b.begin() {
		go b.drain(c.Name)
	}
}

// drain applies what waits of a name, until nothing does.
func (b *Behind) drain(n key.Name) {
	defer b.running.Done()
	for {
		b.mu.Lock()
		queue := b.waiting[n]
		if len(queue) == 0 {
			delete(b.waiting, n)
			b.mu.Unlock()
			return
		}
		next := queue[0]
		b.mu.Unlock()
		if !b.apply(next) {
			return
		}
		if b.cfg.Policy.Controls.Has(policy.Journal) {
			b.log.Applied(next.at)
		}
		b.mu.Lock()
		b.waiting[n] = b.waiting[n][1:]
		b.pending--
		b.tell()
		b.mu.Unlock()
	}
}

// apply has the source take a change, or is closed.
func (b *Behind) apply(c waitingChange) bool {
	for wait := applyAgain; ; wait = min(2*wait, applyAtMost) {
		select {
		case b.applies <- struct{}{}:
		case <-b.life.Done():
			return false
		}
		ctx, cancel := context.WithTimeout(b.life, applyTimeout)
		_, err := b.cfg.Source.Apply(ctx, c.Change, source.Caller{Region: b.cfg.Region})
		cancel()
		<-b.applies
		switch {
		case err == nil:
			return true
		case errors.Is(err, source.ErrOwned):
			b.fail(fmt.Errorf("%s was taken over; this journal still holds what it can't apply any more: %w", b.cfg.Realm, err))
			return false
		}
		if sleep(b.life, wait) != nil {
			return false
		}
	}
}

// fail ends the taking of writes.
func (b *Behind) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
		b.tell()
	}
}

// tell wakes who waits for news. It is called with the lock held.
func (b *Behind) tell() {
	close(b.news)
	b.news = make(chan struct{})
}

// Pending is the number of acknowledged changes that the source does not have yet.
func (b *Behind) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending
}

// Drained waits until the source has everything that was acknowledged.
func (b *Behind) Drained(ctx context.Context) error {
	for {
		b.mu.Lock()
		pending, failed, news := b.pending, b.failed, b.news
		b.mu.Unlock()
		if pending == 0 || failed != nil {
			return failed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d writes of %s wait for the source: %w", pending, b.cfg.Realm, ctx.Err())
		}
	}
}

func (b *Behind) begin() bool {
	b.closing.RLock()
	defer b.closing.RUnlock()
	if b.life.Err() != nil {
		return false
	}
	b.running.Add(1)
	return true
}

// Close ends it. What the source does not have yet is in the journal, for the next one to open it.
func (b *Behind) Close() error {
	b.closing.Lock()
	b.end()
	b.closing.Unlock()
	b.running.Wait()
	return b.log.Close()
}
