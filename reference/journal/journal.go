// Package journal keeps what was acknowledged until it has been applied: an append-only log on disk
// that is fsynced before [Journal.Append] returns. A write-behind cache acknowledges a write once
// it is here, and applies it to the source later; what a crash leaves behind is handed out again by
// [Open].
//
// Records may be handed out more than once, so their reader must be idempotent: a source
// applies only what is newer than what it has.
//
// After a failed fsync it is unknown what is on disk, and trying again proves nothing: the kernel
// may have thrown the dirty pages away and will report success
// (https://wiki.postgresql.org/wiki/Fsync_Errors). So the journal is broken from then on, refuses
// everything, and only opening it anew tells what was kept.
package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Config describes a journal.
type Config struct {
	Files   Files // a folder of its own: [Folder] of the file system
	Segment int64 // bytes after which a new file is begun; 0: 16 MB. A file goes when all its records were applied.
}

// Position is where a record stands.
type Position struct {
	segment uint64
	offset  int64
}

// Record is what was appended, and where.
type Record struct {
	At   Position
	Data []byte
}

// Errors of a journal.
var (
	// ErrBroken: an earlier write or fsync failed. What was appended since is unknown; opening anew
	// tells.
	ErrBroken = errors.New("the journal is broken")
	// ErrDamaged: a record that had been made durable can't be read any more. The medium is at
	// fault, and what was acknowledged may be lost: this must not be passed over in silence.
	ErrDamaged = errors.New("a durable record of the journal is damaged")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("the journal is closed")
)

const segmentBytes = 16 << 20

// Journal is safe for concurrent use. Appends that come while an fsync runs share the next one.
type Journal struct {
	files Files
	limit int64

	mu       sync.Mutex
	file     File
	current  *segment
	segments []*segment // in order; the last is current
	durable  int64      // bytes of the current segment that an fsync has covered
	broken   error
	waiting  []chan error
	syncing  bool
	ended    sync.WaitGroup
}

// segment is one file.
type segment struct {
	number uint64
	size   int64
	open   map[int64]struct{} // offsets of records that were not applied yet
}

// Open reads what a folder's journal holds, in the order of its appends, and goes on with a new
// file. What stood at the end and was never made durable is dropped: nothing of it was
// acknowledged. Its error wraps [ErrDamaged] when something that had been made durable can't be
// read.
func Open(cfg Config) (*Journal, []Record, error) {
	j := &Journal{files: cfg.Files, limit: cfg.Segment}
	if j.limit == 0 {
		j.limit = segmentBytes
	}
	names, err := j.files.List()
	if err != nil {
		return nil, nil, fmt.Errorf("listing the journal: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := segmentNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var pending []Record
	next := uint64(1)
	for _, n := range numbers {
		raw, err := j.files.Read(segmentName(n))
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", segmentName(n), err)
		}
		found, err := readSegment(n, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", segmentName(n), err)
		}
		next = n + 1
		s := &segment{number: n, size: int64(len(raw)), open: map[int64]struct{}{}}
		for _, r := range found {
			s.open[r.At.offset] = struct{}{}
		}
		if len(found) == 0 {
			if err := j.files.Remove(segmentName(n)); err != nil {
				return nil, nil, fmt.Errorf("removing %s, which holds nothing: %w", segmentName(n), err)
			}
			continue
		}
		pending = append(pending, found...)
		j.segments = append(j.segments, s)
	}
	if err := j.begin(next); err != nil {
		return nil, nil, err
	}
	return j, pending, nil
}

// begin starts a new segment. Its name is durable before anything is written to it.
func (j *Journal) begin(number uint64) error {
	f, err := j.files.Create(segmentName(number))
	if err != nil {
		return fmt.Errorf("beginning %s: %w", segmentName(number), err)
	}
	j.file, j.durable = f, 0
	j.current = &segment{number: number, open: map[int64]struct{}{}}
	j.segments = append(j.segments, j.current)
	return nil
}

// Append adds a record and returns once it is durable. After an error that is not [ErrClosed] or
// the context's before anything was written it is unknown whether it is; [Open] will tell. When ctx
// ends while the fsync runs the error is the context's, and the record may or may not be kept.
func (j *Journal) Append(ctx context.Context, data []byte) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if len(data) > mostData {
		return Position{}, fmt.Errorf("a record of %d bytes; at most %d", len(data), mostData)
	}
	j.mu.Lock()
	if j.broken != nil {
		defer j.mu.Unlock()
		return Position{}, j.broken
	}
	at := Position{j.current.number, j.current.size}
	frame := encodeRecord(data, j.durable)
	if n, err := j.file.Write(frame); err != nil || n != len(frame) {
		j.breaks(fmt.Errorf("writing %d of %d bytes: %w", n, len(frame), errors.Join(err)))
		defer j.mu.Unlock()
		return Position{}, j.broken
	}
	j.current.open[at.offset] = struct{}{}
	j.current.size += int64(len(frame))
	done := make(chan error, 1)
	j.waiting = append(j.waiting, done)
	if !j.syncing {
		j.syncing = true
		j.ended.Go(j.sync)
	}
	j.mu.Unlock()
	select {
	case err := <-done:
		return at, err
	case <-ctx.Done():
		return at, ctx.Err()
	}
}

