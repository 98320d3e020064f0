package faults

import (
	"bytes"
	"context"
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

// Journal says what to undo when the process that injected faults is gone: a file of JSON lines to which
// is only ever added. What undoes a fault is on disk (fsync) before the fault is injected, and a line says
// when it has been healed. [Repair] reads it. A nil Journal notes nothing. Its methods may be called
// concurrently, and several processes may have it open.
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
	Undo   *undo     `json:"undo,omitempty"`
	Healed bool      `json:"healed,omitempty"`
}

// undo is what a line asks for, in data alone: whoever reads it knows nothing of the one who wrote it.
type undo struct {
	Kind undoKind `json:"kind"`
	Why  string   `json:"why,omitempty"` // there is nothing to undo, or nothing that could

	Redis *redisAt `json:"redis,omitempty"`

	// Of armed keys: Keys[i] had the expiry Own[i] (0: none) before it got Armed, all in Unix ms on the
	// server's clock. Names may be any bytes.
	Armed int64    `json:"armed,omitempty"`
	Keys  [][]byte `json:"keys,omitempty"`
	Own   []int64  `json:"own,omitempty"`

	Command []string `json:"command,omitempty"` // starts the Redis, and returns; none: its owner must
}

type undoKind string

const (
	undoArmed   undoKind = "armed keys"
	undoStart   undoKind = "start"
	undoNothing undoKind = "nothing"    // it ends with the process that injected it
	undoLost    undoKind = "impossible" // what was lost stays lost
)

// redisAt is where a Redis is. It holds no password.
type redisAt struct {
	Addr string `json:"addr"`
	DB   int    `json:"db,omitempty"`
	User string `json:"user,omitempty"`
	TLS  bool   `json:"tls,omitempty"`
	Own  bool   `json:"own,omitempty"` // it ends with the process that wrote this
}

func (r redisAt) String() string { return fmt.Sprintf("%s db %d", r.Addr, r.DB) }

func whereIs(n Node) *redisAt {
	_, limited := n.(Limited)
	_, commanded := n.(Commanded)
	o := n.Client().Options()
	return &redisAt{Addr: n.Addr(), DB: o.DB, User: o.Username, TLS: o.TLSConfig != nil, Own: !limited && !commanded}
}

// withUs is a fault that can't outlive its process.
var withUs = undo{Kind: undoNothing, Why: "the network proxies ended with the process that had injected it"}

// OpenJournal opens a journal to add to it, and makes it when there is none. Only its owner can read it.
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
	// The lock goes with the process, however that ends: what is not locked is nobody's any more.
	if err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		// The end of a line that was not finished was not waited for either: nothing was injected.
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

// entry is one injection in a journal; nil notes nothing.
type entry struct {
	journal *Journal
	id      string
	fault   string
}

func (j *Journal) begin(f Fault, u undo) (*entry, error) {
	if j == nil {
		return nil, nil
	}
	e := &entry{journal: j, id: rand.Text(), fault: f.String()}
	return e, e.note(u)
}

// note adds what else to undo.
func (e *entry) note(u undo) error {
	if e == nil {
		return nil
	}
	return e.journal.add(line{ID: e.id, Fault: e.fault, Undo: &u})
}

func (e *entry) healed() error {
	if e == nil {
		return nil
	}
	return e.journal.add(line{ID: e.id, Fault: e.fault, Healed: true})
}

// record injects a fault with its entries in the journal and the audit log. where names what is touched,
// u what undoes it. An error of inject means that nothing is left injected, unless it is a stuck one.
func (s Site) record(f Fault, sham bool, where []string, u undo, inject func(*entry) (Injected, error)) (Injected, error) {
	journal := s.Journal
	if sham {
		journal = nil
	}
	e, err := journal.begin(f, u)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	if err := s.Audit.log(AuditInject, f, where, "", nil); err != nil {
		return Injected{}, errors.Join(fmt.Errorf("%s: %w", f, err), e.healed())
	}
	in, err := inject(e)
	if err != nil {
		var s2 *stuck
		if !errors.As(err, &s2) {
			err = errors.Join(err, e.healed())
		}
		_ = s.Audit.log(AuditFail, f, where, "not injected", err)
		return Injected{}, err
	}
	heal, once := in.Heal, &sync.Once{}
	in.Heal = func(ctx context.Context) (string, error) {
		evidence, err := heal(ctx)
		if err != nil {
			_ = s.Audit.log(AuditFail, f, where, "not healed", err)
			return evidence, err
		}
		once.Do(func() {
			_ = e.healed() // else it is undone once more, which changes nothing
			_ = s.Audit.log(AuditHeal, f, where, evidence, nil)
		})
		return evidence, nil
	}
	return in, nil
}

// stuck is an injection that failed and could not be undone.
type stuck struct{ error }

func (s *stuck) Unwrap() error { return s.error }

// halfDone is the error of an injection that failed, and of undoing it.
func halfDone(inject, undo error) error {
	if undo == nil {
		return inject
	}
	return &stuck{errors.Join(inject, undo)}
}
