package purge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/journal"
)

// Record is one line of the audit log of purges. Each purge has two: "begun" before anything is
// removed, and "done" with what came of it. A purge that has only the first was cut off at an
// unknown point.
type Record struct {
	Time     time.Time `json:"time"` // wall clock, UTC
	ID       string    `json:"id"`   // of the purge: the same in both of its records
	Event    string    `json:"event"`
	Who      string    `json:"who"`
	Why      string    `json:"why"`
	Region   string    `json:"region"`
	Selector string    `json:"selector"`
	Removed  int       `json:"removed"`         // values taken out of the region's Redis
	Voided   int       `json:"voided"`          // fills under way that may not store what they read
	Error    string    `json:"error,omitempty"` // empty: it went through
}

// The events of an audit record.
const (
	Begun = "begun"
	Ended = "done"
)

// ErrAudit marks an audit log that could not be written. No purge happens without its record.
var ErrAudit = errors.New("the audit log can't be written")

// Audit is an append-only log of purges: JSON, a line each, fsynced before the purge goes on. It is
// safe for concurrent use, and several processes may append to one file of a local file system.
type Audit struct {
	mu     sync.Mutex
	file   journal.File
	broken error
}

// OpenAudit opens a log, or begins one that only its owner may read. What is in it is never
// changed. A last line that a crash has cut off is ended, so that what follows stands on lines of
// its own.
func OpenAudit(path string) (*Audit, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAudit, err)
	}
	err = endLine(f)
	if err == nil {
		err = syncFolder(path) // the file may be new, and its name must outlive a crash, too
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAudit, errors.Join(err, f.Close()))
	}
	return &Audit{file: f}, nil
}

func endLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		_, err = f.Write([]byte("\n"))
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the log. Records after that fail.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken == nil {
		a.broken = errors.New("it was closed")
		return a.file.Close()
	}
	return nil
}

// write returns once the record is durable. After a failure it is unknown what is on disk, and
// trying again proves nothing: so the log takes no more, and must be opened anew.
func (a *Audit) write(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAudit, err)
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil {
		return fmt.Errorf("%w: %w", ErrAudit, a.broken)
	}
	n, err := a.file.Write(line)
	if err == nil && n < len(line) {
		err = fmt.Errorf("%d of %d bytes were written", n, len(line))
	}
	if err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		a.broken = err
		_ = a.file.Close() // it is of no use any more
		return fmt.Errorf("%w: %w", ErrAudit, err)
	}
	return nil
}