// sync makes durable what was appended, until no caller waits any more.
func (j *Journal) sync() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.waiting) > 0 {
		waiting, file, size := j.waiting, j.file, j.current.size
		j.waiting = nil
		j.mu.Unlock()
		err := file.Sync()
		j.mu.Lock()
		switch {
		case err != nil:
			j.breaks(fmt.Errorf("fsync: %w", err))
		default:
			j.durable = size
		}
		err = j.broken
		if errors.Is(err, ErrClosed) {
			err = nil // closed meanwhile, and durable
		}
		for _, w := range waiting {
			w <- err
		}
		if err == nil && j.broken == nil && len(j.waiting) == 0 && j.current.size >= j.limit {
			j.rotate()
		}
	}
	j.syncing = false
}

// rotate goes on in a new file. The old one is complete and durable.
func (j *Journal) rotate() {
	if err := j.file.Close(); err != nil {
		j.breaks(fmt.Errorf("closing a segment: %w", err))
		return
	}
	full := j.current
	if err := j.begin(full.number + 1); err != nil {
		j.breaks(err)
		return
	}
	j.retire(full)
}

// breaks ends the journal, and tells everybody who waits.
func (j *Journal) breaks(why error) {
	if j.broken == nil {
		j.broken = fmt.Errorf("%w: %w", ErrBroken, why)
	}
	for _, w := range j.waiting {
		w <- j.broken
	}
	j.waiting = nil
}

// Applied says that a record's effect is durable elsewhere: it need not be handed out again. (It
// may be, until its whole file is gone.)
func (j *Journal) Applied(p Position) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.number == p.segment {
			delete(s.open, p.offset)
			j.retire(s)
			return
		}
	}
}

// retire removes a file that is not written any more and holds nothing to be applied. When it can't
// be removed it is read again at the next Open, which is harmless.
func (j *Journal) retire(s *segment) {
	if s == j.current || len(s.open) > 0 {
		return
	}
	_ = j.files.Remove(segmentName(s.number))
	j.segments = slices.DeleteFunc(j.segments, func(o *segment) bool { return o == s })
}

// Pending is the number of records that were appended, or handed out by [Open], and not applied.
func (j *Journal) Pending() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, s := range j.segments {
		n += len(s.open)
	}
	return n
}

// Close waits for appends under way and closes the file. What was not applied is handed out at the
// next [Open].
func (j *Journal) Close() error {
	j.mu.Lock()
	if errors.Is(j.broken, ErrClosed) {
		j.mu.Unlock()
		return nil
	}
	was := j.broken
	j.broken = ErrClosed
	j.mu.Unlock()
	j.ended.Wait()
	if err := j.file.Close(); err != nil && was == nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}
