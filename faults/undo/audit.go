package undo

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/internal/secret"
)

// Audit is the log of who did what to which environment: a file of JSON lines ([AuditRecord]) to
// which is only ever added. A nil Audit logs nothing. It may be used concurrently, and several
// processes may have it open.
type Audit struct {
	mu     sync.Mutex
	file   *os.File
	who    string
	failed error
}

// AuditRecord is a line of the audit log.
type AuditRecord struct {
	When     time.Time `json:"when"`
	Who      string    `json:"who"` // user@host, and the process
	Fault    string    `json:"fault"`
	Action   string    `json:"action"`             // inject (about to), heal (done and verified), or fail
	Where    []string  `json:"where,omitempty"`    // Redis servers, edges, relays
	Evidence string    `json:"evidence,omitempty"` // of a heal; of a failure, what failed
	Error    string    `json:"error,omitempty"`
}

// Actions of an [AuditRecord].
const (
	AuditInject = "inject"
	AuditHeal   = "heal"
	AuditFail   = "fail"
)

// OpenAudit opens an audit log to add to it, and makes it when there is none.
func OpenAudit(path string) (*Audit, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return &Audit{file: f, who: whoami()}, nil
}

func whoami() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s@%s pid %d", name, host, os.Getpid())
}

// Close closes the log, and gives the first error that writing it met.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.failed, a.file.Close())
}

// Log adds a record of now. where names what is touched. It returns an error when the record could
// not be written, as [Audit.Close] does once more.
func (a *Audit) Log(action, fault string, where []string, evidence string, cause error) error {
	if a == nil {
		return nil
	}
	r := AuditRecord{When: time.Now().UTC(), Fault: fault, Action: action, Where: where, Evidence: secret.Redact(evidence)}
	if cause != nil {
		r.Error = secret.Redact(strings.TrimPrefix(cause.Error(), r.Fault+": "))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Who = a.who
	err := appendLine(a.file, r)
	if err != nil {
		err = fmt.Errorf("writing the audit log: %w", err)
		if a.failed == nil {
			a.failed = err
		}
	}
	return err
}
