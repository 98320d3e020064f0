// Package writebehind acknowledges writes when they are in a journal, and brings them to the source
// afterwards.
package writebehind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/keylock"
	"github.com/cachedrill/cachedrill/reference/internal/token"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Config describes a [Writer].
type Config struct {
	Realm  string        // what it owns at the source: its families belong to no other owner
	Files  journal.Files // of its journal: a folder of its own, which must outlive it
	Source source.Applier
	Region string
	Policy policy.Policy
	Most   int  // changes that may wait for the source; more are refused. 0: 10,000
	Take   bool // the realm although another journal owns it. What that one still holds will never be applied.
}

// Writer takes the writes of families that are written behind. It gives each change its version,
// makes it durable in its journal and acknowledges it; the source gets it afterwards, name by name
// in order, as often as it takes. Readers see it when the source has it: until then nothing of it
// is in any cache.
//
// A realm at the source belongs to one journal. Its owner is known by a name in the journal's
// folder, so that a process that comes back goes on with it, and no other can: two journals
// would give versions twice.
type Writer struct {
	cfg   Config
	owner string
	log   *journal.Journal
	names keylock.Locks // one writer of a name at a time

	mu      sync.Mutex
	tails   map[key.Name]uint64 // the newest version given, of every name that was written since the start
	waiting map[key.Name][]waitingChange
	pending int
	news    chan struct{} // closed and replaced when pending falls, or when it ends
	failed  error         // it is no owner any more

	work    *background.Group
	applies chan struct{} // one slot for each change that is under way at the source
}

type waitingChange struct {
	source.Change
	at journal.Position
}

// ErrBacklog marks a write that is refused since the source has not taken enough of those before
// it.
var ErrBacklog = errors.New("too many writes wait for the source")

const (
	mostWaiting  = 10_000
	appliers     = 16 // names whose changes are on their way to the source at a time
	applyTimeout = 2 * time.Second
	applyAgain   = 20 * time.Millisecond // doubled after each failure
	applyAtMost  = time.Second
	ownerFile    = "owner"
)

// Open takes over the realm and what the journal holds. ctx bounds the time that the source may
// take to answer.
func Open(ctx context.Context, cfg Config) (*Writer, error) {
	if cfg.Most == 0 {
		cfg.Most = mostWaiting
	}
	w := &Writer{cfg: cfg, tails: map[key.Name]uint64{}, waiting: map[key.Name][]waitingChange{},
		news: make(chan struct{}), applies: make(chan struct{}, appliers), work: background.New()}
	var err error
	if w.owner, err = ownerOf(cfg.Files); err != nil {
		return nil, fmt.Errorf("opening the journal of %s: %w", cfg.Realm, err)
	}
	if err := cfg.Source.Own(ctx, cfg.Realm, w.owner, cfg.Take); err != nil {
		return nil, fmt.Errorf("%w; drain its journal and free it, or take it and lose what that journal holds", err)
	}
	var kept []journal.Record
	if w.log, kept, err = journal.Open(journal.Config{Files: cfg.Files}); err != nil {
		return nil, fmt.Errorf("opening the journal of %s: %w", cfg.Realm, err)
	}
	var changes []waitingChange
	for _, r := range kept {
		c := waitingChange{at: r.At}
		if err := json.Unmarshal(r.Data, &c.Change); err != nil {
			return nil, errors.Join(fmt.Errorf("a record of the journal of %s: %w", cfg.Realm, err), w.Close())
		}
		changes = append(changes, c)
	}
	slices.SortStableFunc(changes, func(x, y waitingChange) int { return int(int64(x.Version) - int64(y.Version)) })
	for _, c := range changes {
		w.tails[c.Name] = max(w.tails[c.Name], c.Version)
		w.enqueue(c)
	}
	return w, nil
}

// ownerOf reads the owner's name in a folder, or makes one. It is durable before it is used.
func ownerOf(files journal.Files) (string, error) {
	names, err := files.List()
	if err != nil {
		return "", err
	}
	if slices.Contains(names, ownerFile) {
		raw, err := files.Read(ownerFile)
		if err != nil || len(raw) == token.Length {
			return string(raw), err
		}
		if err := files.Remove(ownerFile); err != nil { // torn when it was made, before anything was acknowledged
			return "", err
		}
	}
	f, err := files.Create(ownerFile)
	if err != nil {
		return "", err
	}
	owner := token.New()
	_, err = f.Write([]byte(owner))
	return owner, errors.Join(err, f.Sync(), f.Close())
}

// Put acknowledges a value. An error that is [source.ErrNotApplied] guarantees that the source will
// never have it.
func (w *Writer) Put(ctx context.Context, n key.Name, value []byte, token string) (source.Record, error) {
	return w.write(ctx, source.Change{Name: n, Value: value, Token: token})
}

// Delete acknowledges an absence, as Put does a value.
func (w *Writer) Delete(ctx context.Context, n key.Name) (source.Record, error) {
	return w.write(ctx, source.Change{Name: n, Deleted: true})
}

