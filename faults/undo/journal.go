// Package undo lets faults be undone when the process that injected them is gone: a journal of what
// to undo, the repair that reads it, and the log of who did what.
package undo

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// JournalFile and AuditFile are what the undo journal and the audit log are called in their folder.
const (
	JournalFile = "undo.jsonl"
	AuditFile   = "audit.jsonl"
)

// Journal says what to undo when the process that injected faults is gone: a file of JSON lines to
// which is only ever added. What undoes a fault is on disk (fsync) before the fault is injected,
// and a line says when it has been healed. [Repair] reads it. A nil Journal notes nothing. Its
// methods may be called concurrently, and several processes may have it open.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// line is one line of a journal. Lines with the same ID are about one injection.
type line struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	PID    int       `json:"pid"`
	Fault  string    `json:"fault"`
	Undo   *Step     `json:"undo,omitempty"`
	Healed bool      `json:"healed,omitempty"`
}

// OpenJournal opens a journal to add to it, and makes it when there is none. Only its owner can
// read it.
func OpenJournal(path string) (*Journal, error) {
	j, err := openJournal(path)
	if err != nil {
		return nil, fmt.Errorf("opening the undo journal: %w", err)
	}
	return j, nil
}

func openJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// The lock goes with the process, however that ends: what is not locked has no owner any more.
	if err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		// A line without an end was not waited for: what it was about was not injected.
		err = cutTorn(f)
	} else if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil // others have it open
	}
	if err == nil {
		err = errors.Join(flock(f, syscall.LOCK_SH), f.Sync(), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Journal{file: f}, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cutTorn takes away a last line that does not end.
func cutTorn(f *os.File) error {
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		return f.Truncate(int64(whole))
	}
	return nil
}

// Close closes the file. What has not been healed stays noted.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// add writes a line, and returns when it is on disk.
func (j *Journal) add(l line) error {
	if j == nil {
		return nil
	}
	l.At, l.PID = time.Now().UTC(), os.Getpid()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := errors.Join(appendLine(j.file, l), j.file.Sync()); err != nil {
		return fmt.Errorf("writing the undo journal: %w", err)
	}
	return nil
}

func appendLine(f *os.File, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return err
}

// Entry is one injection in a journal; a nil Entry notes nothing.
type Entry struct {
	journal *Journal
	id      string
	fault   string
}

// Begin notes that a fault is about to be injected, and what undoes it. A nil Journal gives a nil
// Entry.
func (j *Journal) Begin(fault string, undoes Step) (*Entry, error) {
	if j == nil {
		return nil, nil
	}
	e := &Entry{journal: j, id: rand.Text(), fault: fault}
	return e, e.Note(undoes)
}

// Note adds what else to undo. It returns when that is on disk.
func (e *Entry) Note(undoes Step) error {
	if e == nil {
		return nil
	}
	return e.journal.add(line{ID: e.id, Fault: e.fault, Undo: &undoes})
}

// Healed notes that there is nothing left to undo.
func (e *Entry) Healed() error {
	if e == nil {
		return nil
	}
	return e.journal.add(line{ID: e.id, Fault: e.fault, Healed: true})
}