func (w *Writer) write(ctx context.Context, c source.Change) (source.Record, error) {
	refuse := func(err error) (source.Record, error) {
		return source.Record{}, fmt.Errorf("writing %s:%s behind: %w: %w", c.Name.Family, c.Name.ID, source.ErrNotApplied, err)
	}
	for _, d := range []string{c.Name.Family, c.Name.ID, c.Name.Tenant, c.Name.Locale, c.Name.Currency, c.Name.Variant, c.Token} {
		if !utf8.ValidString(d) {
			return refuse(fmt.Errorf("%q is no UTF-8", d))
		}
	}
	free, err := w.names.Lock(ctx, fmt.Sprintf("%q", c.Name))
	if err != nil {
		return refuse(err)
	}
	last, err := w.tail(ctx, c.Name)
	if err != nil {
		free()
		return refuse(err)
	}
	c.Version, c.Realm, c.Owner = last+1, w.cfg.Realm, w.owner
	// From here on the change may last, so it is seen through whether or not the caller waits.
	done := make(chan error, 1)
	if err := w.work.Go(func() {
		defer free()
		done <- w.keep(c)
	}); err != nil {
		free()
		return refuse(err)
	}
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
func (w *Writer) tail(ctx context.Context, n key.Name) (uint64, error) {
	w.mu.Lock()
	last, known := w.tails[n]
	failed, pending := w.failed, w.pending
	w.mu.Unlock()
	switch {
	case failed != nil:
		return 0, failed
	case pending >= w.cfg.Most:
		return 0, ErrBacklog
	case known:
		return last, nil
	}
	r, err := w.cfg.Source.Version(ctx, n, source.Caller{Region: w.cfg.Region})
	if err != nil {
		return 0, fmt.Errorf("which version it has: %w", err)
	}
	return r.Version, nil
}

// keep makes a change durable, and has it applied.
func (w *Writer) keep(c source.Change) error {
	waiting := waitingChange{Change: c}
	if w.cfg.Policy.Controls.Has(policy.Journal) {
		raw, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if waiting.at, err = w.log.Append(context.Background(), raw); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.tails[c.Name] = c.Version
	w.mu.Unlock()
	w.enqueue(waiting)
	return nil
}

// enqueue puts a change behind those of its name that wait.
func (w *Writer) enqueue(c waitingChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending++
	queue, busy := w.waiting[c.Name]
	w.waiting[c.Name] = append(queue, c)
	if !busy {
		_ = w.work.Go(func() { w.drain(c.Name) }) // when it is closed, the change stays in the journal
	}
}

// drain applies what waits of a name, until nothing does.
func (w *Writer) drain(n key.Name) {
	for {
		w.mu.Lock()
		queue := w.waiting[n]
		if len(queue) == 0 {
			delete(w.waiting, n)
			w.mu.Unlock()
			return
		}
		next := queue[0]
		w.mu.Unlock()
		if !w.apply(next) {
			return
		}
		if w.cfg.Policy.Controls.Has(policy.Journal) {
			w.log.Applied(next.at)
		}
		w.mu.Lock()
		w.waiting[n] = w.waiting[n][1:]
		w.pending--
		w.wake()
		w.mu.Unlock()
	}
}

// apply has the source take a change, or is closed.
func (w *Writer) apply(c waitingChange) bool {
	for wait := applyAgain; ; wait = min(2*wait, applyAtMost) {
		select {
		case w.applies <- struct{}{}:
		case <-w.work.Context().Done():
			return false
		}
		ctx, cancel := context.WithTimeout(w.work.Context(), applyTimeout)
		_, err := w.cfg.Source.Apply(ctx, c.Change, source.Caller{Region: w.cfg.Region})
		cancel()
		<-w.applies
		switch {
		case err == nil:
			return true
		case errors.Is(err, source.ErrOwned):
			w.fail(fmt.Errorf("%s was taken over; this journal still holds what it can't apply any more: %w", w.cfg.Realm, err))
			return false
		}
		if background.Sleep(w.work.Context(), wait) != nil {
			return false
		}
	}
}

// fail ends the taking of writes.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
		w.wake()
	}
}

// wake wakes the callers of Drained. It is called with the lock held.
func (w *Writer) wake() {
	close(w.news)
	w.news = make(chan struct{})
}

// Pending is the number of acknowledged changes that the source does not have yet.
func (w *Writer) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// Drained waits until the source has everything that was acknowledged.
func (w *Writer) Drained(ctx context.Context) error {
	for {
		w.mu.Lock()
		pending, failed, news := w.pending, w.failed, w.news
		w.mu.Unlock()
		if pending == 0 || failed != nil {
			return failed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d writes of %s wait for the source: %w", pending, w.cfg.Realm, ctx.Err())
		}
	}
}

// Close ends it. What the source does not have yet is in the journal, for the next one to open it.
func (w *Writer) Close() error {
	w.work.Close()
	return w.log.Close()
}
